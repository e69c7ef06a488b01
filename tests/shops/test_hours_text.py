"""Free-text hours: what is understood, and that everything else is unknown."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matcher.shops.hours import DAYS, OpeningHours, check_hours
from matcher.shops.hours_text import parse_hours

WEEK = OpeningHours(**dict.fromkeys(DAYS[:5], (("08:00", "18:00"),)), sat=(("09:00", "13:00"),))
ALWAYS = OpeningHours(**dict.fromkeys(DAYS, (("00:00", "24:00"),)))


@pytest.mark.parametrize(
    "text",
    [
        "Mo-Fr 08:00-18:00; Sa 09:00-13:00",
        "Mo-Fr 08:00-18:00; Sa 09:00-13:00; Su off",
        "Mo-Fr 08:00-18:00; Sa 09:00-13:00; PH off",
        "mo,tu,we,th,fr 08:00-18:00, sa 09:00-13:00",
        "M-F: 8am - 6pm, Sat: 9am-1pm, Sun: Closed",
        "Monday - Friday: 8:00am - 6:00pm, Saturday: 9:00am - 1:00pm, Sunday: Closed",
        "Mon 8:00 AM-6:00 PM, Tue 8:00 AM-6:00 PM, Wed 8:00 AM-6:00 PM, Thu 8:00 AM-6:00 PM,"
        " Fri 8:00 AM-6:00 PM, Sat 9:00 AM-1:00 PM",
    ],
)
def test_the_same_week_in_many_styles(text: str) -> None:
    assert parse_hours(text) == WEEK


@pytest.mark.parametrize("text", ["24/7", " 24/7 ", "Mo-Su 00:00-24:00", "Mo-Su 00:00-00:00 "])
def test_always_open(text: str) -> None:
    # "00:00-00:00" is the one that is not understood: some sources mean closed by it.
    assert parse_hours(text) == (ALWAYS if "-00:00" not in text else None)


def test_breaks_continue_the_days_before() -> None:
    hours = parse_hours("Mo,We 09:00-12:00,13:00-17:00; Sa 8am-Noon")
    assert hours == OpeningHours(
        mon=(("09:00", "12:00"), ("13:00", "17:00")),
        wed=(("09:00", "12:00"), ("13:00", "17:00")),
        sat=(("08:00", "12:00"),),
    )


def test_days_wrap_around_the_week_and_spans_around_midnight() -> None:
    assert parse_hours("Sa-Mo 18:00-24:00") == OpeningHours(
        **dict.fromkeys(("sat", "sun", "mon"), (("18:00", "24:00"),))
    )
    assert parse_hours("Fr 10pm-2am") == OpeningHours(fri=(("22:00", "02:00"),))


@pytest.mark.parametrize(
    "text",
    [
        "",
        ";",
        "closed",
        "Mon: - ; Tue: - ; Wed: - ;",
        "sunrise-sunset",
        "Mo-Fr",
        "08:00-17:00",
        "Mo-Fr 8-5",
        "Mo-Fr 8:00-5:00",
        "Mo-Fr 25:00-26:00",
        "Mo-Fr 08:60-17:00",
        "Mo-Fr 13pm-14pm",
        "Mo-Fr 08:00+",
        "Mo-Fr 08:00-17:00 || call",
        "Mo-Fr 08:00-17:00; We 09:00-12:00",
        "Mo-Fr 13:00-17:00,09:00-12:00",
        "Jan-Mar Mo 08:00-17:00",
        "salesHours: Mon-Sat 09:00-21:21",
        "Mo " + ",".join(f"{hour:02}:00-{hour:02}:30" for hour in range(7, 14)),
        "Mo-Fr 08:00-18:00; " + "Sa 09:00-13:00" + " " * 10 + "; " * 100 + "x",
    ],
)
def test_doubtful_texts_are_unknown(text: str) -> None:
    assert parse_hours(text) is None


@given(st.text(alphabet="motuwehfrsa 0123456789:-;,apmnclsed", max_size=60))
def test_what_is_read_is_valid(text: str) -> None:
    hours = parse_hours(text)
    if hours is not None:
        check_hours(hours, "/hours")
