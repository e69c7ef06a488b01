"""The ranking within a wave: pure, explained, and blurred for those who have not won."""

from uuid import UUID

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from matcher.geo.types import Place
from matcher.quotes.matching import WEIGHTS, RecentLoad, rank, shown_distance_m

HOME = Place(latitude=30.0444, longitude=31.2357)


class Candidate(msgspec.Struct, frozen=True):
    shop_id: UUID
    distance_mm: int
    place: Place = HOME
    rating: float | None = None
    reply_rate: float | None = None
    open_now: bool | None = None


CANDIDATES = st.lists(
    st.builds(
        Candidate,
        shop_id=st.uuids(),
        distance_mm=st.integers(0, 200_000_000),
        rating=st.none() | st.floats(0, 5),
        reply_rate=st.none() | st.floats(0, 1),
        open_now=st.none() | st.booleans(),
    ),
    max_size=20,
).map(lambda found: sorted(found, key=lambda c: c.distance_mm))


@given(CANDIDATES)
def test_scores_lie_between_0_and_1_and_the_order_stays(candidates: list[Candidate]) -> None:
    ranked = rank(candidates, HOME, RecentLoad(), 0.0)
    assert [shop.shop_id for shop in ranked] == [c.shop_id for c in candidates]
    assert all(0 <= shop.score <= 1 + 1e-9 for shop in ranked)
    for shop in ranked:
        assert {reason["term"]: reason["weight"] for reason in shop.reasons} == WEIGHTS


def test_the_weights_are_shares() -> None:
    assert abs(sum(WEIGHTS.values()) - 1) < 1e-9


@given(st.sampled_from(["rating", "reply_rate", "open_now"]))
def test_what_is_unknown_speaks_neither_for_nor_against(field: str) -> None:
    best = {"rating": 5.0, "reply_rate": 1.0, "open_now": True}[field]
    worst = {"rating": 0.0, "reply_rate": 0.0, "open_now": False}[field]
    known = Candidate(UUID(int=1), 5)
    good, unknown, bad = (
        rank([msgspec.structs.replace(known, **{field: value})], HOME, RecentLoad(), 0.0)[0].score
        for value in (best, None, worst)
    )
    assert good > unknown > bad


def test_nearer_and_less_loaded_shops_come_first() -> None:
    load = RecentLoad()
    near, far = Candidate(UUID(int=1), 1_000_000), Candidate(UUID(int=2), 9_000_000)
    scores = [shop.score for shop in rank([near, far], HOME, load, 0.0)]
    assert scores[0] > scores[1]
    for _ in range(100):
        load.add(near.shop_id, 0.0)
    assert rank([near, far], HOME, load, 0.0)[0].score < scores[0]


def test_load_halves_every_ten_minutes_and_never_grows_with_a_clock_set_back() -> None:
    load, shop = RecentLoad(), UUID(int=1)
    load.add(shop, 0.0)
    load.add(shop, 0.0)
    assert load.of(shop, 600.0) == 1
    assert load.of(shop, -600.0) == 2
    assert load.of(UUID(int=2), 0.0) == 0


def test_load_is_kept_of_a_bounded_number_of_shops() -> None:
    load = RecentLoad()
    load.MAX_SHOPS = 3
    for n in range(5):
        load.add(UUID(int=n), 0.0)
    assert [n for n in range(5) if load.of(UUID(int=n), 0.0)] == [2, 3, 4]


@given(st.floats(0, 3e7).map(lambda metres: round(metres, 3)))
def test_a_shown_distance_is_rounded_up_to_100_m(exact_m: float) -> None:
    shown = shown_distance_m(exact_m)
    assert shown % 100 == 0
    assert exact_m <= shown < exact_m + 100
