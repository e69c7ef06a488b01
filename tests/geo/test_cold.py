"""Cold search reads no more than it must and misses nothing, whatever the state of its rows."""

import math
import random
from uuid import UUID

import h3
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matcher.geo import cells, cold
from matcher.geo.cold import FINE, SiteTable, certain_drop, gate_of, resolution_for
from matcher.geo.distance import Vector, distance_m, distance_mm, half_vector
from matcher.geo.index import SiteIndex
from matcher.geo.service_area import RadiusArea
from matcher.geo.site import Roster, Site
from matcher.geo.types import EARTH_RADIUS_M, Place

HALF_TURN_M = math.pi * EARTH_RADIUS_M
PLACES = st.builds(Place, st.floats(-90, 90), st.floats(-180, 180))


def _put(table: SiteTable, number: int, place: Place, radius_m: float = 200_000) -> int:
    site = _site(number, place, radius_m)
    slot = table.roster.add(site)
    table.add(cells.cell_of(place, FINE), half_vector(place), radius_m + 0.001, slot)
    return slot


@given(PLACES, PLACES)
def test_gate_is_passed_by_every_distance_within_reach(a: Place, b: Place) -> None:
    table = SiteTable(Roster())
    _put(table, 1, a, distance_m(a, b))
    rows, _ = table.around(b, half_vector(b), cold.EVERYTHING)
    assert rows.cosine[0] >= rows.gate[0]


@pytest.mark.parametrize("reach_m", [HALF_TURN_M, math.inf])
def test_reach_to_the_antipode_is_no_bound(reach_m: float) -> None:
    assert gate_of(reach_m) == cold.UNBOUNDED


def _just_outside(rng: random.Random, resolution: int) -> tuple[Place, Place, Place]:
    """A place at a corner of its cell, the corner opposite, and a place outside the ring but nearer than that."""
    while True:
        latitude, longitude = rng.uniform(-70, 70), rng.uniform(-170, 170)
        cell = h3.latlng_to_cell(latitude, longitude, resolution)
        centre, corners = Place(*h3.cell_to_latlng(cell)), h3.cell_to_boundary(cell)
        place, opposite = (_between(centre, corners[n], 0.95) for n in (0, 3))
        angle = rng.uniform(0, math.tau)
        away = math.degrees(cells.EDGE_M[resolution] / EARTH_RADIUS_M) * rng.uniform(0.7, 1.09)
        outside = Place(
            latitude=place.latitude + away * math.cos(angle),
            longitude=place.longitude + away * math.sin(angle) / math.cos(math.radians(place.latitude)),
        )
        ring = [cells.descendant_range(cell, FINE) for cell in cells.disk(place, resolution)]
        if not any(low <= cells.cell_of(outside, FINE) <= high for low, high in ring):
            return place, opposite, outside


def _between(a: Place, b: tuple[float, float], part: float) -> Place:
    return Place(
        latitude=a.latitude + (b[0] - a.latitude) * part, longitude=a.longitude + (b[1] - a.longitude) * part
    )


def _site(number: int, place: Place, radius_m: float = 200_000) -> Site:
    return Site(UUID(int=number), place, frozenset({"make"}), RadiusArea(radius_m))


def test_nearer_site_outside_the_ring_is_not_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cold, "_SCAN_MAX", 0)
    rng = random.Random(2)
    for _ in range(50):
        place, opposite, outside = _just_outside(rng, rng.randrange(3, 8))
        # So many at the opposite corner that the search begins with this ring and finds enough there.
        index = SiteIndex.build([_site(1, outside), *(_site(100 + n, opposite) for n in range(40))])
        assert index.nearest("make", place, 10, now_s=0.0)[0].id.int == 1


def test_site_of_long_reach_outside_the_ring_is_found_cold_and_hot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cold, "_SCAN_MAX", 0)
    rng = random.Random(3)
    for _ in range(20):
        # At resolution 2 the ring is sure to reach 113 km, and the site outside it is less than 200 km away.
        place, opposite, outside = _just_outside(rng, 2)
        index = SiteIndex.build([_site(1, outside), *(_site(100 + n, opposite, 1.0) for n in range(40))])
        for _ in range(4):
            assert [hit.id.int for hit in index.nearest("make", place, 10, now_s=0.0)] == [1]
        assert index.stats().hot_hits == 2


@pytest.mark.parametrize("away_m", [0.5, 100.0, 150_000.0])
def test_sites_at_one_distance_are_ordered_by_id_though_cosines_are_not(away_m: float) -> None:
    table, rng = SiteTable(Roster()), random.Random(4)
    centre, angle = Place(latitude=0.0, longitude=0.0), away_m / EARTH_RADIUS_M
    places = {}
    for _ in range(300):
        bearing = rng.uniform(0, math.tau)
        latitude = math.asin(math.sin(angle) * math.cos(bearing))
        longitude = math.atan2(math.sin(bearing) * math.sin(angle), math.cos(angle))
        place = Place(latitude=math.degrees(latitude), longitude=math.degrees(longitude))
        slot = _put(table, rng.getrandbits(100), place)
        places[slot] = place
    expected = sorted(
        (distance_mm(place, centre), table.roster.orders[slot]) for slot, place in places.items()
    )
    assert [found[:2] for found in table.nearest(centre, 10, 0.0, ())] == expected[:10]


