"""Opening hours out of free text, as imports bring them: OpenStreetMap's simple forms and dealers' own style.

Owns the small grammar below. Pure. Must not guess: a text that is not read whole and without doubt is unknown
(None), because a wrong "closed" costs a shop its orders.

    text  = "24/7" | piece *((";" | ",") piece)
    piece = [days] [times] | days "closed"      times alone continue the days before, days alone wait for times
    days  = day ["-" day]                       Mo Mon Monday, M-F
    times = time "-" time                       08:00 8:00am 8 AM noon 24:00
"""

import re
from itertools import pairwise

from matcher.shops.hours import DAY_MINUTES, DAYS, MAX_SPANS, OpeningHours

# Sources cut long texts off; what was cut may have said more.
CUT_CHARS = 200
_NOON = 12

_DAY = (
    r"(?:mo|tu|we|th|fr|sa|su|mon|tue|tues|wed|thu|thur|thurs|fri|sat|sun"
    r"|monday|tuesday|wednesday|thursday|friday|saturday|sunday)"
)
_TIME = r"(?:\d{1,2}(?::\d{2})?\s*(?:am|pm)?|noon)"
_PIECE = re.compile(
    rf"(?P<days>m\s*-\s*f|{_DAY}(?:\s*-\s*{_DAY})?)?\s*:?\s*"
    rf"(?:(?P<opens>{_TIME})\s*-\s*(?P<closes>{_TIME})|(?P<closed>closed|off))?"
)
_HOLIDAYS = re.compile(r"ph\s+(?:off|closed)")
_CLOCK = re.compile(r"(\d{1,2})(?::(\d{2}))?\s*(am|pm)?")


def parse_hours(text: str) -> OpeningHours | None:
    """The hours that `text` states; None when any of it is not understood. A day that is not named is closed."""
    text = text.strip().lower()
    if text == "24/7":
        return _hours({day: [(0, DAY_MINUTES)] for day in DAYS})
    if len(text) >= CUT_CHARS:
        return None
    week = _Week()
    for piece in filter(None, (part.strip() for part in re.split("[;,]", text))):
        if _HOLIDAYS.fullmatch(piece):
            continue
        match = _PIECE.fullmatch(piece)
        if match is None or not week.take(match):
            return None
    return _hours(week.spans) if week.is_sound() else None


class _Week:
    """The days read so far. `days` are those that times alone continue, `waiting` those still without times."""

    def __init__(self) -> None:
        self.spans: dict[str, list[tuple[int, int]]] = {}
        self.days: list[str] = []
        self.waiting: list[str] = []

    def take(self, match: re.Match[str]) -> bool:
        """Add one piece; False when it cannot be understood here."""
        if match["days"]:
            self.waiting += _days(match["days"])
        elif match["closed"]:
            return False
        if not (match["opens"] or match["closed"]):
            return bool(match["days"])
        if self.waiting and not self._begin():
            return False
        return not match["opens"] or self._open(match["opens"], match["closes"])

    def is_sound(self) -> bool:
        """Whether something was read, nothing waits, and each day's spans are in order."""
        return bool(self.spans) and not self.waiting and all(map(_in_order, self.spans.values()))

    def _begin(self) -> bool:
        self.days, self.waiting = self.waiting, []
        if len(set(self.days)) < len(self.days) or any(day in self.spans for day in self.days):
            return False
        self.spans.update({day: [] for day in self.days})
        return True

    def _open(self, opens: str, closes: str) -> bool:
        span = _span(opens, closes)
        if span is None or not self.days:
            return False
        for day in self.days:
            self.spans[day].append(span)
        return True


def _days(text: str) -> list[str]:
    first, _, last = (part.strip() for part in text.partition("-"))
    if first == "m":
        return list(DAYS[:5])
    start = _day_number(first)
    count = (_day_number(last) - start) % 7 + 1 if last else 1
    return [DAYS[(start + n) % 7] for n in range(count)]


def _day_number(name: str) -> int:
    return next(number for number, day in enumerate(DAYS) if day.startswith(name[:2]))


def _span(opens: str, closes: str) -> tuple[int, int] | None:
    start, end = _minute(opens), _minute(closes)
    if start is None or end is None or start >= DAY_MINUTES or end > DAY_MINUTES:
        return None
    # Some sources write a closed day as "00:00-00:00", others a whole one.
    if start == end:
        return None
    if end == 0:
        end = DAY_MINUTES
    named = any(mark in closes for mark in ("am", "pm", "noon"))
    # "8:00-5:00" means the afternoon more likely than the next morning; nobody knows.
    return None if end < start and not named else (start, end)


def _minute(text: str) -> int | None:
    if text == "noon":
        return _NOON * 60
    match = _CLOCK.fullmatch(text)
    assert match, "the piece has matched the same form"
    hour, minute, half = int(match[1]), int(match[2] or 0), match[3]
    if minute >= 60:
        return None
    if half is None:
        # A bare number such as "8" is an hour of either half of the day.
        return hour * 60 + minute if match[2] else None
    if not 1 <= hour <= _NOON:
        return None
    return (hour % _NOON + (_NOON if half == "pm" else 0)) * 60 + minute


def _in_order(spans: list[tuple[int, int]]) -> bool:
    # A span past midnight may only be the last of its day.
    return len(spans) <= MAX_SPANS and all(a[0] < a[1] <= b[0] for a, b in pairwise(spans))


def _hours(week: dict[str, list[tuple[int, int]]]) -> OpeningHours:
    def text(minute: int) -> str:
        return f"{minute // 60:02}:{minute % 60:02}"

    return OpeningHours(
        **{day: tuple((text(start), text(end)) for start, end in spans) for day, spans in week.items()}
    )
