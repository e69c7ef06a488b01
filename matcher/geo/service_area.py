"""Service areas: where a site serves, as a great-circle radius or as polygons.

Owns parsing (GeoJSON, WKB), the test whether an area covers a place, and how far an area reaches. Says the
same as PostGIS: `ST_Covers(area, place)` in the plane of longitude and latitude for polygons, whose edges are
straight there (RFC 7946 section 3.1.1), and `round(ST_Distance(site, place, false) * 1000) <= radius_m * 1000`
on the sphere for radii. Must not know indexes or SQL.
"""

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import shapely
from shapely import MultiPolygon, Polygon
from shapely.validation import explain_validity

from matcher.errors import MatcherError
from matcher.geo.distance import distances_m, unit_vector, unit_vectors
from matcher.geo.types import EARTH_RADIUS_M, MAX_RADIUS_M, Place

MAX_VERTICES = 1000

# Points at which an area's outline is sampled to find its reach: enough for a bound within about 1 % of the
# area's size, few enough for a hundred thousand areas to load in seconds.
_REACH_SAMPLES = 512
_HALF_CIRCUMFERENCE_M = math.pi * EARTH_RADIUS_M
_RING_MIN_POSITIONS = 4


class InvalidServiceArea(MatcherError):
    """A service area is a GeoJSON Polygon or MultiPolygon with closed rings, at most 1,000 vertices, no crossings."""

    code = "invalid_service_area"
    status = 422
    title = "Invalid service area"


@dataclass(frozen=True, slots=True)
class RadiusArea:
    """All places within a great-circle distance of the site, the edge included."""

    radius_m: float


@dataclass(frozen=True, slots=True)
class PolygonArea:
    """All places inside or on the edge of polygons in the plane of longitude (x) and latitude (y)."""

    geometry: MultiPolygon

    @classmethod
    def from_wkb(cls, wkb: bytes) -> "PolygonArea":
        """The area of a PostGIS geometry(MultiPolygon, 4326): WKB or EWKB, taken as already checked."""
        return cls(shapely.from_wkb(wkb))

    def to_wkb(self) -> bytes:
        """EWKB with SRID 4326, as PostGIS takes it for a geometry."""
        return bytes(shapely.to_wkb(shapely.set_srid(self.geometry, 4326), include_srid=True))

    def to_geojson(self) -> dict[str, Any]:
        """The GeoJSON MultiPolygon of the area."""
        return {
            "type": "MultiPolygon",
            "coordinates": [
                [shapely.get_coordinates(ring).tolist() for ring in _rings(polygon)]
                for polygon in self.geometry.geoms
            ],
        }


Area: TypeAlias = RadiusArea | PolygonArea


def radius_area(radius_m: float) -> RadiusArea:
    """A radius in metres, above 0 and at most MAX_RADIUS_M. Raises InvalidServiceArea."""
    if not 0 < radius_m <= MAX_RADIUS_M:
        raise InvalidServiceArea(f"A delivery radius is above 0 and at most {MAX_RADIUS_M} metres.")
    return RadiusArea(radius_m)


def parse_service_area(geojson: dict[str, Any]) -> PolygonArea:
    """The area of a GeoJSON geometry (RFC 7946) of type Polygon or MultiPolygon.

    Either orientation of rings is taken. Raises InvalidServiceArea with the first thing to correct.
    """
    kind, coordinates = geojson.get("type"), geojson.get("coordinates")
    if kind == "Polygon":
        coordinates = [coordinates]
    elif kind != "MultiPolygon":
        raise InvalidServiceArea('The area\'s "type" must be "Polygon" or "MultiPolygon".')
    polygons = [
        [_ring(ring, f"{n}/{m}") for m, ring in enumerate(_array(rings, f"polygon {n}"))]
        for n, rings in enumerate(_array(coordinates, "coordinates"))
    ]
    # The position that closes a ring is its first vertex again, not another one.
    vertices = sum(len(ring) - 1 for rings in polygons for ring in rings)
    if vertices > MAX_VERTICES:
        raise InvalidServiceArea(f"The area has {vertices} vertices; simplify it to at most {MAX_VERTICES}.")
    geometry = MultiPolygon([Polygon(rings[0], rings[1:]) for rings in polygons])
    if not geometry.is_valid:
        # GEOS names the place: "Self-intersection[31.2 30.1]".
        raise InvalidServiceArea(
            "The area's rings must not cross, touch along a line or lie outside each other: "
            f"{explain_validity(geometry)}."
        )
    return PolygonArea(geometry)


def covers(area: Area, site_place: Place, query_place: Place, distance_mm: int) -> bool:
    """Whether the area of a site serves a place that lies `distance_mm` from it; the edge counts as inside."""
    del site_place  # the distance says all that a radius needs of it
    if isinstance(area, RadiusArea):
        return distance_mm <= area.radius_m * 1000
    return polygon_covers(area.geometry, query_place)


def polygon_covers(geometry: MultiPolygon, place: Place) -> bool:
    """Whether a place lies inside or on the edge of a geometry, in the plane of longitude and latitude."""
    # A point that intersects a polygon is covered by it; this form skips building the point.
    return bool(shapely.intersects_xy(geometry, place.longitude, place.latitude))


