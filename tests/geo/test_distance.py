"""Distances agree with independent formulas at every range, and with one another."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matcher.geo.distance import (
    distance_m,
    distance_mm,
    distances_m,
    half_vector,
    half_vectors_mm,
    unit_vector,
    unit_vectors,
)
from matcher.geo.types import EARTH_RADIUS_M, Place

PLACES = st.builds(Place, st.floats(-90, 90), st.floats(-180, 180))
HALF_TURN_M = math.pi * EARTH_RADIUS_M


def _vincenty_m(a: Place, b: Place) -> float:
    """Vincenty's formula for equal axes, which PostGIS uses too: accurate everywhere."""
    y, z = math.radians(a.latitude), math.radians(b.latitude)
    x = math.radians(b.longitude) - math.radians(a.longitude)
    across = math.hypot(
        math.cos(z) * math.sin(x), math.cos(y) * math.sin(z) - math.sin(y) * math.cos(z) * math.cos(x)
    )
    along = math.sin(y) * math.sin(z) + math.cos(y) * math.cos(z) * math.cos(x)
    return EARTH_RADIUS_M * math.atan2(across, along)


@given(PLACES, PLACES)
def test_distance_agrees_with_vincenty(a: Place, b: Place) -> None:
    assert distance_m(a, b) == pytest.approx(_vincenty_m(a, b), abs=2e-8)


@given(PLACES, st.floats(-1e-5, 1e-5), st.floats(-1e-5, 1e-5))
def test_distance_is_accurate_to_nanometres_at_short_range(a: Place, north: float, east: float) -> None:
    b = Place(latitude=max(-90.0, min(90.0, a.latitude + north)), longitude=a.longitude + east)
    assert distance_m(a, b) == pytest.approx(_vincenty_m(a, b), abs=2e-8)


@given(PLACES)
def test_distance_to_the_antipode_is_half_the_circumference(a: Place) -> None:
    antipode = Place(latitude=-a.latitude, longitude=a.longitude - 180)
    assert distance_m(a, antipode) == pytest.approx(HALF_TURN_M, abs=1e-6)
    assert distance_mm(a, antipode) == pytest.approx(HALF_TURN_M * 1000, abs=1)


@given(PLACES, PLACES)
def test_millimetres_are_metres_rounded_and_symmetric(a: Place, b: Place) -> None:
    assert distance_mm(a, b) == distance_mm(b, a)
    assert abs(Fraction(distance_mm(a, b)) - Fraction(distance_m(a, b)) * 1000) <= Fraction(50_1, 1000)
    assert half_vectors_mm(half_vector(a), half_vector(b)) == distance_mm(a, b)


@given(PLACES)
def test_a_place_is_at_no_distance_from_itself(a: Place) -> None:
    assert distance_mm(a, a) == 0
    assert distance_m(a, a) == 0


def test_longitudes_180_and_minus_180_are_one_meridian() -> None:
    assert distance_mm(Place(latitude=12.5, longitude=180.0), Place(latitude=12.5, longitude=-180.0)) == 0


@given(st.lists(PLACES, min_size=1), PLACES)
def test_arrays_say_what_the_plain_functions_say(places: list[Place], other: Place) -> None:
    units = unit_vectors([p.latitude for p in places], [p.longitude for p in places])
    np.testing.assert_allclose(units, [unit_vector(p) for p in places], rtol=0, atol=1e-15)
    np.testing.assert_allclose(np.linalg.norm(units, axis=1), 1.0, atol=1e-15)
    far = [distance_m(p, other) for p in places]
    np.testing.assert_allclose(distances_m(units, unit_vector(other)), far, rtol=0, atol=3e-8)
