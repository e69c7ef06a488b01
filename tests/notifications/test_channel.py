from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matcher.notifications.channel import MAX_REASON_CHARS, MAX_RETRY_AFTER_S, reason_of, retry_after_s
from tests.notifications.factories import SENT_AT, message

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, None),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("0", 0.0),
        (" 30 ", 30.0),
        ("9" * 400, MAX_RETRY_AFTER_S),
        ("Sun, 01 Mar 2026 12:02:00 GMT", 120.0),
        ("Sun, 01 Mar 2026 11:00:00 GMT", 0.0),
        ("Sun, 01 Mar 2026 12:02:00", 120.0),
        ("Fri, 01 Mar 2999 12:00:00 GMT", MAX_RETRY_AFTER_S),
    ],
)
def test_retry_after_is_seconds_or_a_date_and_bounded(header: str | None, expected: float | None) -> None:
    assert retry_after_s(header, NOW) == expected


@given(st.text())
def test_any_retry_after_is_read_without_a_crash(header: str) -> None:
    wait_s = retry_after_s(header, NOW)
    assert wait_s is None or 0 <= wait_s <= MAX_RETRY_AFTER_S


@given(st.text())
def test_a_reason_is_one_bounded_line(text: str) -> None:
    reason = reason_of(text)
    assert len(reason) <= MAX_REASON_CHARS
    assert not {"\n", "\r", "\x00"} & set(reason)


def test_the_time_to_live_is_what_remains_in_whole_seconds() -> None:
    assert message(expires_at=SENT_AT + timedelta(seconds=9.9)).ttl_s == 9
    assert message(expires_at=SENT_AT - timedelta(seconds=5)).ttl_s == 0
