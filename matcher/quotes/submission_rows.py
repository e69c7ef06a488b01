"""New orders as rows of the one statement that writes a batch, and what it returns as replies and events.

Pure. Must not run statements: `submission` does.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from matcher import metrics
from matcher.errors import MatcherError
from matcher.events import Event
from matcher.quotes import events, views
from matcher.quotes.errors import TooManyOpenOrders
from matcher.quotes.matching import RankedShop
from matcher.serialization import encode
from matcher.settings import Settings
from matcher.transactions import IdempotentCall, Reply


class NewOrder(msgspec.Struct, frozen=True):
    """A valid order on its way to the database, with the shops to ask (nearest first, some to spare)."""

    id: UUID
    user_id: UUID
    urgency: str
    priority: str
    payment_method: str
    currency: str
    make: str
    latitude: float
    longitude: float
    vehicle: dict[str, Any]
    delivery_location: dict[str, Any]
    parts: list[dict[str, Any]]
    candidates: list[RankedShop]
    empty_reason: str  # why nobody was asked, should nobody be
    call: IdempotentCall | None


class Outcome(msgspec.Struct, frozen=True):
    """What became of an order: its reply, and what to announce. `refusal`: why it was not written."""

    reply: Reply
    events: list[Event]
    refusal: MatcherError | None = None


def arguments(orders: Sequence[NewOrder], settings: Settings, outbox_id: UUID) -> list[Any]:
    """The parameters of `submit_batch`, in its order."""
    asked = [(at, shop) for at, order in enumerate(orders) for shop in order.candidates]
    return [
        list(range(len(orders))),
        [o.id for o in orders],
        [o.user_id for o in orders],
        [o.urgency for o in orders],
        [o.priority for o in orders],
        [o.payment_method for o in orders],
        [o.currency for o in orders],
        [len(o.parts) for o in orders],
        [o.make for o in orders],
        [o.latitude for o in orders],
        [o.longitude for o in orders],
        [encode(o.vehicle) for o in orders],
        [encode(o.delivery_location) for o in orders],
        [encode(o.parts) for o in orders],
        [o.empty_reason for o in orders],
        [o.call.scope if o.call else None for o in orders],
        [o.call.key if o.call else None for o in orders],
        [o.call.fingerprint if o.call else None for o in orders],
        settings.order_open_per_customer if settings.limits else None,
        [at for at, _ in asked],
        [shop.shop_id for _, shop in asked],
        [shop.distance_m for _, shop in asked],
        [shop.shown_distance_m for _, shop in asked],
        [shop.score for _, shop in asked],
        [encode(shop.reasons) for _, shop in asked],
        settings.wave_shops,
        timedelta(seconds=settings.order_open_s),
        timedelta(seconds=settings.wave_interval_s),
        outbox_id,
    ]


def outcomes(orders: Sequence[NewOrder], rows: Sequence[Any]) -> dict[UUID, Outcome]:
    """What the statement says it wrote, by order id. Orders with a repeated key are absent."""
    found: dict[UUID, Outcome] = {}
    for returned in rows:
        order = orders[returned["at"]]
        if returned["refused"]:
            refusal = TooManyOpenOrders()
            reply = Reply(refusal.status, encode(refusal.problem()))
            found[order.id] = Outcome(reply, [], refusal)
            continue
        row = _order_row(order, returned)
        dispatches = _dispatch_rows(order.id, returned)
        metrics.ORDERS.labels("submitted").inc()
        metrics.DISPATCHES.labels("1").inc(len(dispatches))
        changes = [events.order_event(row), *events.dispatch_events({order.id: row}, dispatches)]
        found[order.id] = Outcome(created(row), changes)
    return found


def created(row: Any) -> Reply:
    """201 with a fresh order's view."""
    return Reply(201, encode(views.order_view(row) | {"quotes": []}))


def _order_row(order: NewOrder, returned: Any) -> dict[str, Any]:
    """The row as `render_changes` would read it."""
    submitted_at: datetime = returned["submitted_at"]
    return {
        "id": order.id,
        "user_id": order.user_id,
        "status": "submitted",
        "view_version": 1,
        "urgency": order.urgency,
        "priority": order.priority,
        "payment_method": order.payment_method,
        "payment_status": "pending",
        "currency": order.currency,
        "wave": 1,
        "shops_notified": returned["shops_notified"],
        "radius_m": returned["radius_m"],
        "dispatch_reason": returned["dispatch_reason"],
        "accepted_quote_id": None,
        "submitted_at": submitted_at,
        "expires_at": returned["expires_at"],
        "accepted_at": None,
        "cancel_reason": None,
        "tracking": None,
        "created_at": submitted_at,
        "updated_at": submitted_at,
        "latitude": order.latitude,
        "longitude": order.longitude,
        "vehicle": order.vehicle,
        "delivery_location": order.delivery_location,
        "parts": order.parts,
        "contact": None,
    }


def _dispatch_rows(order_id: UUID, returned: Any) -> list[dict[str, Any]]:
    if returned["shop_ids"] is None:
        return []
    columns = ("shop_ids", "ranks", "distances_m", "shown_distances_m")
    return [
        {
            "shop_id": shop_id,
            "order_id": order_id,
            "version": 1,
            "created_version": 1,
            "wave": 1,
            "rank": rank,
            "status": "pending",
            "closed_reason": None,
            "distance_m": distance_m,
            "shown_distance_m": shown_distance_m,
            "dispatched_at": returned["submitted_at"],
            "seen_at": None,
            "responded_at": None,
        }
        for shop_id, rank, distance_m, shown_distance_m in zip(*(returned[c] for c in columns), strict=True)
    ]
