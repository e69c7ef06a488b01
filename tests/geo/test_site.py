"""The roster keeps slots in step with sites."""

from uuid import UUID

import pytest

from matcher.geo.service_area import RadiusArea
from matcher.geo.site import ALWAYS_OPEN, NEVER_OPENS, Roster, Site
from matcher.geo.types import Place


def _site(number: int, **changes: object) -> Site:
    known = {
        "id": UUID(int=number),
        "place": Place(latitude=1.0, longitude=2.0),
        "tags": frozenset({"make"}),
        "area": RadiusArea(1000),
    }
    return Site(**known | changes)  # type: ignore[arg-type]  # values of several types in one dict


@pytest.mark.parametrize(
    ("changes", "closed_until"),
    [
        ({}, ALWAYS_OPEN),
        ({"paused_until": 50.0}, 50.0),
        ({"enabled": False}, NEVER_OPENS),
        ({"enabled": False, "paused_until": 50.0}, NEVER_OPENS),
    ],
)
def test_site_says_from_when_it_is_open(changes: dict[str, object], closed_until: float) -> None:
    assert _site(1, **changes).closed_until() == closed_until


def test_slot_of_a_removed_site_is_given_to_the_next() -> None:
    roster = Roster()
    first, second = roster.add(_site(1)), roster.add(_site(2))
    roster.remove(first)
    assert roster.get(UUID(int=1)) is None
    assert roster.add(_site(3)) == first
    assert roster.orders[first] == 3
    assert {site.id.int for site in (roster.site(first), roster.site(second))} == {2, 3}
    assert len(roster) == 2


def test_replaced_site_keeps_its_slot() -> None:
    roster = Roster()
    slot = roster.add(_site(1))
    roster.replace(slot, _site(1, paused_until=7.0))
    assert roster.closed_until[slot] == 7.0
    assert roster.get(UUID(int=1)) == _site(1, paused_until=7.0)
