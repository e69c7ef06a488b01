"""JSON and money on the wire. Owns the one encoder and decoder rules; must not know any domain.

camelCase on the wire and snake_case in Python come from `WireStruct`; unknown fields are refused; NUL
characters and lone surrogates are refused here, because PostgreSQL would refuse them later (jsonb, text).
"""

from decimal import Decimal
from typing import Any, TypeVar
from uuid import UUID

import msgspec

from matcher.errors import FieldError, InvalidRequest

T = TypeVar("T")

# ISO 4217 minor-unit digits that are not 2, for the currencies that the trade meets.
_DIGITS: dict[str, int] = {
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
    **dict.fromkeys(
        (
            "BIF",
            "CLP",
            "DJF",
            "GNF",
            "ISK",
            "JPY",
            "KMF",
            "KRW",
            "PYG",
            "RWF",
            "UGX",
            "VND",
            "VUV",
            "XAF",
            "XOF",
            "XPF",
        ),
        0,
    ),
}
MAX_MINOR_UNITS = 10**15  # ten trillion dollars in cents: far above any part, far below a bigint's end
MAX_WHOLE_DIGITS = 15  # more cannot lie below, in any currency


class WireStruct(msgspec.Struct, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """Base of every request and response body."""


def currency_digits(currency: str) -> int:
    """How many decimals a currency's minor unit has (ISO 4217)."""
    return _DIGITS.get(currency, 2)


def parse_money(text: str, currency: str, pointer: str, *, allow_zero: bool = True) -> int:
    """A decimal string such as "125.50" to minor units; InvalidRequest when it does not fit the currency."""
    digits = currency_digits(currency)
    whole, point, fraction = text.partition(".")
    well_formed = (
        whole.isascii()
        and whole.isdigit()
        and len(whole) <= MAX_WHOLE_DIGITS
        and (not point or (fraction.isascii() and fraction.isdigit() and len(fraction) <= digits))
    )
    if not well_formed:
        message = f'write {currency} amounts like "{format_money(12550, currency)}": digits, at most {digits} decimals'
        raise InvalidRequest(errors=[FieldError(pointer, message)])
    minor: int = int(whole) * 10**digits + int(fraction.ljust(digits, "0") or "0")
    if minor >= MAX_MINOR_UNITS or (minor == 0 and not allow_zero):
        raise InvalidRequest(errors=[FieldError(pointer, "the amount is out of bounds")])
    return minor


def format_money(minor: int, currency: str) -> str:
    """Minor units to the wire's decimal string with the currency's digits."""
    digits = currency_digits(currency)
    return f"{Decimal(minor).scaleb(-digits):.{digits}f}"


_encoder = msgspec.json.Encoder(decimal_format="string")


def encode(value: Any) -> bytes:
    """Any wire value (structs, dicts, UUID, datetime, Raw) to JSON bytes."""
    return _encoder.encode(value)


def decode(body: bytes, into: type[T]) -> T:
    """A JSON request body as a struct; InvalidRequest names the field that is wrong."""
    check_text(body)
    try:
        return msgspec.json.decode(body, type=into)
    except msgspec.ValidationError as error:
        raise InvalidRequest(errors=[_field_error(str(error))]) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequest("The body is not valid JSON; send one UTF-8 JSON object.") from error


def convert(value: Any, into: type[T]) -> T:
    """A decoded JSON value (a socket request's `data`) as a struct; InvalidRequest names the field."""
    try:
        return msgspec.convert(value, type=into)
    except msgspec.ValidationError as error:
        raise InvalidRequest(errors=[_field_error(str(error))]) from error


def check_text(body: bytes) -> None:
    """Refuse what PostgreSQL text cannot hold: U+0000, raw or escaped, and lone surrogates."""
    if b"\x00" in body:
        raise InvalidRequest("The body holds a NUL character; remove it.")
    if b"\\u" not in body:
        return
    lowered = body.lower()
    if b"\\u0000" in lowered and _has_escape(body, 0, 0):
        raise InvalidRequest("The body holds an escaped NUL character (\\u0000); remove it.")
    if b"\\ud" in lowered and _has_lone_surrogate(body):
        raise InvalidRequest("The body holds half of a surrogate pair; send whole characters.")


def _escapes(body: bytes) -> list[tuple[int, int]]:
    """(position, code unit) of each \\uXXXX escape that is not itself an escaped backslash."""
    found: list[tuple[int, int]] = []
    at = body.find(b"\\")
    while 0 <= at < len(body) - 1:
        if body[at + 1 : at + 2] == b"u":
            try:
                found.append((at, int(body[at + 2 : at + 6], 16)))
            except ValueError:
                return found  # malformed JSON: the decoder says so
            at = body.find(b"\\", at + 6)
        else:
            at = body.find(b"\\", at + 2)
    return found


def _has_escape(body: bytes, low: int, high: int) -> bool:
    return any(low <= unit <= high for _, unit in _escapes(body))


def _has_lone_surrogate(body: bytes) -> bool:
    pending: int | None = None  # where the low half must stand
    for at, unit in _escapes(body):
        if pending is not None:
            if at != pending or not 0xDC00 <= unit <= 0xDFFF:
                return True
            pending = None
        elif 0xDC00 <= unit <= 0xDFFF:
            return True
        elif 0xD800 <= unit <= 0xDBFF:
            pending = at + 6
    return pending is not None


def _field_error(message: str) -> FieldError:
    """msgspec's "… - at `$.parts[0].quantity`" as a JSON pointer."""
    text, _, path = message.partition(" - at `")
    path = (
        path.rstrip("`")
        .removeprefix("$")
        .replace("[...]", "/*")
        .replace("[", "/")
        .replace("]", "")
        .replace(".", "/")
    )
    return FieldError(path, text)


def parse_uuid(text: str) -> UUID | None:
    """A path's id, or None when it is not one (which the caller answers with 404)."""
    try:
        return UUID(text) if len(text) == 36 else None
    except ValueError:
        return None
