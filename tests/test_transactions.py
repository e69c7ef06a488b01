"""One transaction a request: its effect, its key and its pointers stand or fall together, and events follow."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from matcher.core import running
from matcher.db import Connection, DatabaseUnavailable, Pool
from matcher.errors import Forbidden, MatcherError, NotFound, Overloaded, TooManyRequests, VersionConflict
from matcher.events import Event, Target
from matcher.ids import uuid7
from matcher.redis import RedisUnavailable
from matcher.transactions import (
    IdempotencyInFlight,
    IdempotencyKeyReused,
    IdempotentCall,
    Publisher,
    Reply,
    Transaction,
    Transactions,
    sweep,
)

ACCOUNT = uuid7()
INSERT = (
    "INSERT INTO orders (id, user_id, status, urgency, priority, payment_method, currency, parts_count)"
    " VALUES ($1, $1, 'draft', 'low', 'low', 'card', 'USD', 1)"
)
COUNT = "SELECT count(*) FROM orders"


class Log:
    """An event log that can be away."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.away: Exception | None = None

    async def append(self, events: Sequence[Event]) -> None:
        if self.away:
            raise self.away
        self.events += events

    @property
    def ids(self) -> list[str]:
        return [target.id for event in self.events for target in event.targets]


async def render(_: Connection, ids: Sequence[UUID], versions: Sequence[int]) -> list[Event]:
    return [
        Event("changed", "order", version, "", b"", (Target("user:1", f"{identity}.{version}", b""),))
        for identity, version in zip(ids, versions, strict=True)
    ]


RENDERERS = {"order": render}


class Bench:
    def __init__(self, pool: Pool, *, queue_max: int = 100, wait_s: float = 5.0) -> None:
        self.pool, self.log = pool, Log()
        self.publisher = Publisher(pool, self.log.append, queue_max=queue_max)
        self.transactions = Transactions(pool, self.publisher, RENDERERS, idempotency_wait_s=wait_s)

    async def insert(self, tx: Transaction) -> dict[str, UUID]:
        """Work that leaves a row and announces it."""
        identity = uuid7()
        await tx.connection.execute(INSERT, identity)
        tx.changed("order", identity, 1)
        return {"id": identity}

    async def count(self) -> int:
        found: int = await self.pool.fetchval(COUNT)
        return found

    async def outbox(self) -> int:
        found: int = await self.pool.fetchval("SELECT count(*) FROM outbox")
        return found


@pytest.fixture
def bench(pool: Pool) -> Bench:
    return Bench(pool)


def key(name: str = "k", payload: bytes = b"1") -> IdempotentCall:
    return IdempotentCall.of(ACCOUNT, "POST /x", name, payload)


def failing(bench: Bench, error: Exception) -> Callable[[Transaction], Any]:
    async def work(tx: Transaction) -> None:
        await bench.insert(tx)
        raise error

    return work


# --- effect, key, outcome


async def test_the_effect_is_answered_and_announced(bench: Bench) -> None:
    reply = await bench.transactions.run(bench.insert, status=201)
    assert (reply.status, reply.replayed) == (201, False)
    assert (await bench.count(), await bench.outbox()) == (1, 1)
    await bench.publisher.drain()
    assert len(bench.log.ids) == 1
    assert await bench.outbox() == 0


async def test_a_key_replays_its_first_outcome(bench: Bench) -> None:
    first = await bench.transactions.run(bench.insert, status=201, call=key())
    again = await bench.transactions.run(bench.insert, status=201, call=key())
    assert again == Reply(first.status, first.body, replayed=True)
    assert await bench.count() == 1
    with pytest.raises(IdempotencyKeyReused):
        await bench.transactions.run(bench.insert, call=key(payload=b"2"))


async def test_keys_belong_to_account_and_path(bench: Bench) -> None:
    calls = [
        key(),
        IdempotentCall.of(uuid7(), "POST /x", "k", b"1"),
        IdempotentCall.of(ACCOUNT, "POST /y", "k", b"1"),
        key("other"),
    ]
    replies = [await bench.transactions.run(bench.insert, call=call) for call in calls]
    assert not any(reply.replayed for reply in replies)


