"""Who has what: the cursors that sockets acknowledged, kept in Redis for the worker that pushes to the others.

An ack may be lost at any time (Redis restarted, a process killed before it wrote): the person then gets
a push for something already seen, never the other way round.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol, TypeAlias
from uuid import UUID

import structlog

from matcher.clock import unix_s
from matcher.realtime.cursor import Cursor, parse_cursor
from matcher.redis import REDIS_ERRORS, RedisClient

FLUSH_S = 1.0  # well within the time that people have to acknowledge
# Acks are kept by half days and looked for in this one and the one before, so that whoever acknowledged in the
# evening is spared the push of the morning, and fields of processes that are gone do not pile up.
BUCKET_S = 12 * 3_600
WAITING_MAX = 50_000  # (person, recipient) pairs; beyond, acks are dropped: more pushes, not more memory

Pair: TypeAlias = tuple[str, UUID]  # recipient, user

log = structlog.get_logger()


class Acks(Protocol):
    """What the sender of pushes asks."""

    async def cursors(self, pairs: Iterable[Pair]) -> Mapping[Pair, list[Cursor]]:
        """The newest cursors that each person's sockets acknowledged for the recipient, one a process and half day."""
        ...


class AckBook:
    """The side of the API processes: collects, and writes once a second. Run `run` as a task."""

    def __init__(
        self, redis: RedisClient, prefix: str, process: str, *, now_s: Callable[[], float] = unix_s
    ) -> None:
        self._redis = redis
        self._prefix = prefix
        self._process = process
        self._now_s = now_s
        self._waiting: dict[Pair, Cursor] = {}

    def on_ack(self, recipient: str, user_id: UUID, cursor: Cursor) -> None:
        """A socket has everything up to the cursor. Never waits."""
        pair = (recipient, user_id)
        known = self._waiting.get(pair)
        if known is None and len(self._waiting) >= WAITING_MAX:
            return
        # Cursors of different runs of the log cannot be compared: the later ack is the one of now.
        if known is None or known[:2] != cursor[:2] or known < cursor:
            self._waiting[pair] = cursor

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            await asyncio.sleep(FLUSH_S)
            await self.flush()

    async def flush(self) -> None:
        """Write what was collected."""
        if not self._waiting:
            return
        taken, self._waiting = self._waiting, {}
        bucket = _bucket(self._now_s())
        try:
            async with self._redis.pipeline(transaction=False) as pipeline:
                for (recipient, user_id), cursor in taken.items():
                    key = _key(self._prefix, recipient, bucket)
                    pipeline.hset(key, f"{user_id}:{self._process}", str(cursor))
                    pipeline.expire(key, 2 * BUCKET_S)
                await pipeline.execute()
        except REDIS_ERRORS as error:
            log.warning("acks_lost", people=len(taken), error=repr(error))


class RedisAcks:
    """The side of the worker; see `Acks`."""

    def __init__(self, redis: RedisClient, prefix: str, *, now_s: Callable[[], float] = unix_s) -> None:
        self._redis = redis
        self._prefix = prefix
        self._now_s = now_s

    async def cursors(self, pairs: Iterable[Pair]) -> Mapping[Pair, list[Cursor]]:
        """See `Acks.cursors`; nothing while Redis is away."""
        wanted = set(pairs)
        newest = _bucket(self._now_s())
        recipients = {recipient for recipient, _ in wanted}
        places = [(recipient, bucket) for bucket in (newest, newest - 1) for recipient in sorted(recipients)]
        try:
            async with self._redis.pipeline(transaction=False) as pipeline:
                for recipient, bucket in places:
                    pipeline.hgetall(_key(self._prefix, recipient, bucket))
                kept = await pipeline.execute()
        except REDIS_ERRORS as error:
            log.warning("acks_unknown", error=repr(error))
            return {}
        found: dict[Pair, list[Cursor]] = {}
        for (recipient, _), fields in zip(places, kept, strict=True):
            for field, text in fields.items():
                pair = (recipient, UUID(field.decode().partition(":")[0]))
                cursor = parse_cursor(text.decode())
                if pair in wanted and cursor is not None:
                    found.setdefault(pair, []).append(cursor)
        return found


def _bucket(now_s: float) -> int:
    return int(now_s // BUCKET_S)


def _key(prefix: str, recipient: str, bucket: int) -> str:
    return f"{prefix}acks:{bucket}:{recipient}"
