"""A VIN is read as far as the standards promise, and refused only where they forbid it."""

import csv
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from matcher.vehicles.errors import InvalidVin, MalformedVin
from matcher.vehicles.makes import get_make
from matcher.vehicles.vin import DecodedVin, check_digit, contradicts, decode_vin

YEAR = 2026
ALPHABET = "0123456789ABCDEFGHJKLMNPRSTUVWXYZ"
HONDA = "1HGCM82633A004352"

with (Path(__file__).parent / "data" / "vin_samples.csv").open(encoding="utf-8", newline="") as file:
    SAMPLES = list(csv.DictReader(file))
LABELLED = [sample for sample in SAMPLES if sample["make"]]

vins = st.text(ALPHABET, min_size=17, max_size=17)


def decode(text: str) -> DecodedVin:
    return decode_vin(text, current_year=YEAR)


def with_check_digit(vin: str) -> str:
    return vin[:8] + check_digit(vin) + vin[9:]


def test_american_vin_is_decoded_whole() -> None:
    assert decode(HONDA) == DecodedVin(
        vin=HONDA,
        wmi="1HG",
        manufacturer="AMERICAN HONDA MOTOR CO., INC.",
        makes=("honda",),
        region="north_america",
        country="US",
        model_year=2003,
        plant_code="A",
        serial="004352",
        check_digit_valid=True,
        warnings=(),
    )


def test_blanks_around_and_lower_case_are_forgiven() -> None:
    assert decode(f"  {HONDA.lower()}\n") == decode(HONDA)


@pytest.mark.parametrize("sample", LABELLED, ids=lambda sample: sample["vin"])
def test_labelled_samples_agree_in_make_and_year(sample: dict[str, str]) -> None:
    decoded = decode(sample["vin"])
    make = get_make(sample["make"])
    assert make.slug in decoded.makes
    assert not contradicts(decoded, make)
    assert decoded.model_year == int(sample["year"])
    # The rule of the seventh character does not bind motorcycles.
    assert decoded.warnings == (("model_year_uncertain",) if make.slug == "harley-davidson" else ())


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample["vin"])
def test_no_sample_is_refused_and_check_digits_are_judged_right(sample: dict[str, str]) -> None:
    decoded = decode(sample["vin"])
    assert decoded.check_digit_valid == (sample["check_digit_ok"] == "1")
    assert ("check_digit_mismatch" in decoded.warnings) == (sample["check_digit_ok"] == "0")


@pytest.mark.parametrize(
    ("vin", "make", "country"),
    [
        ("VF1BB05CF12345678", "renault", "FR"),
        ("VF3CCHMZ6FT123456", "peugeot", "FR"),
        ("VF7SXHMZ6FT123456", "citroen", "FR"),
        ("UU1HSDACN12345678", "dacia", "RO"),
        ("TMBJJ7NE5E0123456", "skoda", "CZ"),
        ("VSSZZZ5FZER123456", "seat", "ES"),
        ("W0L0AHL4885123456", "opel", "DE"),
        ("XTAGFK330JY144213", "lada", "RU"),
        ("ZFA31200000123456", "fiat", "IT"),
        ("LVVDB11B5FD123456", "chery", "CN"),
        ("LGXC16DF4C0123456", "byd", "CN"),
        ("LSJA24U97KS123456", "mg", "CN"),
        ("NLHBB51CBEZ123456", "hyundai", "TR"),
        ("NMTBB3JE20R123456", "toyota", "TR"),
        ("WVWZZZ1KZAW123456", "volkswagen", "DE"),
        ("JTDKN3DU0A0123456", "toyota", "JP"),
    ],
)
def test_makers_outside_north_america_are_known_and_never_refused(vin: str, make: str, country: str) -> None:
    decoded = decode(vin)
    assert make in decoded.makes
    assert decoded.country == country
    assert not contradicts(decoded, get_make(make))


@pytest.mark.parametrize(
    "text",
    ["", "1HGCM82633A00435", HONDA + "0", "1HGCM82633A00435O", "IHGCM82633A004352", "1HGCM82633A00435Q"]
    + [
        "1HGCM826-3A004352",
        "1HGCM82633A00435２",
        "ßHGCM82633A00435",
        "ıHGCM82633A004352",
        "\x00" * 17,
        "\ud800" * 17,
    ],
)
def test_malformed_text_is_refused(text: str) -> None:
    with pytest.raises(MalformedVin) as refusal:
        decode(text)
    assert (refusal.value.status, refusal.value.code) == (400, "malformed_vin")


