"""`Shop`: one row of the directory as a value, with the columns that are computed from others.

Must not know SQL or the wire.
"""

from datetime import datetime
from uuid import UUID

import msgspec

from matcher.geo.cells import cell_of
from matcher.geo.service_area import Area, reach_m
from matcher.geo.types import Place
from matcher.shops.hours import HoursException, OpeningHours
from matcher.shops.lifecycle import Status

# What shops enter by hand; every other `source` is an import.
ONBOARDING = "onboarding"

COARSE_RESOLUTION = 5
FINE_RESOLUTION = 8


class Pricing(msgspec.Struct, frozen=True, rename="camel"):
    """How the shop prices: percent on top of its own cost, and whether its stock quotes by itself."""

    default_markup_percent: float | None = None
    auto_quote: bool = False


class Shop(msgspec.Struct, frozen=True, kw_only=True):
    """A shop as it is stored. `makes` are slugs, sorted; `version` 0 has never been saved."""

    id: UUID
    status: Status
    name: str
    place: Place
    area: Area
    source: str = ONBOARDING
    source_ref: str | None = None
    owner_id: UUID | None = None
    kind: str = "car_parts"
    chain: str | None = None
    registration_number: str | None = None
    tax_id: str | None = None
    phone: str | None = None
    email: str | None = None
    address: str = ""
    country: str | None = None
    time_zone: str = "UTC"
    opening_hours: OpeningHours | None = None
    hours_exceptions: tuple[HoursException, ...] = ()
    ships_beyond_area: bool = False
    paused_until: datetime | None = None
    inventory_mode: str | None = None
    currency: str | None = None
    pricing: Pricing = Pricing()
    document_ids: tuple[UUID, ...] = ()
    makes: tuple[str, ...] = ()
    makes_generated: bool = False
    rating: float | None = None
    reply_rate: float | None = None
    review_reason: str | None = None
    reviewed_by: UUID | None = None
    version: int = 0
    created_at: datetime | None = None
    updated_at: datetime | None = None

    @property
    def imported(self) -> bool:
        """Whether the shop came from a data set, not from its owner."""
        return self.source != ONBOARDING

    @property
    def service_reach_m(self) -> float:
        """Upper bound of the distance to any place that the shop serves."""
        return reach_m(self.area, self.place)


def h3_cells(place: Place) -> tuple[int, int]:
    """The place's cells at the two stored resolutions. Ids have a zero top bit, so they fit a signed bigint."""
    return cell_of(place, COARSE_RESOLUTION), cell_of(place, FINE_RESOLUTION)
