"""One transaction per request: its effect, its idempotency key and its outbox pointers commit together.

Owns: `Transactions.run`, the outbox rows, handing committed events to the publisher. Must not know a
domain: renderers, one per topic, are handed in and read rows to make events.

Events leave after commit. What a crash leaves behind in the outbox, `sweep` publishes: twice is
harmless (versions), never is not.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import nullcontext
from datetime import timedelta
from typing import Any, TypeVar
from uuid import UUID

import asyncpg
import msgspec
import structlog

from matcher.db import CONNECTION_ERRORS, Connection, DatabaseUnavailable, Pool, load_queries
from matcher.errors import MatcherError
from matcher.events import Event
from matcher.ids import uuid7
from matcher.redis import REDIS_ERRORS, RedisUnavailable
from matcher.serialization import encode

SQL = load_queries("matcher", "transactions.sql")
ATTEMPTS = 3  # a deadlock or serialization failure has done nothing: the same work is tried again

T = TypeVar("T")
Append = Callable[[Sequence[Event]], Awaitable[None]]
# (connection, entity ids, versions) -> events of every entity changed at or after its version
Renderer = Callable[[Connection, Sequence[UUID], Sequence[int]], Awaitable[list[Event]]]

log = structlog.get_logger()


class IdempotencyKeyReused(MatcherError):
    """This Idempotency-Key was used with another payload; use a new key for a new request."""

    code = "idempotency_key_reused"
    status = 422
    title = "Idempotency key reused"


class IdempotencyInFlight(MatcherError):
    """The first request with this Idempotency-Key is still running; repeat it after `Retry-After`."""

    code = "idempotency_in_flight"
    status = 409
    title = "First request still running"


class IdempotentCall(msgspec.Struct, frozen=True):
    """A request that may be repeated: who, what (method and path), which key, which payload."""

    account_id: UUID
    scope: str
    key: str
    fingerprint: bytes

    @classmethod
    def of(cls, account_id: UUID, scope: str, key: str, payload: bytes) -> "IdempotentCall":
        """A call with its payload's fingerprint."""
        return cls(account_id, scope, key, hashlib.sha256(payload).digest())


class Reply(msgspec.Struct, frozen=True):
    """What the caller is told: HTTP status and JSON body. `replayed`: kept from the first request."""

    status: int
    body: bytes
    replayed: bool = False


class Transaction:
    """What a service's work holds: the connection, and the list of what it changed."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.marks: dict[str, dict[UUID, int]] = {}

    def changed(self, topic: str, entity_id: UUID, version: int) -> None:
        """Entities of `entity_id` at or above `version` are announced after commit."""
        marks = self.marks.setdefault(topic, {})
        marks[entity_id] = min(version, marks.get(entity_id, version))


class Publisher:
    """Carries committed events to the event log: coalesced, bounded, never in the request's way."""

    def __init__(self, pool: Pool, append: Append, *, queue_max: int) -> None:
        self._pool = pool
        self._append = append
        self._queue: asyncio.Queue[tuple[Sequence[UUID], Sequence[Event]]] = asyncio.Queue(queue_max)
        self.left_to_sweeper = 0

    def publish_soon(self, outbox_ids: Sequence[UUID], events: Sequence[Event]) -> None:
        """Queue; when the queue is full (the log is away), the outbox rows wait for the sweeper."""
        try:
            self._queue.put_nowait((outbox_ids, events))
        except asyncio.QueueFull:
            self.left_to_sweeper += 1

    async def run(self) -> None:
        """Publish until cancelled. All that waits goes out as one entry; an entry begun is finished."""
        while True:
            publishing = asyncio.ensure_future(self._publish(await self._take()))
            try:
                await asyncio.shield(publishing)
            except asyncio.CancelledError:
                await publishing
                raise

    async def drain(self) -> None:
        """Publish what waits, once `run` has been cancelled."""
        while not self._queue.empty():
            await self._publish(await self._take())

    @property
    def waiting(self) -> int:
        """Committed transactions that are not yet in the log."""
        return self._queue.qsize()

    async def _take(self) -> list[tuple[Sequence[UUID], Sequence[Event]]]:
        taken = [await self._queue.get()]
        # 200 transactions of ten frames are a large entry already; more only adds latency to the first.
        while len(taken) < 200 and not self._queue.empty():
            taken.append(self._queue.get_nowait())
        return taken

    async def _publish(self, taken: list[tuple[Sequence[UUID], Sequence[Event]]]) -> None:
        events = [event for _, batch in taken for event in batch]
        try:
            if events:
                await self._append(events)
            await self._pool.execute(SQL["delete_outbox"], [i for ids, _ in taken for i in ids])
        except (*REDIS_ERRORS, RedisUnavailable, *CONNECTION_ERRORS, asyncpg.PostgresError) as error:
            self.left_to_sweeper += len(taken)
            log.warning("publish_left_to_sweeper", transactions=len(taken), error=repr(error))
        except Exception:  # a process that stops publishing would tell everything seconds late, for ever
            self.left_to_sweeper += len(taken)
            log.exception("publish_failed", transactions=len(taken))


