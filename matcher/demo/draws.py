"""Everything random in the story, drawn from its seed: orders, shops' habits, answers and prices.

Pure: the same seed gives the same draws. Durations are in seconds of the story (a shop that answers in ten
minutes); `Pace` turns them into real ones.
"""

import math
import random
from decimal import Decimal
from functools import cache
from typing import Any, Literal

import msgspec

from matcher.demo.catalogue import (
    CITIES,
    MAKES,
    NEW_YORK,
    PARTS,
    City,
    CommonMake,
    Spot,
    list_pickups,
    list_spots,
)
from matcher.geo.distance import distance_m
from matcher.geo.types import EARTH_RADIUS_M, Place
from matcher.serialization import currency_digits
from matcher.vehicles.models import list_models

Ending = Literal["accept", "cancel", "forget"]
Answer = Literal["quote", "decline", "ignore"]

NEW_YORK_SHARE = 0.5  # of the orders; the trip stream
NEAR_SHARE = 0.4  # … near claimed shops of the other cities; the rest is anywhere on earth
NEAREST_FAR_M = 300_000.0  # "anywhere" starts beyond the widest service area of any claimed shop
PLACE_SPREAD_M = 1_500.0  # a customer is around the centre of a place, not on it

_METRES_PER_DEGREE = EARTH_RADIUS_M * math.pi / 180
_PRICES = {part.name: part.price for part in PARTS}


class Pace(msgspec.Struct, frozen=True):
    """How fast the story is told: `speed` seconds of it pass in one real second."""

    speed: float

    def real_s(self, story_s: float) -> float:
        """A duration of the story in real seconds."""
        return story_s / self.speed


class OrderPlan(msgspec.Struct, frozen=True):
    """One order to come: what is asked, where, and how its customer behaves."""

    at: float  # moment of submission, as a fraction 0..1 of the time in which orders come
    customer: int
    where: str
    body: dict[str, Any]
    ending: Ending
    patience_s: float  # story time between the first quote and the customer's decision
    over_socket: bool  # accepts over the socket instead of HTTP


class Habits(msgspec.Struct, frozen=True):
    """How one shop works."""

    makes: tuple[str, ...]
    radius_m: int
    polygon: bool  # its service area is drawn as a polygon of about that radius
    over_socket: bool  # answers over its socket instead of HTTP
    quickness: float  # its median time to answer is 600 s of the story times this
    markup: float


class Reaction(msgspec.Struct, frozen=True):
    """What a shop does with one order."""

    answer: Answer
    after_s: float
    marks_seen: bool
    edits_after_s: float | None
    withdraws_after_s: float | None


def generator(seed: int, *names: object) -> random.Random:
    """A generator of its own for each named part of the story, so that one part's draws do not shift another's."""
    return random.Random(f"{seed}:" + ":".join(map(str, names)))  # noqa: S311  a story, not a secret


def plan_orders(seed: int, orders: int, customers: int) -> list[OrderPlan]:
    """The orders of the story in order of time."""
    rng = generator(seed, "orders")
    trips = list_pickups()
    next_trip = rng.randrange(len(trips))
    plans: list[OrderPlan] = []
    for at in sorted(rng.random() for _ in range(orders)):
        kind = rng.random()
        if kind < NEW_YORK_SHARE:
            trip = trips[next_trip % len(trips)]
            next_trip += 1
            where, place = NEW_YORK.name, Place(latitude=trip.latitude, longitude=trip.longitude)
        elif kind < NEW_YORK_SHARE + NEAR_SHARE:
            where, place = _near_a_city(rng)
        else:
            where, place = _far_from_every_city(rng)
        plans.append(
            OrderPlan(
                at=at,
                customer=rng.randrange(customers),
                where=where,
                body=_order_body(rng, place, where),
                ending=rng.choices(("accept", "cancel", "forget"), (84, 6, 10))[0],
                patience_s=_human_delay_s(rng, median_s=900.0),
                over_socket=rng.random() < 0.3,
            )
        )
    return plans


def draw_claim_place(rng: random.Random, city: City) -> Place:
    """Where an owner of this city has a shop: near people, as shops are."""
    spots, weights = _spots_near(city)
    return _around(rng, rng.choices(spots, weights)[0])


def shop_habits(seed: int, shop: int) -> Habits:
    """The habits of the claimed shop number `shop`."""
    rng = generator(seed, "habits", shop)
    makes = {make.slug for make in rng.choices(MAKES, _MAKE_WEIGHTS, k=rng.randint(6, 16))}
    return Habits(
        makes=tuple(sorted(makes)),
        radius_m=100 * round(rng.lognormvariate(math.log(12_000), 0.4) / 100),
        polygon=rng.random() < 0.2,
        over_socket=rng.random() < 0.5,
        quickness=rng.lognormvariate(0.0, 0.4),
        markup=rng.uniform(0.85, 1.25),
    )


def reaction(rng: random.Random, habits: Habits) -> Reaction:
    """What a shop of these habits does with its next order."""
    answer: Answer = rng.choices(("quote", "decline", "ignore"), (72, 13, 15))[0]
    return Reaction(
        answer=answer,
        after_s=_human_delay_s(rng, median_s=600.0 * habits.quickness),
        marks_seen=rng.random() < 0.5,
        edits_after_s=_human_delay_s(rng, median_s=400.0) if rng.random() < 0.12 else None,
        withdraws_after_s=_human_delay_s(rng, median_s=700.0) if rng.random() < 0.06 else None,
    )


