"""Which events reach people beyond their sockets, and in which words. Pure: an event in, pushes out.

Knows the events' names and members as CONTRACT 7 gives them, not the domains that make them.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID

import orjson

from matcher.events import Event, Target, entity_id


class Kind(StrEnum):
    """What a person can be told; preferences choose by it, and it is `data.type` of a push about an order."""

    NEW_PARTS_ORDER = "new-parts-order"
    ORDER_WON = "order-won"
    ORDER_CANCELLED = "order-cancelled"
    NEW_QUOTE = "new-quote"
    ORDER_PROCESSING = "order-processing"
    ORDER_SHIPPED = "order-shipped"
    ORDER_DELIVERED = "order-delivered"
    ORDER_EXPIRED = "order-expired"
    NO_SHOP_FOUND = "no-shop-found"
    NOTIFICATION = "notification"


# A shop that is asked late has lost: such a push is never put off, only sent or left out.
TIME_CRITICAL = frozenset({Kind.NEW_PARTS_ORDER})
URGENT = TIME_CRITICAL | {Kind.NEW_QUOTE, Kind.ORDER_WON, Kind.ORDER_CANCELLED}

MAX_TITLE_CHARS = 120
MAX_BODY_CHARS = 400  # a push carries 4 KiB in all; the whole text is in the app


class Push(NamedTuple):
    """Something that a recipient's people should learn. `number`: the delivery's in its log entry, from 1."""

    recipient: str
    number: int
    key: str
    entity_id: str
    version: int
    kind: Kind
    title: str
    body: str
    topic: str
    data: dict[str, str]
    order_id: UUID | None  # whose deadline is the push's as well, unless it has one
    deadline: datetime | None


class Superseded(NamedTuple):
    """What waits to be pushed about this entity below this version is of no use any more."""

    recipient: str
    entity_id: str
    version: int


class Words(NamedTuple):
    """A push's text."""

    kind: Kind
    title: str
    body: str
    until: str | None = None  # the member that says how long it matters
    once: str | None = None  # told once for each entity and this, not at each version


Data = Mapping[str, Any]


def read_event(event: Event) -> tuple[list[Push], list[Superseded]]:
    """The pushes of an event, and what it makes superfluous."""
    rule = _RULES.get(event.name)
    pushes: list[Push] = []
    superseded: list[Superseded] = []
    if rule is None:
        return pushes, superseded
    shared = _members(event.shared)
    for number, target in enumerate(event.targets, start=1):
        data = shared | _members(target.own)
        words = rule(target.recipient, data)
        entity = entity_id(target.id)
        if words is not None:
            pushes.append(_push(event, target, number, entity, words, data))
        if words is not None or _settles(event.entity, data):
            superseded.append(Superseded(target.recipient, entity, event.version))
    return pushes, superseded


def deliveries_of(events: Sequence[Event]) -> Iterator[tuple[Event, int]]:
    """Each event with how many deliveries its log entry holds before it."""
    before = 0
    for event in events:
        yield event, before
        before += len(event.targets)


def _push(event: Event, target: Target, number: int, entity: str, words: Words, data: Data) -> Push:
    order_id = data.get("orderId") or (data["id"] if event.entity == "order" else None)
    until = data.get(words.until) if words.until else None
    return Push(
        recipient=target.recipient,
        number=number,
        key=f"{target.id}.{event.entity}" if words.once is None else f"{entity}.{words.kind}.{words.once}",
        entity_id=entity,
        version=event.version,
        kind=words.kind,
        title=words.title[:MAX_TITLE_CHARS],
        body=words.body[:MAX_BODY_CHARS],
        topic=order_id or entity,
        data=_payload(target.recipient, words.kind, order_id, data),
        order_id=UUID(order_id) if order_id and words.kind in _WHILE_OPEN else None,
        deadline=datetime.fromisoformat(until) if until else None,
    )


def _payload(recipient: str, kind: Kind, order_id: str | None, data: Data) -> dict[str, str]:
    if kind is Kind.NOTIFICATION:
        return {"type": data["type"], "notificationId": data["id"]}
    shop_id = recipient.removeprefix("shop:") if recipient.startswith("shop:") else data.get("shopId")
    given = {"type": str(kind), "orderId": order_id, "shopId": shop_id}
    return {name: value for name, value in given.items() if value}


