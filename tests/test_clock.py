"""Times on the wire."""

from datetime import UTC, datetime, timedelta, timezone

from matcher.clock import unix_s, utc_now, wire_time


def test_wire_times_are_utc_with_microseconds_and_z() -> None:
    cairo = timezone(timedelta(hours=3))
    assert wire_time(datetime(2026, 5, 4, 15, 0, 0, 5, tzinfo=cairo)) == "2026-05-04T12:00:00.000005Z"


def test_the_clocks_agree() -> None:
    assert utc_now().tzinfo is UTC
    assert abs(utc_now().timestamp() - unix_s()) < 60
