"""The order's lock: the one door through which an order, its dispatches and its quotes change."""

from datetime import datetime
from uuid import UUID

import msgspec

from matcher.db import Connection, load_queries
from matcher.quotes.lifecycle import OrderStatus

SQL = load_queries("matcher.quotes", "locking.sql")


class LockedOrder(msgspec.Struct, frozen=True):
    """An order's state under its lock. `now`: the database's clock, read after the lock was granted."""

    id: UUID
    user_id: UUID
    status: OrderStatus
    version: int
    view_version: int
    urgency: str
    priority: str
    payment_method: str
    payment_status: str
    currency: str
    parts_count: int
    wave: int
    next_wave_at: datetime | None
    accepted_quote_id: UUID | None
    submitted_at: datetime | None
    expires_at: datetime | None
    now: datetime

    @property
    def next_version(self) -> int:
        """The version of the change that is being made."""
        return self.version + 1


async def lock_order(connection: Connection, order_id: UUID) -> LockedOrder | None:
    """Lock an order for this transaction; None when there is none.

    The clock is a second statement: within the locking one it would show the time before the wait, and a
    WHERE clause is not evaluated again when the holder of the lock changed nothing (both measured).
    """
    row = await connection.fetchrow(SQL["lock_order"], order_id)
    if row is None:
        return None
    now = await connection.fetchval(SQL["now"])
    fields = dict(row)
    return LockedOrder(**fields | {"status": OrderStatus(fields["status"])}, now=now)
