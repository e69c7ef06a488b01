"""Areas: what is refused and why, whom they cover, how far they reach."""

import json
import math
import random
from collections.abc import Callable
from typing import Any

import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from matcher.geo.distance import distance_m, distance_mm
from matcher.geo.service_area import (
    MAX_VERTICES,
    InvalidServiceArea,
    PolygonArea,
    RadiusArea,
    covers,
    parse_service_area,
    polygon_covers,
    polygon_covers_circle,
    radius_area,
    reach_m,
)
from matcher.geo.types import EARTH_RADIUS_M, MAX_RADIUS_M, Place

SQUARE = [[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]]
HOLE = [[0.2, 0.2], [0.2, 0.8], [0.8, 0.8], [0.8, 0.2], [0.2, 0.2]]


def _circle(vertices: int) -> list[list[float]]:
    angles = [math.tau * n / vertices for n in range(vertices)]
    ring = [[math.cos(angle), math.sin(angle)] for angle in angles]
    return [*ring, ring[0]]


def _polygon(*rings: Any) -> dict[str, Any]:
    return {"type": "Polygon", "coordinates": list(rings)}


@pytest.mark.parametrize(
    ("geojson", "says"),
    [
        ({}, '"type"'),
        ({"type": "Point", "coordinates": [0, 0]}, '"type"'),
        ({"type": "Feature", "geometry": _polygon(SQUARE)}, '"type"'),
        ({"type": "Polygon"}, "array"),
        ({"type": "Polygon", "coordinates": []}, "array"),
        ({"type": "MultiPolygon", "coordinates": []}, "array"),
        ({"type": "MultiPolygon", "coordinates": [[]]}, "array"),
        ({"type": "MultiPolygon", "coordinates": "[[[]]]"}, "array"),
        (_polygon([]), "array"),
        (_polygon(SQUARE[:-1]), "last equal to the first"),
        (_polygon([[0, 0], [1, 1], [0, 0]]), "four or more"),
        (_polygon([[0, 0], [1, 0], [1], [0, 0]]), "[longitude, latitude]"),
        (_polygon([[0, 0, 5], [1, 0, 5], [1, 1, 5], [0, 0, 5]]), "no height"),
        (_polygon([[0, 0], [1, 0], [1, "1"], [0, 0]]), "[longitude, latitude]"),
        (_polygon([[0, 0], [1, 0], [1, True], [0, 0]]), "[longitude, latitude]"),
        (_polygon([[False, 0], [1, 0], [1, 1], [False, 0]]), "[longitude, latitude]"),
        (_polygon([[0, 0], [1, 0], None, [0, 0]]), "[longitude, latitude]"),
        (_polygon([[0, 0], [1, 0], [1, math.nan], [0, 0]]), "[longitude, latitude]"),
        (_polygon([[0, 0], [1, 0], [math.inf, 1], [0, 0]]), "[longitude, latitude]"),
        (_polygon([[0, 0], [1, 0], [10**400, 1], [0, 0]]), "[longitude, latitude]"),
        (_polygon([[0, 0], [181, 0], [1, 1], [0, 0]]), "-180 to 180"),
        (_polygon([[0, 0], [1, 91], [1, 1], [0, 0]]), "-90 to 90"),
        (_polygon([[0, 0], [1, 1], [1, 0], [0, 1], [0, 0]]), "cross"),
        (_polygon([[0, 0], [1, 1], [2, 2], [0, 0]]), "cross"),
        (_polygon([[0, 0], [0, 0], [0, 0], [0, 0]]), "Too few points"),
        (_polygon(SQUARE, [[5, 5], [6, 5], [6, 6], [5, 5]]), "outside"),
        (_polygon(SQUARE, HOLE, HOLE), "cross"),
        ({"type": "MultiPolygon", "coordinates": [[SQUARE], [SQUARE]]}, "cross"),
        (_polygon([[170, 0], [-170, 0], [-170, 5], [170, 5], [170, 0]]), "antimeridian"),
        (_polygon(_circle(MAX_VERTICES + 1)), "too many vertices"),
        ({"type": "MultiPolygon", "coordinates": [[_circle(600)], [_circle(600)]]}, "1200 vertices"),
    ],
)
def test_bad_areas_are_refused_with_what_to_correct(geojson: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidServiceArea) as refused:
        parse_service_area(geojson)
    assert says in refused.value.detail
    assert (refused.value.code, refused.value.status) == ("invalid_service_area", 422)


