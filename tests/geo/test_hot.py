"""Hot cells answer only when certain, notice every change, and stay within their bound."""

from collections.abc import Callable
from uuid import UUID

import numpy as np
import pytest
import shapely

from matcher.geo import cold, hot
from matcher.geo.distance import distance_mm
from matcher.geo.index import Site, SiteIndex
from matcher.geo.service_area import Area, PolygonArea, RadiusArea
from matcher.geo.types import Place

TAG = "make"
CAIRO = Place(latitude=30.0444, longitude=31.2357)
NEARBY = Place(latitude=30.0445, longitude=31.2358)
WIDE = RadiusArea(100_000)


def _site(
    number: int, place: Place, area: Area = WIDE, *, enabled: bool = True, until: float | None = None
) -> Site:
    return Site(UUID(int=number), place, frozenset({TAG}), area, enabled, paused_until=until)


def _spread(count: int, step_deg: float = 0.01) -> list[Site]:
    """Sites ever further east of Cairo."""
    return [
        _site(n, Place(latitude=CAIRO.latitude, longitude=CAIRO.longitude + (n + 1) * step_deg))
        for n in range(count)
    ]


def _ask(index: SiteIndex, count: int = 3, now_s: float = 0.0, place: Place = CAIRO) -> list[int]:
    return [hit.id.int for hit in index.nearest(TAG, place, count, now_s=now_s)]


def _warmed(sites: list[Site], count: int = 3) -> SiteIndex:
    """An index in which Cairo is hot."""
    index = SiteIndex.build(sites)
    for _ in range(3):
        _ask(index, count)
    assert index.stats().hot_hits == 1
    return index


def test_third_question_in_a_region_is_answered_hot() -> None:
    index = SiteIndex.build(_spread(50))
    answers = [_ask(index, place=place) for place in (CAIRO, NEARBY, CAIRO, NEARBY)]
    assert answers == [[0, 1, 2]] * 4
    stats = index.stats()
    assert (stats.hot_hits, stats.cold_searches, stats.hot_cells) == (2, 2, 1)


def test_closing_and_opening_is_seen_at_once() -> None:
    index = _warmed(_spread(50))
    index.upsert(_site(1, index.get(UUID(int=1)).place, enabled=False))  # type: ignore[union-attr]  # it is there
    assert _ask(index) == [0, 2, 3]
    index.upsert(_site(1, index.get(UUID(int=1)).place))  # type: ignore[union-attr]  # it is there
    assert _ask(index) == [0, 1, 2]


def test_end_of_a_pause_needs_no_change_to_be_seen() -> None:
    sites = _spread(50)
    sites[1] = _site(1, sites[1].place, until=100.0)
    index = _warmed(sites)
    assert [_ask(index, now_s=now_s) for now_s in (99.0, 100.0, 101.0, 99.0)] == [
        [0, 2, 3],
        [0, 1, 2],
        [0, 1, 2],
        [0, 2, 3],
    ]


def test_too_many_closed_members_fall_back_to_the_exact_search() -> None:
    index = _warmed(_spread(50))
    for n in range(20):
        index.upsert(_site(n, index.get(UUID(int=n)).place, enabled=False))  # type: ignore[union-attr]
    assert _ask(index) == [20, 21, 22]
    hits = index.stats().hot_hits
    assert _ask(index) == [20, 21, 22]
    assert index.stats().hot_hits == hits + 1


def test_more_wanted_than_an_entry_was_made_for_is_still_exact() -> None:
    index = _warmed(_spread(50))
    assert _ask(index, count=30) == list(range(30))
    assert _ask(index, count=30) == list(range(30))
    assert index.stats().hot_hits == 2


@pytest.mark.parametrize("count", [1, 3, 60])
def test_new_moved_widened_and_removed_sites_are_seen_at_once(count: int) -> None:
    index = SiteIndex.build(_spread(50))

    def nearest_one() -> int:
        for _ in range(3):
            answer = _ask(index, count)
        return answer[0]

    assert nearest_one() == 0
    near = Place(latitude=CAIRO.latitude, longitude=CAIRO.longitude + 0.001)
    index.upsert(_site(100, near))
    assert nearest_one() == 100
    index.upsert(_site(100, Place(latitude=-30, longitude=100)))
    assert nearest_one() == 0
    index.upsert(_site(100, near, RadiusArea(1)))
    assert nearest_one() == 0
    index.upsert(_site(100, near, RadiusArea(500)))
    assert nearest_one() == 100
    index.remove(UUID(int=100))
    assert nearest_one() == 0


def test_change_far_away_keeps_the_entry() -> None:
    index = _warmed(_spread(50))
    index.upsert(_site(100, Place(latitude=50, longitude=100)))
    index.upsert(_site(101, Place(latitude=31.5, longitude=31.2), RadiusArea(1000)))
    assert _ask(index) == [0, 1, 2]
    assert index.stats().hot_hits == 2


