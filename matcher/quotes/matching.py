"""Who is asked, in which order, and why: the ranking within a wave.

Pure. The members of a wave ARE the nearest eligible shops, which the directory finds exactly; the score
only orders them, and every term of it is stored so that ops and the customer can read why.
"""

import math
from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

import msgspec

from matcher.geo.cells import blurred
from matcher.geo.distance import distance_m
from matcher.geo.types import Place

# What matters to someone whose car stands still: nearness first, then whether an answer will come.
WEIGHTS = {"distance": 0.45, "reply_rate": 0.2, "open_now": 0.15, "rating": 0.1, "load": 0.1}
NEUTRAL = 0.5  # what is not known speaks neither for nor against
BEST_RATING = 5.0
SHOWN_DISTANCE_STEP_M = 100


class CandidateLike(Protocol):
    """A shop that the directory found."""

    @property
    def shop_id(self) -> UUID:
        """Its id."""
        ...

    @property
    def distance_mm(self) -> int:
        """Great circle from the delivery place."""
        ...

    @property
    def place(self) -> Place:
        """Where it is."""
        ...

    @property
    def rating(self) -> float | None:
        """0 to 5; None: unknown."""
        ...

    @property
    def reply_rate(self) -> float | None:
        """0 to 1; None: unknown."""
        ...

    @property
    def open_now(self) -> bool | None:
        """None: its hours are unknown."""
        ...


class RankedShop(msgspec.Struct, frozen=True):
    """A candidate of a wave with its score. `shown_distance_m` is measured from the blurred place."""

    shop_id: UUID
    distance_m: float
    shown_distance_m: int
    score: float
    reasons: list[dict[str, object]]


class RecentLoad:
    """How many orders each shop was asked lately, as this process knows it; halves every ten minutes."""

    HALF_LIFE_S = 600.0
    MAX_SHOPS = 50_000

    def __init__(self) -> None:
        self._loads: dict[UUID, tuple[float, float]] = {}

    def add(self, shop_id: UUID, now_s: float) -> None:
        """The shop was asked once more."""
        if len(self._loads) >= self.MAX_SHOPS and shop_id not in self._loads:
            self._loads.pop(next(iter(self._loads)))
        self._loads[shop_id] = (self.of(shop_id, now_s) + 1, now_s)

    def of(self, shop_id: UUID, now_s: float) -> float:
        """The shop's load now; 0 when it was not asked lately."""
        load, at_s = self._loads.get(shop_id, (0.0, now_s))
        return load * math.exp2(-max(0.0, now_s - at_s) / self.HALF_LIFE_S)


def rank(
    candidates: Sequence[CandidateLike], place: Place, load: RecentLoad, now_s: float
) -> list[RankedShop]:
    """Score each candidate; the order (nearest first) stays, because membership goes by distance."""
    if not candidates:
        return []
    centre = blurred(place)
    shown_from = Place(centre.latitude, centre.longitude)
    # +1 km, so that two shops 10 m and 20 m away do not count as twice as far.
    farthest_m = candidates[-1].distance_mm / 1000 + 1000
    ranked = []
    for candidate in candidates:
        values = {
            "distance": 1 - candidate.distance_mm / 1000 / farthest_m,
            "reply_rate": NEUTRAL if candidate.reply_rate is None else candidate.reply_rate,
            "open_now": NEUTRAL if candidate.open_now is None else float(candidate.open_now),
            "rating": NEUTRAL if candidate.rating is None else candidate.rating / BEST_RATING,
            "load": 1 / (1 + load.of(candidate.shop_id, now_s) / 10),
        }
        reasons: list[dict[str, object]] = [
            {"term": term, "value": round(value, 3), "weight": WEIGHTS[term]}
            for term, value in values.items()
        ]
        ranked.append(
            RankedShop(
                shop_id=candidate.shop_id,
                distance_m=candidate.distance_mm / 1000,
                shown_distance_m=shown_distance_m(distance_m(shown_from, candidate.place)),
                score=sum(WEIGHTS[term] * value for term, value in values.items()),
                reasons=reasons,
            )
        )
    return ranked


def shown_distance_m(exact_m: float) -> int:
    """Rounded up to 100 m: three shops that compare notes must not find the customer's door."""
    return math.ceil(exact_m / SHOWN_DISTANCE_STEP_M) * SHOWN_DISTANCE_STEP_M
