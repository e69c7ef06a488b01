"""What time does to orders: expiry, widening, what closed shops and deleted accounts left. Quotes: `settling`.

The worker calls these every second. Each step locks the order and decides again, so several workers,
late workers and repeated calls do no harm. Nothing here is needed for correctness at the edge: requests
read the clock themselves; the sweeps only tell people.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable
from datetime import timedelta
from typing import Any
from uuid import UUID

import structlog

from matcher import metrics
from matcher.db import DatabaseUnavailable, load_queries
from matcher.geo.types import Place
from matcher.quotes.events import TOPIC
from matcher.quotes.lifecycle import OPEN, OrderStatus, is_expired
from matcher.quotes.locking import LockedOrder, lock_order
from matcher.quotes.order_changes import close_order
from matcher.quotes.settling import touch
from matcher.quotes.waves import WavePlanner
from matcher.settings import Settings
from matcher.transactions import Transaction, Transactions

SQL = load_queries("matcher.quotes")
BATCH = 500  # orders of one expiry transaction: rows stay locked for milliseconds
DRAFT_TOO_OLD = "The draft was not submitted in time."
ACCOUNT_DELETED = "The customer's account was deleted."
ROUNDS = 40  # of one call, so that one call is bounded: 20,000 orders
AT_ONCE = 4  # orders in work: a step is a dozen round trips, and one after the other would fall behind

Step = Callable[[Transaction, LockedOrder], Awaitable[None]]

log = structlog.get_logger()


class Sweeps:
    """See the module."""

    def __init__(self, transactions: Transactions, planner: WavePlanner, settings: Settings) -> None:
        self._transactions = transactions
        self._planner = planner
        self._settings = settings

    async def expire_orders(self) -> int:
        """Close every order whose time is over; how many."""

        expired: list[Any] = []

        async def work(tx: Transaction) -> None:
            due = [row["id"] for row in await tx.connection.fetch(SQL["lock_due"], BATCH)]
            expired[:] = await tx.connection.fetch(SQL["expire_locked"], due)
            for row in expired:
                tx.changed("order", row["id"], row["version"])

        total = 0
        for _ in range(ROUNDS):
            await self._transactions.run(work)
            for row in expired:
                metrics.EXPIRY_LATENESS_SECONDS.observe(max(0.0, row["late_s"]))
            total += len(expired)
            if len(expired) < BATCH:
                break
        metrics.ORDERS.labels("expired").inc(total)
        return total

    async def widen_orders(self) -> int:
        """Ask a further wave for every order that is due; how many were looked at."""
        due = await self._transactions.pool.fetch(SQL["due_waves"], BATCH)
        await self._with_orders([row["id"] for row in due], self._widen)
        return len(due)

    async def revoke_shop(self, shop_id: UUID) -> int:
        """Take a shop that is no longer active out of every open order; how many."""

        async def revoke(tx: Transaction, order: LockedOrder) -> None:
            await self._revoke(tx, order, shop_id)

        rows = await self._transactions.pool.fetch(SQL["revocable_dispatches"], shop_id)
        await self._with_orders([row["order_id"] for row in rows], revoke)
        return len(rows)

    async def revoke_closed_shops(self) -> int:
        """`revoke_shop` for every shop that is not active but holds open dispatches."""
        rows = await self._transactions.pool.fetch(SQL["closed_shops_with_dispatches"])
        return sum([await self.revoke_shop(row["shop_id"]) for row in rows])

    async def close_old_drafts(self) -> None:
        """Drafts live a week. Cancelled, not deleted: an entity that leaves a client says so itself."""

        async def close(tx: Transaction, order: LockedOrder) -> None:
            version = order.next_version
            await tx.connection.execute(SQL["cancel_order"], order.id, DRAFT_TOO_OLD, order.now, version)
            tx.changed(TOPIC, order.id, version)

        keep = timedelta(seconds=self._settings.draft_keep_s)
        drafts = await self._transactions.pool.fetch(SQL["old_drafts"], keep, BATCH)
        await self._with_orders([row["id"] for row in drafts], close, {OrderStatus.DRAFT})

    async def close_abandoned_orders(self) -> int:
        """Cancel what deleted accounts left open, so that no shop works on an offer nobody can accept; how many."""

        async def close(tx: Transaction, order: LockedOrder) -> None:
            await close_order(tx, order, ACCOUNT_DELETED)

        rows = await self._transactions.pool.fetch(SQL["abandoned_orders"], BATCH)
        await self._with_orders([row["id"] for row in rows], close, OPEN | {OrderStatus.DRAFT})
        return len(rows)

    async def _with_orders(
        self, order_ids: Iterable[UUID], step: Step, statuses: Collection[OrderStatus] = OPEN
    ) -> None:
        """`_with_order` for each, a few at a time. DatabaseUnavailable ends it."""
        waiting = iter(order_ids)

        async def work() -> None:
            for order_id in waiting:
                await self._with_order(order_id, step, statuses)

        ended = await asyncio.gather(*(work() for _ in range(AT_ONCE)), return_exceptions=True)
        for error in ended:
            if error is not None:
                raise error

    async def _with_order(self, order_id: UUID, step: Step, statuses: Collection[OrderStatus]) -> None:
        """Run a step on an order that still has such a status under its lock.

        An order whose step fails is logged and tried again by the next sweep: those behind it must not wait.
        """

        async def work(tx: Transaction) -> None:
            order = await lock_order(tx.connection, order_id)
            if order is not None and order.status in statuses:
                await step(tx, order)

        try:
            await self._transactions.run(work)
        except DatabaseUnavailable:
            raise
        except Exception as error:
            log.exception("order_sweep_failed", order_id=str(order_id), error=repr(error))

    async def _widen(self, tx: Transaction, order: LockedOrder) -> None:
        connection = tx.connection
        assert order.expires_at is not None
        if (
            order.next_wave_at is None
            or order.next_wave_at > order.now
            or is_expired(order.expires_at, order.now)
        ):
            return
        live = await connection.fetchval(SQL["count_live_quotes"], order.id, order.now)
        later = order.now + timedelta(seconds=self._settings.wave_interval_s)
        if live >= self._settings.wave_quotes_enough:
            await connection.execute(SQL["postpone_wave"], order.id, later)
            return
        asked = {row["shop_id"] for row in await connection.fetch(SQL["asked_shops"], order.id)}
        last = self._settings.waves + 1
        if order.wave >= last and asked:
            await connection.execute(SQL["postpone_wave"], order.id, None)
            return
        # Once nobody was found in any wave, each further try begins with those in reach: one may have opened.
        wave = order.wave + 1 if order.wave < last else 1
        row = await connection.fetchrow(SQL["find_order"], order.id)
        assert row is not None
        place = Place(latitude=row["latitude"], longitude=row["longitude"])
        shops = self._planner.choose(row["make"], place, wave=wave, exclude=asked)
        if not shops and order.wave == last:
            shops = self._planner.choose(row["make"], place, wave=last, exclude=asked)
        await self._planner.ask(connection, order, row["make"], shops, min(order.wave + 1, last))
        tx.changed(TOPIC, order.id, order.next_version)

    async def _revoke(self, tx: Transaction, order: LockedOrder, shop_id: UUID) -> None:
        connection, version = tx.connection, order.next_version
        if not await connection.fetchval(SQL["revoke_dispatch"], order.id, shop_id, version):
            return
        await connection.execute(SQL["reject_quotes_of"], order.id, shop_id, version, order.now)
        await connection.execute(SQL["widen_if_unanswered"], order.id, order.now)
        await touch(tx, order)
