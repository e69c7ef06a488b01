"""The draws: reproducible from the seed, within the contract's bounds, spread as the story says."""

import itertools
import math
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matcher.demo import draws
from matcher.demo.catalogue import CITIES, MAKES, NEW_YORK, PARTS, City
from matcher.geo.distance import distance_m
from matcher.geo.types import Place
from matcher.vehicles.makes import find_make

DISPATCH = {
    "orderId": "0197",
    "currency": "USD",
    "distanceM": 4_200,
    "parts": [
        {"lineId": "a", "name": "Oil filter", "quantity": 2},
        {"lineId": "b", "name": "Something that is not in the list", "quantity": 1},
    ],
}


def test_the_same_seed_tells_the_same_story() -> None:
    assert draws.plan_orders(7, 50, 5) == draws.plan_orders(7, 50, 5)
    assert draws.plan_orders(7, 50, 5) != draws.plan_orders(8, 50, 5)
    assert draws.shop_habits(7, 3) == draws.shop_habits(7, 3)


def test_parts_of_the_story_draw_independently() -> None:
    first = draws.generator(1, "answers", 1)
    second = draws.generator(1, "answers", 2)
    assert [first.random() for _ in range(3)] != [second.random() for _ in range(3)]


def test_orders_come_in_order_of_time_from_customers_that_exist() -> None:
    plans = draws.plan_orders(1, 200, 7)
    moments = [plan.at for plan in plans]
    assert moments == sorted(moments)
    assert 0.0 <= moments[0] <= moments[-1] < 1.0
    assert {plan.customer for plan in plans} == set(range(7))


def test_half_of_the_orders_follow_the_trip_stream_and_some_are_far_from_every_shop() -> None:
    plans = draws.plan_orders(1, 1_000, 7)
    names = {city.name for city in CITIES}
    in_new_york = sum(plan.where == NEW_YORK.name for plan in plans)
    far = [plan for plan in plans if plan.where not in names]
    assert 430 <= in_new_york <= 570
    assert 50 <= len(far) <= 150
    for plan in far:
        place = _place(plan)
        assert all(distance_m(place, _centre(city)) > 200_000 for city in CITIES)


def test_orders_elsewhere_lie_near_the_city_that_they_name() -> None:
    by_name = {city.name: city for city in CITIES}
    for plan in draws.plan_orders(2, 500, 7):
        if plan.where in by_name and plan.where != NEW_YORK.name:
            city = by_name[plan.where]
            assert distance_m(_place(plan), _centre(city)) <= city.reach_m + 6 * draws.PLACE_SPREAD_M


def test_vehicles_have_known_makes_and_plausible_years() -> None:
    for plan in draws.plan_orders(3, 500, 7):
        vehicle = plan.body["vehicle"]
        assert find_make(vehicle["make"]) is not None
        assert 1990 <= vehicle["year"] <= 2027
        assert vehicle["model"]


def test_every_common_make_is_known_by_its_slug_and_has_models() -> None:
    for make in MAKES:
        found = find_make(make.slug)
        assert found is not None
        assert found.slug == make.slug
        assert draws._models(make)


def test_part_names_are_unique() -> None:
    assert len({part.name for part in PARTS}) == len(PARTS) == 40


@given(st.integers(0, 10_000), st.integers(0, 500))
def test_habits_stay_within_the_bounds_of_onboarding(seed: int, shop: int) -> None:
    habits = draws.shop_habits(seed, shop)
    assert 1 <= len(habits.makes) <= 16
    assert len(set(habits.makes)) == len(habits.makes)
    assert 0 < habits.radius_m <= 200_000
    assert habits.quickness > 0


@given(st.integers(0, 10_000))
def test_reactions_take_time(seed: int) -> None:
    rng = draws.generator(seed, "reaction")
    plan = draws.reaction(rng, draws.shop_habits(seed, 0))
    assert plan.after_s > 0
    assert plan.edits_after_s is None or plan.edits_after_s > 0
    assert plan.withdraws_after_s is None or plan.withdraws_after_s > 0


@given(st.integers(0, 10_000), st.sampled_from([("USD", 2), ("LYD", 3), ("XOF", 0)]))
def test_quotes_answer_every_line_offer_something_and_fit_the_currency(
    seed: int, currency: tuple[str, int]
) -> None:
    code, digits = currency
    rng = draws.generator(seed, "quote")
    body = draws.quote_body(rng, draws.shop_habits(seed, 0), DISPATCH | {"currency": code})
    assert [line["lineId"] for line in body["lines"]] == ["a", "b"]
    offered = [line for line in body["lines"] if line["available"]]
    assert offered
    for amount in [body["deliveryFee"], *(line["unitPrice"] for line in offered)]:
        assert Decimal(amount) > 0
        assert len(amount.partition(".")[2]) == digits


def test_a_cheaper_quote_costs_less() -> None:
    habits = draws.shop_habits(1, 1)
    normal = draws.quote_body(draws.generator(1, "q"), habits, DISPATCH)
    cheaper = draws.quote_body(draws.generator(1, "q"), habits, DISPATCH, cheaper=0.5)
    for before, after in zip(normal["lines"], cheaper["lines"], strict=True):
        if before["available"]:
            assert Decimal(after["unitPrice"]) < Decimal(before["unitPrice"])


@given(
    st.floats(-60, 60),
    st.floats(-170, 170),
    st.floats(1_000, 60_000),
)
def test_a_service_area_is_a_closed_ring_around_the_shop(
    latitude: float, longitude: float, radius_m: float
) -> None:
    place = Place(latitude=latitude, longitude=longitude)
    area = draws.service_area(place, radius_m)
    ring = area["coordinates"][0]
    assert area["type"] == "Polygon"
    assert ring[0] == ring[-1]
    assert len(ring) == 13
    for corner_longitude, corner_latitude in ring:
        corner = Place(latitude=corner_latitude, longitude=corner_longitude)
        assert distance_m(place, corner) == pytest.approx(radius_m, rel=0.05)
    turns = itertools.pairwise(ring)
    assert sum((b[0] - a[0]) * (b[1] + a[1]) for a, b in turns) < 0  # counter-clockwise


def test_pace_divides_the_storys_time() -> None:
    assert draws.Pace(240.0).real_s(7_200.0) == 30.0


def test_half_of_the_human_delays_lie_below_the_median() -> None:
    rng = draws.generator(1, "delays")
    delays = [draws._human_delay_s(rng, median_s=600.0) for _ in range(2_000)]
    below = sum(delay < 600.0 for delay in delays)
    assert 900 <= below <= 1_100
    assert math.isfinite(max(delays))


def _place(plan: draws.OrderPlan) -> Place:
    location = plan.body["deliveryLocation"]
    return Place(latitude=location["latitude"], longitude=location["longitude"])


def _centre(city: City) -> Place:
    return Place(latitude=city.latitude, longitude=city.longitude)
