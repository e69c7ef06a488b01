"""What may come over the wire, and how money is written."""

from typing import Annotated
from uuid import uuid4

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from msgspec import Meta

from matcher.errors import InvalidRequest
from matcher.serialization import (
    MAX_MINOR_UNITS,
    WireStruct,
    convert,
    currency_digits,
    decode,
    encode,
    format_money,
    parse_money,
    parse_uuid,
)

CURRENCIES = st.sampled_from(["USD", "EGP", "JPY", "KWD", "TND", "XOF"])


class Part(WireStruct):
    part_name: str
    quantity: Annotated[int, Meta(ge=1, le=9)] = 1


class Body(WireStruct):
    parts: list[Part]
    delivery_note: str | None = None


# --- money


@given(CURRENCIES, st.integers(0, MAX_MINOR_UNITS - 1))
def test_money_comes_back_as_it_went(currency: str, minor: int) -> None:
    text = format_money(minor, currency)
    assert parse_money(text, currency, "/x") == minor
    assert len(text.partition(".")[2]) == currency_digits(currency)


@given(st.text(max_size=20), CURRENCIES)
def test_whatever_is_taken_as_money_is_plain_digits(text: str, currency: str) -> None:
    try:
        minor = parse_money(text, currency, "/x")
    except InvalidRequest as error:
        assert error.errors[0].pointer == "/x"  # noqa: PT017  either outcome is right; each is checked
        return
    assert 0 <= minor < MAX_MINOR_UNITS
    assert set(text) <= set("0123456789.")


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "1.",
        ".5",
        "-1",
        "+1",
        "1e3",
        "1,5",
        " 1",
        "1 ",
        "1.234",
        "0x1",
        "NaN",
        "Infinity",
        "١",
        "1_0",
        "²",
        "9" * 14,
        "1.2.3",
    ],
)
def test_what_is_no_amount_of_dollars_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        parse_money(text, "USD", "/fee")


@pytest.mark.parametrize(("text", "currency"), [("1.0", "JPY"), ("1.0001", "KWD"), ("1.001", "EUR")])
def test_more_digits_than_the_currency_has_are_refused(text: str, currency: str) -> None:
    with pytest.raises(InvalidRequest):
        parse_money(text, currency, "/fee")


def test_money_has_bounds() -> None:
    assert parse_money("9999999999999.99", "USD", "/x") == MAX_MINOR_UNITS - 1
    with pytest.raises(InvalidRequest):
        parse_money("9999999999999.999", "KWD", "/x")
    with pytest.raises(InvalidRequest):
        parse_money("0.00", "USD", "/x", allow_zero=False)
    assert parse_money("0", "USD", "/x") == 0


# --- JSON


def test_names_are_camel_case_on_the_wire_and_unknown_ones_refused() -> None:
    body = decode(b'{"parts": [{"partName": "a"}], "deliveryNote": "b"}', Body)
    assert body.parts[0].part_name == "a"
    assert encode(body) == b'{"parts":[{"partName":"a","quantity":1}],"deliveryNote":"b"}'
    with pytest.raises(InvalidRequest):
        decode(b'{"parts": [], "delivery_note": "b"}', Body)


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        (b'{"parts": [{"partName": "a"}, {"partName": "a", "quantity": 0}]}', "/parts/1/quantity"),
        (b'{"parts": [{"partName": "a", "quantity": 2.5}]}', "/parts/0/quantity"),
        (b'{"parts": [{"partName": "a", "quantity": "2"}]}', "/parts/0/quantity"),
        (b'{"parts": [{}]}', "/parts/0"),
        (b'{"parts": {}}', "/parts"),
        (b"[]", ""),
        (b'{"parts": [], "other": 1}', ""),
    ],
)
def test_the_pointer_names_the_field(body: bytes, pointer: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        decode(body, Body)
    assert refused.value.errors[0].pointer == pointer
    with pytest.raises(InvalidRequest) as converted:
        convert(msgspec.json.decode(body), Body)
    assert converted.value.errors[0].pointer == pointer


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"parts": ',
        b"\xff\xfe",
        b'{"parts": []} x',
        b"[" * 100_000,
        b'{"deliveryNote": NaN}',
        b'{"parts": [], "deliveryNote": "\xc3\x28"}',
    ],
)
def test_what_is_no_json_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequest):
        decode(body, Body)


def note(text: bytes) -> bytes:
    return b'{"parts": [], "deliveryNote": "' + text + b'"}'


@pytest.mark.parametrize(
    "text",
    [
        rb"\u0000",
        b"a\x00b",
        rb"\\\u0000",
        rb"\ud800",
        rb"\udc00",
        rb"\ud800x",
        rb"\ud800\ud800",
        rb"\udfff\ud800",
        rb"\uD83D",
        rb"\ud83d\\ude00",
        rb"\ud83d \ude00",
    ],
)
def test_what_postgresql_cannot_store_is_refused(text: bytes) -> None:
    with pytest.raises(InvalidRequest):
        decode(note(text), Body)


@pytest.mark.parametrize(
    ("text", "means"),
    [
        (rb"\\u0000", r"\u0000"),
        (rb"\ud83d\ude00", "😀"),
        (rb"\uD83D\uDE00", "😀"),
        (rb"\\ud800", r"\ud800"),
        (rb"\\\\u0000", r"\\u0000"),
        (rb"\u0001", "\x01"),
        (rb"\\\u00e9", "\\é"),
        (rb"\n\"", '\n"'),
    ],
)
def test_escaped_backslashes_and_whole_characters_pass(text: bytes, means: str) -> None:
    assert decode(note(text), Body).delivery_note == means


@given(st.text(), st.booleans())
def test_any_text_without_nul_passes_however_it_is_escaped(text: str, ascii_only: bool) -> None:
    assume("\0" not in text)
    assume(not any("\ud800" <= character <= "\udfff" for character in text))
    import json

    body = json.dumps({"parts": [], "deliveryNote": text}, ensure_ascii=ascii_only).encode()
    assert decode(body, Body).delivery_note == text


# --- ids


def test_an_id_is_36_characters_or_none() -> None:
    identity = uuid4()
    assert parse_uuid(str(identity)) == identity
    for text in (identity.hex, "", "x" * 36, f"{{{identity}}}", f"{identity} "):
        assert parse_uuid(text) is None
