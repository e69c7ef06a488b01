"""Shops after onboarding: what their people change, what admins decide, what the public sees.

Owns those transactions; the states are `lifecycle.py`, the forms `views.py`.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import UUID

import msgspec
from msgspec import UNSET

from matcher.accounts.access import Caller
from matcher.audit import Kind, record
from matcher.clock import utc_now
from matcher.db import Connection
from matcher.errors import FieldError, InvalidRequest, NotFound, VersionConflict
from matcher.geo.service_area import Area
from matcher.geo.types import Place, checked_place
from matcher.paging import Page, decode_cursor, page_of
from matcher.shops import repository
from matcher.shops.directory import ShopDirectory
from matcher.shops.hours import check_exceptions, check_hours, check_time_zone
from matcher.shops.lifecycle import LISTED, Review, check_may_change, reviewed
from matcher.shops.onboarding import area_of, make_slugs
from matcher.shops.schemas import AdminShopView, NearShop, NearShops, ShopProfile, ShopUpdate, ShopView
from matcher.shops.shop import Shop
from matcher.shops.views import admin_view, place_view, profile_view, shop_view
from matcher.transactions import IdempotentCall, Reply, Transaction, Transactions
from matcher.vehicles.makes import get_make

# A longer pause is a shop that has closed.
MAX_PAUSE = timedelta(days=366)
ON_RECORD: dict[Review, Kind] = {
    "verify": Kind.SHOP_VERIFIED,
    "reject": Kind.SHOP_REJECTED,
    "suspend": Kind.SHOP_SUSPENDED,
    "reactivate": Kind.SHOP_REACTIVATED,
}


class ShopService:
    """See the module."""

    def __init__(
        self,
        transactions: Transactions,
        directory: ShopDirectory,
        *,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._transactions = transactions
        self._directory = directory
        self._clock = clock

    async def get(self, shop_id: UUID) -> ShopView:
        """For the shop's own people, whom the route has let in. Raises NotFound."""
        return shop_view(_found(await repository.find_shop(self._transactions.pool, shop_id)), self._clock())

    async def get_profile(self, shop_id: UUID) -> ShopProfile:
        """For anybody. Raises NotFound for a shop that is not listed."""
        shop = _found(await repository.find_shop(self._transactions.pool, shop_id))
        if shop.status not in LISTED:
            raise NotFound
        return profile_view(shop, self._clock())

    async def update(self, shop_id: UUID, update: ShopUpdate, expected_version: int | None) -> Reply:
        """A ShopView after an active shop changed itself.

        Raises NotFound, VersionConflict, ShopStateConflict, and what the fields' checks raise.
        """

        async def work(tx: Transaction) -> ShopView:
            shop = await _lock(tx.connection, shop_id)
            if expected_version not in (None, shop.version):
                raise VersionConflict
            check_may_change(shop.status)
            now = await repository.now(tx.connection)
            changed = apply_update(shop, update, now)
            return shop_view(await repository.save_shop(tx.connection, changed), now)

        return await self._transactions.run(work)

    async def review(
        self,
        caller: Caller,
        shop_id: UUID,
        review: Review,
        *,
        reason: str | None = None,
        call: IdempotentCall | None = None,
    ) -> Reply:
        """An AdminShopView after an admin's decision. Raises NotFound, ShopStateConflict."""

        async def work(tx: Transaction) -> AdminShopView:
            shop = await _lock(tx.connection, shop_id)
            decided = msgspec.structs.replace(
                shop,
                status=reviewed(shop.status, review),
                review_reason=reason,
                reviewed_by=caller.user_id,
            )
            saved = await repository.save_shop(tx.connection, decided)
            if review == "verify":
                await repository.fail_other_claims(tx.connection, shop_id)
            detail = {"shopId": str(shop_id), "reason": reason or ""}
            await record(tx.connection, ON_RECORD[review], caller.user_id, detail)
            return admin_view(saved, await repository.now(tx.connection))

        return await self._transactions.run(work, call=call)

    async def list_shops(self, status: str | None, limit: int, cursor: str | None) -> Page[AdminShopView]:
        """A page of shops of a status (None: any), for admins, oldest first. Raises InvalidCursor."""
        shops = await repository.list_shops(self._transactions.pool, status, decode_cursor(cursor), limit + 1)
        now = self._clock()
        return page_of(shops, limit, lambda shop: admin_view(shop, now), lambda shop: shop.id)

    def list_near(self, place: Place, make: str, limit: int) -> NearShops:
        """The nearest shops that would be asked for parts of a make at a place. Raises UnknownMake."""
        now = self._clock()
        candidates = self._directory.nearest(get_make(make).slug, place, limit, now_s=now.timestamp())
        items = []
        for candidate in candidates:
            shop = self._directory.get(candidate.shop_id)
            assert shop is not None, "the directory has just named it"
            items.append(
                NearShop(
                    id=shop.id,
                    status=shop.status,
                    name=shop.name,
                    place=place_view(shop.place),
                    distance_m=candidate.distance_mm // 1000,
                    rating=shop.rating,
                    open_now=candidate.open_now,
                )
            )
        return NearShops(items=items)

    async def list_near_unclaimed(self, place: Place, make: str | None, limit: int) -> NearShops:
        """The nearest imported shops that wait for their owner. Raises UnknownMake."""
        slug = get_make(make).slug if make is not None else None
        found = await repository.list_near_unclaimed(self._transactions.pool, place, slug, limit)
        now = self._clock()
        items = []
        for shop, distance_m in found:
            profile = profile_view(shop, now)
            items.append(
                NearShop(
                    id=shop.id,
                    status=shop.status,
                    name=shop.name,
                    place=profile.place,
                    distance_m=int(distance_m),
                    rating=shop.rating,
                    open_now=profile.open_now,
                )
            )
        return NearShops(items=items)


