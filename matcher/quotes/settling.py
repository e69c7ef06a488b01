"""How an order follows its quotes: due ones close, its status and version follow, the change is announced.

For an open order one rule always holds: it is `quoted` exactly while a quote of it is stored as active.
"""

from functools import partial
from uuid import UUID

from matcher.db import Connection
from matcher.quotes import quote_repository
from matcher.quotes.events import TOPIC
from matcher.quotes.lifecycle import OPEN, open_status
from matcher.quotes.locking import LockedOrder, lock_order
from matcher.transactions import Transaction, Transactions


async def touch(tx: Transaction, order: LockedOrder) -> None:
    """Raise the version of an order whose quotes or dispatches were changed, and announce the change."""
    status = order.status
    if status in OPEN:
        status = open_status(await quote_repository.active_quotes(tx.connection, order.id))
    await quote_repository.touch_order(tx.connection, order, status)
    tx.changed(TOPIC, order.id, order.next_version)


async def expire_due(connection: Connection, order: LockedOrder) -> list[UUID]:
    """Close the order's quotes whose validity is over; their shops, which may quote again. `touch` follows."""
    if shop_ids := await quote_repository.expire_quotes(connection, order):
        await quote_repository.unmark_quoted(connection, shop_ids, order)
    return shop_ids


async def expire_quotes(transactions: Transactions, limit: int) -> int:
    """Close due quotes of up to `limit` orders, one transaction each; how many orders. For the worker."""
    order_ids = await quote_repository.orders_with_due_quotes(transactions.pool, limit)
    for order_id in order_ids:
        await transactions.run(partial(_expire_quotes_of, order_id=order_id))
    return len(order_ids)


async def _expire_quotes_of(tx: Transaction, order_id: UUID) -> None:
    order = await lock_order(tx.connection, order_id)
    if order is not None and await expire_due(tx.connection, order):
        await touch(tx, order)
