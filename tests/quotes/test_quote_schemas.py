"""The bodies of the quote endpoints refuse what is out of bounds, and point at it."""

from typing import Any

import pytest

from matcher.errors import InvalidRequest
from matcher.ids import uuid7
from matcher.quotes.quote_schemas import AcceptQuote, DeclineRequest, QuoteCreate, SeenRequest
from matcher.serialization import decode, encode

LINE: dict[str, Any] = {
    "lineId": str(uuid7()),
    "available": True,
    "unitPrice": "45.00",
    "quantity": 1,
    "brand": "Brembo",
    "partNumber": "P83024",
    "condition": "new",
    "warrantyMonths": 12,
    "coreCharge": None,
    "photoIds": [],
}
QUOTE: dict[str, Any] = {
    "orderId": str(uuid7()),
    "lines": [LINE],
    "deliveryFee": "5.00",
    "currency": "USD",
    "estimatedDeliveryMinutes": 45,
    "pickup": False,
    "validUntil": None,
    "notes": None,
}


def test_the_contract_s_example_is_a_quote() -> None:
    quote = decode(encode(QUOTE), QuoteCreate)
    assert quote.lines[0].brand == "Brembo"
    assert quote.valid_until is None


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        pytest.param({"deliveryFee": 5.0}, "/deliveryFee", id="amount as a float"),
        pytest.param({"deliveryFee": 5}, "/deliveryFee", id="amount as an integer"),
        pytest.param({"deliveryFee": "1" * 21}, "/deliveryFee", id="amount too long"),
        pytest.param({"lines": []}, "/lines", id="no lines"),
        pytest.param({"lines": [LINE] * 301}, "/lines", id="too many lines"),
        pytest.param({"currency": "usd"}, "/currency", id="currency in lower case"),
        pytest.param({"currency": "USD\n"}, "/currency", id="currency with a line break"),
        pytest.param({"estimatedDeliveryMinutes": 43_201}, "/estimatedDeliveryMinutes", id="too late"),
        pytest.param({"estimatedDeliveryMinutes": -1}, "/estimatedDeliveryMinutes", id="before now"),
        pytest.param({"estimatedDeliveryMinutes": True}, "/estimatedDeliveryMinutes", id="not a number"),
        pytest.param({"validUntil": "2026-05-04T12:00:00"}, "/validUntil", id="time without offset"),
        pytest.param({"validUntil": 1_777_896_000}, "/validUntil", id="time as a number"),
        pytest.param({"notes": "x" * 1_001}, "/notes", id="notes too long"),
        pytest.param({"orderId": "1"}, "/orderId", id="not an id"),
        pytest.param({"totalPrice": "1.00"}, "", id="unknown field"),
    ],
)
def test_quote_out_of_bounds_is_refused(change: dict[str, Any], pointer: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        decode(encode(QUOTE | change), QuoteCreate)
    assert [e.pointer for e in refusal.value.errors] == [pointer]


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        pytest.param({"unitPrice": 45.0}, "/unitPrice", id="price as a float"),
        pytest.param({"coreCharge": 1}, "/coreCharge", id="charge as a number"),
        pytest.param({"quantity": 0}, "/quantity", id="quantity 0"),
        pytest.param({"quantity": 10_000}, "/quantity", id="quantity 10000"),
        pytest.param({"quantity": 1.5}, "/quantity", id="quantity with a fraction"),
        pytest.param({"condition": "any"}, "/condition", id="no condition at all"),
        pytest.param({"warrantyMonths": 601}, "/warrantyMonths", id="warranty too long"),
        pytest.param({"brand": ""}, "/brand", id="empty brand"),
        pytest.param({"photoIds": [str(uuid7())] * 11}, "/photoIds", id="too many photos"),
        pytest.param({"available": "yes"}, "/available", id="available in words"),
    ],
)
def test_line_out_of_bounds_is_refused(change: dict[str, Any], pointer: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        decode(encode(QUOTE | {"lines": [LINE, LINE | change]}), QuoteCreate)
    assert [e.pointer for e in refusal.value.errors] == [f"/lines/1{pointer}"]


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        (DeclineRequest, {"orderId": str(uuid7())}),
        (DeclineRequest, {"orderId": str(uuid7()), "reason": ""}),
        (DeclineRequest, {"orderId": str(uuid7()), "reason": "x" * 501}),
        (SeenRequest, {}),
        (AcceptQuote, {"quoteId": str(uuid7())}),
        (AcceptQuote, {"quoteId": str(uuid7()), "quoteVersion": 0}),
        (AcceptQuote, {"quoteId": str(uuid7()), "quoteVersion": "1"}),
        (AcceptQuote, {"quoteId": str(uuid7()), "quoteVersion": 2**63}),
    ],
)
def test_other_bodies_out_of_bounds_are_refused(kind: type, data: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest):
        decode(encode(data), kind)
