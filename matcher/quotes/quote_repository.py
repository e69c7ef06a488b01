"""SQL of quotes and of what they move in dispatches and orders. Must not decide anything: services do.

Whatever writes here runs under the order's lock (`locking`), at the lock's `next_version`.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from matcher.db import Connection, Pool, Row, load_queries
from matcher.errors import NotFound
from matcher.quotes import events, views
from matcher.quotes.lifecycle import QuoteStatus
from matcher.quotes.locking import LockedOrder
from matcher.quotes.pricing import Pricing
from matcher.quotes.quote_schemas import QuoteUpdate
from matcher.serialization import encode

SQL = load_queries("matcher.quotes", "quote_queries.sql")
WIDEN_IF_UNANSWERED = load_queries("matcher.quotes")["widen_if_unanswered"]


async def find_dispatch(connection: Connection, shop_id: UUID, order_id: UUID) -> Row | None:
    """The dispatch of an order to a shop."""
    return await connection.fetchrow(SQL["find_dispatch"], shop_id, order_id)


async def asked_quantities(connection: Connection, order_id: UUID) -> dict[UUID, int]:
    """The order's lines, in their sequence, with the quantity asked for."""
    parts = await connection.fetchval(SQL["find_parts"], order_id)
    return {UUID(part["lineId"]): part["quantity"] for part in parts}


async def find_quote(connection: Connection, quote_id: UUID) -> Row | None:
    """The quote with this id."""
    return await connection.fetchrow(SQL["find_quote"], quote_id)


async def find_order_of_quote(connection: Connection, quote_id: UUID, shop_id: UUID) -> UUID | None:
    """The order that this quote of this shop is for."""
    order_id: UUID | None = await connection.fetchval(SQL["find_order_of_quote"], quote_id, shop_id)
    return order_id


async def insert_quote(
    connection: Connection,
    quote_id: UUID,
    order: LockedOrder,
    shop: tuple[UUID, str],
    terms: QuoteUpdate,
    pricing: Pricing,
    created_by: UUID,
) -> Row | None:
    """A new active quote of `shop` (id, name); None when it has one for this order already."""
    return await connection.fetchrow(
        SQL["insert_quote"],
        quote_id,
        order.id,
        *shop,
        order.next_version,
        terms.currency,
        *_priced(pricing),
        *_promised(terms, order.now),
        created_by,
        order.now,
    )


async def update_quote(
    connection: Connection, quote_id: UUID, order: LockedOrder, terms: QuoteUpdate, pricing: Pricing
) -> Row:
    """Replace a quote's terms."""
    return _some(
        await connection.fetchrow(
            SQL["update_quote"],
            quote_id,
            order.next_version,
            *_priced(pricing),
            *_promised(terms, order.now),
            order.now,
        )
    )


def _priced(pricing: Pricing) -> tuple[Any, ...]:
    totals = (pricing.parts_total_minor, pricing.delivery_fee_minor, pricing.total_minor)
    return (encode(pricing.lines), encode(pricing.coverage), *totals)


def _promised(terms: QuoteUpdate, now: datetime) -> tuple[Any, ...]:
    arrives_at = now + timedelta(minutes=terms.estimated_delivery_minutes)
    return (terms.estimated_delivery_minutes, arrives_at, terms.pickup, terms.valid_until, terms.notes)


async def withdraw_quote(connection: Connection, quote_id: UUID, order: LockedOrder) -> Row:
    """Close a quote because its shop takes it back."""
    return _some(await connection.fetchrow(SQL["withdraw_quote"], quote_id, order.next_version, order.now))


async def expire_quotes(connection: Connection, order: LockedOrder) -> list[UUID]:
    """Close the quotes of an order whose validity is over; the shops that made them."""
    rows = await connection.fetch(SQL["expire_quotes"], order.id, order.next_version, order.now)
    return [row["shop_id"] for row in rows]


