"""Orders in the database with defaults, a clock that tests turn, and a quote service on top of them."""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import orjson

from matcher.accounts.access import Caller
from matcher.db import Connection, Pool
from matcher.events import Event
from matcher.ids import uuid7
from matcher.quotes import events
from matcher.quotes.locking import lock_order
from matcher.quotes.quote_schemas import AcceptQuote, QuoteCreate, QuoteLine, QuoteUpdate
from matcher.quotes.quote_service import QuoteService
from matcher.settings import Settings
from matcher.transactions import Publisher, Reply, Transactions

START = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
SUSPENDED_SHOP = UUID(int=0xDEAD)
FOREIGN_PHOTO = UUID(int=0xF0)
CONTACT = {"name": "Customer of the test", "phone": "+20 100 000 0000"}


class Clock:
    """What `matcher_now()` says on the connections of a pool made with `setup=clock.setup`."""

    def __init__(self, now: datetime = START) -> None:
        self.now = now

    async def setup(self, connection: Any) -> None:
        await connection.execute("SELECT set_config('matcher.now', $1, false)", self.now.isoformat())


class Order(msgspec.Struct, frozen=True):
    """An order that was inserted; `lines` and `quantities` belong together."""

    id: UUID
    customer: Caller
    lines: tuple[UUID, ...]
    quantities: tuple[int, ...]
    shops: tuple[Caller, ...]
    expires_at: datetime


class Quoting(msgspec.Struct, frozen=True):
    """A quote service and what left it."""

    service: QuoteService
    transactions: Transactions
    publisher: Publisher
    published: list[Event]

    async def events(self) -> list[tuple[str, set[str]]]:
        """Name and recipients of every event since the last call."""
        self.published.clear()
        await self.publisher.drain()
        return [(event.name, {target.recipient for target in event.targets}) for event in self.published]


def make_quoting(pool: Pool, settings: Settings | None = None) -> Quoting:
    """The service on real PostgreSQL; its ports are plain functions."""
    published: list[Event] = []

    async def append(batch: Sequence[Event]) -> None:
        published.extend(batch)

    publisher = Publisher(pool, append, queue_max=10_000)
    transactions = Transactions(pool, publisher, {events.TOPIC: events.render_changes})
    service = QuoteService(
        transactions,
        settings or Settings(),
        shop_name=shop_name,
        contact_of=contact_of,
        uploads=Uploads(),
    )
    return Quoting(service, transactions, publisher, published)


class Uploads:
    """Everybody owns every upload but one."""

    async def find_foreign(self, owner_id: UUID, upload_ids: Collection[UUID]) -> frozenset[UUID]:
        return frozenset({FOREIGN_PHOTO} & set(upload_ids))


async def shop_name(_: Connection, shop_id: UUID) -> str | None:
    return None if shop_id == SUSPENDED_SHOP else f"Shop {shop_id}"


async def contact_of(_: Connection, user_id: UUID) -> dict[str, Any]:
    return CONTACT


def shop_caller(shop_id: UUID, role: str = "cashier") -> Caller:
    return Caller(uuid7(), "customer", {shop_id: role}, shop_id)


async def insert_order(
    pool: Pool,
    *,
    shops: int | Sequence[Caller] = 2,
    quantities: Sequence[int] = (1, 2),
    status: str = "submitted",
    currency: str = "USD",
    priority: str = "normal",
    now: datetime = START,
    expires_at: datetime | None = None,
    customer: Caller | None = None,
) -> Order:
    """An order with its document and a pending dispatch for each shop."""
    callers = tuple(shop_caller(uuid7()) for _ in range(shops)) if isinstance(shops, int) else tuple(shops)
    order = Order(
        id=uuid7(),
        customer=customer or Caller(uuid7(), "customer"),
        lines=tuple(uuid7() for _ in quantities),
        quantities=tuple(quantities),
        shops=callers,
        expires_at=expires_at or now + timedelta(hours=2),
    )
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute(
            "INSERT INTO orders (id, user_id, status, urgency, priority, payment_method, currency, parts_count, wave,"
            " next_wave_at, shops_notified, radius_m, submitted_at, expires_at, created_at, updated_at)"
            " VALUES ($1, $2, $3, 'normal', $4, 'cash_on_delivery', $5, $6, 1, $8, $9, 2000, $7, $10, $7, $7)",
            *(order.id, order.customer.user_id, status, priority, currency, len(order.lines)),
            *(now, now + timedelta(minutes=10), len(callers), order.expires_at),
        )
        parts = [
            {"lineId": str(line), "name": "Front brake pads", "quantity": quantity}
            for line, quantity in zip(order.lines, quantities, strict=True)
        ]
        await connection.execute(
            "INSERT INTO order_documents (order_id, make, latitude, longitude, vehicle, delivery_location, parts)"
            " VALUES ($1, 'toyota', 30.0444, 31.2357, $2, $3, $4)",
            order.id,
            {"make": "Toyota", "model": "Corolla", "year": 2018},
            {"latitude": 30.0444, "longitude": 31.2357, "address": "1 Test Street"},
            parts,
        )
        for rank, shop in enumerate(callers, start=1):
            await insert_dispatch(connection, order.id, shop, rank, now)
    return order


