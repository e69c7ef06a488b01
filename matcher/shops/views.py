"""Shops as their own people, admins and the public see them. Pure: the moment for `openNow` is passed in."""

from datetime import datetime
from typing import Any

from matcher.db import Row
from matcher.geo.service_area import PolygonArea, RadiusArea
from matcher.geo.types import Place
from matcher.shops.hours import is_open
from matcher.shops.schemas import AdminShopView, OnboardingView, PlaceView, ShopProfile, ShopView
from matcher.shops.shop import Shop
from matcher.vehicles.makes import find_make


def shop_view(shop: Shop, now: datetime) -> ShopView:
    """For the shop's own people."""
    return ShopView(**_own_fields(shop, now))


def admin_view(shop: Shop, now: datetime) -> AdminShopView:
    """For admins."""
    return AdminShopView(
        **_own_fields(shop, now),
        owner_id=shop.owner_id,
        document_ids=list(shop.document_ids),
        source=shop.source,
        source_ref=shop.source_ref,
        reviewed_by=shop.reviewed_by,
    )


def profile_view(shop: Shop, now: datetime) -> ShopProfile:
    """For anybody."""
    return ShopProfile(
        id=shop.id,
        status=shop.status,
        name=shop.name,
        kind=shop.kind,
        place=place_view(shop.place),
        address=shop.address,
        phone=shop.phone if shop.status == "active" else None,
        supported_brands=make_names(shop),
        time_zone=shop.time_zone,
        opening_hours=shop.opening_hours,
        hours_exceptions=list(shop.hours_exceptions),
        open_now=is_open(shop.opening_hours, shop.hours_exceptions, shop.time_zone, now),
        rating=shop.rating,
        reply_rate=shop.reply_rate,
    )


def onboarding_view(row: Row) -> OnboardingView:
    """For the account that does the onboarding."""
    return OnboardingView(
        id=row["id"],
        status=row["status"],
        current_step=row["current_step"],
        completed_steps=list(row["completed_steps"]),
        steps=row["steps"],
        claim_shop_id=row["claim_shop_id"],
        shop_id=row["shop_id"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        version=row["version"],
    )


def place_view(place: Place) -> PlaceView:
    """A place on the wire."""
    return PlaceView(latitude=place.latitude, longitude=place.longitude)


def make_names(shop: Shop) -> list[str]:
    """The shop's makes by name; a slug that the table of makes no longer knows stays a slug."""
    return [make.name if (make := find_make(slug)) else slug for slug in shop.makes]


def _own_fields(shop: Shop, now: datetime) -> dict[str, Any]:
    return {
        "id": shop.id,
        "status": shop.status,
        "name": shop.name,
        "kind": shop.kind,
        "place": place_view(shop.place),
        "address": shop.address,
        "phone": shop.phone,
        "email": shop.email,
        "registration_number": shop.registration_number,
        "tax_id": shop.tax_id,
        "supported_brands": make_names(shop),
        "makes_generated": shop.makes_generated,
        "delivery_radius_m": shop.area.radius_m if isinstance(shop.area, RadiusArea) else None,
        "service_area": shop.area.to_geojson() if isinstance(shop.area, PolygonArea) else None,
        "ships_beyond_area": shop.ships_beyond_area,
        "time_zone": shop.time_zone,
        "opening_hours": shop.opening_hours,
        "hours_exceptions": list(shop.hours_exceptions),
        "open_now": is_open(shop.opening_hours, shop.hours_exceptions, shop.time_zone, now),
        "paused_until": shop.paused_until,
        "inventory_mode": shop.inventory_mode,
        "currency": shop.currency,
        "default_markup_percent": shop.pricing.default_markup_percent,
        "auto_quote": shop.pricing.auto_quote,
        "rating": shop.rating,
        "reply_rate": shop.reply_rate,
        "review_reason": shop.review_reason,
        "created_at": shop.created_at,
        "updated_at": shop.updated_at,
        "version": shop.version,
    }