@pytest.mark.parametrize("error", [VersionConflict(), NotFound(), Forbidden()])
async def test_a_refusal_leaves_no_effect_and_is_kept(bench: Bench, error: MatcherError) -> None:
    with pytest.raises(type(error)):
        await bench.transactions.run(failing(bench, error), call=key())
    assert (await bench.count(), await bench.outbox()) == (0, 0)
    again = await bench.transactions.run(bench.insert, call=key())
    assert (again.status, again.replayed) == (error.status, True)
    assert error.code.encode() in again.body


@pytest.mark.parametrize(
    "error",
    [TooManyRequests(), Overloaded(retry_after_s=1), VersionConflict(retry_after_s=1), RuntimeError("crash")],
)
async def test_what_passes_with_time_is_not_kept(bench: Bench, error: Exception) -> None:
    with pytest.raises(type(error)):
        await bench.transactions.run(failing(bench, error), call=key())
    assert await bench.count() == 0
    reply = await bench.transactions.run(bench.insert, call=key())
    assert not reply.replayed


async def test_without_a_key_a_refusal_rolls_everything_back(bench: Bench) -> None:
    with pytest.raises(VersionConflict):
        await bench.transactions.run(failing(bench, VersionConflict()))
    assert (await bench.count(), await bench.outbox()) == (0, 0)


async def test_the_same_key_at_once_is_one_effect(bench: Bench) -> None:
    replies = await asyncio.gather(*(bench.transactions.run(bench.insert, call=key()) for _ in range(8)))
    assert len({reply.body for reply in replies}) == 1
    assert sum(not reply.replayed for reply in replies) == 1
    assert await bench.count() == 1


async def test_a_duplicate_waits_bounded_for_the_first(pool: Pool) -> None:
    bench = Bench(pool, wait_s=0.05)
    running_first, finish = asyncio.Event(), asyncio.Event()

    async def slow(tx: Transaction) -> dict[str, UUID]:
        running_first.set()
        await finish.wait()
        return await bench.insert(tx)

    first = asyncio.create_task(bench.transactions.run(slow, call=key()))
    await running_first.wait()
    with pytest.raises(IdempotencyInFlight) as refused:
        await bench.transactions.run(bench.insert, call=key())
    assert (refused.value.status, refused.value.retry_after_s) == (409, 1)
    finish.set()
    assert (await first).status == 200
    assert (await bench.transactions.run(bench.insert, call=key())).replayed


async def test_a_deadlock_is_tried_again(bench: Bench) -> None:
    ids = [uuid7(), uuid7()]
    for identity in ids:
        await bench.pool.execute(INSERT, identity)
    meeting = asyncio.Barrier(2)
    attempts = 0

    async def lock(tx: Transaction, order: list[UUID]) -> None:
        nonlocal attempts
        attempts += 1
        first_time = attempts <= 2
        for n, identity in enumerate(order):
            await tx.connection.execute("SELECT FROM orders WHERE id = $1 FOR UPDATE", identity)
            if n == 0 and first_time:
                await meeting.wait()

    replies = await asyncio.gather(
        *(bench.transactions.run(partial(lock, order=order)) for order in (ids, ids[::-1]))
    )
    assert [reply.status for reply in replies] == [200, 200]
    assert attempts == 3


async def test_an_endless_deadlock_is_given_up(bench: Bench) -> None:
    attempts = 0

    async def work(_: Transaction) -> None:
        nonlocal attempts
        attempts += 1
        raise asyncpg.DeadlockDetectedError("again")

    with pytest.raises(asyncpg.DeadlockDetectedError):
        await bench.transactions.run(work)
    assert attempts == 3


async def test_a_lost_connection_is_unavailable(bench: Bench) -> None:
    async def work(tx: Transaction) -> None:
        await tx.connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    with pytest.raises(DatabaseUnavailable) as lost:
        await bench.transactions.run(work)
    assert lost.value.retry_after_s == 1


