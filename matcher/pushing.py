"""Putting pushes together for the worker: the feed's questions to the domains, the channels, the acks.

A composition root's part: notifications know no domain, and the domains know no notifications.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from matcher.core import Core
from matcher.db import Connection
from matcher.events import Event
from matcher.notifications import service as notifications
from matcher.notifications.acks import RedisAcks
from matcher.notifications.channels import open_channels
from matcher.notifications.delivery import PushSender
from matcher.notifications.feed import PushFeed
from matcher.notifications.retention import delete_old
from matcher.quotes import events as orders
from matcher.redis import create_redis


class Pushing(NamedTuple):
    """What the worker's tasks run."""

    core: Core
    feed: PushFeed
    sender: PushSender

    async def delete_old(self) -> None:
        """Forget what is over, and the devices of deleted accounts."""
        await delete_old(self.core.pool, timedelta(seconds=self.core.settings.push_history_s))


class _Facts:
    """The feed's `Facts`, asked of orders and notifications."""

    async def changed_since(self, connection: Connection, since: datetime) -> AsyncIterator[list[Event]]:
        async for events in orders.changed_since(connection, since):
            yield events
        yield await notifications.changed_since(connection, since)

    async def deadlines(self, connection: Connection, order_ids: Sequence[UUID]) -> Mapping[UUID, datetime]:
        return await orders.deadlines(connection, order_ids)


@asynccontextmanager
async def open_pushing(core: Core) -> AsyncIterator[Pushing]:
    """Open the channels and the readers of the log; close them on leaving."""
    settings = core.settings
    redis = create_redis(core.redis_url)
    async with open_channels(settings) as channels:
        feed = PushFeed(core.pool, core.log, _Facts(), tuple(channels), settings)
        sender = PushSender(core.pool, channels, RedisAcks(redis, settings.redis_prefix), settings)
        try:
            yield Pushing(core, feed, sender)
        finally:
            await feed.close()
            await redis.aclose()
