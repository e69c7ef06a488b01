"""Decodes vehicle identification numbers offline.

Sources: ISO 3779 (structure), ISO 3780 (regions), 49 CFR part 565 (check digit and model year in North
America), the US registry vPIC for manufacturers, completed by hand. Pure: the year is passed in, there is no
clock. Must not judge a car by more than the standards promise: outside North America neither the check
digit nor the model year is binding.
"""

from functools import cache

import msgspec

from matcher.vehicles.countries import find_country, get_region
from matcher.vehicles.data_files import read_rows, split_list
from matcher.vehicles.errors import InvalidVin, MalformedVin
from matcher.vehicles.groups import may_share_vins
from matcher.vehicles.makes import Make

VIN_LENGTH = 17

# Warnings of DecodedVin: stable codes, for the apps to translate.
CHECK_DIGIT_MISMATCH = "check_digit_mismatch"
UNKNOWN_MANUFACTURER = "unknown_manufacturer"
NO_MODEL_YEAR = "no_model_year"
MODEL_YEAR_UNCERTAIN = "model_year_uncertain"

_CHECK_POSITION = 8
_WEIGHTS = (8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2)
_VALUES = {digit: int(digit) for digit in "0123456789"} | {
    letter: value
    for letters in ("ABCDEFGH", " JKLMN P R", "  STUVWXYZ")
    for value, letter in enumerate(letters, start=0 if letters[0] == " " else 1)
    if letter != " "
}

# Years have one character and come round every thirty years; I, O, Q, U, Z and 0 are never used.
_YEAR_CODES = "ABCDEFGHJKLMNPRSTVWXY123456789"
_FIRST_YEAR = 1980
_CYCLE_YEARS = 30
# A model year is sold from the autumn before it.
_YEARS_AHEAD = 1

# Position 7 tells the cycle only on vehicles of up to 10,000 lb; others never had to follow. Makers added by
# hand have no type: they build cars.
_LIGHT_TYPES = frozenset({"car", "mpv", "truck", "incomplete", ""})


class DecodedVin(msgspec.Struct, frozen=True):
    """What a VIN says of its car.

    `wmi` has six characters for makers of few cars (a 9 in third place), else three. `makes` are slugs, empty
    when the maker is not known; `country` is ISO 3166-1 alpha-2; `model_year` is None when the tenth character
    is no year. `plant_code` and `serial` are the maker's own. `warnings` are codes of this module.
    """

    vin: str
    wmi: str
    manufacturer: str | None
    makes: tuple[str, ...]
    region: str
    country: str | None
    model_year: int | None
    plant_code: str
    serial: str
    check_digit_valid: bool
    warnings: tuple[str, ...] = ()


class _Maker(msgspec.Struct, frozen=True):
    manufacturer: str | None = None
    makes: tuple[str, ...] = ()
    vehicle_type: str = ""


_NO_MAKER = _Maker(vehicle_type="unknown")


@cache
def _makers() -> dict[str, _Maker]:
    return {
        row["wmi"]: _Maker(row["manufacturer"], split_list(row["makes"]), row["vehicle_type"])
        for row in read_rows("wmi.csv.gz")
    }


def decode_vin(text: str, *, current_year: int) -> DecodedVin:
    """Decode a VIN; blanks around it and lower case are forgiven.

    `current_year` decides between model years thirty years apart. Raises: MalformedVin when it is not 17
    characters of the VIN alphabet; InvalidVin when the check digit is wrong where the law demands it (North
    America).
    """
    vin = _normalise(text)
    region = get_region(vin)
    check_digit_valid = vin[_CHECK_POSITION] == check_digit(vin)
    if not check_digit_valid and region == "north_america" and not _is_built_for_europe(vin):
        raise InvalidVin(f"The ninth character of the VIN {vin} is wrong; read it again from the car.")
    wmi = vin[:3] + vin[11:14] if vin[2] == "9" else vin[:3]
    maker = _makers().get(wmi, _NO_MAKER)
    light = maker.vehicle_type in _LIGHT_TYPES
    year, year_sure = _model_year(vin, current_year, by_rule=check_digit_valid, light=light)
    notes = {
        CHECK_DIGIT_MISMATCH: not check_digit_valid,
        UNKNOWN_MANUFACTURER: maker is _NO_MAKER,
        NO_MODEL_YEAR: year is None,
        MODEL_YEAR_UNCERTAIN: year is not None and not year_sure,
    }
    return DecodedVin(
        vin=vin,
        wmi=wmi,
        manufacturer=maker.manufacturer,
        makes=maker.makes,
        region=region,
        country=find_country(vin),
        model_year=year,
        plant_code=vin[10],
        serial=vin[14:] if vin[2] == "9" else vin[11:],
        check_digit_valid=check_digit_valid,
        warnings=tuple(code for code, holds in notes.items() if holds),
    )


def contradicts(decoded: DecodedVin, make: Make) -> bool:
    """Whether the VIN cannot belong to a car of `make`: its makes are known and none shares VINs with `make`."""
    return bool(decoded.makes) and not any(may_share_vins(slug, make.slug) for slug in decoded.makes)


def check_digit(vin: str) -> str:
    """The ninth character that the other sixteen demand: their weighted sum modulo 11, X for 10 (49 CFR 565)."""
    remainder = sum(_VALUES[character] * weight for character, weight in zip(vin, _WEIGHTS, strict=True)) % 11
    return "X" if remainder == 10 else str(remainder)


def _normalise(text: str) -> str:
    vin = text.strip()
    # Tested before upper(): some letters outside ASCII become several letters, or Latin ones.
    if not vin.isascii() or len(vin) != VIN_LENGTH:
        raise MalformedVin
    vin = vin.upper()
    if any(character not in _VALUES for character in vin):
        raise MalformedVin
    return vin


def _is_built_for_europe(vin: str) -> bool:
    # European makers fill unused places with Z, also in cars built in Mexico for Europe: no check digit there.
    return vin[3:6] == "ZZZ"


def _model_year(vin: str, current_year: int, *, by_rule: bool, light: bool) -> tuple[int | None, bool]:
    # The year, and whether it is sure. `by_rule`: the VIN keeps the rules of 49 CFR 565 (a right check digit
    # shows that), else the tenth character need not be a year at all.
    if vin[9] not in _YEAR_CODES:
        return None, False
    latest = current_year + _YEARS_AHEAD
    first = _FIRST_YEAR + _YEAR_CODES.index(vin[9])
    if by_rule and light:
        # 49 CFR 565.15: seventh place a digit until model year 2009, a letter from 2010 to 2039.
        told = first if vin[6].isdigit() else first + _CYCLE_YEARS
        if told <= latest:
            return told, True
    newest = first + max(0, (latest - first) // _CYCLE_YEARS) * _CYCLE_YEARS
    return newest, by_rule and newest == first