async def test_a_connection_that_ends_as_it_is_given_back_is_lost_too(bench: Bench) -> None:
    class Pool:
        @asynccontextmanager
        async def acquire(self) -> AsyncIterator[Any]:
            async with bench.pool.acquire() as connection:
                yield connection
            # What asyncpg raises from its reset, when the server ended the session at that moment.
            raise asyncpg.InternalClientError(
                "cannot switch to state 15; another operation (2) is in progress"
            )

    pool: Any = Pool()
    with pytest.raises(DatabaseUnavailable):
        await Transactions(pool, bench.publisher, RENDERERS).run(bench.insert, call=key())
    assert (await bench.transactions.run(bench.insert, call=key())).replayed


async def test_of_an_entity_changed_twice_the_oldest_version_counts(bench: Bench) -> None:
    identity = uuid7()

    async def work(tx: Transaction) -> None:
        tx.changed("order", identity, 5)
        tx.changed("order", identity, 4)
        tx.changed("order", identity, 6)

    await bench.transactions.run(work)
    await bench.publisher.drain()
    assert bench.log.ids == [f"{identity}.4"]


# --- publication


@asynccontextmanager
async def published(bench: Bench) -> AsyncIterator[None]:
    async with running(bench.publisher.run()):
        yield
    await bench.publisher.drain()


async def test_what_waits_goes_out_together_and_its_pointers_go(bench: Bench) -> None:
    async with published(bench):
        await asyncio.gather(*(bench.transactions.run(bench.insert) for _ in range(30)))
    assert len(set(bench.log.ids)) == 30
    assert (await bench.outbox(), bench.publisher.waiting) == (0, 0)


async def test_a_full_queue_leaves_the_pointers_to_the_sweeper(pool: Pool) -> None:
    bench = Bench(pool, queue_max=2)
    for _ in range(5):
        await bench.transactions.run(bench.insert)
    assert bench.publisher.left_to_sweeper == 3
    await bench.publisher.drain()
    assert await bench.outbox() == 3
    assert await sweep(pool, bench.log.append, RENDERERS, older_than_s=0) == 3
    assert len(set(bench.log.ids)) == 5
    assert await bench.outbox() == 0


@pytest.mark.parametrize("error", [RedisUnavailable(), ConnectionRefusedError()])
async def test_while_the_log_is_away_the_pointers_stay(bench: Bench, error: Exception) -> None:
    bench.log.away = error
    await bench.transactions.run(bench.insert)
    await bench.publisher.drain()
    assert await bench.outbox() == 1
    with pytest.raises(type(error)):
        await sweep(bench.pool, bench.log.append, RENDERERS, older_than_s=0)
    assert await bench.outbox() == 1
    bench.log.away = None
    await sweep(bench.pool, bench.log.append, RENDERERS, older_than_s=0)
    assert (len(bench.log.ids), await bench.outbox()) == (1, 0)


@pytest.mark.parametrize("error", [RedisUnavailable(), RuntimeError("a mistake of ours")])
async def test_the_publisher_outlives_every_failure(bench: Bench, error: Exception) -> None:
    async with published(bench):
        bench.log.away = error
        await bench.transactions.run(bench.insert)
        while bench.publisher.left_to_sweeper == 0:  # noqa: ASYNC110  the publisher has no event for its failures
            await asyncio.sleep(0)
        bench.log.away = None
        await bench.transactions.run(bench.insert)
    assert len(bench.log.ids) == 1
    assert await bench.outbox() == 1


async def test_young_pointers_are_their_processes_own(bench: Bench) -> None:
    await bench.transactions.run(bench.insert)
    assert await sweep(bench.pool, bench.log.append, RENDERERS, older_than_s=60) == 0
    await bench.pool.execute(
        "UPDATE outbox SET created_at = created_at - $1::interval", timedelta(seconds=61)
    )
    assert await sweep(bench.pool, bench.log.append, RENDERERS, older_than_s=60) == 1


async def test_several_sweepers_share_the_work(bench: Bench) -> None:
    for _ in range(20):
        await bench.transactions.run(bench.insert)
    swept = await asyncio.gather(
        *(sweep(bench.pool, bench.log.append, RENDERERS, older_than_s=0, limit=7) for _ in range(4))
    )
    while await bench.outbox():
        await sweep(bench.pool, bench.log.append, RENDERERS, older_than_s=0, limit=7)
    assert max(swept) <= 7
    assert len(set(bench.log.ids)) == 20
