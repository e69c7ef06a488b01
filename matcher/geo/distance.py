"""Great-circle distance on the sphere, accurate from nanometres to the antipode.

Owns the one formula by which everything is ordered. Must not know cells, areas or indexes.

A place becomes a *half vector*: its unit vector times 1/2, so that the Euclidean distance of two of them is
sin(angle / 2), the root of the haversine. Differences of vectors keep nanometres where dot products lose
millimetres (the cosine of a small angle is 1 minus almost nothing), and `math.dist` does it in one C call.
"""

from math import asin, atan2, cos, dist, sin
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from matcher.geo.types import EARTH_RADIUS_M, Place

Vector: TypeAlias = tuple[float, float, float]
Floats: TypeAlias = NDArray[np.float64]

# Whole millimetres of a great circle = asin(distance of two half vectors) * this.
MM_PER_HALF_RADIAN = 2.0 * EARTH_RADIUS_M * 1000.0

# asin is as accurate as its argument until its slope grows near 1; beyond this (128 degrees, 14,000 km) the
# sum of the vectors is the better measure. The hot path relies on never getting there.
MAX_ASIN_CHORD = 0.9

_RADIANS = 0.017453292519943295


def half_vector(place: Place) -> Vector:
    """Half the unit vector of a place (Earth-centred, x towards 0 N 0 E, z towards the north pole)."""
    latitude = place.latitude * _RADIANS
    longitude = place.longitude * _RADIANS
    half_cosine = cos(latitude) * 0.5
    return (half_cosine * cos(longitude), half_cosine * sin(longitude), sin(latitude) * 0.5)


def unit_vector(place: Place) -> Vector:
    """The unit vector of a place."""
    x, y, z = half_vector(place)
    return (x + x, y + y, z + z)


def half_vectors_mm(a: Vector, b: Vector) -> int:
    """Whole millimetres of great circle between two half vectors: the order of all answers."""
    chord = dist(a, b)
    if chord <= MAX_ASIN_CHORD:
        return int(asin(chord) * MM_PER_HALF_RADIAN + 0.5)
    return int(_half_angle(a, b) * MM_PER_HALF_RADIAN + 0.5)


def distance_mm(a: Place, b: Place) -> int:
    """Great-circle distance in whole millimetres."""
    return half_vectors_mm(half_vector(a), half_vector(b))


def distance_m(a: Place, b: Place) -> float:
    """Great-circle distance in metres; agrees with PostGIS' ST_Distance(a, b, false) to 20 nanometres."""
    return _half_angle(half_vector(a), half_vector(b)) * 2.0 * EARTH_RADIUS_M


def unit_vectors(latitudes: ArrayLike, longitudes: ArrayLike) -> Floats:
    """Unit vectors as rows, shape (n, 3), of latitudes and longitudes in degrees, shape (n,)."""
    latitude = np.radians(np.asarray(latitudes, dtype=np.float64))
    longitude = np.radians(np.asarray(longitudes, dtype=np.float64))
    cosine = np.cos(latitude)
    return np.column_stack((cosine * np.cos(longitude), cosine * np.sin(longitude), np.sin(latitude)))


def distances_m(units: Floats, unit: ArrayLike) -> Floats:
    """Great-circle distances in metres of unit vectors, shape (n, 3), from one, shape (3,)."""
    other = np.asarray(unit, dtype=np.float64)
    apart = np.linalg.norm(units - other, axis=1)
    together = np.linalg.norm(units + other, axis=1)
    angles: Floats = np.arctan2(apart, together)
    return angles * (2.0 * EARTH_RADIUS_M)


def _half_angle(a: Vector, b: Vector) -> float:
    # Kahan's form: the half angle of two equally long vectors, without cancellation at either end.
    return atan2(dist(a, b), dist(a, (-b[0], -b[1], -b[2])))
