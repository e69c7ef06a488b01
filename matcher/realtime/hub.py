"""The hub: follows the event log and hands each event to the sockets of its recipients.

Owns which socket listens to what, and this process's memory of the log (`Buffer`). The loop over the
events of an entry never awaits: a socket takes a frame into its bounded writer or is cut.
"""

import asyncio
import contextlib
import random
import time
from collections.abc import Hashable, Sequence
from typing import Protocol, TypeVar
from uuid import UUID

import structlog

from matcher import metrics
from matcher.realtime.buffer import Buffer, Delivery
from matcher.realtime.close_codes import Close
from matcher.realtime.cursor import NOWHERE, Cursor
from matcher.realtime.log import Entry, EventLog, LogReader, LogReset, partition_of
from matcher.redis import REDIS_ERRORS

BLOCK_S = 2.0  # of one read; also how soon an idle process notices that the log was emptied
RETRY_S = 0.5  # Redis away: often enough to be back at once, rarely enough to be no load
READ_BACK_S = 600.0  # the contract's "typically 10 minutes"
# After a loss every socket needs a snapshot: spread them, so that PostgreSQL sees a queue and not a wall.
RESET_SPREAD_S_PER_SOCKET = 0.002
RESET_SPREAD_MAX_S = 10.0

_ENTRIES_READ = metrics.LOG_ENTRIES.labels("in")

_K = TypeVar("_K", bound=Hashable)

log = structlog.get_logger()


class Subscriber(Protocol):
    """A socket as the hub sees it."""

    user_id: UUID
    recipient: str

    def deliver(self, frame: bytes, delivery: Delivery) -> None:
        """Take a frame; never waits."""
        ...

    def reset(self, delay_s: float) -> None:
        """Events may be missing: send a fresh snapshot, after the delay."""
        ...

    def close(self, ending: Close) -> None:
        """End the socket."""
        ...


