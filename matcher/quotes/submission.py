"""Group commit: concurrent submissions become one statement, each is answered for itself (DESIGN 4).

Owns batching, the isolation of one bad order from its neighbours, and the replay of repeated keys. An
order is answered after its commit and before its publication; the outbox row written with it makes sure
that publication follows.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any, Self
from uuid import UUID

import asyncpg
import msgspec
import structlog

from matcher import metrics
from matcher.db import CONNECTION_ERRORS, Connection, DatabaseUnavailable, Pool, load_queries
from matcher.errors import MatcherError, Overloaded
from matcher.ids import uuid7
from matcher.quotes.submission_rows import NewOrder, Outcome, arguments, created, outcomes
from matcher.settings import Settings
from matcher.transactions import (
    IdempotencyInFlight,
    IdempotencyKeyReused,
    IdempotentCall,
    Publisher,
    Reply,
    replay,
)

SQL = load_queries("matcher.quotes", "submission.sql")

# A foreign key in flight must not stall a whole batch: wait this long together, then each alone.
BATCH_LOCK_WAIT_S = 0.2
PATIENT_WRITES = 2  # at once: each holds a connection while it waits
RECONNECT_ATTEMPTS = 6
RECONNECT_FIRST_WAIT_S = 0.05

log = structlog.get_logger()


class _Pending(msgspec.Struct, eq=False):
    order: NewOrder
    reply: "asyncio.Future[Reply]"


class SubmissionQueue:
    """Takes valid orders, answers when they are durable. One per process; use as a context manager."""

    def __init__(self, pool: Pool, publisher: Publisher, settings: Settings) -> None:
        self._pool = pool
        self._publisher = publisher
        self._settings = settings
        self._queue: asyncio.Queue[_Pending] = asyncio.Queue(settings.submission_queue_max)
        self._running: dict[tuple[UUID, str, str], _Pending] = {}
        self._writers: list[asyncio.Task[None]] = []
        self._patient: set[asyncio.Task[None]] = set()
        self._patience = asyncio.Semaphore(PATIENT_WRITES)
        self._closing = False

    async def __aenter__(self) -> Self:
        self._writers = [
            asyncio.create_task(self._write_forever(), name=f"order-writer-{n}")
            for n in range(self._settings.batch_writers)
        ]
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop once what waits is written, or its time is over: a request that was taken in is answered."""
        self._closing = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._settings.drain_s):
                await self._queue.join()
                await asyncio.gather(*self._patient, return_exceptions=True)
        working = [*self._writers, *self._patient]
        for task in working:
            task.cancel()
        await asyncio.gather(*working, return_exceptions=True)
        while not self._queue.empty():
            _fail([self._queue.get_nowait()], Overloaded(retry_after_s=1))

    async def submit(self, order: NewOrder) -> Reply:
        """Reply 201 once the order is durable; the errors of CONTRACT 4 otherwise; Overloaded when too many wait."""
        call = order.call
        if call is None:
            return await asyncio.shield(self._enqueue(order).reply)
        identity = (call.account_id, call.scope, call.key)
        if first := self._running.get(identity):
            return await self._follow(first, call)
        pending = self._enqueue(order)
        self._running[identity] = pending
        # Until the answer, not until the client hangs up: its repetition must find the first, and must not
        # come into the same batch.
        pending.reply.add_done_callback(lambda _: self._running.pop(identity, None))
        return await asyncio.shield(pending.reply)

    def _enqueue(self, order: NewOrder) -> _Pending:
        if self._closing:
            raise Overloaded(retry_after_s=1)
        pending = _Pending(order, asyncio.get_running_loop().create_future())
        # The client may have gone by then: an error that nobody takes is no loss.
        pending.reply.add_done_callback(lambda reply: reply.exception())
        try:
            self._queue.put_nowait(pending)
        except asyncio.QueueFull:
            raise Overloaded(retry_after_s=1) from None
        metrics.SUBMISSIONS_WAITING.set(self._queue.qsize())
        return pending

    async def _follow(self, first: _Pending, call: IdempotentCall) -> Reply:
        """The same key at the same time in this process: wait for the first and repeat its answer."""
        assert first.order.call is not None
        if first.order.call.fingerprint != call.fingerprint:
            raise IdempotencyKeyReused
        try:
            reply = await asyncio.wait_for(asyncio.shield(first.reply), self._settings.idempotency_wait_s)
        except TimeoutError:
            raise IdempotencyInFlight(retry_after_s=1) from None
        return Reply(reply.status, reply.body, replayed=True)

    async def _write_forever(self) -> None:
        while True:
            batch = [await self._queue.get()]
            while len(batch) < self._settings.batch_orders_max and not self._queue.empty():
                batch.append(self._queue.get_nowait())
            metrics.SUBMISSIONS_WAITING.set(self._queue.qsize())
            metrics.BATCH_ORDERS.observe(len(batch))
            # Sorted keys: two batches take their keys in the same order, so neither waits for the other in a circle.
            batch.sort(key=_key_order)
            try:
                with metrics.BATCH_SECONDS.time():
                    await self._write(batch)
            except Exception as error:
                log.exception("batch_failed", orders=len(batch))
                _fail(batch, error)
            except asyncio.CancelledError:
                _fail(batch, Overloaded(retry_after_s=1))
                raise
            finally:
                for _ in batch:
                    self._queue.task_done()

    async def _write(self, batch: Sequence[_Pending], lock_wait_s: float = BATCH_LOCK_WAIT_S) -> None:
        """Write a batch; on an error that one order may have caused, halve it until the culprit stands alone."""
        try:
            await self._write_once(batch, lock_wait_s)
            return
        except CONNECTION_ERRORS as error:
            await self._write_after_reconnect(batch, error)
            return
        except asyncpg.UniqueViolationError as error:
            waiting = await self._answer_written(batch)
            if len(waiting) < len(batch):
                # The commit of an earlier attempt, whose connection was lost, has come through after all.
                # What it did not write (an order over the customer's limit) is not answered by it.
                if waiting:
                    await self._write(waiting)
                return
            failure: Exception = error
        except asyncpg.LockNotAvailableError:
            if len(batch) == 1 and lock_wait_s < self._settings.idempotency_wait_s:
                self._write_patiently(batch)
                return
            failure = IdempotencyInFlight(retry_after_s=1)
        except asyncpg.PostgresError as error:
            failure = error
        if len(batch) == 1:
            _fail(batch, failure)
            return
        middle = len(batch) // 2
        await self._write(batch[:middle])
        await self._write(batch[middle:])

    def _write_patiently(self, batch: Sequence[_Pending]) -> None:
        """Beside the writer: a key that is in flight elsewhere must not hold up the orders behind it."""

        async def write() -> None:
            try:
                async with self._patience:
                    await self._write(batch, self._settings.idempotency_wait_s)
            except Exception as error:
                log.exception("patient_write_failed")
                _fail(batch, error)
            except asyncio.CancelledError:
                _fail(batch, Overloaded(retry_after_s=1))
                raise

        task = asyncio.create_task(write())
        self._patient.add(task)
        task.add_done_callback(self._patient.discard)

    async def _write_after_reconnect(self, batch: Sequence[_Pending], error: BaseException) -> None:
        """The connection was lost: read what is there, write the rest with the same ids."""
        for attempt in range(RECONNECT_ATTEMPTS):
            await asyncio.sleep(RECONNECT_FIRST_WAIT_S * 2**attempt)
            try:
                waiting = await self._answer_written(batch)
                if waiting:
                    await self._write_once(waiting, BATCH_LOCK_WAIT_S)
                return
            except CONNECTION_ERRORS as again:
                error = again
            except asyncpg.PostgresError:
                await self._write([pending for pending in batch if not pending.reply.done()])
                return
        unavailable = DatabaseUnavailable(retry_after_s=2)
        unavailable.__cause__ = error
        _fail(batch, unavailable)

    async def _answer_written(self, batch: Sequence[_Pending]) -> list[_Pending]:
        """Answer the orders that are in the database already; the others are returned."""
        rows = await self._pool.fetch(SQL["already_written"], [pending.order.id for pending in batch])
        written = {row["id"]: row for row in rows}
        for pending in batch:
            if (row := written.get(pending.order.id)) and not pending.reply.done():
                pending.reply.set_result(created(row))
        return [pending for pending in batch if not pending.reply.done()]

    async def _write_once(self, batch: Sequence[_Pending], lock_wait_s: float) -> None:
        keyed = [pending for pending in batch if pending.order.call]
        outbox_id = uuid7()
        async with self._pool.acquire() as connection:
            if keyed:
                found = await self._write_keyed(connection, batch, outbox_id, lock_wait_s)
            else:
                found = await self._insert(connection, batch, outbox_id)
            repeated = [pending for pending in keyed if pending.order.id not in found]
            kept = await _kept_outcomes(connection, repeated) if repeated else {}
        changes = [event for outcome in found.values() for event in outcome.events]
        if changes:
            self._publisher.publish_soon([outbox_id], changes)
        _answer(batch, found, kept)

    async def _write_keyed(
        self, connection: Connection, batch: Sequence[_Pending], outbox_id: UUID, lock_wait_s: float
    ) -> dict[UUID, Outcome]:
        async with connection.transaction():
            await connection.execute(SQL["set_lock_timeout"], f"{int(lock_wait_s * 1000)}ms")
            found = await self._insert(connection, batch, outbox_id)
            calls = [
                (pending.order.call, found[pending.order.id].reply)
                for pending in batch
                if pending.order.call and pending.order.id in found
            ]
            if calls:
                await connection.execute(
                    SQL["keep_outcomes"],
                    [call.account_id for call, _ in calls],
                    [call.scope for call, _ in calls],
                    [call.key for call, _ in calls],
                    [reply.status for _, reply in calls],
                    [reply.body for _, reply in calls],
                )
        return found

    async def _insert(
        self, connection: Connection, batch: Sequence[_Pending], outbox_id: UUID
    ) -> dict[UUID, Outcome]:
        orders = [pending.order for pending in batch]
        rows = await connection.fetch(SQL["submit_batch"], *arguments(orders, self._settings, outbox_id))
        return outcomes(orders, rows)


