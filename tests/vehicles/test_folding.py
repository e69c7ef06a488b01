"""Folding brings the spellings of one name together and keeps different names apart."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matcher.vehicles.folding import fold


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Citroën", "CITROEN"),
        ("Škoda", "skoda"),
        ("Mercedes-Benz", "mercedes benz"),
        ("Rolls-Royce", "  rolls.royce "),
        ("Tofaş", "TOFAS"),
        ("أودي", "اودى"),
        ("تويوتـا", "تُويوتا"),
        ("تويوتة", "تويوته"),
        ("سایپا", "سايبا"),
        ("پژو", "بزو"),
        ("ＢＭＷ", "bmw"),
        ("KIA", "kıa"),
    ],
)
def test_spellings_of_one_name_meet(one: str, other: str) -> None:
    assert fold(one) == fold(other) != ""


@pytest.mark.parametrize(("one", "other"), [("Audi", "Acura"), ("كيا", "كوبرا"), ("MG", "GMC")])
def test_different_names_stay_apart(one: str, other: str) -> None:
    assert fold(one) != fold(other)


@pytest.mark.parametrize("text", ["", "  ", "-.&'", "ـــ", "َُِ"])
def test_text_without_letters_has_an_empty_key(text: str) -> None:
    assert fold(text) == ""


@given(st.text())
def test_folding_twice_changes_nothing(text: str) -> None:
    assert fold(fold(text)) == fold(text)


@given(st.text(st.characters(categories=("L", "N"))), st.sampled_from([" ", "-", ".", "_", "'", "ـ"]))
def test_separators_do_not_matter(text: str, separator: str) -> None:
    assert fold(separator.join(text)) == fold(text)
