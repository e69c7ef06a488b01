"""The lock that every change of an order takes first, and the clock that is read after it."""

import asyncio
from datetime import timedelta

from matcher.db import Pool
from matcher.ids import uuid7
from matcher.quotes.lifecycle import OrderStatus
from matcher.quotes.locking import lock_order
from tests.quotes.factories import START, Clock, insert_order


async def test_an_unknown_order_is_none(pool: Pool) -> None:
    async with pool.acquire() as connection, connection.transaction():
        assert await lock_order(connection, uuid7()) is None


async def test_the_lock_shows_the_order_and_its_next_version(clocked_pool: Pool, clock: Clock) -> None:
    inserted = await insert_order(clocked_pool)
    clock.now = START + timedelta(minutes=3)
    async with clocked_pool.acquire() as connection, connection.transaction():
        order = await lock_order(connection, inserted.id)
    assert order is not None
    assert (order.status, order.version, order.next_version) == (OrderStatus.SUBMITTED, 1, 2)
    assert (order.user_id, order.expires_at) == (inserted.customer.user_id, inserted.expires_at)
    assert order.now == clock.now


async def test_the_clock_is_read_after_the_wait_for_the_lock(pool: Pool) -> None:
    inserted = await insert_order(pool)
    async with pool.acquire() as holder, pool.acquire() as waiter:
        transaction = holder.transaction()
        await transaction.start()
        await lock_order(holder, inserted.id)

        async def wait() -> object:
            async with waiter.transaction():
                return await lock_order(waiter, inserted.id)

        waiting = asyncio.create_task(wait())
        blocked = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $1 AND wait_event_type = 'Lock')"
        while not await holder.fetchval(blocked, waiter.get_server_pid()):
            assert not waiting.done()
        released = await holder.fetchval("SELECT clock_timestamp()")
        await transaction.commit()
        order = await waiting
    assert order is not None
    assert order.now >= released  # type: ignore[attr-defined]  # a LockedOrder