async def _kept_outcomes(
    connection: Connection, repeated: Sequence[_Pending]
) -> dict[tuple[UUID, str, str], Any]:
    calls = [pending.order.call for pending in repeated if pending.order.call]
    rows = await connection.fetch(
        SQL["find_outcomes"],
        [call.account_id for call in calls],
        [call.scope for call in calls],
        [call.key for call in calls],
    )
    return {(row["account_id"], row["scope"], row["key"]): row for row in rows}


def _answer(
    batch: Sequence[_Pending], found: dict[UUID, Outcome], kept: dict[tuple[UUID, str, str], Any]
) -> None:
    for pending in batch:
        if pending.reply.done():
            continue  # the client has gone
        outcome = found.get(pending.order.id)
        call = pending.order.call
        if outcome is not None and outcome.refusal:
            pending.reply.set_exception(outcome.refusal)
        elif outcome is not None:
            pending.reply.set_result(outcome.reply)
        elif call is not None:
            try:
                pending.reply.set_result(replay(call, kept.get((call.account_id, call.scope, call.key))))
            except MatcherError as error:
                pending.reply.set_exception(error)


def _fail(batch: Sequence[_Pending], error: Exception) -> None:
    for pending in batch:
        if not pending.reply.done():
            pending.reply.set_exception(error)


def _key_order(pending: _Pending) -> tuple[bool, bytes, str]:
    call = pending.order.call
    return (call is not None, call.account_id.bytes, call.key) if call else (False, b"", "")
