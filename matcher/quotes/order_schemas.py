"""Bodies of the order endpoints (CONTRACT 4). Bounds stand in the types; impossible values are the service's."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from msgspec import Meta

from matcher.quotes.lifecycle import ClosedReason, DispatchStatus, OrderStatus, Priority
from matcher.quotes.quote_schemas import QuoteView
from matcher.serialization import WireStruct

Latitude = Annotated[float, Meta(ge=-90, le=90, description="WGS84 degrees")]
Longitude = Annotated[float, Meta(ge=-180, le=180, description="WGS84 degrees")]
ShortText = Annotated[str, Meta(min_length=1, max_length=120)]
LongText = Annotated[str, Meta(max_length=1000)]

Urgency = Literal["low", "normal", "high", "urgent"]
Condition = Literal["any", "new", "oem", "aftermarket", "used", "refurbished"]
PaymentMethod = Literal["cash_on_delivery", "card"]
EARLIEST_MODEL_YEAR = 1900


class Vehicle(WireStruct):
    """The vehicle that the parts are for."""

    make: Annotated[
        str, Meta(min_length=1, max_length=60, description="Any known spelling; GET /vehicle-makes")
    ]
    model: ShortText
    year: Annotated[int, Meta(ge=EARLIEST_MODEL_YEAR, le=2100)]
    vin: Annotated[str, Meta(max_length=32)] | None = None
    engine: Annotated[str, Meta(max_length=60)] | None = None


class DeliveryLocation(WireStruct):
    """Where the parts go."""

    latitude: Latitude
    longitude: Longitude
    address: Annotated[str, Meta(max_length=500)] = ""
    instructions: LongText | None = None


class PartRequest(WireStruct):
    """One line of an order: what is needed, without a price."""

    name: Annotated[str, Meta(min_length=1, max_length=200)]
    quantity: Annotated[int, Meta(ge=1, le=9999)]
    part_number: Annotated[str, Meta(max_length=80)] | None = None
    condition: Condition = "any"
    notes: LongText | None = None
    photo_ids: Annotated[tuple[UUID, ...], Meta(max_length=10)] = ()


class OrderCreate(WireStruct):
    """An order as the customer posts it."""

    vehicle: Vehicle
    delivery_location: DeliveryLocation
    parts: Annotated[list[PartRequest], Meta(min_length=1, max_length=100)]
    urgency: Urgency = "normal"
    payment_method: PaymentMethod = "cash_on_delivery"
    draft: bool = False


class OrderUpdate(WireStruct):
    """Fields of a draft to replace; those left out stay."""

    vehicle: Vehicle | None = None
    delivery_location: DeliveryLocation | None = None
    parts: Annotated[list[PartRequest], Meta(min_length=1, max_length=100)] | None = None
    urgency: Urgency | None = None
    payment_method: PaymentMethod | None = None


class CancelRequest(WireStruct):
    """Why an order is cancelled, or why the winning shop backs out (then the reason is required)."""

    reason: Annotated[str, Meta(min_length=1, max_length=500)] | None = None


class ExtendRequest(WireStruct):
    """How much longer the order stays open."""

    minutes: Annotated[int, Meta(ge=1, le=1440)]


class Tracking(WireStruct):
    """Where the delivery is."""

    carrier: Annotated[str, Meta(max_length=120)] | None = None
    number: Annotated[str, Meta(max_length=120)] | None = None
    url: Annotated[str, Meta(max_length=500, pattern=r"^https://")] | None = None
    note: LongText | None = None


class StatusUpdate(WireStruct):
    """The winning shop's progress."""

    status: Literal["processing", "shipped", "delivered"]
    tracking: Tracking | None = None


class PartLine(PartRequest, kw_only=True):
    """A line of a stored order; `line_id` is what quotes answer."""

    line_id: UUID


class DecodedVehicle(Vehicle):
    """A vehicle as stored: the canonical make, and what the VIN says."""

    vin_decoded: dict[str, Any] | None = None


class DispatchSummary(WireStruct):
    """Who was asked so far. `reason`: why nobody was (`no_shop_for_make`, `no_shop_in_range`)."""

    wave: int
    shops_notified: int
    radius_m: float | None
    reason: str | None


class OrderView(WireStruct):
    """An order as its customer sees it. `quotes` only over HTTP: on a socket they are entities of their own."""

    id: UUID
    order_number: str
    user_id: UUID
    status: OrderStatus
    priority: Priority
    urgency: Urgency
    currency: str
    vehicle: DecodedVehicle
    delivery_location: DeliveryLocation
    parts: list[PartLine]
    quotes: list[QuoteView]
    selected_quote_id: UUID | None
    payment_method: PaymentMethod
    payment_status: str
    tracking: Tracking | None
    dispatch: DispatchSummary
    cancel_reason: str | None
    created_at: datetime
    submitted_at: datetime | None
    expires_at: datetime | None
    accepted_at: datetime | None
    updated_at: datetime
    version: int


class ShownLocation(WireStruct):
    """A place as a shop may see it: a cell's centre with `precision_m` until it has won, then the address."""

    latitude: Latitude
    longitude: Longitude
    precision_m: int | None = None
    address: str | None = None
    instructions: str | None = None


class Contact(WireStruct):
    """The customer, for the winner."""

    name: str
    phone: str | None


class DispatchView(WireStruct):
    """An order as one shop that was asked sees it. `distance_m` is measured from the shown place until won."""

    id: UUID
    order_id: UUID
    order_number: str
    order_status: str
    vehicle: DecodedVehicle
    parts: list[PartLine]
    delivery_location: ShownLocation
    contact: Contact | None
    currency: str
    priority: Priority
    expires_at: datetime
    distance_m: float
    estimated_delivery: datetime
    rank: int
    wave: int
    status: DispatchStatus
    closed_reason: ClosedReason | None
    dispatched_at: datetime
    seen_at: datetime | None
    responded_at: datetime | None
    version: int


class Reason(WireStruct):
    """One term of the score that ranked a shop within its wave."""

    term: str
    value: float
    weight: float


class DispatchExplanation(WireStruct):
    """Why a shop was asked, and what it did."""

    shop_id: UUID
    shop_name: str
    wave: int
    rank: int
    distance_m: float
    status: DispatchStatus
    closed_reason: ClosedReason | None
    reasons: list[Reason]
    dispatched_at: datetime
    seen_at: datetime | None
    responded_at: datetime | None


class DispatchList(WireStruct):
    """Every shop asked, in the order of waves and ranks."""

    items: list[DispatchExplanation]
