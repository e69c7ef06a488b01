"""Makes that build cars for one another are told from makes that do not."""

import pytest

from matcher.vehicles.groups import _FAMILIES, _PARTNERS, may_share_vins
from matcher.vehicles.makes import find_make, list_makes

SLUGS = [make.slug for make in list_makes()]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("gmc", "chevrolet"),
        ("toyota", "lexus"),
        ("dacia", "renault"),
        ("opel", "chevrolet"),
        ("opel", "peugeot"),
        ("kia", "hyundai"),
        ("ram", "dodge"),
        ("mitsubishi", "dodge"),
    ],
)
def test_makes_with_common_cars_share_vins(one: str, other: str) -> None:
    assert may_share_vins(one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("toyota", "honda"),
        ("ford", "chevrolet"),
        ("bmw", "audi"),
        ("chevrolet", "peugeot"),
        ("kia", "nissan"),
        ("hyundai", "toyota"),
        ("mercedes-benz", "bmw"),
    ],
)
def test_rivals_do_not_share_vins(one: str, other: str) -> None:
    assert not may_share_vins(one, other)


def test_sharing_is_symmetric_and_reflexive() -> None:
    for one in SLUGS:
        assert may_share_vins(one, one)
        assert {other for other in SLUGS if may_share_vins(one, other)} == {
            other for other in SLUGS if may_share_vins(other, one)
        }


def test_relations_name_only_known_makes() -> None:
    named = {slug for text in (*_FAMILIES, *_PARTNERS, *_PARTNERS.values()) for slug in text.split()}
    assert {slug for slug in named if (make := find_make(slug)) is None or make.slug != slug} == set()
