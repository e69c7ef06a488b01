"""Request and response bodies of shops. Bounds and forms stand here; what needs knowledge is checked by services."""

from datetime import datetime
from typing import Annotated, Any, Literal, TypeAlias
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from matcher.serialization import WireStruct
from matcher.shops.hours import MAX_EXCEPTIONS, HoursException, OpeningHours

Latitude: TypeAlias = Annotated[float, msgspec.Meta(ge=-90, le=90)]
Longitude: TypeAlias = Annotated[float, msgspec.Meta(ge=-180, le=180)]
# At least one character that is not space, no control characters. `$` would let one newline follow.
Name: TypeAlias = Annotated[
    str, msgspec.Meta(max_length=200, pattern=r"^[^\x00-\x1f]*[^\s\x00-\x1f][^\x00-\x1f]*$(?!\n)")
]
Number: TypeAlias = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
# Digits of any script with the usual punctuation: people write numbers as they call them.
Phone: TypeAlias = Annotated[str, msgspec.Meta(max_length=32, pattern=r"^\+?[\d ()./-]{5,31}$(?!\n)")]
Email: TypeAlias = Annotated[str, msgspec.Meta(max_length=254, pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$(?!\n)")]
Address: TypeAlias = Annotated[str, msgspec.Meta(min_length=1, max_length=500)]
RadiusM: TypeAlias = Annotated[float, msgspec.Meta(gt=0, le=200_000)]
TimeZone: TypeAlias = Annotated[str, msgspec.Meta(max_length=64)]
Makes: TypeAlias = Annotated[
    list[Annotated[str, msgspec.Meta(min_length=1, max_length=64)]],
    msgspec.Meta(min_length=1, max_length=300),
]
Exceptions: TypeAlias = Annotated[tuple[HoursException, ...], msgspec.Meta(max_length=MAX_EXCEPTIONS)]
Currency: TypeAlias = Annotated[str, msgspec.Meta(max_length=3, pattern=r"^[A-Z]{3}$")]
Percent: TypeAlias = Annotated[float, msgspec.Meta(ge=0, le=1000)]
InventoryMode: TypeAlias = Literal["manual", "sync"]
Reason: TypeAlias = Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]


class StartOnboarding(WireStruct):
    """Start an onboarding; with `claim_shop_id`, to claim an imported shop."""

    claim_shop_id: UUID | None = None


class BusinessInfo(WireStruct):
    """Step 1."""

    name: Name
    phone: Phone
    registration_number: Number | None = None
    tax_id: Number | None = None
    email: Email | None = None


class LocationInfo(WireStruct):
    """Step 2: where the shop is and where it delivers: either a radius or a GeoJSON polygon."""

    latitude: Latitude
    longitude: Longitude
    address: Address
    time_zone: TimeZone
    delivery_radius_m: RadiusM | None = None
    service_area: dict[str, Any] | None = None
    ships_beyond_area: bool = False
    opening_hours: OpeningHours | None = None


class VehicleBrands(WireStruct):
    """Step 3: makes by any known spelling."""

    supported_brands: Makes


class InventorySetup(WireStruct):
    """Step 4."""

    mode: InventoryMode


class PricingStrategy(WireStruct):
    """Step 5."""

    currency: Currency
    default_markup_percent: Percent | None = None
    auto_quote: bool = False


class Verification(WireStruct):
    """Step 6: the caller's own uploads."""

    document_ids: Annotated[list[UUID], msgspec.Meta(max_length=10)] = msgspec.field(default_factory=list)


class OnboardingView(WireStruct):
    """An onboarding as its owner sees it; `steps` holds the bodies given so far by name."""

    id: UUID
    status: str
    current_step: int
    completed_steps: list[int]
    steps: dict[str, Any]
    claim_shop_id: UUID | None
    shop_id: UUID | None
    created_at: datetime
    updated_at: datetime
    version: int


class CompletedOnboarding(WireStruct):
    """What completing an onboarding made."""

    id: UUID
    status: Literal["completed"]
    shop_id: UUID
    shop_status: str


class Review(WireStruct):
    """Why a shop is rejected or suspended; its people read it."""

    reason: Reason


class ShopUpdate(WireStruct):
    """What a shop changes about itself; a field that is not sent stays as it is.

    `latitude` and `longitude` go together. `delivery_radius_m` and `service_area` replace each other.
    `opening_hours: null` is unknown, `paused_until: null` ends a pause.
    """

    phone: Phone | UnsetType = UNSET
    email: Email | UnsetType | None = UNSET
    latitude: Latitude | UnsetType = UNSET
    longitude: Longitude | UnsetType = UNSET
    address: Address | UnsetType = UNSET
    delivery_radius_m: RadiusM | UnsetType = UNSET
    service_area: dict[str, Any] | UnsetType = UNSET
    ships_beyond_area: bool | UnsetType = UNSET
    supported_brands: Makes | UnsetType = UNSET
    time_zone: TimeZone | UnsetType = UNSET
    opening_hours: OpeningHours | UnsetType | None = UNSET
    hours_exceptions: Exceptions | UnsetType = UNSET
    paused_until: Annotated[datetime, msgspec.Meta(tz=True)] | UnsetType | None = UNSET
    inventory_mode: InventoryMode | UnsetType = UNSET
    currency: Currency | UnsetType = UNSET
    default_markup_percent: Percent | UnsetType | None = UNSET
    auto_quote: bool | UnsetType = UNSET


class PlaceView(WireStruct):
    """A place in WGS84 degrees."""

    latitude: float
    longitude: float


class ShopView(WireStruct):
    """A shop as its own people see it."""

    id: UUID
    status: str
    name: str
    kind: str
    place: PlaceView
    address: str
    phone: str | None
    email: str | None
    registration_number: str | None
    tax_id: str | None
    supported_brands: list[str]
    makes_generated: bool
    delivery_radius_m: float | None
    service_area: dict[str, Any] | None
    ships_beyond_area: bool
    time_zone: str
    opening_hours: OpeningHours | None
    hours_exceptions: list[HoursException]
    open_now: bool | None
    paused_until: datetime | None
    inventory_mode: str | None
    currency: str | None
    default_markup_percent: float | None
    auto_quote: bool
    rating: float | None
    reply_rate: float | None
    review_reason: str | None
    created_at: datetime
    updated_at: datetime
    version: int


class AdminShopView(ShopView):
    """A shop as an admin sees it: with its owner, its documents and where it came from."""

    owner_id: UUID | None
    document_ids: list[UUID]
    source: str
    source_ref: str | None
    reviewed_by: UUID | None


class ShopProfile(WireStruct):
    """A shop as anybody sees it. An unclaimed shop has no phone and takes no orders yet."""

    id: UUID
    status: str
    name: str
    kind: str
    place: PlaceView
    address: str
    phone: str | None
    supported_brands: list[str]
    time_zone: str
    opening_hours: OpeningHours | None
    hours_exceptions: list[HoursException]
    open_now: bool | None
    rating: float | None
    reply_rate: float | None


class NearShop(WireStruct):
    """A shop near a place."""

    id: UUID
    status: str
    name: str
    place: PlaceView
    distance_m: int
    rating: float | None
    open_now: bool | None


class NearShops(WireStruct):
    """The nearest shops, nearest first; one page."""

    items: list[NearShop]
    next_cursor: str | None = None


class MakeView(WireStruct):
    """A vehicle make; any of its spellings is understood."""

    slug: str
    name: str
    name_ar: str
    aliases: list[str]


class VehicleMakes(WireStruct):
    """All makes, in order of their slugs; one page."""

    items: list[MakeView]
    next_cursor: str | None = None


class UploadView(WireStruct):
    """A stored file."""

    id: UUID
    content_type: str
    size_bytes: int