class Hub:
    """See the module. Run `run` as a task; sockets may come before it is ready."""

    def __init__(self, event_log: EventLog, *, buffer_bytes: int) -> None:
        self._log = event_log
        self._buffer_bytes = buffer_bytes // event_log.partitions
        # None while this process does not know where the log stands: cursors then cover nothing.
        self._buffers: list[Buffer | None] = [None] * event_log.partitions
        self._healthy = [False] * event_log.partitions
        self._settled = asyncio.Event()  # ready, or known to be without the log
        self._by_recipient: dict[str, set[Subscriber]] = {}
        self._by_user: dict[UUID, set[Subscriber]] = {}

    @property
    def ready(self) -> bool:
        """Whether this process knows where the log stands, so that sockets can resume here."""
        return None not in self._buffers

    @property
    def healthy(self) -> bool:
        """Whether the last read of every partition succeeded."""
        return all(self._healthy)

    async def run(self) -> None:
        """Follow the log until cancelled. Redis may come and go."""
        async with asyncio.TaskGroup() as tasks:
            for partition in range(self._log.partitions):
                tasks.create_task(self._follow(partition))

    async def wait_ready(self, timeout_s: float) -> None:
        """Wait for `ready` after the start, not for ever: without the log a socket still gets its snapshot."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._settled.wait()

    def admit(self, subscriber: Subscriber, *, limit: int | None) -> bool:
        """Count a socket for its account; False when the account has `limit` already."""
        sockets = self._by_user.setdefault(subscriber.user_id, set())
        if limit is not None and len(sockets) >= limit:
            return False
        sockets.add(subscriber)
        return True

    def subscribe(self, subscriber: Subscriber) -> None:
        """Deliver its recipient's events from now on."""
        self._by_recipient.setdefault(subscriber.recipient, set()).add(subscriber)

    def leave(self, subscriber: Subscriber) -> None:
        """Forget a socket that was admitted."""
        _discard(self._by_user, subscriber.user_id, subscriber)
        _discard(self._by_recipient, subscriber.recipient, subscriber)

    def buffer_of(self, recipient: str) -> Buffer | None:
        """What is remembered of the recipient's partition."""
        return self._buffers[partition_of(recipient, self._log.partitions)]

    def cursor_of(self, recipient: str) -> Cursor:
        """After everything that the recipient's sockets have been handed."""
        buffer = self.buffer_of(recipient)
        return buffer.cursor if buffer else NOWHERE

    def close_recipient(self, recipient: str, ending: Close) -> int:
        """End every socket of a recipient (a suspended shop); how many."""
        # Not from `_by_recipient`: a socket that waits for its snapshot is not there yet.
        everybody = (socket for sockets in self._by_user.values() for socket in sockets)
        return _close([socket for socket in everybody if socket.recipient == recipient], ending)

    async def _follow(self, partition: int) -> None:
        reader = self._log.reader(partition)
        try:
            while True:
                try:
                    await self._step(partition, reader)
                    self._healthy[partition] = True
                except LogReset as reset:
                    metrics.LOG_RESETS.inc()
                    log.warning("event_log_reset", partition=partition, reason=str(reset))
                    self._buffers[partition] = None
                except REDIS_ERRORS as error:
                    self._healthy[partition] = False
                    self._settled.set()
                    log.warning("event_log_away", partition=partition, error=repr(error))
                    await _pause()
                except Exception:  # a process that stops following the log would have silent sockets for ever
                    log.exception("event_log_failed", partition=partition)
                    self._healthy[partition] = False
                    self._buffers[partition] = None
                    await _pause()
        finally:
            await reader.close()

    async def _step(self, partition: int, reader: LogReader) -> None:
        buffer = self._buffers[partition]
        if buffer is None:
            await self._start(partition, reader)
            return
        for entry in await reader.read(buffer.position, block_s=BLOCK_S):
            self._fan_out(buffer, entry)
            await asyncio.sleep(0)  # the sockets' writers have their turn after each entry

    async def _start(self, partition: int, reader: LogReader) -> None:
        newest = await reader.open()
        past = await reader.read_back(newest, bytes_max=self._buffer_bytes, since_s=time.time() - READ_BACK_S)
        buffer = Buffer(partition, reader.epoch, newest, bytes_max=self._buffer_bytes)
        for entry in past:
            buffer.add(entry)
        self._buffers[partition] = buffer
        if self.ready:
            self._settled.set()
        # Sockets that were here before may have missed what lies between; a snapshot read from now on has
        # all that was logged up to `newest`, because entries are written after their commit.
        self._reset_sockets(partition)

    def _fan_out(self, buffer: Buffer, entry: Entry) -> None:
        frames = 0
        by_recipient = self._by_recipient
        for delivery in buffer.add(entry):
            sockets = by_recipient.get(delivery.target.recipient)
            if sockets:
                frame = delivery.frame()
                for socket in tuple(sockets):  # a slow one leaves in between
                    socket.deliver(frame, delivery)
                    frames += 1
        metrics.FRAMES.inc(frames)
        _ENTRIES_READ.inc()
        metrics.LOG_LAG_SECONDS.set(max(0.0, time.time() - entry.at_s))

    def _reset_sockets(self, partition: int) -> None:
        affected = [
            socket
            for recipient, sockets in self._by_recipient.items()
            if partition_of(recipient, self._log.partitions) == partition
            for socket in sockets
        ]
        spread_s = min(RESET_SPREAD_MAX_S, len(affected) * RESET_SPREAD_S_PER_SOCKET)
        for socket in affected:
            socket.reset(random.uniform(0.0, spread_s))  # noqa: S311  jitter, no secret


async def _pause() -> None:
    await asyncio.sleep(RETRY_S * random.uniform(0.5, 1.5))  # noqa: S311  jitter, no secret


def _discard(index: dict[_K, set[Subscriber]], key: _K, subscriber: Subscriber) -> None:
    sockets = index.get(key)
    if sockets is not None:
        sockets.discard(subscriber)
        if not sockets:
            del index[key]


def _close(sockets: Sequence[Subscriber], ending: Close) -> int:
    for socket in sockets:
        socket.close(ending)
    return len(sockets)
