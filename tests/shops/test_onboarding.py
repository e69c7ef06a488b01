"""The pure rules of the six steps, in any order."""

from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matcher.geo.service_area import RadiusArea
from matcher.geo.types import Place
from matcher.shops.errors import OnboardingIncomplete
from matcher.shops.hours import OpeningHours
from matcher.shops.onboarding import STEPS, Progress, assemble, check_step
from matcher.shops.shop import Shop

OWNER, SHOP_ID = UUID(int=1), UUID(int=2)
BODIES: tuple[dict[str, Any], ...] = (
    {"name": " Nile Parts ", "phone": "+20 100"},
    {
        "latitude": 30.0,
        "longitude": 31.0,
        "address": "12 Tahrir Square",
        "deliveryRadiusM": 15_000,
        "timeZone": "Africa/Cairo",
    },
    {"supportedBrands": ["vw", "VW", "تويوتا"]},
    {"mode": "manual"},
    {"currency": "EGP"},
    {},
)


def _step(progress: Progress, number: int) -> Progress:
    body = msgspec.convert(BODIES[number - 1], STEPS[number - 1][1])
    return progress.with_step(number, check_step(body))


@given(st.lists(st.integers(1, 6), max_size=20))
def test_steps_in_any_order_and_again_are_counted_once(numbers: list[int]) -> None:
    progress = Progress(steps={})
    for number in numbers:
        progress = _step(progress, number)
    assert progress.completed_steps == tuple(sorted(set(numbers)))
    missing = [n for n in range(1, 7) if n not in numbers]
    assert progress.missing_steps == tuple(missing)
    assert progress.current_step == (missing[0] if missing else 6)
    if missing:
        with pytest.raises(OnboardingIncomplete) as caught:
            assemble(progress, owner_id=OWNER, shop_id=SHOP_ID, claimed=None)
        assert caught.value.extra["missingSteps"] == [STEPS[n - 1][0] for n in missing]
    else:
        shop = assemble(progress, owner_id=OWNER, shop_id=SHOP_ID, claimed=None)
        assert (shop.status, shop.name, shop.makes) == (
            "pending_verification",
            "Nile Parts",
            ("toyota", "volkswagen"),
        )


def _all_steps() -> Progress:
    progress = Progress(steps={})
    for number in range(1, 7):
        progress = _step(progress, number)
    return progress


def test_step_data_replace_what_was_imported_and_the_rest_stays() -> None:
    hours = OpeningHours(mon=(("09:00", "17:00"),))
    imported = Shop(
        id=UUID(int=9),
        status="unclaimed",
        name="Imported",
        place=Place(latitude=1, longitude=2),
        area=RadiusArea(20_000),
        source="osm",
        source_ref="osm-1",
        chain="Chain",
        country="EG",
        makes=("bmw",),
        makes_generated=True,
        opening_hours=hours,
        rating=4.5,
        version=3,
    )
    shop = assemble(_all_steps(), owner_id=OWNER, shop_id=SHOP_ID, claimed=imported)
    assert (shop.id, shop.source, shop.source_ref, shop.version) == (imported.id, "osm", "osm-1", 3)
    assert (shop.chain, shop.country, shop.rating) == ("Chain", "EG", 4.5)
    assert shop.opening_hours == hours
    assert (shop.name, shop.owner_id, shop.place) == ("Nile Parts", OWNER, Place(latitude=30, longitude=31))
    assert (shop.makes, shop.makes_generated) == (("toyota", "volkswagen"), False)


def test_what_is_stored_can_be_read_back() -> None:
    progress = _all_steps()
    stored = msgspec.json.decode(msgspec.json.encode(progress.steps))
    again = Progress(steps=stored, completed_steps=progress.completed_steps)
    first = assemble(progress, owner_id=OWNER, shop_id=SHOP_ID, claimed=None)
    assert assemble(again, owner_id=OWNER, shop_id=SHOP_ID, claimed=None) == first
