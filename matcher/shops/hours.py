"""Opening hours: weekly spans of local wall-clock time, exceptions by date, and whether a shop is open.

Owns the model, its validation and `is_open`. Pure: the moment is passed in. Must not read a clock, and must not
guess: a shop without hours is neither open nor closed.

A span says what a clock on the shop's wall shows, so a change to summer time needs no rule of its own: an hour
that is shown twice is open (or closed) twice, one that is never shown is never asked about. A span whose end is
not after its start runs past midnight and belongs to the day on which it starts.
"""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from functools import cache
from typing import Annotated, TypeAlias
from zoneinfo import ZoneInfo, available_timezones

import msgspec

from matcher.errors import FieldError, InvalidRequest
from matcher.serialization import WireStruct

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY_MINUTES = 24 * 60
MAX_SPANS = 6  # more breaks than any shop takes in a day
MAX_EXCEPTIONS = 366  # a year ahead

TimeOfDay: TypeAlias = Annotated[
    str, msgspec.Meta(max_length=5, pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$|^24:00$")
]
Span: TypeAlias = tuple[TimeOfDay, TimeOfDay]
Spans: TypeAlias = Annotated[tuple[Span, ...], msgspec.Meta(max_length=MAX_SPANS)]


class OpeningHours(WireStruct):
    """Spans of each weekday, in order: `[["09:00", "13:00"], ["16:00", "02:00"]]`. An empty list is a closed day."""

    mon: Spans = ()
    tue: Spans = ()
    wed: Spans = ()
    thu: Spans = ()
    fri: Spans = ()
    sat: Spans = ()
    sun: Spans = ()


class HoursException(WireStruct):
    """One date on which other hours hold: `closed`, or `spans` that replace those of the weekday."""

    date: date
    closed: bool = False
    spans: Spans = ()


def check_hours(hours: OpeningHours, pointer: str) -> None:
    """InvalidRequest unless the spans of each day are in order and do not overlap."""
    errors = [
        FieldError(f"{pointer}/{day}", problem)
        for day in DAYS
        if (problem := _spans_problem(getattr(hours, day)))
    ]
    if errors:
        raise InvalidRequest(errors=errors)


def check_exceptions(exceptions: Sequence[HoursException], pointer: str) -> None:
    """InvalidRequest unless the dates are distinct and each exception is either closed or has spans."""
    errors: list[FieldError] = []
    if len(exceptions) > MAX_EXCEPTIONS:
        errors.append(FieldError(pointer, f"at most {MAX_EXCEPTIONS} exceptions"))
    seen: set[date] = set()
    for number, exception in enumerate(exceptions[:MAX_EXCEPTIONS]):
        if exception.date in seen:
            errors.append(FieldError(f"{pointer}/{number}/date", "this date has an exception already"))
        seen.add(exception.date)
        if exception.closed == bool(exception.spans):
            errors.append(FieldError(f"{pointer}/{number}", 'give either "closed": true or spans'))
        elif problem := _spans_problem(exception.spans):
            errors.append(FieldError(f"{pointer}/{number}/spans", problem))
    if errors:
        raise InvalidRequest(errors=errors)


def is_time_zone(name: str) -> bool:
    """Whether `name` is an IANA time zone."""
    return name in _zones()


def check_time_zone(name: str, pointer: str) -> None:
    """InvalidRequest unless `name` is an IANA time zone."""
    if not is_time_zone(name):
        raise InvalidRequest(
            errors=[FieldError(pointer, 'name an IANA time zone, for example "Africa/Cairo"')]
        )


def is_open(
    hours: OpeningHours | None, exceptions: Sequence[HoursException], time_zone: str, moment: datetime
) -> bool | None:
    """Whether a shop is open at `moment` (aware); None when its hours are not known.

    The start of a span is inside, its end outside. An exception replaces the spans that start on its date; what
    the evening before runs past midnight stays.
    """
    local = moment.astimezone(ZoneInfo(time_zone))
    today, minute = local.date(), local.hour * 60 + local.minute
    todays = _spans_on(hours, exceptions, today)
    yesterdays = _spans_on(hours, exceptions, today - timedelta(days=1))
    if any(minute < end - DAY_MINUTES for _, end in yesterdays or ()):
        return True
    if todays is None:
        return None
    return any(start <= minute < end for start, end in todays)


@cache
def _zones() -> frozenset[str]:
    # The names that are files of the local machine, not zones, differ between machines.
    return frozenset(available_timezones() - {"localtime", "posixrules", "Factory"})


def _spans_on(
    hours: OpeningHours | None, exceptions: Sequence[HoursException], day: date
) -> list[tuple[int, int]] | None:
    """The spans that start on a date, in minutes since its midnight; an end above 1,440 is on the next day."""
    for exception in exceptions:
        if exception.date == day:
            return [_minutes(span) for span in exception.spans]
    if hours is None:
        return None
    return [_minutes(span) for span in getattr(hours, DAYS[day.weekday()])]


def _minutes(span: Span) -> tuple[int, int]:
    start, end = (int(text[:2]) * 60 + int(text[3:]) for text in span)
    return start, end if end > start else end + DAY_MINUTES


def _spans_problem(spans: Sequence[Span]) -> str | None:
    last_end = 0
    for number, span in enumerate(spans):
        start, end = _minutes(span)
        if start == DAY_MINUTES:
            return "a span starts before 24:00"
        if span[0] == span[1]:
            return 'a span is shorter than a day; write a whole day as ["00:00", "24:00"]'
        if number and start < last_end:
            return "spans must be in order and not overlap"
        last_end = end
    return None