def apply_update(shop: Shop, update: ShopUpdate, now: datetime) -> Shop:
    """The shop after its own change, each field checked. Pure. Raises what the fields deserve."""
    given = {
        field: value
        for field in ShopUpdate.__struct_fields__
        if (value := getattr(update, field)) is not UNSET
    }
    if "time_zone" in given:
        check_time_zone(given["time_zone"], "/timeZone")
    if given.get("opening_hours"):
        check_hours(given["opening_hours"], "/openingHours")
    if "hours_exceptions" in given:
        check_exceptions(given["hours_exceptions"], "/hoursExceptions")
    _check_pause(given.get("paused_until"), now)
    pricing = {
        field: given.pop(field) for field in ("default_markup_percent", "auto_quote") if field in given
    }
    place = _new_place(shop, given.pop("latitude", None), given.pop("longitude", None))
    area = _new_area(shop, given.pop("delivery_radius_m", None), given.pop("service_area", None))
    if "supported_brands" in given:
        given |= {"makes": make_slugs(given.pop("supported_brands")), "makes_generated": False}
    return msgspec.structs.replace(
        shop, **given, place=place, area=area, pricing=msgspec.structs.replace(shop.pricing, **pricing)
    )


def _check_pause(paused_until: datetime | None, now: datetime) -> None:
    if paused_until is not None and not now < paused_until <= now + MAX_PAUSE:
        message = f"name a time from now to {MAX_PAUSE.days} days ahead, or null"
        raise InvalidRequest(errors=[FieldError("/pausedUntil", message)])


def _new_place(shop: Shop, latitude: float | None, longitude: float | None) -> Place:
    if latitude is None and longitude is None:
        return shop.place
    if latitude is None or longitude is None:
        raise InvalidRequest(errors=[FieldError("/latitude", "give latitude and longitude together")])
    return checked_place(latitude, longitude)


def _new_area(shop: Shop, radius_m: float | None, geojson: dict[str, object] | None) -> Area:
    if radius_m is None and geojson is None:
        return shop.area
    return area_of(radius_m, geojson)


async def _lock(connection: Connection, shop_id: UUID) -> Shop:
    return _found(await repository.lock_shop(connection, shop_id))


def _found(shop: Shop | None) -> Shop:
    if shop is None:
        raise NotFound
    return shop
