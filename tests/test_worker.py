"""The worker with real Redis: what is due is told within seconds, and Redis away stops nothing for good."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import pytest
from prometheus_client import REGISTRY
from redis.asyncio import Redis

from matcher import worker
from matcher.db import Pool
from matcher.settings import Settings
from matcher.tasks import Task
from tests.quotes.factories import insert_order


@asynccontextmanager
async def working(settings: Settings) -> AsyncIterator["asyncio.Task[None]"]:
    stopping = asyncio.Event()
    running = asyncio.create_task(worker.run_worker(settings, stopping))
    try:
        yield running
    finally:
        stopping.set()
        await asyncio.wait_for(running, timeout=15)


async def until(condition: Callable[[], Awaitable[Any]], *, within_s: float) -> None:
    async with asyncio.timeout(within_s):
        while not await condition():  # noqa: ASYNC110  what is awaited happens in servers
            await asyncio.sleep(0.02)


async def entries(settings: Settings) -> list[bytes]:
    """Everything in the event log of this test."""
    client = Redis.from_url(settings.redis_url)
    async with client:
        keys = [key async for key in client.scan_iter(match=f"{settings.redis_prefix}*")]
        streams = [key for key in keys if await client.type(key) == b"stream"]
        return [repr(entry).encode() for key in streams for entry in await client.xrange(key)]


async def test_an_expiry_is_told_within_five_seconds(pool: Pool, settings: Settings) -> None:
    end = datetime.now(UTC) + timedelta(seconds=2)
    order = await insert_order(pool, now=end - timedelta(hours=2), expires_at=end)

    async def is_told() -> bool:
        found = b"".join(await entries(settings))
        return b'"status":"expired"' in found and str(order.id).encode() in found

    async with working(settings):
        await until(is_told, within_s=2 + 5)
    assert datetime.now(UTC) >= end
    assert await pool.fetchval("SELECT status FROM orders WHERE id = $1", order.id) == "expired"
    assert await pool.fetchval("SELECT count(*) FROM outbox") == 0


async def test_two_workers_tell_each_expiry_once(pool: Pool, settings: Settings) -> None:
    past = datetime.now(UTC) - timedelta(seconds=1)
    for _ in range(10):
        await insert_order(pool, now=past - timedelta(hours=2), expires_at=past)

    async def all_expired() -> bool:
        left = "SELECT count(*) FROM orders WHERE status <> 'expired'"
        return bool(await pool.fetchval(left) == 0)

    async with working(settings), working(settings):
        await until(all_expired, within_s=8)
    versions = await pool.fetch("SELECT DISTINCT version FROM orders")
    assert [row["version"] for row in versions] == [2]


async def test_without_redis_the_worker_waits_and_then_works(pool: Pool, settings: Settings) -> None:
    """Redis is away at the start, comes, goes, and comes again: a relay on loopback opens and closes."""
    past = datetime.now(UTC) - timedelta(seconds=1)
    async with Relay(settings.redis_url) as relay:
        away = replace(settings, redis_url=relay.url)
        async with working(away) as running:
            await asyncio.sleep(1.5)  # the worker's own wait for Redis passes at least once
            assert not running.done()
            for _ in range(2):
                order = await insert_order(pool, now=past - timedelta(hours=2), expires_at=past)
                await relay.open()
                await until(partial(is_expired, pool, order.id), within_s=20)
                await relay.close()
            assert not running.done()


async def is_expired(pool: Pool, order_id: UUID) -> bool:
    return bool(await pool.fetchval("SELECT status FROM orders WHERE id = $1", order_id) == "expired")


class Relay:
    """A port that leads to Redis while it is open; nobody listens there otherwise."""

    def __init__(self, redis_url: str) -> None:
        self._target = urlsplit(redis_url)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        host = f"127.0.0.1:{self._port}"
        user = self._target.netloc.rpartition("@")
        self.url = self._target._replace(netloc=f"{user[0]}{user[1]}{host}").geturl()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> "Relay":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)

    async def close(self) -> None:
        if self._server:
            self._server.close()
            for task in [*self._tasks]:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await self._server.wait_closed()
            self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        far_reader, far_writer = await asyncio.open_connection(self._target.hostname, self._target.port)
        try:
            await asyncio.gather(pump(reader, far_writer), pump(far_reader, writer))
        finally:
            self._tasks.discard(task)
            writer.close()
            far_writer.close()


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()
    writer.close()


def jobs(name: str, outcome: str) -> float:
    labels = {"job": name, "outcome": outcome}
    return REGISTRY.get_sample_value("matcher_jobs_total", labels) or 0.0


async def test_a_failing_task_is_counted_and_stops_nothing() -> None:
    async def broken() -> None:
        raise RuntimeError("no")

    before = jobs("broken", "failed")
    run = worker._measured(Task("broken", 1, broken))
    await run({})
    assert jobs("broken", "failed") == before + 1


async def test_a_task_that_still_runs_is_not_started_again() -> None:
    started, finish = asyncio.Event(), asyncio.Event()
    runs = 0

    async def slow() -> None:
        nonlocal runs
        runs += 1
        started.set()
        await finish.wait()

    run = worker._measured(Task("slow", 1, slow))
    first = asyncio.create_task(run({}))
    await started.wait()
    await run({})
    finish.set()
    await first
    assert runs == 1
    assert jobs("slow", "skipped") == 1


@pytest.mark.parametrize(
    ("every_s", "second", "minute"),
    [(1, set(range(60)), None), (10, {0, 10, 20, 30, 40, 50}, None), (600, 0, {0, 10, 20, 30, 40, 50})],
)
def test_a_task_runs_every_so_often(every_s: int, second: Any, minute: Any) -> None:
    async def nothing() -> None: ...

    job = worker._cron_job("test:", Task("nothing", every_s, nothing))
    assert (job.name, job.second, job.minute) == ("test:nothing", second, minute)