def test_wrong_check_digit_is_refused_in_north_america() -> None:
    with pytest.raises(InvalidVin, match="ninth character") as refusal:
        decode("1HGCM82643A004352")
    assert (refusal.value.status, refusal.value.code) == (422, "invalid_vin")


def test_wrong_check_digit_elsewhere_is_a_warning() -> None:
    decoded = decode("TMBJJ7NE5E0123456")
    assert not decoded.check_digit_valid
    assert decoded.warnings == ("check_digit_mismatch", "model_year_uncertain")


def test_mexican_car_built_for_europe_needs_no_check_digit() -> None:
    decoded = decode("3VWZZZ1KZ8M123456")
    assert decoded.makes == ("volkswagen",)
    assert decoded.warnings == ("check_digit_mismatch", "model_year_uncertain")


@given(vins, st.sampled_from("12345"), st.integers(0, 16), st.sampled_from("123456789"))
def test_one_altered_digit_of_an_american_vin_is_detected(
    vin: str, first: str, place: int, shift: str
) -> None:
    vin = with_check_digit(first + vin[1:])
    assume(vin[3:6] != "ZZZ" and vin[place].isdigit() and place != 0)
    decode(vin)
    altered = vin[:place] + str((int(vin[place]) + int(shift)) % 10) + vin[place + 1 :]
    with pytest.raises(InvalidVin):
        decode(altered)


@given(st.one_of(st.text(), vins, vins.map(with_check_digit)))
def test_any_text_is_decoded_or_refused(text: str) -> None:
    try:
        decoded = decode(text)
    except (MalformedVin, InvalidVin):
        return
    assert decoded.vin == text.strip().upper()
    assert decoded.model_year is None or 1980 <= decoded.model_year <= YEAR + 1
    assert decoded == decode(decoded.vin)


@pytest.mark.parametrize(
    ("vin", "current_year", "year"),
    [
        ("1HGCM8263AA004352", 2026, 1980),
        ("1HGCM8A63AA004352", 2026, 2010),
        ("1HGCM8A63VA004352", 2026, 2027),
        # A model year too far ahead cannot be meant, whatever the seventh character says.
        ("1HGCM8A63WA004352", 2026, 1998),
        ("1HGCM8A63WA004352", 2027, 2028),
        ("1HGCM82639A004352", 2050, 2009),
    ],
)
def test_seventh_character_tells_the_cycle_of_the_year(vin: str, current_year: int, year: int) -> None:
    assert decode_vin(with_check_digit(vin), current_year=current_year).model_year == year


@pytest.mark.parametrize(
    ("vin", "year", "warnings"),
    [
        # A heavy truck does not follow the rule of the seventh character.
        ("1XP4D49X1CD144875", 2012, ("model_year_uncertain",)),
        # Only one year is possible: 2038 has not come.
        ("1XP4D49X18D144875", 2008, ()),
        ("WBA71DC010CH14720", None, ("no_model_year",)),
        ("1ZZ4D49X1CD144875", 2012, ("unknown_manufacturer", "model_year_uncertain")),
    ],
)
def test_year_that_the_vin_does_not_promise_is_marked(
    vin: str, year: int | None, warnings: tuple[str, ...]
) -> None:
    decoded = decode(with_check_digit(vin) if vin[0] == "1" else vin)
    assert decoded.model_year == year
    assert decoded.warnings == warnings


def test_maker_of_few_cars_has_six_characters_and_a_short_serial() -> None:
    decoded = decode("VF9SA25C28M795001")
    assert decoded.wmi == "VF9795"
    assert decoded.serial == "001"


def test_unknown_maker_keeps_region_and_country_and_contradicts_nothing() -> None:
    decoded = decode("ATZ00000000000000")
    assert (decoded.manufacturer, decoded.makes) == (None, ())
    assert (decoded.region, decoded.country) == ("africa", "MG")
    assert "unknown_manufacturer" in decoded.warnings
    assert not contradicts(decoded, get_make("Toyota"))


@pytest.mark.parametrize("make", ["Toyota", "BMW", "Ford", "Chery"])
def test_make_of_another_house_contradicts_the_vin(make: str) -> None:
    assert contradicts(decode(HONDA), get_make(make))


@pytest.mark.parametrize("make", ["Honda", "Acura"])
def test_make_of_the_same_house_does_not_contradict_the_vin(make: str) -> None:
    assert not contradicts(decode(HONDA), get_make(make))


@pytest.mark.parametrize(
    ("vin", "expected"), [(HONDA, "3"), ("11111111111111111", "1"), ("1M8GDM9AXKP042788", "X")]
)
def test_check_digit_follows_the_regulation(vin: str, expected: str) -> None:
    assert check_digit(vin) == expected
