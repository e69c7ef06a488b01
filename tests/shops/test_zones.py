"""The probable time zone of imported shops."""

import pytest

from matcher.geo.types import Place
from matcher.shops.hours import is_time_zone
from matcher.shops.zones import UNKNOWN, probable_zone


@pytest.mark.parametrize(
    ("country", "state", "latitude", "longitude", "zone"),
    [
        ("EG", "", 30.0, 31.2, "Africa/Cairo"),
        ("US", "NY", 40.7, -74.0, "America/New_York"),
        ("US", "TX", 31.8, -106.4, "America/Chicago"),
        ("US", "AZ", 33.4, -112.0, "America/Phoenix"),
        ("US", "", 34.0, -118.2, "America/Los_Angeles"),
        ("ES", "", 28.1, -15.4, "Atlantic/Canary"),
        ("ES", "", 40.4, -3.7, "Europe/Madrid"),
        ("CD", "", -11.66, 27.48, "Africa/Lubumbashi"),
        ("XK", "", 42.6, 21.1, "Europe/Belgrade"),
        ("ZZ", "", 0.0, 0.0, UNKNOWN),
        (None, "", 30.0, 31.2, UNKNOWN),
    ],
)
def test_a_zone_follows_from_country_state_and_place(
    country: str | None, state: str, latitude: float, longitude: float, zone: str
) -> None:
    found = probable_zone(country, state, Place(latitude=latitude, longitude=longitude))
    assert found == zone
    assert is_time_zone(found)


@pytest.mark.parametrize("state", ["CT", "AL", "CO", "CA", "AK", "AZ", "HI", "IN", "KY", "MI"])
def test_every_american_zone_is_one(state: str) -> None:
    assert is_time_zone(probable_zone("US", state, Place(latitude=40, longitude=-90)))
