"""What every process opens first, and how it ends."""

import asyncio

import pytest

from matcher.core import open_core, running
from matcher.db import Pool
from matcher.settings import Settings
from matcher.transactions import Transaction
from tests.quotes.factories import insert_order


async def test_the_core_opens_and_publishes_what_is_committed_before_it_closes(
    pool: Pool, settings: Settings
) -> None:
    order = await insert_order(pool)

    async def work(tx: Transaction) -> None:
        tx.changed("order", order.id, 1)

    async with open_core(settings) as core:
        assert core.directory.loaded
        await core.transactions.run(work)
    assert core.publisher.waiting == 0
    assert await pool.fetchval("SELECT count(*) FROM outbox") == 0


async def test_a_core_without_a_database_fails_to_open(settings: Settings) -> None:
    from dataclasses import replace

    with pytest.raises(OSError, match="9"):
        async with open_core(replace(settings, database_url="postgresql://matcher@127.0.0.1:9/none")):
            raise AssertionError("it opened")


async def test_loops_end_with_their_body() -> None:
    ended = asyncio.Event()

    async def loop() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def dies() -> None:
        raise RuntimeError("at once")

    async with running(loop(), dies()):
        await asyncio.sleep(0)
        assert not ended.is_set()
    assert ended.is_set()