# Of no use once the order is not open any more.
_WHILE_OPEN = frozenset({Kind.NEW_PARTS_ORDER, Kind.NEW_QUOTE, Kind.NO_SHOP_FOUND})


def _new_parts_order(_: str, data: Data) -> Words:
    vehicle = data["vehicle"]
    named = " ".join(str(vehicle[part]) for part in ("make", "model", "year") if vehicle.get(part))
    count = len(data["parts"])
    body = f"{named}: {count} part{'' if count == 1 else 's'}, {data['distanceM'] / 1000:.1f} km away"
    return Words(Kind.NEW_PARTS_ORDER, "New parts order", body, until="expiresAt")


def _dispatch_updated(_: str, data: Data) -> Words | None:
    number = data["orderNumber"]
    if data["status"] == "won" and data["orderStatus"] == "accepted":
        return Words(Kind.ORDER_WON, "Your quote was accepted", f"Order {number} is yours to prepare")
    # A shop that has not answered loses nothing by the cancellation.
    if data["closedReason"] == "cancelled" and data["respondedAt"]:
        return Words(Kind.ORDER_CANCELLED, "Order cancelled", f"Order {number} was cancelled by its customer")
    return None


def _new_quote(recipient: str, data: Data) -> Words | None:
    if not recipient.startswith("user:"):
        return None
    body = f"{data['shopName']} offers {data['totalPrice']} {data['currency']}"
    return Words(Kind.NEW_QUOTE, "New quote", body, until="validUntil")


_STATUS_WORDS = {
    "processing": (Kind.ORDER_PROCESSING, "Order in preparation", "The shop is preparing order {}"),
    "shipped": (Kind.ORDER_SHIPPED, "Order on its way", "Order {} has left the shop"),
    "delivered": (Kind.ORDER_DELIVERED, "Order delivered", "Order {} was delivered"),
    "expired": (Kind.ORDER_EXPIRED, "Order expired", "Nobody's quote was accepted for order {} in time"),
    "cancelled": (Kind.ORDER_CANCELLED, "Order cancelled", "Order {} was cancelled"),
}


def _order_status(_: str, data: Data) -> Words | None:
    number, status = data["orderNumber"], data["status"]
    if status in _STATUS_WORDS:
        kind, title, body = _STATUS_WORDS[status]
        # Once for each winner: an order that its shop gave back is prepared and sent again by another.
        return Words(kind, title, body.format(number), once=str(data["selectedQuoteId"]))
    if status == "submitted" and data["dispatch"]["reason"] and not data["dispatch"]["shopsNotified"]:
        body = f"We keep looking for a shop for order {number} until it expires"
        return Words(Kind.NO_SHOP_FOUND, "No shop found yet", body, until="expiresAt", once="")
    return None


def _notification(_: str, data: Data) -> Words | None:
    if data["readAt"] is not None:
        return None
    return Words(Kind.NOTIFICATION, data["title"], data["message"], once="")


_RULES: dict[str, Callable[[str, Data], Words | None]] = {
    "new-parts-order": _new_parts_order,
    "dispatch-updated": _dispatch_updated,
    "new-quote": _new_quote,
    "order-status-update": _order_status,
    "notification": _notification,
    **dict.fromkeys(
        ("quote-updated", "quote-withdrawn", "quote-expired", "quote-accepted", "quote-rejected"),
        lambda _, __: None,
    ),
}


def _settles(entity: str, data: Data) -> bool:
    """Whether an event without words of its own ends the sense of those before it."""
    if entity == "notification":
        return True
    return data["status"] in (_ANSWERED if entity == "dispatch" else _DECIDED)


_ANSWERED = frozenset({"quoted", "declined", "closed", "won"})
_DECIDED = frozenset({"accepted", "rejected", "withdrawn", "expired", "quoted"})


def _members(inside: bytes) -> dict[str, Any]:
    decoded: dict[str, Any] = orjson.loads(b"{" + inside + b"}")
    return decoded
