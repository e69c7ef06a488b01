"""Pushes on real PostgreSQL with a clock that the test turns: a log in memory, channels that a test scripts."""

import hashlib
import random
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from matcher.db import Connection, Pool, create_pool
from matcher.events import Event
from matcher.ids import uuid7
from matcher.notifications.acks import Pair
from matcher.notifications.channel import ChannelName, Message, Outcome, Sent
from matcher.notifications.delivery import PushSender
from matcher.notifications.feed import PushFeed
from matcher.realtime.cursor import Cursor
from matcher.realtime.log import EventLog
from matcher.realtime.memory_log import MemoryLog
from matcher.settings import Settings
from tests.notifications.news import CUSTOMER, SHOP

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)  # when the events of `news` happened
CUSTOMER_ID, SHOP_ID = UUID(CUSTOMER.partition(":")[2]), UUID(SHOP.partition(":")[2])


@dataclass
class ScriptedChannel:
    """Takes what it is given; `outcomes` come first, one a message, and an exception is raised."""

    outcomes: list[Outcome | Exception] = field(default_factory=list)
    sent: list[tuple[str, Message]] = field(default_factory=list)

    async def send(self, address: str, message: Message) -> Outcome:
        self.sent.append((address, message))
        outcome = self.outcomes.pop(0) if self.outcomes else Sent()
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


@dataclass
class ScriptedFacts:
    """What the domains would say."""

    events: list[Event] = field(default_factory=list)
    ends: dict[UUID, datetime] = field(default_factory=dict)
    asked_since: list[datetime] = field(default_factory=list)

    async def changed_since(self, connection: Connection, since: datetime) -> AsyncIterator[list[Event]]:
        self.asked_since.append(since)
        for event in self.events:
            yield [event]

    async def deadlines(self, connection: Connection, order_ids: Sequence[UUID]) -> Mapping[UUID, datetime]:
        return {order_id: end for order_id, end in self.ends.items() if order_id in order_ids}


@dataclass
class KnownAcks:
    """Cursors that sockets acknowledged."""

    known: dict[Pair, list[Cursor]] = field(default_factory=dict)

    async def cursors(self, pairs: Iterable[Pair]) -> Mapping[Pair, list[Cursor]]:
        return {pair: self.known[pair] for pair in pairs if pair in self.known}


class World:
    """A worker's pushes; `settings` may be varied before `worker` is called again."""

    def __init__(self, pool: Pool, settings: Settings) -> None:
        self.pool = pool
        self.settings = settings
        self.now = NOON
        self.log: EventLog = MemoryLog()
        self.facts = ScriptedFacts()
        self.acks = KnownAcks()
        self.channels = {name: ScriptedChannel() for name in ChannelName}
        self.feed, self.sender = self.worker()

    def worker(self, **changed: Any) -> tuple[PushFeed, PushSender]:
        """Another worker over the same database and log."""
        settings = replace(self.settings, **changed)
        return (
            PushFeed(self.pool, self.log, self.facts, tuple(ChannelName), settings),
            PushSender(self.pool, self.channels, self.acks, settings, chance=random.Random(7)),
        )

    @property
    def phone(self) -> ScriptedChannel:
        return self.channels[ChannelName.FCM]

    def forward(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    async def begin(self, feed: PushFeed) -> None:
        """Let the feed begin, at the log's end, as on the first day of the service."""
        await self.pool.execute("DELETE FROM push_cursors")
        await feed.follow()
        self.facts.asked_since.clear()

    async def person(self, user_id: UUID | None = None, *, shop: str | None = None, **changed: Any) -> UUID:
        """An account, perhaps with a role in a shop (`shop_role=`); without devices."""
        user_id = user_id or uuid7()
        await self.pool.execute(
            "INSERT INTO users (id, email, name, role, status) VALUES ($1, $2, 'Person', 'customer', $3)",
            user_id,
            changed.get("email", f"{user_id}@example.com"),
            changed.get("status", "active"),
        )
        if shop is not None:
            await self.pool.execute(
                "INSERT INTO memberships (user_id, shop_id, role) VALUES ($1, $2, $3)",
                *(user_id, UUID(shop.partition(":")[2]), changed.get("shop_role", "cashier")),
            )
        return user_id

    async def device(self, user_id: UUID, address: str | None = None, platform: str = "fcm") -> UUID:
        device_id, address = uuid7(), address or f"token-{uuid7()}"
        await self.pool.execute(
            "INSERT INTO devices (id, user_id, platform, address, address_hash) VALUES ($1, $2, $3, $4, $5)",
            *(device_id, user_id, platform, address, hashlib.sha256(address.encode()).digest()),
        )
        return device_id

    async def prefer(self, user_id: UUID, choices: Any = None, quiet: Any = None) -> None:
        await self.pool.execute(
            "INSERT INTO notification_preferences (user_id, choices, quiet_hours) VALUES ($1, $2, $3)",
            *(user_id, choices or {}, quiet),
        )

    async def tell(self, *events: Event) -> None:
        """The events happen and the feed reads them."""
        await self.log.append(events)
        await self.feed.follow()

    async def deliveries(self) -> list[Any]:
        return await self.pool.fetch("SELECT * FROM deliveries ORDER BY id")

    async def statuses(self) -> list[tuple[str, str | None]]:
        return [(row["status"], row["last_error"]) for row in await self.deliveries()]


@asynccontextmanager
async def open_world(database_url: str, settings: Settings) -> AsyncIterator[World]:
    """A world on an empty database, its feed at the log's beginning."""
    world: World | None = None

    async def set_clock(connection: Any) -> None:
        now = world.now if world else NOON
        await connection.execute("SELECT set_config('matcher.now', $1, false)", now.isoformat())

    pool = await create_pool(database_url, min_size=0, max_size=10, setup=set_clock)
    try:
        world = World(pool, settings)
        await world.begin(world.feed)
        yield world
    finally:
        await pool.close()
