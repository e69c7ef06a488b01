"""Stored rows as each recipient sees them: an order by its customer, a dispatch by its shop, a quote by both.

Pure: a view depends on the stored state alone, never on the clock, so the same version is the same view
wherever and whenever it is rendered (DESIGN 6). A row is any mapping with the columns of the statement
named in each docstring.
"""

from datetime import datetime, timedelta
from typing import Any, Protocol

from matcher.geo.cells import blurred
from matcher.geo.types import Place
from matcher.ids import order_number
from matcher.serialization import format_money


class Row(Protocol):
    """A record or a dict: columns by name."""

    def __getitem__(self, column: str, /) -> Any: ...


# A delivery's rough duration: packing, then streets 1.3 times the great circle at 30 km/h of city traffic.
# (Taxi trips in the shipped data drive 1.3 to 1.4 times the straight line.)
PACKING = timedelta(minutes=20)
STREET_FACTOR = 1.3
STREET_M_PER_S = 30_000 / 3600


def order_view(row: Row) -> dict[str, Any]:
    """A row of `render_orders` as `OrderView` without quotes."""
    return {
        "id": row["id"],
        "orderNumber": order_number(row["id"]),
        "userId": row["user_id"],
        "status": row["status"],
        "priority": row["priority"],
        "urgency": row["urgency"],
        "currency": row["currency"],
        "vehicle": row["vehicle"],
        "deliveryLocation": row["delivery_location"],
        "parts": row["parts"],
        "selectedQuoteId": row["accepted_quote_id"],
        "paymentMethod": row["payment_method"],
        "paymentStatus": row["payment_status"],
        "tracking": row["tracking"],
        "dispatch": {
            "wave": row["wave"],
            "shopsNotified": row["shops_notified"],
            "radiusM": row["radius_m"],
            "reason": row["dispatch_reason"],
        },
        "cancelReason": row["cancel_reason"],
        "createdAt": row["created_at"],
        "submittedAt": row["submitted_at"],
        "expiresAt": row["expires_at"],
        "acceptedAt": row["accepted_at"],
        "updatedAt": row["updated_at"],
        "version": row["view_version"],
    }


def dispatch_shared(order: Row) -> dict[str, Any]:
    """What every shop that was asked sees of an order: a row of `render_orders`, the place blurred."""
    place = blurred(Place(order["latitude"], order["longitude"]))
    return {
        "id": order["id"],
        "orderId": order["id"],
        "orderNumber": order_number(order["id"]),
        "vehicle": order["vehicle"],
        "parts": order["parts"],
        "deliveryLocation": {
            "latitude": place.latitude,
            "longitude": place.longitude,
            "precisionM": place.precision_m,
        },
        "contact": None,
        "currency": order["currency"],
        "priority": order["priority"],
        "expiresAt": order["expires_at"],
    }


def dispatch_shared_with_winner(order: Row) -> dict[str, Any]:
    """What the winning shop sees: the exact place and whom to ask for."""
    location = order["delivery_location"]
    return dispatch_shared(order) | {
        "deliveryLocation": {
            "latitude": order["latitude"],
            "longitude": order["longitude"],
            "precisionM": None,
            "address": location.get("address"),
            "instructions": location.get("instructions"),
        },
        "contact": order["contact"],
    }


def dispatch_own(dispatch: Row, order_status: str) -> dict[str, Any]:
    """A shop's own part of the view: a row of `dispatches`. Losers learn that the order is over, not more."""
    won = dispatch["status"] == "won"
    distance_m = dispatch["distance_m"] if won else dispatch["shown_distance_m"]
    return {
        "orderStatus": order_status if won else _seen_from_outside(dispatch["status"]),
        "distanceM": round(distance_m),
        "estimatedDelivery": estimated_delivery(dispatch["dispatched_at"], dispatch["shown_distance_m"]),
        "rank": dispatch["rank"],
        "wave": dispatch["wave"],
        "status": dispatch["status"],
        "closedReason": dispatch["closed_reason"],
        "dispatchedAt": dispatch["dispatched_at"],
        "seenAt": dispatch["seen_at"],
        "respondedAt": dispatch["responded_at"],
        "version": dispatch["version"],
    }


def _seen_from_outside(dispatch_status: str) -> str:
    # The order's real status tells a shop that a rival has quoted; its own dispatch tells what it may know.
    return "closed" if dispatch_status == "closed" else "open"


def dispatch_view(order: Row, dispatch: Row) -> dict[str, Any]:
    """The whole `DispatchView` of one shop."""
    shared = dispatch_shared_with_winner(order) if dispatch["status"] == "won" else dispatch_shared(order)
    return shared | dispatch_own(dispatch, order["status"])


def estimated_delivery(dispatched_at: datetime, distance_m: float) -> datetime:
    """When parts that leave a shop at this distance now would arrive; see the constants."""
    return dispatched_at + PACKING + timedelta(seconds=round(distance_m * STREET_FACTOR / STREET_M_PER_S))


def quote_view(row: Row) -> dict[str, Any]:
    """A row of `quotes` as `QuoteView`."""
    currency = row["currency"]
    return {
        "id": row["id"],
        "orderId": row["order_id"],
        "shopId": row["shop_id"],
        "shopName": row["shop_name"],
        "status": row["status"],
        "source": row["source"],
        "currency": currency,
        "taxIncluded": True,
        "lines": row["lines"],
        "partsTotal": format_money(row["parts_total_minor"], currency),
        "deliveryFee": format_money(row["delivery_fee_minor"], currency),
        "totalPrice": format_money(row["total_minor"], currency),
        "availableParts": row["coverage"]["available"],
        "partialParts": row["coverage"]["partial"],
        "missingParts": row["coverage"]["missing"],
        "estimatedDeliveryMinutes": row["estimated_delivery_minutes"],
        "estimatedDelivery": row["estimated_delivery"],
        "pickup": row["pickup"],
        "notes": row["notes"],
        "validUntil": row["valid_until"],
        "createdAt": row["created_at"],
        "updatedAt": row["updated_at"],
        "version": row["version"],
    }