def polygon_covers_circle(geometry: MultiPolygon, centre: Place, radius_m: float) -> bool:
    """True only if the geometry covers every place within the radius; may say False where it does.

    Asks for the box around the circle; a circle that meets the antimeridian or holds a pole is not asked for.
    """
    angle = radius_m / EARTH_RADIUS_M
    spread = math.sin(angle) / max(math.cos(math.radians(centre.latitude)), 1e-12)
    if spread >= 1.0:
        return False
    high, wide = math.degrees(angle), math.degrees(math.asin(spread))
    west, east = centre.longitude - wide, centre.longitude + wide
    if west < -180.0 or east > 180.0:
        return False
    return bool(geometry.covers(shapely.box(west, centre.latitude - high, east, centre.latitude + high)))


def reach_m(area: Area, site_place: Place) -> float:
    """Upper bound of the distance from the site to any place that its area covers."""
    if isinstance(area, RadiusArea):
        # Distances are compared in whole millimetres, so up to half of one beyond the radius still counts.
        return area.radius_m + 0.001
    return _polygon_reach_m(area.geometry, site_place)


def _polygon_reach_m(geometry: MultiPolygon, site_place: Place) -> float:
    if _covers_antipode(geometry, site_place):
        return _HALF_CIRCUMFERENCE_M
    # Elsewhere distance has no local maximum inside, so the furthest place is on the outline. An edge straight
    # in longitude and latitude may bulge away between its ends: sample it, and add half a step, since a step
    # on the sphere is never longer than in the plane.
    coordinates, ring = shapely.get_coordinates(shapely.get_rings(list(geometry.geoms)), return_index=True)
    edges = np.diff(coordinates, axis=0)[np.diff(ring) == 0]
    starts = coordinates[:-1][np.diff(ring) == 0]
    lengths = np.hypot(edges[:, 0], edges[:, 1])
    step = float(lengths.sum()) / _REACH_SAMPLES
    counts = np.maximum(np.ceil(lengths / step), 1.0).astype(np.int64)
    edge = np.repeat(np.arange(len(edges)), counts)
    within = np.arange(len(edge)) - np.repeat(np.cumsum(counts) - counts, counts)
    samples = starts[edge] + edges[edge] * (within / counts[edge])[:, None]
    furthest = float(np.max(distances_m(unit_vectors(samples[:, 1], samples[:, 0]), unit_vector(site_place))))
    half_step_m = math.radians(float(np.max(lengths / counts)) / 2) * EARTH_RADIUS_M
    return min(furthest + half_step_m + 0.001, _HALF_CIRCUMFERENCE_M)


def _covers_antipode(geometry: MultiPolygon, site_place: Place) -> bool:
    latitude = -site_place.latitude
    longitude = site_place.longitude - math.copysign(180.0, site_place.longitude)
    _, south, _, north = geometry.bounds
    # A pole is a point on the sphere, a line in the plane.
    if abs(latitude) == 90.0:
        return bool(south <= latitude <= north)
    # The antimeridian is two lines in the plane.
    seam = (180.0, -180.0) if abs(longitude) == 180.0 else (longitude,)
    return any(polygon_covers(geometry, Place(latitude=latitude, longitude=x)) for x in seam)


def _ring(ring: Any, where: str) -> list[tuple[float, float]]:
    positions = [_position(position, where) for position in _array(ring, f"ring {where}")]
    if len(positions) < _RING_MIN_POSITIONS or positions[0] != positions[-1]:
        raise InvalidServiceArea(
            f"Ring {where} must have four or more positions, the last equal to the first."
        )
    if len(positions) > MAX_VERTICES + 1:
        raise InvalidServiceArea(f"Ring {where} has too many vertices; simplify the area to {MAX_VERTICES}.")
    if any(abs(a[0] - b[0]) > 180.0 for a, b in itertools.pairwise(positions)):
        raise InvalidServiceArea(
            f"An edge of ring {where} spans more than 180 degrees of longitude. Split the area in two polygons at "
            "the antimeridian (RFC 7946 section 3.1.9), or, if it is meant to be so wide, add points between."
        )
    return positions


def _position(position: Any, where: str) -> tuple[float, float]:
    match position:
        case [int() | float() as longitude, int() | float() as latitude] if (
            not isinstance(longitude, bool)
            and not isinstance(latitude, bool)
            and -180.0 <= longitude <= 180.0
            and -90.0 <= latitude <= 90.0
        ):
            return float(longitude), float(latitude)
    raise InvalidServiceArea(
        f"A position of ring {where} must be [longitude, latitude], -180 to 180 and -90 to 90 degrees, no height."
    )


def _array(value: Any, what: str) -> list[Any]:
    if not isinstance(value, list) or not value:
        raise InvalidServiceArea(f"The area's {what} must be an array that is not empty.")
    return value


def _rings(polygon: Polygon) -> Iterator[Any]:
    yield polygon.exterior
    yield from polygon.interiors
