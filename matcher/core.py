"""What API processes and workers share: pool, event log, transactions, shop directory, order planning.

A composition root's foundation: `app` and `worker` open it, add their own, and close it in reverse.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import structlog

from matcher.db import Pool, create_pool
from matcher.notifications import service as notifications
from matcher.quotes import events as order_events
from matcher.quotes.waves import WavePlanner
from matcher.realtime.redis_log import RedisLog
from matcher.runtime import database_url, redis_url
from matcher.settings import Settings
from matcher.shops.directory import ShopDirectory
from matcher.transactions import Publisher, Renderer, Transactions

# What each outbox topic is announced with.
RENDERERS: dict[str, Renderer] = {
    order_events.TOPIC: order_events.render_changes,
    notifications.TOPIC: notifications.render_changes,
}

log = structlog.get_logger()


@dataclass(frozen=True)
class Core:
    """See the module."""

    settings: Settings
    pool: Pool
    log: RedisLog
    publisher: Publisher
    transactions: Transactions
    directory: ShopDirectory
    planner: WavePlanner
    redis_url: str


@asynccontextmanager
async def open_core(settings: Settings) -> AsyncIterator[Core]:
    """Open everything; on leaving, publish what is committed, then close."""
    redis_address = redis_url(settings)
    pool = await create_pool(
        database_url(settings),
        min_size=min(4, settings.pool_size),
        max_size=settings.pool_size,
        statement_timeout_s=settings.statement_timeout_s,
    )
    event_log = RedisLog(
        redis_address,
        settings.redis_prefix,
        partitions=settings.log_partitions,
        entries_max=settings.log_entries_max,
    )
    publisher = Publisher(pool, event_log.append, queue_max=settings.publish_queue_max)
    directory = ShopDirectory(pool, poll_s=settings.shop_poll_s)
    core = Core(
        settings=settings,
        pool=pool,
        log=event_log,
        publisher=publisher,
        transactions=Transactions(pool, publisher, RENDERERS, idempotency_wait_s=settings.idempotency_wait_s),
        directory=directory,
        planner=WavePlanner(directory, settings),
        redis_url=redis_address,
    )
    try:
        await directory.load()
        async with running(publisher.run(), directory.run()):
            yield core
        await publisher.drain()
    finally:
        await event_log.close()
        await _close_pool(pool)


@asynccontextmanager
async def running(*loops: Awaitable[Any]) -> AsyncIterator[None]:
    """Endless loops beside the body, cancelled when it ends; one that dies is logged at once."""
    tasks = [asyncio.ensure_future(loop) for loop in loops]
    for task in tasks:
        task.add_done_callback(_report_death)
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _report_death(task: "asyncio.Future[Any]") -> None:
    if not task.cancelled() and task.exception() is not None:
        log.error("loop_died", loop=repr(task), exc_info=task.exception())


async def _close_pool(pool: Pool) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(pool.close(), timeout=10)
        return
    pool.terminate()
