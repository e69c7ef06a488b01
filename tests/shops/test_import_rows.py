"""What a row may hold, and what is said about one that may not."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matcher.shops.import_rows import KINDS, MAX_CHARS, ImportedShop, ImportOptions, RowRefused, parse_row

ROW = dict.fromkeys(MAX_CHARS, "") | {
    "source": "list",
    "shop_id": "1",
    "kind": "car_parts",
    "lat": "30.0444",
    "lon": "31.2357",
}
EVERY = ImportOptions(kinds=frozenset())


def parsed(**fields: str) -> ImportedShop:
    shop = parse_row(ROW | fields, EVERY)
    assert shop is not None
    return shop


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("lat", ""),
        ("lat", "north"),
        ("lat", "90.0001"),
        ("lat", "NaN"),
        ("lat", "inf"),
        ("lat", "1e999"),
        ("lon", "-180.0001"),
        ("lon", "1x"),
        ("lon", "1_0"),
        ("lon", "١"),
        ("lon", "30,5"),
        ("source", ""),
        ("source", "onboarding"),
        ("source", "Two Words"),
        ("shop_id", " "),
        ("shop_id", "x" * 129),
        ("kind", ""),
        ("kind", "bakery"),
        ("name", "x" * 201),
        ("name", "a\x00b"),
        ("name", "a\nb"),
        ("name", "\udcff"),
        ("makes", "Toyota;Toyotta"),
        ("makes", "x" * 2_001),
        ("cc", "eg"),
        ("cc", "EGY"),
        ("phone", "call me"),
        ("email", "nobody"),
        ("currency", "E£P"),
        ("time_zone", "Mars/Olympus"),
        ("radius_m", "0"),
        ("radius_m", "-1"),
        ("radius_m", "200001"),
        ("radius_m", "nan"),
        ("radius_m", "far"),
    ],
)
def test_a_bad_field_is_named(column: str, value: str) -> None:
    with pytest.raises(RowRefused) as caught:
        parse_row(ROW | {column: value}, EVERY)
    assert caught.value.column == column


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"name": "محل", "name_en": "Shop", "chain": "C"}, "محل"),
        ({"name": " ", "name_en": "Shop", "chain": "C"}, "Shop"),
        ({"chain": "C"}, "C"),
        ({}, "Car parts shop"),
        ({"kind": "tyres"}, "Tyre shop"),
    ],
)
def test_a_shop_without_a_name_is_called_by_what_is_known(fields: dict[str, str], name: str) -> None:
    assert parsed(**fields).name == name


def test_the_edges_of_the_world_are_places() -> None:
    for latitude, longitude in (("90", "180"), ("-90", "-180"), ("0", "-0")):
        assert parsed(lat=latitude, lon=longitude).h3_r8 > 0


def test_doubtful_hours_are_unknown_not_refused() -> None:
    assert parsed(hours="by appointment").opening_hours is None
    assert parsed(hours="24/7").opening_hours is not None


def test_rows_of_other_kinds_are_skipped_before_they_are_checked() -> None:
    row: Mapping[str, str] = ROW | {"kind": "tyres", "lat": "nowhere"}
    assert parse_row(row, ImportOptions()) is None


@given(
    st.fixed_dictionaries(
        {
            column: st.one_of(st.just(ROW[column]), st.text(max_size=12), st.floats().map(str))
            for column in MAX_CHARS
        }
    )
)
def test_any_row_is_a_shop_or_a_refusal(row: dict[str, str]) -> None:
    try:
        shop = parse_row(row, EVERY)
    except RowRefused as refused:
        shop, column = None, refused.column
    if shop is None:
        assert column in MAX_CHARS
    else:
        assert shop.kind in KINDS
        assert -90 <= shop.latitude <= 90
