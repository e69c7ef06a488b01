"""The first characters of a VIN tell region and country after ISO 3780."""

import pytest

from matcher.vehicles.countries import find_country, get_region


@pytest.mark.parametrize(
    ("vin", "country", "region"),
    [
        ("1FA", "US", "north_america"),
        ("2T1", "CA", "north_america"),
        ("3VW", "MX", "north_america"),
        ("7SA", "US", "north_america"),
        ("7A3", "NZ", "oceania"),
        ("6T1", "AU", "oceania"),
        ("9BW", "BR", "south_america"),
        ("AHT", "ZA", "africa"),
        ("JTD", "JP", "asia"),
        ("KMH", "KR", "asia"),
        ("LVV", "CN", "asia"),
        ("HJR", "CN", "asia"),
        ("NMT", "TR", "asia"),
        ("NAA", "IR", "asia"),
        ("TMB", "CZ", "europe"),
        ("UU1", "RO", "europe"),
        ("VF1", "FR", "europe"),
        ("VSS", "ES", "europe"),
        ("WVW", "DE", "europe"),
        ("XTA", "RU", "europe"),
        ("Z94", "RU", "europe"),
        ("ZFA", "IT", "europe"),
        ("0AB", None, "south_america"),
        ("E1A", None, "africa"),
    ],
)
def test_first_characters_tell_country_and_region(vin: str, country: str | None, region: str) -> None:
    assert find_country(vin) == country
    assert get_region(vin) == region


@pytest.mark.parametrize("first", "0123456789ABCDEFGHJKLMNPRSTUVWXYZ")
def test_every_first_character_has_a_region(first: str) -> None:
    assert get_region(first + "9")
