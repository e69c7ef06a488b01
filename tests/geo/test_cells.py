"""What was measured about H3 holds: sure radii, cell radii, ranges of descendants."""

import math
import random

import h3
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matcher.geo import cells
from matcher.geo.distance import distance_m
from matcher.geo.types import EARTH_RADIUS_M, Place

PLACES = st.builds(Place, st.floats(-90, 90), st.floats(-180, 180))
FINE = 11


def _walked(start: Place, distance_m: float, bearing: float) -> Place:
    """The place at a distance and bearing (radians) from another."""
    angle, latitude = distance_m / EARTH_RADIUS_M, math.radians(start.latitude)
    sine = math.sin(latitude) * math.cos(angle) + math.cos(latitude) * math.sin(angle) * math.cos(bearing)
    east = math.atan2(
        math.sin(bearing) * math.sin(angle) * math.cos(latitude), math.cos(angle) - math.sin(latitude) * sine
    )
    longitude = (start.longitude + math.degrees(east) + 540) % 360 - 180
    return Place(latitude=math.degrees(math.asin(max(-1.0, min(1.0, sine)))), longitude=longitude)


@pytest.mark.parametrize("resolution", range(FINE))
def test_ring_holds_all_within_its_sure_radius(resolution: int, pentagons: list[Place], full: bool) -> None:
    rng = random.Random(resolution)
    edge_m = cells.EDGE_M[resolution]
    for n in range(20_000 if full else 1_500):
        # Half of the places close to pentagons, where cells are most deformed; a third at a corner of their cell.
        if n % 2:
            place = _walked(rng.choice(pentagons), rng.uniform(0, 4 * edge_m), rng.uniform(0, math.tau))
        else:
            latitude = math.degrees(math.asin(rng.uniform(-1, 1)))
            place = Place(latitude=latitude, longitude=rng.uniform(-180, 180))
        if n % 3 == 0:
            corner = rng.choice(
                h3.cell_to_boundary(h3.latlng_to_cell(place.latitude, place.longitude, resolution))
            )
            place = Place(latitude=corner[0], longitude=corner[1])
        other = _walked(
            place, cells.sure_radius_m(resolution) * rng.uniform(0.8, 0.9999), rng.uniform(0, math.tau)
        )
        fine = cells.cell_of(other, FINE)
        ranges = [cells.descendant_range(cell, FINE) for cell in cells.disk(place, resolution)]
        assert any(low <= fine <= high for low, high in ranges)


@given(PLACES, st.integers(0, FINE))
def test_no_point_is_further_from_its_cells_centre_than_the_bound(place: Place, resolution: int) -> None:
    cell = cells.cell_of(place, resolution)
    assert distance_m(cells.cell_centre(cell), place) <= cells.cell_radius_m(resolution)
    ancestor = cells.ancestor(cells.cell_of(place, FINE), resolution)
    assert distance_m(cells.cell_centre(ancestor), place) <= cells.descendants_radius_m(resolution)


@given(PLACES, st.integers(0, FINE), PLACES)
def test_descendants_are_exactly_the_ids_of_the_range(place: Place, resolution: int, other: Place) -> None:
    cell = cells.cell_of(place, resolution)
    low, high = cells.descendant_range(cell, FINE)
    for fine in (cells.cell_of(place, FINE), cells.cell_of(other, FINE)):
        assert (low <= fine <= high) == (cells.ancestor(fine, resolution) == cell)


def test_pentagons_have_smaller_rings(pentagons: list[Place]) -> None:
    assert {len(cells.disk(place, 5)) for place in pentagons} == {6}
    assert len(cells.disk(Place(latitude=30.0444, longitude=31.2357), 5)) == 7


@given(PLACES)
def test_blurred_place_is_the_same_all_over_its_cell_and_true_to_its_precision(place: Place) -> None:
    blurred = cells.blurred(place)
    centre = Place(latitude=blurred.latitude, longitude=blurred.longitude)
    assert distance_m(centre, place) <= blurred.precision_m
    assert cells.blurred(centre) == blurred
    assert blurred.precision_m == 612
