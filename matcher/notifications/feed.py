"""From the event log to deliveries: what happened becomes what waits to be pushed.

Owns how far it has read (`push_cursors`), in the transaction that writes the deliveries. Nothing is taken
from the way of an order: the worker reads the same log as the sockets' processes, behind them. What a
lost log held is read from the rows themselves, so nobody is left out; what was told is not told again
(docs/adr/0045).
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, Protocol
from uuid import UUID

import structlog

from matcher.accounts.access import QUOTING_ROLES
from matcher.db import Connection, Pool, Row, load_queries
from matcher.events import Event
from matcher.ids import uuid7
from matcher.notifications.channel import ChannelName
from matcher.notifications.rules import Push, Superseded, deliveries_of, read_event
from matcher.realtime.cursor import Position
from matcher.realtime.log import Entry, EventLog, LogReader, LogReset
from matcher.settings import Settings

SQL = load_queries("matcher.notifications", "push.sql")
POLL_S = 0.001  # a tick follows soon; it must not wait for events inside its transaction
STEPS_MAX = 200  # of one tick
# A change is in the rows before it is in the log: how much before, at most, when the log was reachable.
MARGIN = timedelta(seconds=60)
# The number of a delivery that was read from the rows: only a cursor beyond its place's entry covers it.
UNKNOWN = 2**30

log = structlog.get_logger()


class Facts(Protocol):
    """What the feed asks the domains."""

    def changed_since(self, connection: Connection, since: datetime) -> AsyncIterator[list[Event]]:
        """The events of everything that changed since, rendered from the rows as they are, in bounded pieces."""
        ...

    async def deadlines(self, connection: Connection, order_ids: Sequence[UUID]) -> Mapping[UUID, datetime]:
        """When each of these orders ends."""
        ...


class Place(NamedTuple):
    """Where the log holds an entry."""

    epoch: bytes
    position: Position


class Located(NamedTuple):
    """A push, with the place of its event and when that was logged."""

    push: Push
    place: Place
    at: datetime


class PushFeed:
    """See the module. `follow` is a task of the worker; several workers take turns."""

    def __init__(
        self,
        pool: Pool,
        event_log: EventLog,
        facts: Facts,
        channels: Sequence[ChannelName],
        settings: Settings,
    ) -> None:
        self._pool = pool
        self._log = event_log
        self._facts = facts
        self._channels = [str(name) for name in channels]
        self._settings = settings
        self._readers: dict[int, LogReader] = {}
        self._newest: dict[int, Position] = {}

    async def follow(self) -> int:
        """Read all partitions up to now; how many events were read. Without channels there is nothing to do."""
        read = 0
        if not self._channels:
            return read
        for partition in range(self._log.partitions):
            if partition not in self._readers:
                await self._pool.execute(SQL["begin_cursor"], partition)
                self._readers[partition] = self._log.reader(partition)
                self._newest[partition] = await self._readers[partition].open()
            for _ in range(STEPS_MAX):
                events = await self._step(partition)
                read += events
                if not events:
                    break
        return read

    async def close(self) -> None:
        """Let the readers' connections go."""
        for reader in self._readers.values():
            await reader.close()

    async def _step(self, partition: int) -> int:
        """One read and its deliveries, in one transaction; how many events, 0 when there is nothing to do."""
        async with self._pool.acquire() as connection, connection.transaction():
            row = await connection.fetchrow(SQL["lock_cursor"], partition)
            if row is None:  # another worker is at it
                return 0
            now = await connection.fetchval(SQL["now"])
            reader = self._readers[partition]
            entries = await self._read(partition, reader, row)
            if entries is None:
                events = await self._read_rows(connection, partition, row["complete_at"], now)
                await self._move(connection, partition, self._newest[partition], now)
                return events
            await self._plan(connection, *_understand(_numbered(reader.epoch, entries)))
            if entries:
                logged_at = datetime.fromtimestamp(entries[-1].at_s, UTC)
                await self._move(connection, partition, entries[-1].position, logged_at)
            else:
                await self._move(connection, partition, Position(row["generation"], row["sequence"]), now)
            return sum(len(entry.events) for entry in entries)

    async def _read(self, partition: int, reader: LogReader, row: Row) -> list[Entry] | None:
        """What follows the cursor; None when the log does not tell all of it any more."""
        if row["epoch"] != reader.epoch:  # the log's life has changed, or another worker has noticed first
            self._newest[partition] = await reader.open()
        if row["epoch"] == reader.epoch:
            try:
                return await reader.read(Position(row["generation"], row["sequence"]), block_s=POLL_S)
            except LogReset as reset:
                log.warning("push_feed_reset", partition=partition, reason=str(reset))
                self._newest[partition] = await reader.open()
        return None

    async def _read_rows(
        self, connection: Connection, partition: int, complete_at: datetime, now: datetime
    ) -> int:
        """Plan from the rows what the log does not tell; how many events. What is too old to be pushed stays out."""
        since = max(complete_at - MARGIN, now - timedelta(seconds=self._settings.push_keep_s))
        log.warning("push_feed_reads_rows", partition=partition, since=since.isoformat())
        place = Place(self._readers[partition].epoch, self._newest[partition])
        read = 0
        async for events in self._facts.changed_since(connection, since):
            await self._plan(connection, *_understand([(event, UNKNOWN, place, now) for event in events]))
            read += len(events)
        return read

    async def _move(
        self, connection: Connection, partition: int, to: Position, complete_at: datetime
    ) -> None:
        epoch = self._readers[partition].epoch
        await connection.execute(
            SQL["move_cursor"], partition, epoch, to.generation, to.sequence, complete_at
        )

    async def _plan(
        self, connection: Connection, pushes: Sequence[Located], superseded: Sequence[Superseded]
    ) -> None:
        """Write the deliveries of the pushes to those who want them. Whoever was told already is not told again."""
        if superseded:
            await connection.execute(SQL["supersede"], *map(list, zip(*superseded, strict=True)))
        if not pushes:
            return
        recipients = [located.push.recipient.partition(":") for located in pushes]
        audience = await connection.fetch(
            SQL["audience"],
            list(range(len(pushes))),
            [UUID(name) if kind == "shop" else None for kind, _, name in recipients],
            [UUID(name) if kind == "user" else None for kind, _, name in recipients],
            [str(located.push.kind) for located in pushes],
            sorted(QUOTING_ROLES),
            self._channels,
        )
        if not audience:
            return
        wanted = {row["at"] for row in audience}
        order_ids = {order_id for at in wanted if (order_id := pushes[at].push.order_id) is not None}
        deadlines = await self._facts.deadlines(connection, sorted(order_ids))
        rows = [row for told in audience if (row := self._row(pushes[told["at"]], told, deadlines))]
        if rows:
            await connection.execute(SQL["insert_deliveries"], *map(list, zip(*rows, strict=True)))

    def _row(
        self, located: Located, told: Row, deadlines: Mapping[UUID, datetime]
    ) -> tuple[object, ...] | None:
        """A row of `deliveries`; None when it would be late before it is due."""
        push, place, at = located
        content = {"title": push.title, "body": push.body, "topic": push.topic, "data": push.data}
        ends = [push.deadline, deadlines.get(push.order_id) if push.order_id else None]
        due_at = at + timedelta(seconds=self._settings.push_after_s)
        kept_until = at + timedelta(seconds=self._settings.push_keep_s)
        expires_at = min((end for end in ends if end is not None), default=kept_until)
        if expires_at <= due_at:
            return None
        return (
            *(uuid7(), told["user_id"], told["channel"], told["target_id"]),
            *(push.recipient, push.key, push.entity_id, push.version, str(push.kind), content),
            *(place.epoch, place.position.generation, place.position.sequence, push.number),
            *(due_at, expires_at),
        )


def _numbered(epoch: bytes, entries: Sequence[Entry]) -> list[tuple[Event, int, Place, datetime]]:
    """Each event with the deliveries before it in its entry, its place, and when it was logged."""
    return [
        (event, before, Place(epoch, entry.position), datetime.fromisoformat(event.at))
        for entry in entries
        for event, before in deliveries_of(entry.events)
    ]


def _understand(
    events: Sequence[tuple[Event, int, Place, datetime]],
) -> tuple[list[Located], list[Superseded]]:
    located: list[Located] = []
    superseded: list[Superseded] = []
    for event, before, place, at in events:
        try:
            pushes, over = read_event(event)
        except (LookupError, TypeError, ValueError):  # one event of another revision must not stop all others
            log.exception("push_event_unreadable", event_name=event.name)
            continue
        located += [Located(push._replace(number=before + push.number), place, at) for push in pushes]
        superseded += over
    newest = {(over.recipient, over.entity_id): over.version for over in sorted(superseded)}
    current = [
        one for one in located if one.push.version >= newest.get((one.push.recipient, one.push.entity_id), 0)
    ]
    return current, superseded