@pytest.mark.parametrize(
    "geojson",
    [
        _polygon(SQUARE),
        _polygon(SQUARE[::-1]),
        _polygon(SQUARE, HOLE),
        _polygon(_circle(MAX_VERTICES)),
        {"type": "MultiPolygon", "coordinates": [[SQUARE], [[[5, 5], [6, 5], [6, 6], [5, 5]]]]},
        _polygon([[-180, -90], [0, -90], [180, -90], [180, 90], [0, 90], [-180, 90], [-180, -90]]),
    ],
)
def test_good_areas_survive_geojson_and_wkb(geojson: dict[str, Any]) -> None:
    area = parse_service_area(geojson)
    assert parse_service_area(json.loads(json.dumps(area.to_geojson()))) == area
    assert PolygonArea.from_wkb(area.to_wkb()) == area
    assert shapely.get_srid(shapely.from_wkb(area.to_wkb())) == 4326


@pytest.mark.parametrize("radius_m", [0, -1, MAX_RADIUS_M + 1, math.nan, math.inf])
def test_radii_out_of_bounds_are_refused(radius_m: float) -> None:
    with pytest.raises(InvalidServiceArea):
        radius_area(radius_m)


def test_radii_in_bounds_are_taken() -> None:
    assert radius_area(MAX_RADIUS_M) == RadiusArea(MAX_RADIUS_M)


def test_radius_covers_to_the_millimetre() -> None:
    site, query = Place(latitude=0, longitude=0), Place(latitude=0, longitude=1)
    mm = distance_mm(site, query)
    assert covers(RadiusArea(mm / 1000), site, query, mm)
    assert not covers(RadiusArea((mm - 1) / 1000), site, query, mm)


@pytest.mark.parametrize(
    ("longitude", "latitude", "inside"),
    [
        (0.1, 0.5, True),
        (0.5, 0.5, False),  # in the hole
        (0.2, 0.5, True),  # on the hole's edge
        (1.0, 0.5, True),  # on the edge
        (0.0, 0.0, True),  # on a corner
        (1.0000001, 0.5, False),
        (0.5, -0.0000001, False),
    ],
)
def test_polygon_covers_its_edges_and_not_its_holes(longitude: float, latitude: float, inside: bool) -> None:
    area, site = parse_service_area(_polygon(SQUARE, HOLE)), Place(latitude=0, longitude=0)
    assert covers(area, site, Place(latitude=latitude, longitude=longitude), 0) is inside


def test_polygon_edges_are_straight_in_longitude_and_latitude() -> None:
    # The great circle between the upper corners passes far north of 60.5, the straight edge stays at 60.
    area = parse_service_area(_polygon([[-30, 50], [30, 50], [30, 60], [-30, 60], [-30, 50]]))
    assert covers(area, Place(latitude=55, longitude=0), Place(latitude=60, longitude=0), 0)
    assert not covers(area, Place(latitude=55, longitude=0), Place(latitude=60.5, longitude=0), 0)


def test_area_over_the_antimeridian_is_two_polygons() -> None:
    east = [[170, 0], [180, 0], [180, 5], [170, 5], [170, 0]]
    west = [[-180, 0], [-170, 0], [-170, 5], [-180, 5], [-180, 0]]
    area = parse_service_area({"type": "MultiPolygon", "coordinates": [[east], [west]]})
    site = Place(latitude=2, longitude=175)
    for longitude in (175, 180, -180, -175):
        assert covers(area, site, Place(latitude=2, longitude=longitude), 0)
    assert not covers(area, site, Place(latitude=2, longitude=0), 0)
    assert reach_m(area, site) < 1_800_000


