"""The six steps of an onboarding: their bodies, the rules of each, and the shop that they add up to. Pure.

Must not know SQL or who calls; whether documents are the caller's own is checked by the service.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias
from uuid import UUID

import msgspec

from matcher.errors import FieldError, InvalidRequest, NotFound
from matcher.geo.service_area import Area, InvalidServiceArea, parse_service_area, radius_area
from matcher.geo.types import checked_place
from matcher.serialization import convert
from matcher.shops.errors import OnboardingIncomplete
from matcher.shops.hours import check_hours, check_time_zone
from matcher.shops.schemas import (
    BusinessInfo,
    InventorySetup,
    LocationInfo,
    PricingStrategy,
    VehicleBrands,
    Verification,
)
from matcher.shops.shop import Pricing, Shop
from matcher.vehicles.errors import UnknownMake
from matcher.vehicles.makes import get_make

StepBody: TypeAlias = (
    BusinessInfo | LocationInfo | VehicleBrands | InventorySetup | PricingStrategy | Verification
)

# Step n is STEPS[n - 1]: its name in `steps`, and its body.
STEPS: tuple[tuple[str, type[StepBody]], ...] = (
    ("businessInfo", BusinessInfo),
    ("locationInfo", LocationInfo),
    ("vehicleBrands", VehicleBrands),
    ("inventorySetup", InventorySetup),
    ("pricingStrategy", PricingStrategy),
    ("verification", Verification),
)


class Progress(msgspec.Struct, frozen=True):
    """How far an onboarding is: `steps` holds the bodies by name, as they are shown and stored."""

    steps: dict[str, Any]
    completed_steps: tuple[int, ...] = ()

    @property
    def missing_steps(self) -> tuple[int, ...]:
        """The steps still to do, in order."""
        return tuple(n for n in range(1, len(STEPS) + 1) if n not in self.completed_steps)

    @property
    def current_step(self) -> int:
        """The first step still to do; the last one when nothing is."""
        return next(iter(self.missing_steps), len(STEPS))

    def with_step(self, step: int, body: StepBody) -> "Progress":
        """The progress after a checked body was given (again) for `step`."""
        name, _ = STEPS[step - 1]
        return Progress(
            steps=self.steps | {name: msgspec.to_builtins(body)},
            completed_steps=tuple(sorted({*self.completed_steps, step})),
        )


def step_body(step: int) -> type[StepBody]:
    """The body of a step. Raises NotFound."""
    if not 1 <= step <= len(STEPS):
        raise NotFound(f"An onboarding has the steps 1 to {len(STEPS)}.")
    return STEPS[step - 1][1]


def check_step(body: StepBody) -> StepBody:
    """The body with its makes by their canonical names. Raises what the field deserves."""
    if isinstance(body, LocationInfo):
        checked_place(body.latitude, body.longitude)
        check_time_zone(body.time_zone, "/timeZone")
        area_of(body.delivery_radius_m, body.service_area)
        if body.opening_hours:
            check_hours(body.opening_hours, "/openingHours")
    elif isinstance(body, VehicleBrands):
        names = [get_make(slug).name for slug in make_slugs(body.supported_brands)]
        return VehicleBrands(supported_brands=names)
    elif isinstance(body, Verification) and len(set(body.document_ids)) < len(body.document_ids):
        raise InvalidRequest(errors=[FieldError("/documentIds", "each document once")])
    return body


def area_of(delivery_radius_m: float | None, service_area: Mapping[str, Any] | None) -> Area:
    """The area from exactly one of the two. Raises InvalidRequest or InvalidServiceArea."""
    if (delivery_radius_m is None) == (service_area is None):
        raise InvalidRequest(
            errors=[FieldError("/deliveryRadiusM", "give either deliveryRadiusM or serviceArea")]
        )
    if service_area is None:
        assert delivery_radius_m is not None
        return radius_area(delivery_radius_m)
    try:
        return parse_service_area(dict(service_area))
    except InvalidServiceArea as error:
        raise InvalidServiceArea(
            error.detail, errors=[FieldError("/serviceArea", error.detail)], extra=error.extra
        ) from error


def make_slugs(texts: Sequence[str]) -> tuple[str, ...]:
    """Slugs of makes in any known spelling, sorted, each once. Raises UnknownMake, which points at the text."""
    slugs: set[str] = set()
    for number, text in enumerate(texts):
        try:
            slugs.add(get_make(text).slug)
        except UnknownMake as error:
            field = FieldError(f"/supportedBrands/{number}", error.detail)
            raise UnknownMake(error.detail, errors=[field], extra=error.extra) from error
    return tuple(sorted(slugs))


def assemble(progress: Progress, *, owner_id: UUID, shop_id: UUID, claimed: Shop | None) -> Shop:
    """The shop that the steps describe, waiting for verification; step data replace what was imported.

    Raises OnboardingIncomplete, whose `missingSteps` names the steps still to do.
    """
    if missing := progress.missing_steps:
        names = [STEPS[n - 1][0] for n in missing]
        raise OnboardingIncomplete(f"Steps are missing: {', '.join(names)}.", extra={"missingSteps": names})
    business = convert(progress.steps["businessInfo"], BusinessInfo)
    location = convert(progress.steps["locationInfo"], LocationInfo)
    brands = convert(progress.steps["vehicleBrands"], VehicleBrands)
    inventory = convert(progress.steps["inventorySetup"], InventorySetup)
    pricing = convert(progress.steps["pricingStrategy"], PricingStrategy)
    verification = convert(progress.steps["verification"], Verification)
    place = checked_place(location.latitude, location.longitude)
    area = area_of(location.delivery_radius_m, location.service_area)
    base = claimed or Shop(id=shop_id, status="pending_verification", name="", place=place, area=area)
    return msgspec.structs.replace(
        base,
        status="pending_verification",
        owner_id=owner_id,
        name=business.name.strip(),
        phone=business.phone,
        email=business.email,
        registration_number=business.registration_number,
        tax_id=business.tax_id,
        place=place,
        area=area,
        address=location.address,
        time_zone=location.time_zone,
        # An owner who names no hours has not said that the imported ones are wrong.
        opening_hours=location.opening_hours or base.opening_hours,
        ships_beyond_area=location.ships_beyond_area,
        makes=make_slugs(brands.supported_brands),
        makes_generated=False,
        inventory_mode=inventory.mode,
        currency=pricing.currency,
        pricing=Pricing(default_markup_percent=pricing.default_markup_percent, auto_quote=pricing.auto_quote),
        document_ids=tuple(verification.document_ids),
        review_reason=None,
        reviewed_by=None,
    )
