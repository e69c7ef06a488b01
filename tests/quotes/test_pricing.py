"""Totals and coverage follow from the lines, whatever the lines are."""

from decimal import Decimal
from itertools import count
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matcher.errors import InvalidRequest
from matcher.quotes.errors import NothingOffered, QuoteLinesMismatch
from matcher.quotes.pricing import Pricing, price, read_terms
from matcher.quotes.quote_schemas import QuoteLine, QuoteUpdate
from matcher.serialization import MAX_MINOR_UNITS, format_money

A, B, C = (UUID(int=n) for n in (1, 2, 3))
ASKED = {A: 1, B: 4}
KEPT = UUID(int=77)


def update(*lines: QuoteLine, currency: str = "USD", delivery_fee: str = "5.00") -> QuoteUpdate:
    return QuoteUpdate(
        lines=list(lines), delivery_fee=delivery_fee, currency=currency, estimated_delivery_minutes=45
    )


def offer(line_id: UUID, unit_price: str = "10.00", quantity: int = 1, **more: object) -> QuoteLine:
    return QuoteLine(line_id=line_id, available=True, unit_price=unit_price, quantity=quantity, **more)  # type: ignore[arg-type]  # forwards any field


def missing(line_id: UUID) -> QuoteLine:
    return QuoteLine(line_id=line_id, available=False)


def priced(
    *lines: QuoteLine, kept: dict[UUID, UUID] | None = None, asked: dict[UUID, int] = ASKED
) -> Pricing:
    ids = (UUID(int=n) for n in count(1_000))
    return price(read_terms(update(*lines)), asked, kept or {}, lambda: next(ids))


@st.composite
def orders_with_quotes(draw: st.DrawFn) -> tuple[dict[UUID, int], list[QuoteLine]]:
    ids = draw(st.lists(st.uuids(), min_size=1, max_size=6, unique=True))
    asked = {line_id: draw(st.integers(1, 9_999)) for line_id in ids}
    lines = [
        QuoteLine(
            line_id=line_id,
            available=draw(st.booleans()),
            unit_price=format_money(draw(st.integers(0, 10**7)), "USD"),
            quantity=draw(st.integers(1, quantity)),
            core_charge=draw(st.none() | st.integers(0, 10**6).map(lambda n: format_money(n, "USD"))),
        )
        for line_id, quantity in asked.items()
        for _ in range(draw(st.integers(1, 3)))
    ]
    return asked, draw(st.permutations(lines))


@given(orders_with_quotes())
def test_totals_and_coverage_follow_from_the_default_offers(
    case: tuple[dict[UUID, int], list[QuoteLine]],
) -> None:
    asked, lines = case
    defaults = {}
    for line in reversed(lines):
        if line.available:
            defaults[line.line_id] = line
    if not defaults:
        with pytest.raises(NothingOffered):
            priced(*lines, asked=asked)
        return
    result = priced(*lines, asked=asked)
    expected = sum(
        (Decimal(line.unit_price or 0) + Decimal(line.core_charge or 0)) * (line.quantity or 0)
        for line in defaults.values()
    )
    assert Decimal(result.parts_total_minor) == expected * 100
    assert result.total_minor == result.parts_total_minor + 500
    coverage = result.coverage
    assert sorted([*coverage.available, *coverage.partial, *coverage.missing]) == sorted(asked)
    assert all(defaults[line].quantity == asked[line] for line in coverage.available)
    assert all(0 < (defaults[line].quantity or 0) < asked[line] for line in coverage.partial)
    assert all(line not in defaults for line in coverage.missing)
    assert len({line.offer_id for line in result.lines}) == len(lines)


def test_first_available_offer_of_a_line_is_its_default() -> None:
    result = priced(missing(A), offer(A, "7.00"), offer(A, "3.00"), offer(B, "1.00", 4))
    assert result.parts_total_minor == 700 + 400


def test_core_charge_is_part_of_the_total() -> None:
    assert priced(offer(A), offer(B, "2.00", 3, core_charge="20.00")).parts_total_minor == 1_000 + 3 * 2_200


def test_fewer_than_asked_is_partial_and_none_is_missing() -> None:
    assert priced(missing(A), offer(B, quantity=3)).coverage.partial == [B]
    assert priced(missing(A), offer(B, quantity=3)).coverage.missing == [A]


def test_unanswered_line_is_a_mismatch() -> None:
    with pytest.raises(QuoteLinesMismatch) as refusal:
        priced(offer(A))
    assert [(e.pointer, str(B) in e.message) for e in refusal.value.errors] == [("/lines", True)]


def test_foreign_line_is_a_mismatch_at_its_place() -> None:
    with pytest.raises(QuoteLinesMismatch) as refusal:
        priced(offer(A), offer(B), offer(C))
    assert [e.pointer for e in refusal.value.errors] == ["/lines/2/lineId"]


def test_more_than_asked_is_a_mismatch() -> None:
    with pytest.raises(QuoteLinesMismatch) as refusal:
        priced(offer(A, quantity=2), offer(B))
    assert [e.pointer for e in refusal.value.errors] == ["/lines/0/quantity"]


def test_offers_keep_the_ids_that_an_edit_names() -> None:
    result = priced(offer(A, offer_id=KEPT), offer(B), kept={KEPT: A})
    assert [line.offer_id for line in result.lines] == [KEPT, UUID(int=1_000)]


@pytest.mark.parametrize(
    ("lines", "kept"),
    [
        pytest.param([offer(A, offer_id=KEPT), offer(B)], {}, id="unknown"),
        pytest.param([offer(A, offer_id=KEPT), offer(B)], {KEPT: B}, id="of another line"),
        pytest.param([offer(B), offer(A, offer_id=KEPT), offer(A, offer_id=KEPT)], {KEPT: A}, id="twice"),
    ],
)
def test_offer_id_that_the_quote_does_not_have_is_a_mismatch(
    lines: list[QuoteLine], kept: dict[UUID, UUID]
) -> None:
    with pytest.raises(QuoteLinesMismatch) as refusal:
        priced(*lines, kept=kept)
    assert refusal.value.errors[0].pointer.endswith("/offerId")


def test_nothing_available_is_no_quote() -> None:
    with pytest.raises(NothingOffered):
        priced(missing(A), missing(B))


def test_total_beyond_the_bound_is_refused() -> None:
    largest = format_money(MAX_MINOR_UNITS - 1, "USD")
    with pytest.raises(InvalidRequest) as refusal:
        priced(offer(A, largest), offer(B, "0.01", 4))
    assert refusal.value.errors[0].pointer == "/lines"


def test_every_bad_amount_is_pointed_at() -> None:
    with pytest.raises(InvalidRequest) as refusal:
        read_terms(
            update(
                offer(A, "1.999"),
                offer(B, "1e3", core_charge="-1"),
                QuoteLine(line_id=C, available=True),
                delivery_fee="٣",
            )
        )
    assert [e.pointer for e in refusal.value.errors] == [
        "/lines/0/unitPrice",
        "/lines/1/unitPrice",
        "/lines/1/coreCharge",
        "/lines/2/unitPrice",
        "/lines/2/quantity",
        "/deliveryFee",
    ]


@pytest.mark.parametrize(("currency", "shown"), [("USD", "5.00"), ("KWD", "5.000"), ("JPY", "5")])
def test_amounts_are_stored_with_all_digits_of_the_currency(currency: str, shown: str) -> None:
    terms = read_terms(update(offer(A, "5"), currency=currency, delivery_fee="0"))
    assert price(terms, {A: 1}, {}, lambda: A).lines[0].unit_price == shown
