"""Who has what: the cursors that sockets acknowledged, kept in Redis for the worker that pushes to the others.

An ack may be lost at any time (Redis restarted, a process killed before it wrote): the person then gets
a push for something already seen, never the other way round.
"""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Protocol, TypeAlias
from uuid import UUID

import structlog

from matcher.realtime.cursor import Cursor, parse_cursor
from matcher.redis import REDIS_ERRORS, RedisClient

FLUSH_S = 1.0  # well within the time that people have to acknowledge
KEEP_S = 3_600
WAITING_MAX = 50_000  # (person, recipient) pairs; beyond, acks are dropped: more pushes, not more memory

Pair: TypeAlias = tuple[str, UUID]  # recipient, user

log = structlog.get_logger()


class Acks(Protocol):
    """What the sender of pushes asks."""

    async def cursors(self, pairs: Iterable[Pair]) -> Mapping[Pair, list[Cursor]]:
        """The newest cursors that each person's sockets acknowledged for the recipient, one a process."""
        ...


class AckBook:
    """The side of the API processes: collects, and writes once a second. Run `run` as a task."""

    def __init__(self, redis: RedisClient, prefix: str, process: str) -> None:
        self._redis = redis
        self._prefix = prefix
        self._process = process
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
        try:
            async with self._redis.pipeline(transaction=False) as pipeline:
                for (recipient, user_id), cursor in taken.items():
                    key = _key(self._prefix, recipient)
                    pipeline.hset(key, f"{user_id}:{self._process}", str(cursor))
                    pipeline.expire(key, KEEP_S)
                await pipeline.execute()
        except REDIS_ERRORS as error:
            log.warning("acks_lost", people=len(taken), error=repr(error))


class RedisAcks:
    """The side of the worker; see `Acks`."""

    def __init__(self, redis: RedisClient, prefix: str) -> None:
        self._redis = redis
        self._prefix = prefix

    async def cursors(self, pairs: Iterable[Pair]) -> Mapping[Pair, list[Cursor]]:
        """See `Acks.cursors`; nothing while Redis is away."""
        wanted = set(pairs)
        recipients = sorted({recipient for recipient, _ in wanted})
        try:
            async with self._redis.pipeline(transaction=False) as pipeline:
                for recipient in recipients:
                    pipeline.hgetall(_key(self._prefix, recipient))
                kept = await pipeline.execute()
        except REDIS_ERRORS as error:
            log.warning("acks_unknown", error=repr(error))
            return {}
        found: dict[Pair, list[Cursor]] = {}
        for recipient, fields in zip(recipients, kept, strict=True):
            for field, text in fields.items():
                pair = (recipient, UUID(field.decode().partition(":")[0]))
                cursor = parse_cursor(text.decode())
                if pair in wanted and cursor is not None:
                    found.setdefault(pair, []).append(cursor)
        return found


def _key(prefix: str, recipient: str) -> str:
    return f"{prefix}acks:{recipient}"