@given(st.floats(0, HALF_TURN_M - 1))
def test_smaller_cosine_than_the_certain_drop_is_a_greater_distance(away_m: float) -> None:
    angle = away_m / EARTH_RADIUS_M
    further = math.acos(max(-1.0, math.cos(angle) - certain_drop(math.cos(angle)))) * EARTH_RADIUS_M
    assert further > away_m + 0.001 or math.cos(angle) - certain_drop(math.cos(angle)) < -1


@given(st.floats(0, 3_000_000))
def test_resolution_is_the_finest_whose_ring_reaches(away_m: float) -> None:
    resolution = resolution_for(away_m)
    if resolution != cold.EVERYTHING:
        assert cells.sure_radius_m(resolution) >= away_m
    if resolution != FINE - 1:
        assert cells.sure_radius_m(resolution + 1) < away_m


def test_search_ends_at_the_largest_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cold, "_SCAN_MAX", 0)
    table = SiteTable(Roster())
    for number in range(100):
        _put(table, number, Place(latitude=0, longitude=number / 10), radius_m=5_000)
    asked: list[int] = []
    around = table.around

    def noted(place: Place, point: Vector, resolution: int) -> tuple[cold.Candidates, float]:
        asked.append(resolution)
        return around(place, point, resolution)

    monkeypatch.setattr(table, "around", noted)
    assert table.nearest(Place(latitude=40, longitude=100), 10, 0.0, ()) == []
    assert asked == [0]


def test_table_of_few_rows_is_scanned_at_once() -> None:
    table = SiteTable(Roster())
    slot = _put(table, 7, Place(latitude=10, longitude=10))
    place = Place(latitude=10.1, longitude=10)
    assert table.first_resolution(place, 10) == cold.EVERYTHING
    mm = distance_mm(place, Place(latitude=10, longitude=10))
    assert table.nearest(place, 10, 0.0, ()) == [(mm, 7, slot)]


def test_unbounded_table_serves_the_antipode() -> None:
    table = SiteTable(Roster(), bounded=False)
    slot = _put(table, 7, Place(latitude=10, longitude=10), radius_m=1)
    assert [found[2] for found in table.nearest(Place(latitude=-10, longitude=-170), 1, 0.0, ())] == [slot]
    assert table.reach_m == math.inf


def test_rows_added_and_removed_survive_sorting() -> None:
    rng = random.Random(5)
    table = SiteTable(Roster())
    places: dict[int, Place] = {}
    for _ in range(3_000):
        if places and rng.random() < 0.4:
            slot = rng.choice(list(places))
            table.remove(cells.cell_of(places.pop(slot), FINE), slot)
            table.roster.remove(slot)
        else:
            place = Place(latitude=rng.uniform(29, 31), longitude=rng.uniform(30, 32))
            places[_put(table, rng.getrandbits(100), place)] = place
    assert table.live == len(places)
    query = Place(latitude=30, longitude=31)
    found = table.nearest(query, len(places) + 1, 0.0, ())
    within = {slot for slot, place in places.items() if distance_mm(place, query) <= 200_000_000}
    assert {slot for _, _, slot in found} == within


def test_reach_shrinks_when_the_furthest_reaching_row_is_gone() -> None:
    table = SiteTable(Roster())
    place = Place(latitude=0, longitude=0)
    wide = _put(table, 1, place, radius_m=200_000)
    table.remove(cells.cell_of(place, FINE), wide)
    table.remove(cells.cell_of(place, FINE), wide)
    assert table.live == 0
    assert table.reach_m > 199_000
    for number in range(2, 2 + 2 * cold._OVERLAY_MAX):  # enough to sort
        _put(table, number, place, radius_m=1_000)
    assert 1_000 <= table.reach_m <= 1_002
    assert table.live == 2 * cold._OVERLAY_MAX


def test_candidates_come_nearest_first_in_whatever_batches() -> None:
    rng = np.random.default_rng(3)
    rows = np.column_stack((rng.normal(size=(500, 3)), np.full(500, -1e9), np.arange(500)))
    candidates = cold.Candidates(rows, (0.5, 0.0, 0.0))
    expected = sorted(((float(row[0]), int(row[4])) for row in rows), reverse=True)
    for batch in (1, 7, 499, 500, 501):
        assert list(candidates.nearest_first(candidates.gate, batch)) == expected
