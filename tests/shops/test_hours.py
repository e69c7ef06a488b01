"""Opening hours: validation, spans past midnight, exceptions, time zones, summer time."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matcher.errors import InvalidRequest
from matcher.serialization import decode
from matcher.shops.hours import (
    DAYS,
    HoursException,
    OpeningHours,
    check_exceptions,
    check_hours,
    check_time_zone,
    is_open,
)

WEEKDAYS = OpeningHours(**dict.fromkeys(DAYS[:5], (("09:00", "17:00"),)))
NIGHTS = OpeningHours(fri=(("20:00", "02:00"),))


def cairo(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo("Africa/Cairo"))


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        ("2026-06-01T08:59:59", False),  # a Monday
        ("2026-06-01T09:00:00", True),
        ("2026-06-01T16:59:59", True),
        ("2026-06-01T17:00:00", False),
        ("2026-06-06T12:00:00", False),
    ],
)
def test_a_span_holds_its_start_and_not_its_end(moment: str, expected: bool) -> None:
    assert is_open(WEEKDAYS, (), "Africa/Cairo", cairo(moment)) is expected


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        ("2026-06-05T19:59:00", False),  # a Friday
        ("2026-06-05T23:59:59", True),
        ("2026-06-06T00:00:00", True),
        ("2026-06-06T01:59:59", True),
        ("2026-06-06T02:00:00", False),
        ("2026-06-05T01:00:00", False),
    ],
)
def test_a_span_past_midnight_belongs_to_its_first_day(moment: str, expected: bool) -> None:
    assert is_open(NIGHTS, (), "Africa/Cairo", cairo(moment)) is expected


def test_midnight_of_sunday_reaches_into_monday() -> None:
    hours = OpeningHours(sun=(("22:00", "03:00"),))
    assert is_open(hours, (), "UTC", datetime(2026, 6, 8, 2, tzinfo=UTC)) is True


def test_the_moment_is_read_in_the_shops_zone() -> None:
    moment = datetime(2026, 6, 1, 6, 30, tzinfo=UTC)
    assert is_open(WEEKDAYS, (), "Africa/Cairo", moment) is True
    assert is_open(WEEKDAYS, (), "Europe/London", moment) is False


def test_unknown_hours_are_neither_open_nor_closed() -> None:
    assert is_open(None, (), "UTC", datetime(2026, 6, 1, 12, tzinfo=UTC)) is None


def test_a_week_without_spans_is_closed() -> None:
    assert is_open(OpeningHours(), (), "UTC", datetime(2026, 6, 1, 12, tzinfo=UTC)) is False


def test_an_exception_replaces_its_date() -> None:
    exceptions = (
        HoursException(date=date(2026, 6, 1), closed=True),
        HoursException(date=date(2026, 6, 6), spans=(("10:00", "12:00"),)),
    )
    noon = timedelta(hours=12)
    assert is_open(WEEKDAYS, exceptions, "UTC", datetime(2026, 6, 1, tzinfo=UTC) + noon) is False
    assert is_open(WEEKDAYS, exceptions, "UTC", datetime(2026, 6, 6, 11, tzinfo=UTC)) is True
    assert is_open(WEEKDAYS, exceptions, "UTC", datetime(2026, 6, 8, tzinfo=UTC) + noon) is True


def test_an_exception_leaves_what_the_evening_before_runs_past_midnight() -> None:
    closed = (HoursException(date=date(2026, 6, 6), closed=True),)
    assert is_open(NIGHTS, closed, "UTC", datetime(2026, 6, 6, 1, tzinfo=UTC)) is True
    closed = (HoursException(date=date(2026, 6, 5), closed=True),)
    assert is_open(NIGHTS, closed, "UTC", datetime(2026, 6, 6, 1, tzinfo=UTC)) is False


def test_an_exception_is_known_where_the_week_is_not() -> None:
    closed = (HoursException(date=date(2026, 6, 1), closed=True),)
    assert is_open(None, closed, "UTC", datetime(2026, 6, 1, 12, tzinfo=UTC)) is False
    assert is_open(None, closed, "UTC", datetime(2026, 6, 2, 12, tzinfo=UTC)) is None


def test_an_hour_that_summer_time_shows_twice_is_open_twice() -> None:
    hours = OpeningHours(sun=(("01:30", "02:00"),))
    # New York leaves summer time on 2026-11-01 at 06:00 UTC: 01:30 is shown at 05:30 and at 06:30 UTC.
    for hour in (5, 6):
        assert is_open(hours, (), "America/New_York", datetime(2026, 11, 1, hour, 45, tzinfo=UTC)) is True
    assert is_open(hours, (), "America/New_York", datetime(2026, 11, 1, 7, 15, tzinfo=UTC)) is False


def test_an_hour_that_is_skipped_ends_on_the_clock() -> None:
    hours = OpeningHours(sun=(("01:00", "04:00"),))
    # New York goes from 02:00 to 03:00 on 2026-03-08 at 07:00 UTC; 04:00 is 08:00 UTC.
    assert is_open(hours, (), "America/New_York", datetime(2026, 3, 8, 7, 59, tzinfo=UTC)) is True
    assert is_open(hours, (), "America/New_York", datetime(2026, 3, 8, 8, 0, tzinfo=UTC)) is False


@pytest.mark.parametrize(
    "spans",
    [
        [["09:00", "09:00"]],
        [["00:00", "00:00"]],
        [["24:00", "02:00"]],
        [["09:00", "12:00"], ["11:59", "13:00"]],
        [["14:00", "15:00"], ["09:00", "10:00"]],
        [["20:00", "02:00"], ["21:00", "22:00"]],
    ],
)
def test_spans_out_of_order_are_refused(spans: list[list[str]]) -> None:
    hours = msgspec.convert({"mon": spans}, OpeningHours)
    with pytest.raises(InvalidRequest) as caught:
        check_hours(hours, "/openingHours")
    assert [error.pointer for error in caught.value.errors] == ["/openingHours/mon"]


@pytest.mark.parametrize(
    "text",
    [
        '{"mon": [["9:00", "17:00"]]}',
        '{"mon": [["09:00", "24:01"]]}',
        '{"mon": [["09:60", "17:00"]]}',
        '{"mon": [["09:00"]]}',
        '{"mon": [["09:00", "10:00", "11:00"]]}',
        '{"mon": ["09:00", "17:00"]}',
        '{"mon": [[540, 1020]]}',
        '{"monday": []}',
        '{"mon": [["09:00\\n", "17:00"]]}',
    ],
)
def test_a_malformed_week_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        decode(text.encode(), OpeningHours)


def test_spans_of_a_day_are_bounded() -> None:
    seven = ", ".join(f'["0{n}:00", "0{n}:30"]' for n in range(7))
    with pytest.raises(InvalidRequest):
        decode(f'{{"mon": [{seven}]}}'.encode(), OpeningHours)


def test_a_whole_day_is_written_to_24() -> None:
    hours = OpeningHours(mon=(("00:00", "24:00"),))
    check_hours(hours, "/h")
    assert is_open(hours, (), "UTC", datetime(2026, 6, 1, 23, 59, 59, tzinfo=UTC)) is True
    assert is_open(hours, (), "UTC", datetime(2026, 6, 2, 0, 0, tzinfo=UTC)) is False


def test_exceptions_are_bounded_and_of_distinct_dates() -> None:
    many = [HoursException(date=date(2026, 1, 1) + timedelta(days=n), closed=True) for n in range(367)]
    check_exceptions(many[:366], "/e")
    for bad in (many, many[:1] * 2, [HoursException(date=date(2026, 1, 1))]):
        with pytest.raises(InvalidRequest):
            check_exceptions(bad, "/e")
    both = HoursException(date=date(2026, 1, 1), closed=True, spans=(("09:00", "10:00"),))
    with pytest.raises(InvalidRequest):
        check_exceptions([both], "/e")


@pytest.mark.parametrize("name", ["Africa/Cairo", "America/Argentina/Ushuaia", "UTC"])
def test_iana_zones_are_known(name: str) -> None:
    check_time_zone(name, "/timeZone")


@pytest.mark.parametrize(
    "name", ["", "Cairo", "localtime", "../etc/passwd", "/etc/localtime", "africa/cairo\x00"]
)
def test_anything_else_is_no_zone(name: str) -> None:
    with pytest.raises(InvalidRequest):
        check_time_zone(name, "/timeZone")


minutes = st.integers(0, 24 * 60 - 1)
spans = st.lists(st.tuples(minutes, st.integers(1, 24 * 60 - 1)), max_size=1)
weeks: st.SearchStrategy[list[list[tuple[int, int]]]] = st.lists(spans, min_size=7, max_size=7)
moments: st.SearchStrategy[Any] = st.datetimes(
    datetime(2020, 1, 1),  # noqa: DTZ001  the strategy adds the zone
    datetime(2035, 1, 1),  # noqa: DTZ001
    timezones=st.just(UTC),
)


def _text(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"


@given(weeks, moments)
def test_is_open_agrees_with_counting_minutes_of_the_week(
    week: list[list[tuple[int, int]]], moment: datetime
) -> None:
    hours = OpeningHours(
        **{
            day: tuple((_text(start), _text((start + length) % 1440)) for start, length in day_spans)
            for day, day_spans in zip(DAYS, week, strict=True)
        }
    )
    open_minutes = {
        (number * 1440 + start + passed) % (7 * 1440)
        for number, day_spans in enumerate(week)
        for start, length in day_spans
        for passed in range(length)
    }
    now = moment.weekday() * 1440 + moment.hour * 60 + moment.minute
    assert is_open(hours, (), "UTC", moment) is (now in open_minutes)


@given(moments, st.sampled_from(["Africa/Cairo", "America/New_York", "Asia/Kathmandu", "Pacific/Apia"]))
def test_a_shop_that_is_always_open_is_open_through_every_change_of_clocks(
    moment: datetime, zone: str
) -> None:
    always = OpeningHours(**dict.fromkeys(DAYS, (("00:00", "24:00"),)))
    assert is_open(always, (), zone, moment) is True