def quote_body(
    rng: random.Random, habits: Habits, dispatch: dict[str, Any], cheaper: float = 1.0
) -> dict[str, Any]:
    """A quote for the parts of a dispatch, as the contract's body of provide-quote; `cheaper` scales its prices."""
    currency = dispatch["currency"]
    distance_km = dispatch["distanceM"] / 1000
    lines = [_quote_line(rng, habits.markup * cheaper, currency, part) for part in dispatch["parts"]]
    if not any(line["available"] for line in lines):
        lines[0] = _available_line(rng, habits.markup * cheaper, currency, dispatch["parts"][0])
    return {
        "orderId": dispatch["orderId"],
        "lines": lines,
        "deliveryFee": _money(2 + 0.6 * distance_km, currency),
        "currency": currency,
        "estimatedDeliveryMinutes": 20 + round(3 * distance_km),
        "pickup": False,
        "validUntil": None,
        "notes": None,
    }


def service_area(place: Place, radius_m: float, corners: int = 12) -> dict[str, Any]:
    """A closed GeoJSON polygon around a place, counter-clockwise (RFC 7946), corners `radius_m` away."""
    points = [
        _moved(place, radius_m * math.sin(angle), radius_m * math.cos(angle))
        for angle in (2 * math.pi * corner / corners for corner in range(corners))
    ]
    ring = [[round(point.longitude, 6), round(point.latitude, 6)] for point in points]
    return {"type": "Polygon", "coordinates": [[*ring, ring[0]]]}


def _quote_line(rng: random.Random, markup: float, currency: str, part: dict[str, Any]) -> dict[str, Any]:
    if rng.random() < 0.1:
        return {"lineId": part["lineId"], "available": False}
    return _available_line(rng, markup, currency, part)


def _available_line(rng: random.Random, markup: float, currency: str, part: dict[str, Any]) -> dict[str, Any]:
    price = _PRICES.get(part["name"], 50) * markup * rng.uniform(0.9, 1.1)
    return {
        "lineId": part["lineId"],
        "available": True,
        "unitPrice": _money(price, currency),
        "quantity": part["quantity"],
        "condition": rng.choice(("new", "new", "oem", "aftermarket")),
        "warrantyMonths": rng.choice((0, 6, 12, 24)),
    }


def _order_body(rng: random.Random, place: Place, where: str) -> dict[str, Any]:
    count = rng.choices((1, 2, 3, 5), (55, 28, 13, 4))[0]
    return {
        "vehicle": _vehicle(rng),
        "deliveryLocation": {
            "latitude": round(place.latitude, 6),
            "longitude": round(place.longitude, 6),
            "address": f"Demo delivery, {where}",
        },
        "parts": [
            {"name": part.name, "quantity": rng.choice(part.quantities)} for part in rng.sample(PARTS, count)
        ],
        "urgency": rng.choices(("low", "normal", "high", "urgent"), (15, 60, 17, 8))[0],
        "paymentMethod": "cash_on_delivery",
    }


def _vehicle(rng: random.Random) -> dict[str, Any]:
    make = rng.choices(MAKES, _MAKE_WEIGHTS)[0]
    name, first_year, last_year = rng.choice(_models(make))
    return {
        "make": make.slug,
        "model": name,
        "year": rng.randint(max(first_year, last_year - 15), last_year),
    }


@cache
def _models(make: CommonMake) -> tuple[tuple[str, int, int], ...]:
    if make.models:
        return tuple((name, 2006, 2022) for name in make.models)
    known = list_models(make.slug)
    return tuple(
        (model.name, model.first_year, model.last_year) for model in known if model.last_year >= 2008
    )


def _near_a_city(rng: random.Random) -> tuple[str, Place]:
    cities = CITIES[1:]
    city = rng.choices(cities, [city.shops_weight for city in cities])[0]
    spots, weights = _spots_near(city)
    return city.name, _around(rng, rng.choices(spots, weights)[0])


def _far_from_every_city(rng: random.Random) -> tuple[str, Place]:
    spots, weights = _far_spots()
    spot = rng.choices(spots, weights)[0]
    return spot.name, _around(rng, spot)


@cache
def _spots_near(city: City) -> tuple[tuple[Spot, ...], tuple[int, ...]]:
    spots = tuple(spot for spot in list_spots() if _apart_m(spot, city) <= city.reach_m)
    return spots, tuple(spot.population for spot in spots)


@cache
def _far_spots() -> tuple[tuple[Spot, ...], tuple[int, ...]]:
    spots = tuple(
        spot for spot in list_spots() if all(_apart_m(spot, city) > NEAREST_FAR_M for city in CITIES)
    )
    return spots, tuple(spot.population for spot in spots)


def _apart_m(spot: Spot, city: City) -> float:
    return distance_m(
        Place(latitude=spot.latitude, longitude=spot.longitude),
        Place(latitude=city.latitude, longitude=city.longitude),
    )


def _around(rng: random.Random, spot: Spot) -> Place:
    place = Place(latitude=spot.latitude, longitude=spot.longitude)
    return _moved(place, rng.gauss(0, PLACE_SPREAD_M), rng.gauss(0, PLACE_SPREAD_M))


def _moved(place: Place, north_m: float, east_m: float) -> Place:
    shrink = math.cos(math.radians(place.latitude))
    return Place(
        latitude=place.latitude + north_m / _METRES_PER_DEGREE,
        longitude=place.longitude + east_m / (_METRES_PER_DEGREE * shrink),
    )


def _human_delay_s(rng: random.Random, *, median_s: float) -> float:
    # Human response times are close to log-normal; sigma 0.7 puts one answer in forty beyond four medians.
    return rng.lognormvariate(math.log(median_s), 0.7)


def _money(amount: float, currency: str) -> str:
    digits = currency_digits(currency)
    return f"{Decimal(amount):.{digits}f}"


_MAKE_WEIGHTS = [make.weight for make in MAKES]
