"""The shipped data files hold what the code that reads them expects."""

import re

import pytest

from matcher.vehicles.data_files import read_rows, split_list
from matcher.vehicles.makes import find_make


def test_plain_and_packed_files_are_read() -> None:
    assert next(iter(read_rows("makes.csv"))).keys() == {"slug", "name", "name_ar", "aliases", "source"}
    assert next(iter(read_rows("models.csv.gz"))).keys() == {"make", "model", "first_year", "last_year"}


def test_missing_file_is_an_error() -> None:
    with pytest.raises(FileNotFoundError):
        list(read_rows("none.csv"))


@pytest.mark.parametrize(("field", "parts"), [("", ()), ("a", ("a",)), ("a;b", ("a", "b")), ("a;;", ("a",))])
def test_lists_are_split_at_semicolons(field: str, parts: tuple[str, ...]) -> None:
    assert split_list(field) == parts


def test_manufacturer_identifiers_are_well_formed_distinct_and_name_known_makes() -> None:
    rows = list(read_rows("wmi.csv.gz"))
    wmis = [row["wmi"] for row in rows]
    assert len(wmis) == len(set(wmis)) > 1500
    for row in rows:
        assert re.fullmatch(r"[A-HJ-NPR-Z0-9]{3}|[A-HJ-NPR-Z0-9]{2}9[A-HJ-NPR-Z0-9]{3}", row["wmi"])
        assert row["manufacturer"]
        assert all((make := find_make(slug)) and make.slug == slug for slug in split_list(row["makes"]))
