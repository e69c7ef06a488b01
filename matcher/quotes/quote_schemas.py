"""Bodies of the quote endpoints (CONTRACT 5). Bounds stand in the types.

Amounts stay strings here: which digits they may have depends on the currency, so `pricing` reads them.
"""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from msgspec import Meta

from matcher.quotes.lifecycle import QuoteStatus
from matcher.serialization import WireStruct

MAX_LINES = 300  # three alternatives for each of the 100 parts that an order may have
MAX_QUANTITY = 9_999
MAX_DELIVERY_MINUTES = 30 * 24 * 60
MAX_WARRANTY_MONTHS = 600

Amount = Annotated[str, Meta(min_length=1, max_length=20, description='Decimal string such as "45.00"')]
# The length too: in a pattern `$` also matches before a last line break.
Currency = Annotated[str, Meta(pattern="^[A-Z]{3}$", max_length=3, description="ISO 4217; the order's")]
ShortText = Annotated[str, Meta(min_length=1, max_length=100)]
Reason = Annotated[str, Meta(min_length=1, max_length=500)]


class QuoteLine(WireStruct):
    """One offer for one line of the order. Several for a line are alternatives; the first available is the default."""

    line_id: UUID
    available: bool
    offer_id: UUID | None = None  # an edit names the offers that it keeps; new ones get an id here
    unit_price: Amount | None = None  # with `quantity` required when available
    quantity: Annotated[int, Meta(ge=1, le=MAX_QUANTITY)] | None = None
    brand: ShortText | None = None
    part_number: ShortText | None = None
    condition: Literal["new", "oem", "aftermarket", "used", "refurbished"] | None = None
    warranty_months: Annotated[int, Meta(ge=0, le=MAX_WARRANTY_MONTHS)] | None = None
    core_charge: Amount | None = None  # deposit for each old part, given back when it is returned
    photo_ids: Annotated[tuple[UUID, ...], Meta(max_length=10)] = ()


class QuoteUpdate(WireStruct):
    """A quote's terms: the body of an edit, which replaces all of them."""

    lines: Annotated[list[QuoteLine], Meta(min_length=1, max_length=MAX_LINES)]
    delivery_fee: Amount
    currency: Currency
    estimated_delivery_minutes: Annotated[int, Meta(ge=0, le=MAX_DELIVERY_MINUTES)]
    pickup: bool = False
    # null: as long as the order is open, extensions included
    valid_until: Annotated[datetime, Meta(tz=True)] | None = None
    notes: Annotated[str, Meta(max_length=1_000)] | None = None


class QuoteCreate(QuoteUpdate, kw_only=True):
    """A quote for an order that was dispatched to the caller's shop."""

    order_id: UUID


class DeclineRequest(WireStruct):
    """The shop will not quote this order."""

    order_id: UUID
    reason: Reason


class SeenRequest(WireStruct):
    """Somebody of the shop has looked at this order."""

    order_id: UUID


class AcceptQuote(WireStruct):
    """The quote that the customer takes, at the version that the customer saw."""

    quote_id: UUID
    quote_version: Annotated[int, Meta(ge=1, le=2**53)]


class OfferedLine(QuoteLine, kw_only=True):
    """A line of a quote as it is stored and shown: what was offered, with its offer's id."""

    offer_id: UUID


class QuoteView(WireStruct):
    """A quote as its shop and the customer see it (`views.quote_view`). Totals count each line's default offer."""

    id: UUID
    order_id: UUID
    shop_id: UUID
    shop_name: str
    status: QuoteStatus
    source: Literal["manual", "stock"]
    currency: str
    tax_included: bool
    lines: list[OfferedLine]
    parts_total: str
    delivery_fee: str
    total_price: str
    available_parts: list[UUID]
    partial_parts: list[UUID]
    missing_parts: list[UUID]
    estimated_delivery_minutes: int
    estimated_delivery: datetime
    pickup: bool
    notes: str | None
    valid_until: datetime | None
    created_at: datetime
    updated_at: datetime
    version: int
