"""Every spelling leads to its one make, and an unknown one is refused with help."""

import unicodedata
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matcher.vehicles.errors import UnknownMake
from matcher.vehicles.folding import fold
from matcher.vehicles.makes import Make, close_matches, find_make, get_make, list_makes

SPELLINGS = [(make, spelling) for make in list_makes() for spelling in make.spellings()]


@pytest.mark.parametrize(
    ("text", "slug"),
    [
        ("vw", "volkswagen"),
        ("Mercedes", "mercedes-benz"),
        ("Merc", "mercedes-benz"),
        ("BENZ", "mercedes-benz"),
        ("chevy", "chevrolet"),
        ("Range Rover", "land-rover"),
        ("Citroen", "citroen"),
        ("skoda", "skoda"),
        ("تويوتا", "toyota"),
        ("مرسيدس", "mercedes-benz"),
        ("هيونداى", "hyundai"),
        ("جيب", "jeep"),
        ("سایپا", "saipa"),
        ("Лада", "lada"),
        ("比亚迪", "byd"),
        ("Lynk and Co", "lynk-co"),
        ("KGM", "ssangyong"),
    ],
)
def test_common_spellings_find_their_make(text: str, slug: str) -> None:
    assert get_make(text).slug == slug


def test_no_spelling_belongs_to_two_makes() -> None:
    owners: dict[str, set[str]] = {}
    for make, spelling in SPELLINGS:
        owners.setdefault(fold(spelling), set()).add(make.slug)
    assert {key: slugs for key, slugs in owners.items() if len(slugs) > 1} == {}


def test_every_make_has_a_slug_a_name_and_an_arabic_name() -> None:
    slugs = [make.slug for make in list_makes()]
    assert len(slugs) == len(set(slugs)) >= 200
    assert slugs == sorted(slugs)
    for make in list_makes():
        assert make.slug.isascii()
        assert make.slug == make.slug.lower()
        assert fold(make.name)
        assert any("ARABIC" in unicodedata.name(letter) for letter in make.name_ar)


MAKES_MISSING_IN_AMERICAN_LISTS = """
    Citroën, Škoda, SEAT, Cupra, Dacia, Lada, MG, Chery, Geely, BYD, Great Wall, Haval, Changan, JAC, Dongfeng, FAW,
    Brilliance, Opel, Vauxhall, Renault, Peugeot, DS, Daihatsu, Proton, Perodua, Tata, Mahindra, Maruti, SsangYong,
    Daewoo, Iran Khodro, Saipa, GAZ, UAZ, Moskvich, ZAZ, Wuling, Baojun, Zotye, Lifan, Jetour, Exeed, Omoda, Jaecoo,
    Zeekr, NIO, XPeng, Polestar, Lucid, Rivian, Genesis, Infiniti, Isuzu, Holden, Speranza
"""


@pytest.mark.parametrize("name", [name.strip() for name in MAKES_MISSING_IN_AMERICAN_LISTS.split(",")])
def test_makes_of_every_market_are_known(name: str) -> None:
    assert find_make(name) is not None


@given(st.sampled_from(SPELLINGS), st.randoms(use_true_random=False))
def test_any_case_accents_and_separators_of_a_spelling_find_its_make(
    entry: tuple[Make, str], random: Random
) -> None:
    make, spelling = entry
    letters = unicodedata.normalize(random.choice(["NFC", "NFD"]), spelling)
    mangled = "".join(random.choice([letter, letter.upper(), letter.lower()]) for letter in letters)
    assert find_make(random.choice(["", " ", "-"]).join(mangled) + " ") == make


@given(st.text())
def test_any_text_finds_a_make_or_is_refused(text: str) -> None:
    try:
        make = get_make(text)
    except UnknownMake:
        assert find_make(text) is None
    else:
        assert find_make(text) == make


@pytest.mark.parametrize("text", ["", " ", "a\ud800b", "x" * 10_000, "\x00", "'; drop table --"])
def test_hostile_text_is_refused(text: str) -> None:
    with pytest.raises(UnknownMake) as refusal:
        get_make(text)
    assert len(refusal.value.detail) < 300
    refusal.value.detail.encode("utf-8")


def test_refusal_names_close_makes() -> None:
    with pytest.raises(UnknownMake, match=r"'Toyoto'.*Toyota") as refusal:
        get_make("Toyoto")
    assert refusal.value.extra == {"suggestions": ["Toyota"]}
    assert (refusal.value.status, refusal.value.code) == (422, "unknown_make")


def test_refusal_without_close_makes_says_where_the_list_is() -> None:
    with pytest.raises(UnknownMake, match="vehicle-makes") as refusal:
        get_make("qqqqqqqq")
    assert refusal.value.extra == {"suggestions": []}


def test_close_matches_are_likest_first_distinct_and_limited() -> None:
    found = close_matches("mitsubish")
    assert found[0].slug == "mitsubishi"
    assert len(found) == len(set(found)) <= 3
    assert close_matches("mitsubish", limit=1) == found[:1]
    assert close_matches("") == ()