async def active_quotes(connection: Connection, order_id: UUID) -> int:
    """How many quotes of an order are stored as active, be their validity over or not."""
    count: int = await connection.fetchval(SQL["count_active_quotes"], order_id)
    return count


async def mark_quoted(connection: Connection, shop_id: UUID, order: LockedOrder) -> None:
    """The shop has answered with a quote."""
    await connection.execute(SQL["mark_quoted"], shop_id, order.id, order.next_version, order.now)


async def unmark_quoted(connection: Connection, shop_ids: Sequence[UUID], order: LockedOrder) -> None:
    """The quotes of these shops are over; they may quote again."""
    await connection.execute(SQL["unmark_quoted"], order.id, shop_ids, order.next_version)


async def mark_declined(connection: Connection, shop_id: UUID, order: LockedOrder, reason: str) -> Row:
    """The shop will not quote."""
    return _some(
        await connection.fetchrow(
            SQL["mark_declined"], shop_id, order.id, order.next_version, order.now, reason
        )
    )


async def mark_seen(connection: Connection, shop_id: UUID, order: LockedOrder) -> Row:
    """Somebody of the shop has looked at the order."""
    return _some(
        await connection.fetchrow(SQL["mark_seen"], shop_id, order.id, order.next_version, order.now)
    )


async def hurry_next_wave(connection: Connection, order: LockedOrder) -> None:
    """Ask further shops at once if nobody who was asked can answer any more."""
    await connection.execute(WIDEN_IF_UNANSWERED, order.id, order.now)


async def touch_order(connection: Connection, order: LockedOrder, status: str) -> None:
    """Raise the order's version; its own view changes only with its status."""
    await connection.execute(SQL["touch_order"], order.id, order.next_version, status, order.now)


async def accept_quote(
    connection: Connection, order: LockedOrder, quote: Row, contact: dict[str, Any] | None
) -> None:
    """Accept a quote: it and its shop win, every other open one of the order loses.

    asyncpg.UniqueViolationError when the order has an accepted quote already.
    """
    await connection.execute(SQL["accept_quote"], order.id, quote["id"], order.next_version, order.now)
    await connection.execute(SQL["close_dispatches"], order.id, quote["shop_id"], order.next_version)
    await connection.execute(SQL["accept_order"], order.id, quote["id"], order.next_version, order.now)
    await connection.execute(SQL["write_contact"], order.id, contact)


async def list_quotes(
    pool: Pool, shop_id: UUID, status: QuoteStatus | None, after: UUID | None, limit: int
) -> list[Row]:
    """Up to `limit` quotes of a shop, newest first."""
    return await pool.fetch(SQL["list_quotes"], shop_id, status, after, limit)


async def inbox(
    connection: Connection, shop_id: UUID, oldest: UUID, after: UUID | None, limit: int
) -> list[Row]:
    """Up to `limit` open dispatches of a shop, most urgent first; no order id is below `oldest`."""
    return await connection.fetch(SQL["inbox"], shop_id, oldest, after, limit)


async def orders_with_due_quotes(pool: Pool, limit: int) -> list[UUID]:
    """Orders that have an active quote whose validity is over, the longest overdue first."""
    return [row["order_id"] for row in await pool.fetch(SQL["orders_with_due_quotes"], limit)]


async def orders_by_id(connection: Connection, order_ids: Sequence[UUID]) -> dict[UUID, Row]:
    """The rows that views of orders and dispatches are made of."""
    return {row["id"]: row for row in await connection.fetch(events.SQL["orders"], list(order_ids))}


async def dispatch_view(connection: Connection, dispatch: Row) -> dict[str, Any]:
    """One shop's view of an order."""
    orders = await orders_by_id(connection, [dispatch["order_id"]])
    return views.dispatch_view(orders[dispatch["order_id"]], dispatch)


def _some(row: Row | None) -> Row:
    if row is None:
        raise NotFound
    return row