class Transactions:
    """Runs a service's work in a transaction; see the module."""

    def __init__(
        self,
        pool: Pool,
        publisher: Publisher,
        renderers: Mapping[str, Renderer],
        *,
        idempotency_wait_s: float = 5.0,
    ) -> None:
        self.pool = pool
        self.publisher = publisher
        self._renderers = renderers
        self._idempotency_wait_s = idempotency_wait_s

    async def run(
        self,
        work: Callable[[Transaction], Awaitable[T]],
        *,
        status: int = 200,
        call: IdempotentCall | None = None,
    ) -> Reply:
        """`work`'s value as a Reply. With `call`, the first outcome (2xx or 4xx) is kept and replayed.

        `work` may run again after a deadlock, so it must change nothing but the database.
        """
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return await self._attempt(work, status, call)
            except (asyncpg.DeadlockDetectedError, asyncpg.SerializationError):
                if attempt == ATTEMPTS:
                    raise
            except CONNECTION_ERRORS as error:
                raise DatabaseUnavailable(retry_after_s=1) from error
        raise AssertionError("unreachable")

    async def _attempt(
        self, work: Callable[[Transaction], Awaitable[Any]], status: int, call: IdempotentCall | None
    ) -> Reply:
        refusal: MatcherError | None = None
        async with self.pool.acquire() as connection, connection.transaction():
            if call and (kept := await self._claim(connection, call)):
                return kept
            transaction = Transaction(connection)
            try:
                async with connection.transaction() if call else nullcontext():
                    reply = Reply(status, encode(await work(transaction)))
            except MatcherError as error:
                if call is None or not _is_kept(error):
                    raise
                transaction, refusal = Transaction(connection), error
                reply = Reply(error.status, encode(error.problem()))
            if call:
                await connection.execute(
                    SQL["keep_outcome"], call.account_id, call.scope, call.key, reply.status, reply.body
                )
            outbox_ids, events = await self._record(transaction)
        if outbox_ids:
            self.publisher.publish_soon(outbox_ids, events)
        if refusal:
            raise refusal
        return reply

    async def _claim(self, connection: Connection, call: IdempotentCall) -> Reply | None:
        """None when the key is ours now; the kept outcome when it was used before."""
        try:
            await connection.execute(SQL["set_lock_timeout"], f"{int(self._idempotency_wait_s * 1000)}ms")
            claimed = await connection.fetchval(
                SQL["claim_key"], call.account_id, call.scope, call.key, call.fingerprint
            )
            await connection.execute(SQL["set_lock_timeout"], "0")
        except asyncpg.LockNotAvailableError as error:
            raise IdempotencyInFlight(retry_after_s=1) from error
        if claimed:
            return None
        row = await connection.fetchrow(SQL["find_outcome"], call.account_id, call.scope, call.key)
        return replay(call, row)

    async def _record(self, transaction: Transaction) -> tuple[list[UUID], list[Event]]:
        outbox_ids: list[UUID] = []
        events: list[Event] = []
        for topic, marks in transaction.marks.items():
            outbox_ids.append(uuid7())
            ids, versions = list(marks), list(marks.values())
            await transaction.connection.execute(SQL["insert_outbox"], outbox_ids[-1], topic, ids, versions)
            events += await self._renderers[topic](transaction.connection, ids, versions)
        return outbox_ids, events


def _is_kept(refusal: MatcherError) -> bool:
    """Whether the same request would be refused for ever: not what passes with time."""
    return refusal.status < 500 and refusal.status != 429 and refusal.retry_after_s is None


def replay(call: IdempotentCall, row: Any) -> Reply:
    """The kept outcome of a key's first use, or the error that says why there is none to give."""
    if row is None or row["status"] is None:
        raise IdempotencyInFlight(retry_after_s=1)
    if row["fingerprint"] != call.fingerprint:
        raise IdempotencyKeyReused
    return Reply(row["status"], row["body"], replayed=True)


async def sweep(
    pool: Pool, append: Append, renderers: Mapping[str, Renderer], *, older_than_s: float, limit: int = 500
) -> int:
    """Publish outbox rows that their process left behind; how many. Several sweepers share the work."""
    async with pool.acquire() as connection, connection.transaction():
        rows = await connection.fetch(SQL["take_outbox"], timedelta(seconds=older_than_s), limit)
        events: list[Event] = []
        for row in rows:
            events += await renderers[row["topic"]](connection, row["entity_ids"], row["versions"])
        if events:
            await append(events)
        await connection.execute(SQL["delete_outbox"], [row["id"] for row in rows])
    return len(rows)
