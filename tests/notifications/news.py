"""Events as the domains make them (CONTRACT 7), with the members that the rules read."""

from typing import Any

from matcher.events import Event, Target, members
from matcher.ids import uuid7

ORDER, QUOTE, NOTE = uuid7(), uuid7(), uuid7()
SHOP, RIVAL, CUSTOMER = f"shop:{uuid7()}", f"shop:{uuid7()}", f"user:{uuid7()}"
SHOP_ID = SHOP.removeprefix("shop:")
EXPIRES = "2026-03-01T14:00:00.000000Z"


def event(name: str, entity: str, entity_id: object, version: int, shared: Any, **own: Any) -> Event:
    targets = own.pop("targets", {})
    made = tuple(Target(to, f"{entity_id}.{version}", members(fields)) for to, fields in targets.items())
    return Event(name, entity, version, "2026-03-01T12:00:00.000000Z", members(shared), made)


def dispatch(name: str, version: int = 1, **own: Any) -> Event:
    shared = {
        "id": ORDER,
        "orderId": ORDER,
        "orderNumber": "CL-1",
        "vehicle": {"make": "Toyota", "model": "Corolla", "year": 2018},
        "parts": [{"name": "Filter"}, {"name": "Pads"}],
        "expiresAt": EXPIRES,
    }
    given = {
        "orderStatus": "open",
        "distanceM": 1300,
        "status": "pending",
        "closedReason": None,
        "respondedAt": None,
    }
    return event(name, "dispatch", ORDER, version, shared, targets={SHOP: given | own})


def order(status: str, version: int = 3, **changes: Any) -> Event:
    shared = {
        "id": ORDER,
        "orderNumber": "CL-1",
        "status": status,
        "selectedQuoteId": QUOTE,
        "dispatch": {"shopsNotified": 10, "reason": None},
        "expiresAt": EXPIRES,
    }
    return event("order-status-update", "order", ORDER, version, shared | changes, targets={CUSTOMER: {}})


def quote(name: str, version: int = 2, **changes: Any) -> Event:
    shared = {
        "id": QUOTE,
        "orderId": ORDER,
        "shopId": SHOP_ID,
        "shopName": "Nile Parts",
        "totalPrice": "125.50",
        "currency": "USD",
        "status": "active",
        "validUntil": None,
    }
    return event(name, "quote", QUOTE, version, shared | changes, targets={SHOP: {}, CUSTOMER: {}})


def note(version: int = 1, read_at: str | None = None) -> Event:
    shared = {"id": NOTE, "type": "news", "title": "News", "message": "We open at 9", "readAt": read_at}
    return event("notification", "notification", NOTE, version, shared, targets={CUSTOMER: {}})
