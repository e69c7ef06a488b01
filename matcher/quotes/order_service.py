"""Orders: drafts, submission, reading and explaining. What happens to an order later: `order_changes`."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from matcher.accounts.access import Caller
from matcher.clock import utc_now
from matcher.db import Connection, Pool, Row, load_queries
from matcher.errors import FieldError, InvalidRequest, NotFound, VersionConflict
from matcher.geo.types import Place
from matcher.ids import uuid7
from matcher.paging import Page, decode_cursor, page_of
from matcher.quotes import views
from matcher.quotes.errors import (
    OrderNotDraft,
    OrderNotEditable,
    PaymentMethodUnavailable,
    TooManyOpenOrders,
    UnknownUpload,
    VinMakeMismatch,
)
from matcher.quotes.lifecycle import OrderStatus, priority
from matcher.quotes.locking import LockedOrder, lock_order
from matcher.quotes.order_schemas import DeliveryLocation, OrderCreate, OrderUpdate, PartRequest, Vehicle
from matcher.quotes.ports import Directory, Uploads
from matcher.quotes.submission import SubmissionQueue
from matcher.quotes.submission_rows import NewOrder
from matcher.quotes.waves import WavePlanner
from matcher.settings import Settings
from matcher.transactions import IdempotentCall, Reply, Transaction, Transactions
from matcher.vehicles.makes import get_make
from matcher.vehicles.vin import contradicts, decode_vin

SQL = load_queries("matcher.quotes")
QUOTES_OF_ORDERS = load_queries("matcher.quotes", "events.sql")["quotes_of_orders"]


class OrderService:
    """The customer's side of an order; see the module."""

    def __init__(
        self,
        transactions: Transactions,
        submissions: SubmissionQueue,
        planner: WavePlanner,
        directory: Directory,
        uploads: Uploads,
        settings: Settings,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._transactions = transactions
        self._submissions = submissions
        self._planner = planner
        self._directory = directory
        self._uploads = uploads
        self._settings = settings
        self._now = now

    async def create(self, caller: Caller, body: OrderCreate, call: IdempotentCall | None) -> Reply:
        """Submit an order (or keep a draft). 201 once it is durable and its shops are chosen."""
        await self._check_photos(caller, body.parts)
        order = self._prepare(caller, body, call)
        if body.draft:
            return await self._transactions.run(
                lambda tx: self._insert_draft(tx, order), status=201, call=call
            )
        candidates = self._planner.choose(order.make, Place(order.latitude, order.longitude))
        return await self._submissions.submit(msgspec.structs.replace(order, candidates=candidates))

    async def update(
        self, caller: Caller, order_id: UUID, body: OrderUpdate, expected_version: int | None
    ) -> Reply:
        """Replace fields of a draft; OrderNotEditable once it is submitted."""
        # Before the transaction: a second connection taken inside would let full pools wait for themselves.
        await self._check_photos(caller, body.parts or ())

        async def work(tx: Transaction) -> dict[str, Any]:
            locked = await self._lock_own(tx.connection, caller, order_id)
            if locked.status is not OrderStatus.DRAFT:
                raise OrderNotEditable
            if expected_version not in (None, locked.view_version):
                raise VersionConflict
            row = await tx.connection.fetchrow(SQL["find_order"], order_id)
            assert row is not None
            order = self._prepare(caller, _merged(row, body), None)
            if body.parts is None:  # its lines keep their ids
                order = msgspec.structs.replace(order, parts=row["parts"])
            await tx.connection.execute(
                SQL["update_draft"],
                order_id,
                order.urgency,
                order.priority,
                order.payment_method,
                len(order.parts),
                locked.next_version,
                locked.now,
            )
            await tx.connection.execute(SQL["update_document"], order_id, *_document(order))
            tx.changed("order", order_id, locked.next_version)
            return await read_order(tx.connection, order_id)

        return await self._transactions.run(work)

    async def submit(self, caller: Caller, order_id: UUID, call: IdempotentCall | None) -> Reply:
        """Submit a draft: from here on it is an order like any other."""

        async def work(tx: Transaction) -> dict[str, Any]:
            locked = await self._lock_own(tx.connection, caller, order_id)
            if locked.status is not OrderStatus.DRAFT:
                raise OrderNotDraft
            if self._settings.limits:
                open_orders = await tx.connection.fetchval(SQL["count_open_orders"], caller.user_id)
                if open_orders >= self._settings.order_open_per_customer:
                    raise TooManyOpenOrders
            await self._submit_draft(tx, locked)
            return await read_order(tx.connection, order_id)

        return await self._transactions.run(work, call=call)

    async def read(self, caller: Caller, order_id: UUID) -> dict[str, Any]:
        """The order with its quotes for its customer and admins; a shop that was asked sees its dispatch."""
        pool = self._transactions.pool
        row = await pool.fetchrow(SQL["find_order"], order_id)
        if row is None:
            raise NotFound
        if caller.is_admin or row["user_id"] == caller.user_id:
            return await _with_quotes(pool, row)
        shop_ids = [caller.shop_id] if caller.shop_id else list(caller.shops)
        dispatch = await pool.fetchrow(SQL["find_dispatch"], order_id, shop_ids)
        if dispatch is None:
            raise NotFound
        return views.dispatch_view(row, dispatch)

    async def list_of_user(
        self, caller: Caller, user_id: UUID, status: str | None, limit: int, cursor: str | None
    ) -> Page[dict[str, Any]]:
        """A customer's orders with their quotes, newest first; for themselves and admins."""
        if not (caller.is_admin or caller.user_id == user_id):
            raise NotFound
        pool = self._transactions.pool
        rows = await pool.fetch(SQL["list_orders"], user_id, status, decode_cursor(cursor), limit + 1)
        quotes = await pool.fetch(QUOTES_OF_ORDERS, [row["id"] for row in rows[:limit]])
        by_order: dict[UUID, list[dict[str, Any]]] = {}
        for quote in quotes:
            by_order.setdefault(quote["order_id"], []).append(views.quote_view(quote))
        return page_of(
            rows,
            limit,
            lambda row: views.order_view(row) | {"quotes": by_order.get(row["id"], [])},
            lambda row: row["id"],
        )

    async def explain(self, caller: Caller, order_id: UUID) -> dict[str, Any]:
        """Who was asked, in which order and why, and what each did; for the owner and admins."""
        pool = self._transactions.pool
        row = await pool.fetchrow(SQL["find_order"], order_id)
        if row is None or not (caller.is_admin or row["user_id"] == caller.user_id):
            raise NotFound
        return {"items": [self._explanation(d) for d in await pool.fetch(SQL["list_dispatches"], order_id)]}

    def _explanation(self, dispatch: Row) -> dict[str, Any]:
        shop = self._directory.get(dispatch["shop_id"])
        return {
            "shopId": dispatch["shop_id"],
            "shopName": shop.name if shop else "",
            "wave": dispatch["wave"],
            "rank": dispatch["rank"],
            "distanceM": round(dispatch["distance_m"], 3),
            "status": dispatch["status"],
            "closedReason": dispatch["closed_reason"],
            "reasons": dispatch["reasons"],
            "dispatchedAt": dispatch["dispatched_at"],
            "seenAt": dispatch["seen_at"],
            "respondedAt": dispatch["responded_at"],
        }

    def _prepare(self, caller: Caller, body: OrderCreate, call: IdempotentCall | None) -> NewOrder:
        """Everything about an order that can be refused before the database is asked."""
        if body.payment_method == "card":
            raise PaymentMethodUnavailable
        make, vehicle = _vehicle(body.vehicle, self._now().year)
        place = body.delivery_location
        opens = self._now()
        return NewOrder(
            id=uuid7(),
            user_id=caller.user_id,
            urgency=body.urgency,
            priority=priority(body.urgency, len(body.parts), opens + self._open_time, opens),
            payment_method=body.payment_method,
            currency=self._settings.currency,
            make=make,
            latitude=place.latitude,
            longitude=place.longitude,
            vehicle=vehicle,
            delivery_location=msgspec.to_builtins(place),
            parts=[msgspec.to_builtins(part) | {"lineId": str(uuid7())} for part in body.parts],
            candidates=[],
            empty_reason=self._planner.empty_reason(make),
            call=call,
        )

    @property
    def _open_time(self) -> timedelta:
        return timedelta(seconds=self._settings.order_open_s)

    async def _check_photos(self, caller: Caller, parts: Sequence[PartRequest]) -> None:
        photo_ids = {photo for part in parts for photo in part.photo_ids}
        if not photo_ids:
            return
        foreign = await self._uploads.find_foreign(caller.user_id, photo_ids)
        if foreign:
            pointers = [
                FieldError(f"/parts/{n}/photoIds/{m}", "not among your uploads")
                for n, part in enumerate(parts)
                for m, photo in enumerate(part.photo_ids)
                if photo in foreign
            ]
            raise UnknownUpload(errors=pointers)

    async def _insert_draft(self, tx: Transaction, order: NewOrder) -> dict[str, Any]:
        await tx.connection.execute(
            SQL["insert_draft"],
            order.id,
            order.user_id,
            order.urgency,
            order.priority,
            order.payment_method,
            order.currency,
            len(order.parts),
        )
        await tx.connection.execute(SQL["insert_document"], order.id, *_document(order))
        tx.changed("order", order.id, 1)
        return await read_order(tx.connection, order.id)

    async def _submit_draft(self, tx: Transaction, locked: LockedOrder) -> None:
        row = await tx.connection.fetchrow(SQL["find_order"], locked.id)
        assert row is not None
        expires_at = locked.now + self._open_time
        await tx.connection.execute(
            SQL["submit_draft"], locked.id, locked.priority, locked.now, expires_at, locked.next_version
        )
        shops = self._planner.choose(row["make"], Place(row["latitude"], row["longitude"]))
        opened = msgspec.structs.replace(locked, expires_at=expires_at)
        await self._planner.ask(tx.connection, opened, row["make"], shops, wave=1)
        tx.changed("order", locked.id, locked.next_version)

    async def _lock_own(self, connection: Connection, caller: Caller, order_id: UUID) -> LockedOrder:
        locked = await lock_order(connection, order_id)
        if locked is None or locked.user_id != caller.user_id:
            raise NotFound
        return locked


async def read_order(connection: Connection, order_id: UUID) -> dict[str, Any]:
    """The order with its quotes, as its customer sees it over HTTP."""
    row = await connection.fetchrow(SQL["find_order"], order_id)
    if row is None:
        raise NotFound
    return await _with_quotes(connection, row)


async def _with_quotes(connection: "Connection | Pool", row: Row) -> dict[str, Any]:
    quotes = await connection.fetch(QUOTES_OF_ORDERS, [row["id"]])
    return views.order_view(row) | {"quotes": [views.quote_view(quote) for quote in quotes]}


def _vehicle(vehicle: Vehicle, current_year: int) -> tuple[str, dict[str, Any]]:
    """The make's slug, and the vehicle as stored: canonical make name, decoded VIN."""
    make = get_make(vehicle.make)
    if vehicle.year > current_year + 2:
        raise InvalidRequest(errors=[FieldError("/vehicle/year", f"at most {current_year + 2}")])
    stored = msgspec.to_builtins(vehicle) | {"make": make.name, "vinDecoded": None}
    if vehicle.vin:
        decoded = decode_vin(vehicle.vin, current_year=current_year)
        if contradicts(decoded, make):
            made_by = ", ".join(get_make(slug).name for slug in decoded.makes)
            raise VinMakeMismatch(
                f"This VIN belongs to {made_by}, not to {make.name}; correct one of them.",
                errors=[FieldError("/vehicle/vin", f"belongs to {made_by}")],
            )
        stored |= {"vin": decoded.vin, "vinDecoded": _camel(decoded)}
    return make.slug, stored


def _camel(decoded: Any) -> dict[str, Any]:
    fields = msgspec.to_builtins(decoded)
    return {_camel_name(name): value for name, value in fields.items() if name != "vin"}


def _camel_name(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def _document(order: NewOrder) -> tuple[Any, ...]:
    return (order.make, order.latitude, order.longitude, order.vehicle, order.delivery_location, order.parts)


def _merged(row: Row, body: OrderUpdate) -> OrderCreate:
    """A draft with the given fields replaced, checked as a whole like a new order."""
    vehicle = {name: value for name, value in row["vehicle"].items() if name != "vinDecoded"}
    parts = [{name: value for name, value in part.items() if name != "lineId"} for part in row["parts"]]
    return OrderCreate(
        vehicle=body.vehicle or msgspec.convert(vehicle, Vehicle),
        delivery_location=body.delivery_location
        or msgspec.convert(row["delivery_location"], DeliveryLocation),
        parts=body.parts or msgspec.convert(parts, list[PartRequest]),
        urgency=body.urgency or row["urgency"],
        payment_method=body.payment_method or row["payment_method"],
        draft=True,
    )
