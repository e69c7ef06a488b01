"""What a quote costs and how much of the order it covers. Pure: wire terms in, amounts and coverage out.

Amounts are minor units of the quote's currency. A core charge is a deposit that the customer pays with
the part and gets back later; it counts in the totals, because the total is what the customer hands over.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

import msgspec

from matcher.errors import FieldError, InvalidRequest
from matcher.quotes.errors import NothingOffered, QuoteLinesMismatch
from matcher.quotes.quote_schemas import OfferedLine, QuoteLine, QuoteUpdate
from matcher.serialization import MAX_MINOR_UNITS, format_money, parse_money


class Amounts(NamedTuple):
    """The amounts of one offer, in minor units; zero where none was named."""

    unit_price_minor: int
    core_charge_minor: int


class Terms(NamedTuple):
    """A quote's terms with every amount read; `amounts[i]` belongs to `lines[i]`."""

    lines: Sequence[QuoteLine]
    amounts: Sequence[Amounts]
    delivery_fee_minor: int
    currency: str


class Coverage(msgspec.Struct, frozen=True):
    """Lines of the order by how much of the asked quantity the default offer covers, in the order's sequence."""

    available: list[UUID]
    partial: list[UUID]
    missing: list[UUID]


class Pricing(NamedTuple):
    """What is derived of a quote: its lines as they are stored, its coverage and its totals."""

    lines: list[OfferedLine]
    coverage: Coverage
    parts_total_minor: int
    delivery_fee_minor: int

    @property
    def total_minor(self) -> int:
        """What the customer hands over."""
        return self.parts_total_minor + self.delivery_fee_minor


def read_terms(terms: QuoteUpdate) -> Terms:
    """Read every amount and what an available line must name; InvalidRequest points at all bad fields."""
    errors: list[FieldError] = []

    def read(text: str | None, pointer: str) -> int:
        if text is None:
            return 0
        try:
            return parse_money(text, terms.currency, pointer)
        except InvalidRequest as error:
            errors.extend(error.errors)
            return 0

    amounts = []
    for i, line in enumerate(terms.lines):
        amounts.append(
            Amounts(
                read(line.unit_price, f"/lines/{i}/unitPrice"),
                read(line.core_charge, f"/lines/{i}/coreCharge"),
            )
        )
        if line.available and line.unit_price is None:
            errors.append(FieldError(f"/lines/{i}/unitPrice", "an available line needs a price"))
        if line.available and line.quantity is None:
            errors.append(FieldError(f"/lines/{i}/quantity", "an available line needs a quantity"))
    delivery_fee_minor = read(terms.delivery_fee, "/deliveryFee")
    if errors:
        raise InvalidRequest(errors=errors)
    return Terms(terms.lines, amounts, delivery_fee_minor, terms.currency)


def price(
    terms: Terms,
    asked: Mapping[UUID, int],
    kept: Mapping[UUID, UUID],
    new_id: Callable[[], UUID],
) -> Pricing:
    """Derive lines, coverage and totals of a quote for an order that asked for `asked` (line -> quantity).

    `kept` maps the offer ids that the edited quote has to their lines; other offers get a `new_id()`.
    QuoteLinesMismatch when the lines are not the order's, NothingOffered when none is available,
    InvalidRequest when the total is beyond what an amount may be.
    """
    if errors := [*_line_errors(terms.lines, asked), *_offer_id_errors(terms.lines, kept)]:
        raise QuoteLinesMismatch(errors=errors)
    defaults = _defaults(terms.lines)
    if not defaults:
        raise NothingOffered
    parts_total_minor = sum(sum(terms.amounts[i]) * (terms.lines[i].quantity or 0) for i in defaults.values())
    if parts_total_minor + terms.delivery_fee_minor >= MAX_MINOR_UNITS:
        raise InvalidRequest(errors=[FieldError("/lines", "the total is out of bounds")])
    return Pricing(
        [_offered(terms, i, new_id) for i in range(len(terms.lines))],
        _coverage(terms.lines, defaults, asked),
        parts_total_minor,
        terms.delivery_fee_minor,
    )


def _line_errors(lines: Sequence[QuoteLine], asked: Mapping[UUID, int]) -> list[FieldError]:
    errors = []
    for i, line in enumerate(lines):
        if line.line_id not in asked:
            errors.append(FieldError(f"/lines/{i}/lineId", "the order has no such line"))
        elif line.available and (line.quantity or 0) > asked[line.line_id]:
            # The default offer is bought as it stands: nobody may be sold more than was asked for.
            message = f"the order asks for {asked[line.line_id]}; offer no more"
            errors.append(FieldError(f"/lines/{i}/quantity", message))
    answered = {line.line_id for line in lines}
    errors += [FieldError("/lines", f"line {line} is not answered") for line in asked if line not in answered]
    return errors


def _offer_id_errors(lines: Sequence[QuoteLine], kept: Mapping[UUID, UUID]) -> list[FieldError]:
    errors = []
    named: set[UUID] = set()
    for i, line in enumerate(lines):
        if line.offer_id is None:
            continue
        if line.offer_id in named:
            errors.append(FieldError(f"/lines/{i}/offerId", "another line names this offer already"))
        elif kept.get(line.offer_id) != line.line_id:
            errors.append(FieldError(f"/lines/{i}/offerId", "the quote has no such offer for this line"))
        named.add(line.offer_id)
    return errors


def _defaults(lines: Sequence[QuoteLine]) -> dict[UUID, int]:
    """Each offered line's default: the position of its first available offer."""
    defaults: dict[UUID, int] = {}
    for i, line in enumerate(lines):
        if line.available:
            defaults.setdefault(line.line_id, i)
    return defaults


def _coverage(
    lines: Sequence[QuoteLine], defaults: Mapping[UUID, int], asked: Mapping[UUID, int]
) -> Coverage:
    coverage = Coverage([], [], [])
    for line_id, quantity in asked.items():
        if line_id not in defaults:
            coverage.missing.append(line_id)
        elif (lines[defaults[line_id]].quantity or 0) < quantity:
            coverage.partial.append(line_id)
        else:
            coverage.available.append(line_id)
    return coverage


def _offered(terms: Terms, i: int, new_id: Callable[[], UUID]) -> OfferedLine:
    line, (unit_price_minor, core_charge_minor) = terms.lines[i], terms.amounts[i]
    fields = {name: getattr(line, name) for name in QuoteLine.__struct_fields__}
    # Written with all digits of the currency, so that "45" and "45.00" are shown alike.
    fields["unit_price"] = line.unit_price and format_money(unit_price_minor, terms.currency)
    fields["core_charge"] = line.core_charge and format_money(core_charge_minor, terms.currency)
    fields["offer_id"] = line.offer_id or new_id()
    return OfferedLine(**fields)
