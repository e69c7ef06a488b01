"""Whom a wave asks, and when the next one comes."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from matcher.geo.types import Place
from matcher.quotes.waves import NO_SHOP_FOR_MAKE, NO_SHOP_IN_RANGE, WavePlanner
from matcher.settings import Settings
from tests.quotes.factories import START

HOME = Place(latitude=30.0, longitude=31.0)


class Known:
    """A directory that remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: dict[str, Any] = {}

    def nearest(self, make: str, place: Place, count: int, **options: Any) -> Sequence[Any]:
        self.asked = {"make": make, "count": count} | options
        return []

    def knows_make(self, make: str) -> bool:
        return make == "toyota"

    def get(self, shop_id: UUID) -> None:
        return None


@pytest.mark.parametrize(("wave", "beyond"), [(1, False), (3, False), (4, True)])
def test_only_the_wave_after_the_last_goes_beyond_areas(wave: int, beyond: bool) -> None:
    directory, shop = Known(), UUID(int=1)
    assert WavePlanner(directory, Settings()).choose("toyota", HOME, wave=wave, exclude={shop}) == []
    assert directory.asked["beyond_area"] is beyond
    assert directory.asked["exclude"] == {shop}
    assert directory.asked["count"] == 16  # ten, and six to spare


def test_nobody_asked_has_a_reason() -> None:
    planner = WavePlanner(Known(), Settings())
    assert planner.empty_reason("toyota") == NO_SHOP_IN_RANGE
    assert planner.empty_reason("trabant") == NO_SHOP_FOR_MAKE


@pytest.mark.parametrize(
    ("wave", "anyone", "minutes"), [(1, True, 10), (1, False, 0), (3, False, 0), (4, False, 10)]
)
def test_a_wave_that_found_nobody_is_followed_at_once_until_the_last(
    wave: int, anyone: bool, minutes: int
) -> None:
    planner = WavePlanner(Known(), Settings())
    assert planner.next_wave_at(wave, anyone, START) == START + timedelta(minutes=minutes)