def test_site_that_cannot_reach_the_region_keeps_an_entry_that_holds_everybody() -> None:
    index = _warmed(_spread(2))
    index.upsert(_site(101, Place(latitude=30.5, longitude=31.2), RadiusArea(1000)))
    assert _ask(index) == [0, 1]
    assert index.stats().hot_hits == 2
    index.upsert(_site(102, Place(latitude=30.5, longitude=31.2), RadiusArea(100_000)))
    assert _ask(index) == [0, 1, 102]
    assert index.stats().hot_hits == 2


def test_change_is_seen_by_entries_of_the_older_generation() -> None:
    index = _warmed(_spread(50))
    cells_of_tag = index._tags[TAG].hot  # whose generations cannot be seen from outside
    cells_of_tag.age()
    index.upsert(_site(100, NEARBY))
    assert [_ask(index) for _ in range(4)] == [[100, 0, 1]] * 4


def test_entry_of_the_older_generation_is_taken_up_again() -> None:
    index = _warmed(_spread(50))
    index._tags[TAG].hot.age()
    assert [_ask(index) for _ in range(2)] == [[0, 1, 2]] * 2
    assert index.stats().hot_hits == 2


def test_ties_are_broken_by_id_also_when_hot() -> None:
    place = Place(latitude=30.05, longitude=31.24)
    index = SiteIndex.build([_site(number, place) for number in (5, 3, 2**127, 9, 2**64)])
    assert {tuple(_ask(index, 4)) for _ in range(4)} == {(3, 5, 9, 2**64)}


def test_polygon_that_cuts_a_region_is_asked_for_every_place(
    square: Callable[[float, float, float], PolygonArea],
) -> None:
    edge = CAIRO.longitude + 0.00005
    index = SiteIndex.build([*_spread(50), _site(100, CAIRO, square(edge - 1, CAIRO.latitude, 1.0))])
    for _ in range(3):
        assert _ask(index) == [100, 0, 1]
        assert _ask(index, place=NEARBY) == [0, 1, 2]
    index.upsert(_site(100, CAIRO, square(CAIRO.longitude, CAIRO.latitude, 1.0)))
    for _ in range(3):
        assert _ask(index, place=NEARBY) == [100, 0, 1]


def test_crowded_region_is_made_finer_or_left_to_the_cold_search() -> None:
    # Sparse where the district was first asked about, then hundreds of sites at one spot.
    spot = Place(latitude=30.2, longitude=31.4)
    crowd = [_site(1000 + n, spot) for n in range(300)]
    index = SiteIndex.build([*_spread(50, step_deg=0.3), *crowd])
    far_away = Place(latitude=30.0, longitude=31.0)
    for _ in range(4):
        _ask(index, 3, place=far_away)
        assert _ask(index, 3, place=spot) == [1000, 1001, 1002]
        assert _ask(index, 100, place=spot) == [1000 + n for n in range(100)]


def test_members_at_the_far_side_of_the_world_are_left_to_the_cold_search() -> None:
    world = PolygonArea(shapely.MultiPolygon([shapely.box(-180, -90, 180, 90)]))
    antipode = Place(latitude=-CAIRO.latitude, longitude=CAIRO.longitude - 180)
    index = SiteIndex.build([_site(1, antipode, world)])
    for _ in range(4):
        hits = index.nearest(TAG, CAIRO, 3, now_s=0.0)
        assert [(hit.id.int, hit.distance_mm) for hit in hits] == [(1, distance_mm(CAIRO, antipode))]
    assert index.stats().hot_hits == 0


def test_entries_stay_within_the_bound_and_used_ones_survive() -> None:
    index = SiteIndex.build(_spread(50), hot_capacity=10)
    places = [Place(latitude=30.0 + n / 10, longitude=31.2) for n in range(40)]
    for place in places:
        for _ in range(3):
            _ask(index, place=place)
            _ask(index)
        assert index.stats().hot_cells <= 10
    before = index.stats()
    assert _ask(index) == [0, 1, 2]
    assert index.stats().hot_hits == before.hot_hits + 1


def test_index_without_capacity_keeps_nothing_hot() -> None:
    index = SiteIndex.build(_spread(50), hot_capacity=0)
    assert [_ask(index) for _ in range(4)] == [[0, 1, 2]] * 4
    assert (index.stats().hot_hits, index.stats().hot_cells) == (0, 0)


def test_notes_about_misses_stay_within_their_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hot, "_NOTES_MAX", 10)
    index = SiteIndex.build(_spread(50))
    for n in range(100):
        _ask(index, place=Place(latitude=n / 10, longitude=31.0))
    cells_of_tag = index._tags[TAG].hot  # its bound cannot be seen from outside
    assert len(cells_of_tag._missed_once) <= 10
    assert len(cells_of_tag._region_masks) <= 10


def test_widened_gates_let_through_every_reach_that_is_long_enough() -> None:
    reaches = np.array([0.0, 10.0, 5_000.0, 200_000.0, 9_000_000.0, 19_990_000.0, 20_014_000.0])
    gates = np.array([cold.gate_of(reach) for reach in reaches])
    widened = hot._widened(gates, 4_000.0)  # its precision is what matters
    for reach, gate in zip(reaches, widened, strict=True):
        assert gate <= cold.gate_of(reach + 4_000.0) + 1e-14
    assert hot._widened(np.array([3.0]), 4_000.0)[0] > 1  # a dead row stays dead