@st.composite
def _boxes(draw: st.DrawFn) -> PolygonArea:
    west, south = draw(st.floats(-180, 179)), draw(st.floats(-90, 89))
    east = min(180.0, west + draw(st.floats(0.01, 179)))
    north = min(90.0, south + draw(st.floats(0.01, 179)))
    kink = draw(st.floats(0.1, 0.9))
    # A slanted edge, so that more than meridians and parallels are tried.
    ring = [[west, south], [east, south], [east, north], [west + (east - west) * kink, north], [west, south]]
    return parse_service_area(_polygon(ring))


@given(_boxes(), st.builds(Place, st.floats(-90, 90), st.floats(-180, 180)), st.integers(0, 10**6))
def test_reach_bounds_the_distance_to_every_place_covered(area: PolygonArea, site: Place, seed: int) -> None:
    rng = random.Random(seed)
    bound_m = reach_m(area, site)
    west, south, east, north = area.geometry.bounds
    inside = [
        place
        for _ in range(50)
        if polygon_covers(
            area.geometry,
            place := Place(latitude=rng.uniform(south, north), longitude=rng.uniform(west, east)),
        )
    ]
    outline = [area.geometry.boundary.interpolate(rng.random(), normalized=True) for _ in range(50)]
    edge = [Place(latitude=point.y, longitude=point.x) for point in outline]
    furthest_m = max(distance_m(site, place) for place in [*inside, *edge])
    assert furthest_m <= bound_m


def test_reach_is_close_to_the_truth(square: Callable[[float, float, float], PolygonArea]) -> None:
    site = Place(latitude=30, longitude=31)
    furthest_m = distance_m(site, Place(latitude=29.5, longitude=30.5))
    assert furthest_m <= reach_m(square(31, 30, 0.5), site) <= furthest_m * 1.01
    assert 5000 <= reach_m(RadiusArea(5000), site) <= 5000.01


@pytest.mark.parametrize(
    ("site", "centre"),
    [
        (Place(latitude=0, longitude=0), (175, 0)),
        (Place(latitude=0, longitude=180), (0, 0)),
        (Place(latitude=-30, longitude=60), (-120, 30)),
        (Place(latitude=90, longitude=0), (10, -85)),
    ],
)
def test_area_with_the_sites_antipode_reaches_half_around(
    site: Place, centre: tuple[float, float], square: Callable[[float, float, float], PolygonArea]
) -> None:
    assert reach_m(square(*centre, 5), site) == pytest.approx(math.pi * EARTH_RADIUS_M)


@given(
    st.floats(-89, 89),
    st.floats(-179, 179),
    st.floats(10, 50_000),
    st.integers(0, 10**6),
    st.floats(0.001, 2),
)
def test_circle_that_is_covered_has_no_place_outside(
    latitude: float, longitude: float, radius_m: float, seed: int, half: float
) -> None:
    box = shapely.box(longitude - half, latitude - half, longitude + half, latitude + half)
    geometry = shapely.MultiPolygon([box])
    centre = Place(latitude=latitude, longitude=longitude)
    if polygon_covers_circle(geometry, centre, radius_m):
        rng = random.Random(seed)
        for _ in range(50):
            place = Place(
                latitude=latitude + rng.uniform(-half, half) * 1.5,
                longitude=longitude + rng.uniform(-half, half) * 1.5,
            )
            assert polygon_covers(geometry, place) or distance_m(centre, place) > radius_m


@pytest.mark.parametrize(
    ("latitude", "longitude", "covered"),
    [(89.999, 0, False), (0, 179.999, False), (0, -179.999, False), (0, 0, True)],
)
def test_circle_over_pole_or_antimeridian_is_never_said_to_be_covered(
    latitude: float, longitude: float, covered: bool
) -> None:
    world = shapely.MultiPolygon([shapely.box(-180, -90, 180, 90)])
    assert polygon_covers_circle(world, Place(latitude=latitude, longitude=longitude), 1000) is covered