async def insert_dispatch(
    connection: "Connection | Pool", order_id: UUID, shop: Caller, rank: int = 1, now: datetime = START
) -> None:
    """A pending dispatch of an order."""
    await connection.execute(
        "INSERT INTO dispatches (shop_id, order_id, version, created_version, wave, rank, distance_m,"
        " shown_distance_m, reasons, dispatched_at) VALUES ($1, $2, 1, 1, 1, $3, 1234.5, 1300, '[]', $4)",
        *(shop.shop_id, order_id, rank, now),
    )


async def close_order(pool: Pool, order_id: UUID, status: str) -> bool:
    """Cancel or expire an order as the order side does, unless it is closed; whether it did."""
    async with pool.acquire() as connection, connection.transaction():
        order = await lock_order(connection, order_id)
        assert order is not None
        if order.status not in ("submitted", "quoted"):
            return False
        version = order.next_version
        await connection.execute(
            "UPDATE orders SET status = $2, version = $3, view_version = $3 WHERE id = $1",
            *(order_id, status, version),
        )
        await connection.execute(
            "UPDATE dispatches SET status = 'closed', closed_reason = $2, version = $3"
            " WHERE order_id = $1 AND status IN ('pending', 'seen', 'quoted')",
            *(order_id, status, version),
        )
        await connection.execute(
            "UPDATE quotes SET status = 'expired', version = $2 WHERE order_id = $1 AND status = 'active'",
            *(order_id, version),
        )
        return True


def terms(
    order: Order,
    *,
    unit_price: str = "45.00",
    delivery_fee: str = "5.00",
    currency: str = "USD",
    valid_until: datetime | None = None,
    lines: list[QuoteLine] | None = None,
) -> QuoteUpdate:
    """Terms that offer all that the order asks for."""
    offered = lines or [
        QuoteLine(line_id=line, available=True, unit_price=unit_price, quantity=quantity)
        for line, quantity in zip(order.lines, order.quantities, strict=True)
    ]
    return QuoteUpdate(
        lines=offered,
        delivery_fee=delivery_fee,
        currency=currency,
        estimated_delivery_minutes=45,
        valid_until=valid_until,
    )


def quote_of(order: Order, **changes: Any) -> QuoteCreate:
    """A quote that offers all that the order asks for."""
    return QuoteCreate(order_id=order.id, **msgspec.structs.asdict(terms(order, **changes)))


def body(reply: Reply) -> Any:
    """A reply's JSON."""
    return orjson.loads(reply.body)


async def provide(quoting: Quoting, order: Order, shop: int = 0, **changes: Any) -> dict[str, Any]:
    """A quote of the order's n-th shop, as it was answered."""
    reply = await quoting.service.provide(order.shops[shop], quote_of(order, **changes), None)
    quote: dict[str, Any] = body(reply)
    return quote


def taking(quote: dict[str, Any]) -> AcceptQuote:
    return AcceptQuote(quote_id=UUID(quote["id"]), quote_version=quote["version"])


async def accept(quoting: Quoting, order: Order, quote: dict[str, Any]) -> dict[str, Any]:
    view: dict[str, Any] = body(await quoting.service.accept(order.customer, order.id, taking(quote), None))
    return view


async def order_row(pool: Pool, order: Order) -> Any:
    return await pool.fetchrow("SELECT * FROM orders WHERE id = $1", order.id)


async def dispatch_row(pool: Pool, order: Order, shop: int = 0) -> Any:
    return await pool.fetchrow(
        "SELECT * FROM dispatches WHERE order_id = $1 AND shop_id = $2", order.id, order.shops[shop].shop_id
    )


def names(events: list[tuple[str, set[str]]]) -> list[str]:
    return sorted(name for name, _ in events)


async def check_invariants(pool: Pool, order_id: UUID) -> None:
    """What holds of an order, its dispatches and its quotes after every committed change."""
    order = await pool.fetchrow("SELECT * FROM orders WHERE id = $1", order_id)
    quotes = await pool.fetch("SELECT * FROM quotes WHERE order_id = $1", order_id)
    dispatches = await pool.fetch("SELECT * FROM dispatches WHERE order_id = $1", order_id)
    assert order is not None
    accepted = [quote for quote in quotes if quote["status"] == "accepted"]
    active = {quote["shop_id"] for quote in quotes if quote["status"] == "active"}
    assert all(row["version"] <= order["version"] for row in (*quotes, *dispatches))
    assert order["view_version"] <= order["version"]
    if order["status"] == "accepted":
        assert [quote["id"] for quote in accepted] == [order["accepted_quote_id"]]
        assert not active
        won = [row["shop_id"] for row in dispatches if row["status"] == "won"]
        assert won == [accepted[0]["shop_id"]]
        assert all(row["status"] in ("won", "closed", "declined") for row in dispatches)
    else:
        assert not accepted
        assert order["accepted_quote_id"] is None
    if order["status"] in ("submitted", "quoted"):
        assert (order["status"] == "quoted") == bool(active)
        assert {row["shop_id"] for row in dispatches if row["status"] == "quoted"} == active
