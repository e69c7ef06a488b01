"""Messages as the channels get them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from matcher.ids import uuid7
from matcher.notifications.channel import Message

SENT_AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
ORDER_ID, SHOP_ID = str(uuid7()), str(uuid7())


def message(**changes: Any) -> Message:
    """A new order for a shop, with two hours to answer."""
    made = Message(
        id=uuid7(),
        title="New parts order",
        body="Toyota Corolla 2018: 2 parts, 1.3 km away",
        data={"type": "new-parts-order", "orderId": ORDER_ID, "shopId": SHOP_ID},
        topic=ORDER_ID,
        urgent=True,
        sent_at=SENT_AT,
        expires_at=SENT_AT + timedelta(hours=2),
    )
    return msgspec.structs.replace(made, **changes)
