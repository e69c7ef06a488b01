"""Announcing changes: rows -> events, and rows -> the snapshot of a recipient.

Both render the same views, so that old snapshot + events = fresh snapshot, whatever the interleaving.
The renderer reads rows, not memory: whoever publishes (the request, or the sweeper after a crash) says
the same.
"""

from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from matcher.clock import utc_now, wire_time
from matcher.db import Connection, Row, load_queries
from matcher.events import Event, Target, members, shop_recipient, user_recipient
from matcher.quotes import views

SQL = load_queries("matcher.quotes", "events.sql")
TOPIC = "order"
CHANGED_PIECE = 500  # orders; with ten dispatches each about 5 MB of events


async def render_changes(
    connection: Connection, order_ids: Sequence[UUID], versions: Sequence[int]
) -> list[Event]:
    """The events of every entity of these orders that changed at or after its version."""
    ids, since = list(order_ids), list(versions)
    orders = {row["id"]: row for row in await connection.fetch(SQL["orders"], ids)}
    dispatches = await connection.fetch(SQL["changed_dispatches"], ids, since)
    quotes = await connection.fetch(SQL["changed_quotes"], ids, since)
    events = [
        order_event(orders[order_id])
        for order_id, version in zip(ids, since, strict=True)
        if order_id in orders and orders[order_id]["view_version"] >= version
    ]
    events += dispatch_events(orders, dispatches)
    events += [quote_event(row, orders[row["order_id"]]["user_id"]) for row in quotes]
    return events


def order_event(row: Any) -> Event:
    """`order-status-update` for the customer."""
    target = Target(user_recipient(row["user_id"]), _event_id(row["id"], row["view_version"]), b"")
    return Event(
        "order-status-update",
        "order",
        row["view_version"],
        wire_time(utc_now()),
        members(views.order_view(row)),
        (target,),
    )


def dispatch_events(orders: Any, dispatches: Iterable[Any]) -> list[Event]:
    """One event per order, version and kind: the shared body once, each shop's own fields beside it."""
    groups: dict[tuple[UUID, int, str, bool], list[Any]] = defaultdict(list)
    for row in dispatches:
        name = "new-parts-order" if row["version"] == row["created_version"] else "dispatch-updated"
        groups[row["order_id"], row["version"], name, row["status"] == "won"].append(row)
    at = wire_time(utc_now())
    events = []
    for (order_id, version, name, won), rows in groups.items():
        order = orders[order_id]
        shared = views.dispatch_shared_with_winner(order) if won else views.dispatch_shared(order)
        event_id = _event_id(order_id, version)
        targets = tuple(
            Target(
                shop_recipient(row["shop_id"]), event_id, members(views.dispatch_own(row, order["status"]))
            )
            for row in rows
        )
        events.append(Event(name, "dispatch", version, at, members(shared), targets))
    return events


def quote_event(row: Any, customer_id: UUID) -> Event:
    """`new-quote`, `quote-updated` or `quote-<status>` for the shop that made it and the customer."""
    if row["status"] == "active":
        name = "new-quote" if row["version"] == row["created_version"] else "quote-updated"
    else:
        name = f"quote-{row['status']}"
    event_id = _event_id(row["id"], row["version"])
    targets = tuple(
        Target(recipient, event_id, b"")
        for recipient in (shop_recipient(row["shop_id"]), user_recipient(customer_id))
    )
    return Event(name, "quote", row["version"], wire_time(utc_now()), members(views.quote_view(row)), targets)


def _event_id(entity_id: UUID, version: int) -> str:
    return f"{entity_id}.{version}"


async def changed_since(connection: Connection, since: datetime) -> AsyncIterator[list[Event]]:
    """The events of all entities, as they are, of every order that changed since: for who lost the log."""
    order_ids = [row["id"] for row in await connection.fetch(SQL["changed_since"], since)]
    for start in range(0, len(order_ids), CHANGED_PIECE):
        piece = order_ids[start : start + CHANGED_PIECE]
        yield await render_changes(connection, piece, [1] * len(piece))


async def deadlines(connection: Connection, order_ids: Sequence[UUID]) -> dict[UUID, datetime]:
    """When each of these orders expires."""
    rows = await connection.fetch(SQL["deadlines"], list(order_ids))
    return {row["id"]: row["expires_at"] for row in rows}


async def shop_snapshot(connection: Connection, shop_id: UUID) -> dict[str, list[dict[str, Any]]]:
    """All that a shop holds: open dispatches, those won and not delivered, and its quotes of those."""
    dispatches = await connection.fetch(SQL["shop_dispatches"], shop_id)
    orders = await _orders(connection, dispatches)
    quotes = await connection.fetch(SQL["shop_quotes"], shop_id, list(orders))
    return {
        "dispatches": [views.dispatch_view(orders[row["order_id"]], row) for row in dispatches],
        "quotes": [views.quote_view(row) for row in quotes],
    }


async def customer_snapshot(connection: Connection, user_id: UUID) -> dict[str, list[dict[str, Any]]]:
    """All that a customer holds: orders that are not final, and their quotes."""
    orders = await connection.fetch(SQL["customer_orders"], user_id)
    quotes = await connection.fetch(SQL["quotes_of_orders"], [row["id"] for row in orders])
    return {
        "orders": [views.order_view(row) for row in orders],
        "quotes": [views.quote_view(row) for row in quotes],
    }


async def _orders(connection: Connection, dispatches: Sequence[Row]) -> dict[UUID, Row]:
    rows = await connection.fetch(SQL["orders"], [row["order_id"] for row in dispatches])
    return {row["id"]: row for row in rows}
