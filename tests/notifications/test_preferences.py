from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matcher.errors import InvalidRequest
from matcher.notifications.channel import ChannelName
from matcher.notifications.preferences import (
    Choices,
    PreferencesUpdate,
    QuietHours,
    check,
    in_force,
    quiet_until,
)
from matcher.notifications.rules import Kind
from matcher.serialization import convert

CAIRO = "Africa/Cairo"
NIGHT = QuietHours(start="22:00", end="07:00", time_zone=CAIRO)
NAP = QuietHours(start="13:00", end="15:30", time_zone=CAIRO)
ZONES = st.sampled_from(["UTC", CAIRO, "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"])
CLOCKS = st.builds("{:02d}:{:02d}".format, st.integers(0, 23), st.integers(0, 59))
MOMENTS = st.datetimes(datetime(2024, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001  bounds are naive


def at(hour: int, minute: int = 0, *, day: int = 10, zone: str = CAIRO) -> datetime:
    return datetime(2026, 1, day, hour, minute, tzinfo=ZoneInfo(zone))


@pytest.mark.parametrize(
    ("quiet", "now", "until"),
    [
        (None, at(3), None),
        (NIGHT, at(21, 59), None),
        (NIGHT, at(22), at(7, day=11)),
        (NIGHT, at(0), at(7)),
        (NIGHT, at(6, 59), at(7)),
        (NIGHT, at(7), None),
        (NAP, at(12, 59), None),
        (NAP, at(13), at(15, 30)),
        (NAP, at(15, 30), None),
        (NAP, at(23), None),
    ],
)
def test_quiet_hours_are_kept_by_the_persons_clock(
    quiet: QuietHours | None, now: datetime, until: datetime | None
) -> None:
    assert quiet_until(quiet, now.astimezone(UTC)) == until


@given(CLOCKS, CLOCKS, ZONES, MOMENTS)
def test_quiet_hours_end_when_they_say_and_not_before(start: str, end: str, zone: str, now: datetime) -> None:
    if start == end:
        return
    until = quiet_until(QuietHours(start=start, end=end, time_zone=zone), now)
    clock = now.astimezone(ZoneInfo(zone)).time()
    first, last = time.fromisoformat(start), time.fromisoformat(end)
    inside = first <= clock < last if first < last else clock >= first or clock < last
    assert (until is not None) is inside
    if until is not None:
        assert now < until <= now + timedelta(hours=26)
        # An end that a change of the clocks skips is told by the clock after it.
        shown = until.astimezone(ZoneInfo(zone))
        assert shown.time() >= last or shown.time() == last


def test_a_night_in_which_clocks_go_back_ends_once() -> None:
    # New York, 1 November 2026: 01:30 comes twice.
    quiet = QuietHours(start="23:00", end="01:30", time_zone="America/New_York")
    first_half_past_one = datetime(2026, 11, 1, 5, 30, tzinfo=UTC)
    assert quiet_until(quiet, first_half_past_one - timedelta(minutes=1)) == first_half_past_one
    assert quiet_until(quiet, first_half_past_one) is None
    # The second hour from 01:00 on is quiet by the clock again.
    again = first_half_past_one + timedelta(minutes=40)
    assert quiet_until(quiet, again) == first_half_past_one + timedelta(hours=1)


@pytest.mark.parametrize(
    ("hours", "pointer"),
    [
        ({"start": "22:00", "end": "22:00", "timeZone": CAIRO}, "/quietHours/end"),
        ({"start": "22:00", "end": "07:00", "timeZone": "Mars/Olympus"}, "/quietHours/timeZone"),
        ({"start": "22:00", "end": "07:00", "timeZone": "../../etc/passwd"}, "/quietHours/timeZone"),
        ({"start": "22:00", "end": "07:00", "timeZone": "\x7f"}, "/quietHours/timeZone"),
        ({"start": "24:00", "end": "07:00", "timeZone": CAIRO}, "/quietHours/start"),
        ({"start": "22:00\n", "end": "07:00", "timeZone": CAIRO}, "/quietHours/start"),
        ({"start": "9:00", "end": "07:00", "timeZone": CAIRO}, "/quietHours/start"),
    ],
)
def test_hours_that_no_clock_can_keep_are_refused(hours: dict[str, str], pointer: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        check(convert({"quietHours": hours}, PreferencesUpdate))
    assert [error.pointer for error in refusal.value.errors] == [pointer]


def test_a_day_without_quiet_hours_is_fine() -> None:
    check(PreferencesUpdate())
    check(PreferencesUpdate(quiet_hours=NIGHT))


def test_everybody_is_pushed_to_and_nobody_is_mailed_unless_they_say_so() -> None:
    found = in_force({}, None, 0)
    assert set(found.types) == set(Kind)
    assert all(choices == Choices(fcm=True, webpush=True, mail=False) for choices in found.types.values())


def test_stored_choices_of_another_revision_are_passed_over() -> None:
    stored = {"new-quote": {"mail": True, "pigeon": True}, "a-kind-of-tomorrow": {"fcm": False}}
    found = in_force(stored, NIGHT, 3)
    assert found.types[Kind.NEW_QUOTE] == Choices(mail=True)
    assert (found.quiet_hours, found.version) == (NIGHT, 3)


def test_what_is_put_is_what_is_in_force() -> None:
    body = b'{"types": {"new-quote": {"mail": true, "webpush": false}}, "quietHours": null}'
    update = msgspec.json.decode(body, type=PreferencesUpdate)
    stored = msgspec.to_builtins(update.types, str_keys=True)
    assert stored == {"new-quote": {"fcm": True, "webpush": False, "mail": True}}
    assert in_force(stored, None, 1).types[Kind.NEW_QUOTE] == update.types[Kind.NEW_QUOTE]
    assert set(stored["new-quote"]) == set(ChannelName)
