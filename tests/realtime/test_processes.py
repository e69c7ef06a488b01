"""Several API processes that share one Redis, over real sockets."""

import contextlib
from collections.abc import AsyncIterator

import pytest

from matcher.realtime.redis_log import RedisLog
from matcher.redis import create_redis
from tests.realtime.conftest import StartProcess
from tests.realtime.proxy import open_proxy
from tests.realtime.world import Account, Process, Store, eventually, open_client


@pytest.fixture
async def redis_log(redis_url: str, redis_prefix: str) -> AsyncIterator[RedisLog]:
    log = RedisLog(redis_url, redis_prefix)
    yield log
    await log.close()


async def healthy(process: Process, expected: bool) -> None:
    await eventually(lambda: process.hub.healthy is expected)


async def test_an_event_reaches_the_sockets_of_every_process(
    start: StartProcess, store: Store, redis_log: RedisLog, account: Account
) -> None:
    one, two = await start(log=redis_log), await start(log=redis_log)
    async with open_client(one, account) as first, open_client(two, account) as second:
        await redis_log.append([store.change(account.user, "a")])
        for client in (first, second):
            await client.until(lambda model: model.events)

    assert first.model.held == second.model.held
    assert first.model.cursor == second.model.cursor


async def test_a_cursor_resumes_on_another_process_and_on_one_that_started_later(
    start: StartProcess, store: Store, redis_log: RedisLog, account: Account
) -> None:
    one, two = await start(log=redis_log), await start(log=redis_log)
    async with open_client(one, account) as client:
        model = client.model
    await redis_log.append([store.change(account.user, "a")])
    async with open_client(two, account, model=model) as client:
        await client.until(lambda model: len(model.events) == 1)
        assert model.mode == "resumed"
    await redis_log.append([store.change(account.user, "b")])
    three = await start(log=redis_log)
    async with open_client(three, account, model=model) as client:
        await client.until(lambda model: len(model.events) == 2)
        assert model.mode == "resumed"

    assert store.reads == 1


async def test_a_deleted_stream_brings_a_fresh_snapshot_on_the_open_socket(
    start: StartProcess,
    store: Store,
    redis_log: RedisLog,
    redis_url: str,
    redis_prefix: str,
    account: Account,
) -> None:
    process = await start(log=redis_log)
    async with open_client(process, account) as client:
        store.change(account.user, "a", text="its event was lost with the stream")
        before = client.model.cursor
        async with create_redis(redis_url) as redis:
            await redis.delete(f"{redis_prefix}log:{{0}}")
        await client.until(lambda model: model.held)
        assert client.model.events == []

        await redis_log.append([store.change(account.user, "b")])
        await client.until(lambda model: model.events)
        assert set(client.model.held) == {("order", "a"), ("order", "b")}
        model = client.model

    model.cursor = before
    async with open_client(process, account, model=model):
        assert model.mode == "snapshot"


async def test_redis_away_keeps_sockets_and_loses_nothing(
    start: StartProcess,
    store: Store,
    redis_log: RedisLog,
    redis_url: str,
    redis_prefix: str,
    account: Account,
) -> None:
    async with contextlib.AsyncExitStack() as stack:
        proxy, url = await stack.enter_async_context(open_proxy(redis_url))
        through = RedisLog(url, redis_prefix)
        stack.push_async_callback(through.close)
        process = await start(log=through)
        async with open_client(process, account) as client:
            await proxy.cut()
            await healthy(process, False)
            await redis_log.append([store.change(account.user, "a")])
            assert (await client.request("echo"))["status"] == 201
            async with open_client(process, account) as newcomer:
                assert set(newcomer.model.held) == {("order", "a")}

            proxy.mend()
            await client.until(lambda model: model.events)
            assert (client.model.mode, store.reads) == ("snapshot", 2)
            await healthy(process, True)


async def test_a_process_that_starts_without_redis_gives_snapshots_and_catches_up(
    start: StartProcess,
    store: Store,
    redis_log: RedisLog,
    redis_url: str,
    redis_prefix: str,
    account: Account,
) -> None:
    async with contextlib.AsyncExitStack() as stack:
        proxy, url = await stack.enter_async_context(open_proxy(redis_url))
        await proxy.cut()
        through = RedisLog(url, redis_prefix)
        stack.push_async_callback(through.close)
        process = await start(log=through, ready_s=0.1)
        async with open_client(process, account) as client:
            store.change(account.user, "a", text="logged while this process saw nothing")
            proxy.mend()
            # No event tells of it: the snapshot that follows the first sight of the log does.
            await client.until(lambda model: model.held)
            await redis_log.append([store.change(account.user, "a")])
            await client.until(lambda model: model.events)
