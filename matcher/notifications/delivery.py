"""Sending what is due: takes deliveries, decides, lets the channels try, records what came of it.

At least once: a worker that dies between an attempt and its record leaves a lease that runs out, and the
push is sent again; topics and message ids let the other side replace it. No transaction is open while
the world outside is waited for.
"""

import asyncio
import random
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from time import perf_counter
from typing import NamedTuple

import msgspec
import structlog

from matcher import metrics
from matcher.db import Pool, Row, load_queries
from matcher.notifications.acks import Acks
from matcher.notifications.channel import (
    Channel,
    ChannelName,
    Gone,
    Message,
    Outcome,
    Rejected,
    Retry,
    Sent,
    reason_of,
)
from matcher.notifications.preferences import QuietHours, quiet_until
from matcher.notifications.rules import TIME_CRITICAL, URGENT, Kind
from matcher.realtime.cursor import Cursor, Position
from matcher.settings import Settings

SQL = load_queries("matcher.notifications", "push.sql")
BATCH = 100
BUDGET_S = 30.0  # of one tick; what is left is the next tick's
BACKOFF_MAX_S = 300.0

log = structlog.get_logger()


class Verdict(NamedTuple):
    """What becomes of a delivery."""

    status: str
    error: str | None = None
    next_attempt_at: datetime | None = None
    attempts: int | None = None  # None: as counted when it was taken


class PushSender:
    """See the module. `send_due` is a task of the worker; several workers share the work."""

    def __init__(
        self,
        pool: Pool,
        channels: Mapping[ChannelName, Channel],
        acks: Acks,
        settings: Settings,
        *,
        chance: random.Random | None = None,
    ) -> None:
        self._pool = pool
        self._channels = channels
        self._acks = acks
        self._settings = settings
        self._chance = chance or random.Random()  # noqa: S311  jitter, no secret
        self._turns = asyncio.Semaphore(settings.push_concurrency)
        # A batch's slowest course: every attempt takes its whole time. Twice that, and a second worker may try.
        rounds = -(-BATCH // settings.push_concurrency)
        self._lease = timedelta(seconds=2 * rounds * settings.push_timeout_s)

    async def send_due(self) -> int:
        """Send until nothing is due, or for BUDGET_S; how many deliveries were taken."""
        taken, started_s = 0, perf_counter()
        while perf_counter() - started_s < BUDGET_S:
            rows = await self._pool.fetch(SQL["take_due"], BATCH, self._lease, list(self._channels))
            if not rows:
                break
            taken += len(rows)
            acknowledged = await self._acknowledged(rows)
            # Each is recorded as soon as it is known, so that a crash repeats no more than what is under way.
            async with asyncio.TaskGroup() as tasks:
                for row in rows:
                    tasks.create_task(self._settle(row, row["id"] in acknowledged))
        return taken

    async def _settle(self, row: Row, acknowledged: bool) -> None:
        async with self._turns:
            verdict = self._spared(row, acknowledged) or await self._attempt(row)
            await self._pool.execute(
                SQL["record"],
                [row["id"]],
                [row["attempts"]],
                [verdict.status],
                [verdict.error],
                [verdict.next_attempt_at],
                [row["attempts"] if verdict.attempts is None else verdict.attempts],
            )

    def _spared(self, row: Row, acknowledged: bool) -> Verdict | None:
        """The verdict on a delivery that needs no attempt; None when it is to be tried."""
        verdict: Verdict | None = None
        if acknowledged:
            verdict = Verdict("suppressed", "acknowledged over a socket")
        elif row["now"] >= row["expires_at"]:
            verdict = Verdict("failed", row["last_error"] or "its time ran out")
        elif row["address"] is None:
            verdict = Verdict("failed", "the device is gone")
        elif row["channel"] != ChannelName.MAIL:
            verdict = _quiet(row)
        if verdict is not None:
            metrics.PUSHES.labels(
                row["channel"], verdict.status if verdict.status != "pending" else "delayed"
            ).inc()
        return verdict

    async def _attempt(self, row: Row) -> Verdict:
        channel = row["channel"]
        with metrics.PUSH_SECONDS.labels(channel).time():
            try:
                outcome = await self._channels[channel].send(row["address"], message_of(row))
            except Exception as error:
                # A defect of one channel must not stop the others.
                log.error("push_crashed", channel=channel, delivery=str(row["id"]), exc_info=error)
                outcome = Retry(reason_of(repr(error)))
        verdict = self._judge(row, outcome)
        metrics.PUSHES.labels(channel, "retried" if verdict.status == "pending" else verdict.status).inc()
        if isinstance(outcome, Gone) and channel != ChannelName.MAIL:
            await self._pool.execute(SQL["forget_device"], row["target_id"], row["address"])
        return verdict

    def _judge(self, row: Row, outcome: Outcome) -> Verdict:
        match outcome:
            case Sent():
                return Verdict("sent")
            case Gone():
                return Verdict("failed", "the device is gone")
            case Rejected(reason):
                log.warning("push_rejected", channel=row["channel"], delivery=str(row["id"]), reason=reason)
                return Verdict("dead", reason)
            case Retry(reason, after_s):
                if row["attempts"] >= self._settings.push_tries_max:
                    log.warning("push_dead", channel=row["channel"], delivery=str(row["id"]), reason=reason)
                    return Verdict("dead", reason)
                wait_s = max(self._backoff_s(row["attempts"]), after_s or 0.0)
                again_at: datetime = row["now"] + timedelta(seconds=wait_s)
                if again_at >= row["expires_at"]:
                    return Verdict("failed", reason)
                return Verdict("pending", reason, again_at)

    def _backoff_s(self, attempts: int) -> float:
        """Doubling, and between half of it and all of it, so that what failed together does not return together."""
        longest_s = min(BACKOFF_MAX_S, self._settings.push_retry_s * 2.0 ** (attempts - 1))
        return longest_s * self._chance.uniform(0.5, 1.0)

    async def _acknowledged(self, rows: Sequence[Row]) -> set[object]:
        cursors = await self._acks.cursors((row["recipient"], row["user_id"]) for row in rows)
        return {
            row["id"]
            for row in rows
            if any(has(cursor, row) for cursor in cursors.get((row["recipient"], row["user_id"]), ()))
        }


def has(cursor: Cursor, row: Row) -> bool:
    """Whether who acknowledged the cursor has the delivery. Across runs of the log nobody knows: no."""
    position = Position(row["log_generation"], row["log_sequence"])
    if (cursor.epoch, cursor.position.generation) != (row["log_epoch"], position.generation):
        return False
    return (cursor.position, cursor.had) >= (position, row["log_number"])


def message_of(row: Row) -> Message:
    """A delivery as its channel sends it."""
    content = row["content"]
    return Message(
        id=row["id"],
        title=content["title"],
        body=content["body"],
        data=content["data"],
        topic=content["topic"],
        urgent=row["kind"] in URGENT,
        sent_at=row["now"],
        expires_at=row["expires_at"],
    )


def _quiet(row: Row) -> Verdict | None:
    quiet = msgspec.convert(row["quiet_hours"], type=QuietHours | None)
    until = quiet_until(quiet, row["now"])
    if until is None:
        return None
    # Quiet hours never touch the app itself: there it waits, and an order may well be answered in the morning.
    if Kind(row["kind"]) in TIME_CRITICAL or until >= row["expires_at"]:
        return Verdict("suppressed", "quiet hours")
    return Verdict("pending", None, until, row["attempts"] - 1)
