"""The world that matching is measured in: shops where people live, orders as they come.

Shops and half of the orders lie around real places, drawn by population; the other half of the orders are real
taxi pick-ups in New York. Everything follows from the seed.
"""

import csv
import gzip
import math
import random
from collections.abc import Iterator
from importlib import resources
from itertools import accumulate
from uuid import UUID

import shapely

from matcher.geo.index import Site
from matcher.geo.service_area import Area, PolygonArea, RadiusArea
from matcher.geo.types import Place

MAKES = [f"make-{n:02}" for n in range(40)]
MAKES_EACH = 4
NOW_S = 1_000_000.0

Question = tuple[str, Place]

# Some makes are asked for more often than others, as some cars are driven more.
_MAKE_WEIGHTS = list(accumulate(1 / (n + 3) for n in range(len(MAKES))))


class World:
    """Draws shops and questions."""

    def __init__(self, seed: int, *, cities: int | None = None) -> None:
        """With `cities` shops and orders keep to that many of the largest places, all alike in size."""
        self.random = random.Random(seed)
        rows = sorted(_rows("places.csv.gz"), key=lambda row: -int(row["population"]))[:cities]
        self._places = [(float(row["lat"]), float(row["lon"])) for row in rows]
        self._weights = list(accumulate(1 if cities else int(row["population"]) for row in rows))
        self._trips = [
            (float(row["pickup_lat"]), float(row["pickup_lon"])) for row in _rows("trips_nyc.csv.gz")
        ]

    def sites(self, count: int) -> Iterator[Site]:
        """Shops: 90 % with a radius, 10 % with a polygon; 5 % suspended, 5 % paused."""
        rng = self.random
        for _ in range(count):
            place = self.place(0.15)
            yield Site(
                id=UUID(int=rng.getrandbits(128)),
                place=place,
                tags=frozenset(rng.sample(MAKES, MAKES_EACH)),
                area=self._area(place),
                enabled=rng.random() >= 0.05,
                paused_until=NOW_S + 60 if rng.random() < 0.05 else None,
            )

    def place(self, spread_deg: float) -> Place:
        """A place around a town, the town drawn by population."""
        rng = self.random
        (latitude, longitude), *_ = rng.choices(self._places, cum_weights=self._weights)
        stretch = math.cos(math.radians(latitude))
        return _place(
            latitude + rng.gauss(0, spread_deg), longitude + rng.gauss(0, spread_deg) / max(stretch, 0.1)
        )

    def question(self) -> Question:
        """An order somewhere where people live."""
        return self.make(), self.place(0.05)

    def trip_question(self) -> Question:
        """An order where a taxi picked somebody up."""
        latitude, longitude = self.random.choice(self._trips)
        # The same door is rarely asked about twice: within some 50 metres of it.
        return self.make(), _place(
            latitude + self.random.gauss(0, 5e-4), longitude + self.random.gauss(0, 5e-4)
        )

    def make(self) -> str:
        """A make, the frequent ones more often."""
        return self.random.choices(MAKES, cum_weights=_MAKE_WEIGHTS)[0]

    def _area(self, place: Place) -> Area:
        rng = self.random
        if rng.random() < 0.9:
            return RadiusArea(rng.choice((25_000.0, 50_000.0, 100_000.0, 200_000.0)))
        corners = [math.tau * (n + rng.random() * 0.8) / 12 for n in range(12)]
        reach = rng.choice((0.3, 0.6, 1.2))
        ring = [
            (
                max(-180.0, min(180.0, place.longitude + reach * rng.uniform(0.7, 1) * math.cos(angle))),
                max(-90.0, min(90.0, place.latitude + reach * rng.uniform(0.7, 1) * math.sin(angle))),
            )
            for angle in corners
        ]
        return PolygonArea(shapely.MultiPolygon([shapely.Polygon(ring)]))


def _place(latitude: float, longitude: float) -> Place:
    return Place(latitude=max(-90.0, min(90.0, latitude)), longitude=(longitude + 180) % 360 - 180)


def _rows(name: str) -> list[dict[str, str]]:
    packed = resources.files("matcher.demo").joinpath("data", name).read_bytes()
    return list(csv.DictReader(gzip.decompress(packed).decode().splitlines()))
