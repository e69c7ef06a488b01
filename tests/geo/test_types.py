"""Places are checked where they enter."""

import math

import pytest

from matcher.geo.types import InvalidPlace, Place, checked_place


@pytest.mark.parametrize(
    ("latitude", "longitude"),
    [
        (90.001, 0),
        (-90.001, 0),
        (0, 180.001),
        (0, -180.001),
        (math.nan, 0),
        (0, math.nan),
        (math.inf, 0),
        (0, -math.inf),
    ],
)
def test_coordinates_out_of_range_are_refused(latitude: float, longitude: float) -> None:
    with pytest.raises(InvalidPlace) as refused:
        checked_place(latitude, longitude)
    assert (refused.value.code, refused.value.status) == ("invalid_place", 400)


@pytest.mark.parametrize(("latitude", "longitude"), [(90, 180), (-90, -180), (0, 0), (30.0444, 31.2357)])
def test_coordinates_in_range_become_a_place(latitude: float, longitude: float) -> None:
    place = checked_place(latitude, longitude)
    assert place == Place(latitude=latitude, longitude=longitude)
    assert type(place.latitude) is type(place.longitude) is float
