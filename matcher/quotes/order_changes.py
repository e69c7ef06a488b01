"""What happens to a submitted order: cancelled, extended, delivered, given back by the shop that won it.

Every change locks the order first, decides by the pure state machine, and writes the order, its
dispatches and its quotes at one version.
"""

from datetime import timedelta
from typing import Any
from uuid import UUID

from matcher import metrics
from matcher.accounts.access import QUOTING_ROLES, Caller
from matcher.db import Connection, load_queries
from matcher.errors import FieldError, Forbidden, InvalidRequest, NotFound
from matcher.quotes import views
from matcher.quotes.acceptance import ensure_open
from matcher.quotes.errors import (
    ExtensionTooLong,
    OrderCancelled,
    OrderExpired,
    OrderNotOpen,
)
from matcher.quotes.lifecycle import (
    OPEN,
    ORDER_CHANGES,
    WON,
    OrderStatus,
    extended,
    is_expired,
    open_status,
    priority,
)
from matcher.quotes.locking import LockedOrder, lock_order
from matcher.quotes.order_schemas import StatusUpdate
from matcher.quotes.order_service import read_order
from matcher.serialization import encode
from matcher.settings import Settings
from matcher.transactions import IdempotentCall, Reply, Transaction, Transactions

SQL = load_queries("matcher.quotes")


class OrderChanges:
    """See the module."""

    def __init__(self, transactions: Transactions, settings: Settings) -> None:
        self._transactions = transactions
        self._settings = settings

    async def cancel(
        self, caller: Caller, order_id: UUID, reason: str | None, call: IdempotentCall | None
    ) -> Reply:
        """The customer cancels (until `processing`), or the winning shop backs out (until `shipped`)."""

        async def work(tx: Transaction) -> dict[str, Any]:
            order = await lock_order(tx.connection, order_id)
            if order is None:
                raise NotFound
            if order.user_id == caller.user_id:
                await self._cancel_own(tx, order, reason)
                return await read_order(tx.connection, order_id)
            shop_id = await self._winner(tx.connection, order, caller)
            await self._back_out(tx, order, reason)
            return await _read_dispatch(tx.connection, order_id, shop_id)

        return await self._transactions.run(work, call=call)

    async def extend(
        self, caller: Caller, order_id: UUID, minutes: int, call: IdempotentCall | None
    ) -> Reply:
        """An open order stays open longer: at most `order_open_max_s` from its submission."""

        async def work(tx: Transaction) -> dict[str, Any]:
            order = await lock_order(tx.connection, order_id)
            if order is None or order.user_id != caller.user_id:
                raise NotFound
            ensure_open(order)
            assert order.expires_at is not None, "open orders have an end"
            assert order.submitted_at is not None, "open orders were submitted"
            longest = timedelta(seconds=self._settings.order_open_max_s)
            expires_at = extended(order.expires_at, order.submitted_at, minutes, longest)
            if expires_at is None:
                raise ExtensionTooLong
            rank = priority(order.urgency, order.parts_count, expires_at, order.now)
            await tx.connection.execute(
                SQL["set_expiry"], order_id, expires_at, rank, order.next_version, order.now
            )
            await tx.connection.execute(SQL["touch_open_dispatches"], order_id, order.next_version)
            tx.changed("order", order_id, order.next_version)
            return await read_order(tx.connection, order_id)

        return await self._transactions.run(work, call=call)

    async def set_status(
        self, caller: Caller, order_id: UUID, body: StatusUpdate, call: IdempotentCall | None
    ) -> Reply:
        """The winning shop reports progress; cash on delivery counts as paid when delivered."""

        async def work(tx: Transaction) -> dict[str, Any]:
            order = await lock_order(tx.connection, order_id)
            if order is None:
                raise NotFound
            shop_id = await self._winner(tx.connection, order, caller)
            target = OrderStatus(body.status)
            # The same status again only brings new tracking.
            if order.status is not target and target not in ORDER_CHANGES[order.status]:
                raise OrderNotOpen(f"An order that is {order.status} cannot become {target}.")
            tracking = encode(body.tracking) if body.tracking else None
            await tx.connection.execute(
                SQL["set_progress"], order_id, target, tracking, order.now, order.next_version
            )
            await tx.connection.execute(SQL["touch_won_dispatch"], order_id, order.next_version)
            tx.changed("order", order_id, order.next_version)
            metrics.ORDERS.labels(target).inc()
            return await _read_dispatch(tx.connection, order_id, shop_id)

        return await self._transactions.run(work, call=call)

    async def _cancel_own(self, tx: Transaction, order: LockedOrder, reason: str | None) -> None:
        if order.status is OrderStatus.CANCELLED:
            raise OrderCancelled
        if order.status is OrderStatus.EXPIRED or (order.status in OPEN and _is_over(order)):
            raise OrderExpired
        if order.status in {OrderStatus.SHIPPED, OrderStatus.DELIVERED}:
            raise OrderNotOpen(f"An order that is {order.status} cannot be cancelled any more.")
        if order.status is OrderStatus.PROCESSING:
            raise OrderNotOpen("The shop is preparing this order already; ask the shop to cancel it.")
        await close_order(tx, order, reason)

    async def _back_out(self, tx: Transaction, order: LockedOrder, reason: str | None) -> None:
        if reason is None:
            raise InvalidRequest(errors=[FieldError("/reason", "a shop that backs out must say why")])
        if OrderStatus.CANCELLED not in ORDER_CHANGES[order.status]:
            raise OrderNotOpen(f"An order that is {order.status} cannot be given back any more.")
        await tx.connection.execute(SQL["withdraw_winner"], order.id, order.next_version, order.now)
        if _is_over(order):
            await close_order(tx, order, reason)
        else:
            await self._reopen(tx, order)

    async def _reopen(self, tx: Transaction, order: LockedOrder) -> None:
        """The other shops are asked again: their quotes live again, and there is a new wave to come."""
        connection, version = tx.connection, order.next_version
        revived = await connection.fetch(SQL["revive_quotes"], order.id, version, order.now)
        quoting = [row["shop_id"] for row in revived]
        reopened = await connection.fetch(SQL["reopen_dispatches"], order.id, version, quoting)
        await connection.execute(
            SQL["repeat_quotes"], order.id, version, [row["shop_id"] for row in reopened]
        )
        next_wave_at = order.now + timedelta(seconds=self._settings.wave_interval_s if reopened else 0)
        status = open_status(len(quoting))
        await connection.execute(SQL["reopen_order"], order.id, status, next_wave_at, version, order.now)
        tx.changed("order", order.id, version)
        metrics.ORDERS.labels("reopened").inc()

    async def _winner(self, connection: Connection, order: LockedOrder, caller: Caller) -> UUID:
        """The shop that won, when the caller may act for it; NotFound for everyone else."""
        if order.status not in WON or order.accepted_quote_id is None:
            raise NotFound
        shop_id: UUID = await connection.fetchval(SQL["find_winner"], order.accepted_quote_id)
        if shop_id not in caller.shops:
            raise NotFound
        if caller.shops[shop_id] not in QUOTING_ROLES:
            raise Forbidden
        return shop_id


def _is_over(order: LockedOrder) -> bool:
    # By the clock: the sweeper that stores `expired` only tells people.
    assert order.expires_at is not None, "only drafts have no end"
    return is_expired(order.expires_at, order.now)


async def close_order(tx: Transaction, order: LockedOrder, reason: str | None) -> None:
    """Cancel a locked order with its dispatches and quotes; `reason` is what its customer reads."""
    version = order.next_version
    await tx.connection.execute(SQL["cancel_order"], order.id, reason, order.now, version)
    await tx.connection.execute(SQL["close_dispatches"], order.id, "cancelled", version)
    await tx.connection.execute(SQL["close_quotes"], order.id, "rejected", version, order.now)
    tx.changed("order", order.id, version)
    metrics.ORDERS.labels("cancelled").inc()


async def _read_dispatch(connection: Connection, order_id: UUID, shop_id: UUID) -> dict[str, Any]:
    order = await connection.fetchrow(SQL["find_order"], order_id)
    dispatch = await connection.fetchrow(SQL["find_dispatch"], order_id, [shop_id])
    assert order is not None, "the order is locked"
    assert dispatch is not None, "a winner was dispatched to"
    return views.dispatch_view(order, dispatch)
