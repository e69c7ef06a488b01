"""Real time of one process: the hub, the sockets, and the ports to the rest of the service.

`app` makes one, keeps it as `app.state.realtime`, runs `run` as a task and awaits `shutdown` before the
server closes its connections.
"""

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from uuid import UUID

from matcher.events import shop_recipient
from matcher.realtime.connection import Connection
from matcher.realtime.endings import GOING_AWAY, SHOP_CLOSED
from matcher.realtime.hub import Hub
from matcher.realtime.ports import AckListener, Identities, RequestDispatcher, SnapshotSource
from matcher.realtime.server_protocol import Wire
from matcher.settings import Settings
from matcher.throttling import TokenBucket

# Clients reconnect at once, so they are sent off one after the other, as fast as the others can take them.
SHUTDOWN_SPREAD_S_PER_SOCKET = 0.0005
SHUTDOWN_SPREAD_MAX_S = 5.0

_UNLIMITED_PER_S = 1e9


class RealtimeService:
    """See the module."""

    def __init__(
        self,
        hub: Hub,
        identities: Identities,
        snapshots: SnapshotSource,
        requests: RequestDispatcher,
        settings: Settings,
    ) -> None:
        self.hub = hub
        self.identities = identities
        self.snapshots = snapshots
        self.requests = requests
        self.settings = settings
        self.sockets_per_account = settings.sockets_per_account if settings.limits else None
        self.requests_per_s = settings.socket_requests_per_s if settings.limits else _UNLIMITED_PER_S
        self.stopping = False
        self.on_ack: list[AckListener] = []
        self._handshakes = TokenBucket(
            settings.connects_per_s, settings.connects_per_s / 10, time.monotonic()
        )
        self._connections: set[Connection] = set()
        self._deserted = asyncio.Event()
        self._snapshot_turns = asyncio.Semaphore(settings.snapshots_at_once)
        self._shutdown_task: asyncio.Future[None] | None = None

    async def run(self) -> None:
        """Follow the event log until cancelled."""
        await self.hub.run()

    def reserve_handshake(self) -> float | None:
        """How long a new socket waits to be accepted; None when too many wait already.

        An accept, its sign-in and its snapshot cost about as much as a request: a storm of them is spread in time,
        so that HTTP goes on between.
        """
        return self._handshakes.reserve(time.monotonic(), self.settings.connect_wait_s)

    async def serve(
        self,
        receive: Callable[[], Awaitable[Any]],
        send: Callable[[Any], Awaitable[None]],
        header_token: str | None,
        wire: Wire | None = None,
    ) -> None:
        """Serve an accepted socket to its end."""
        connection = Connection(self, receive, send, header_token, wire)
        self._connections.add(connection)
        try:
            if self.stopping:
                connection.go_away(GOING_AWAY)
            await connection.run()
        finally:
            self._connections.discard(connection)
            if not self._connections:
                self._deserted.set()

    @contextlib.asynccontextmanager
    async def snapshot_turn(self) -> AsyncIterator[bool]:
        """A place among `snapshots_at_once`; False when none came free within `request_timeout_s`."""
        try:
            async with asyncio.timeout(self.settings.request_timeout_s):
                await self._snapshot_turns.acquire()
        except TimeoutError:
            yield False
            return
        try:
            yield True
        finally:
            self._snapshot_turns.release()

    async def shutdown(self) -> None:
        """Close every socket with 4000, running requests answered first; at most `drain_s`."""
        self.stopping = True
        loop = asyncio.get_running_loop()
        spread_s = min(
            SHUTDOWN_SPREAD_MAX_S,
            self.settings.drain_s / 2,
            len(self._connections) * SHUTDOWN_SPREAD_S_PER_SOCKET,
        )
        for connection in self._connections:
            loop.call_later(random.uniform(0.0, spread_s), connection.go_away, GOING_AWAY)  # noqa: S311  jitter
        self._deserted.clear()
        if self._connections:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.settings.drain_s):
                    await self._deserted.wait()

    def begin_shutdown(self) -> None:
        """`shutdown` as a task, once: for the server's synchronous call at each of its connections."""
        if not self.stopping:
            self.stopping = True
            self._shutdown_task = asyncio.ensure_future(self.shutdown())

    def recheck_user(self, user_id: UUID) -> None:
        """An account changed: sockets that its sessions and roles no longer cover are closed."""
        for connection in [c for c in self._connections if c.speaks_for(user_id)]:
            connection.recheck()

    def close_shop(self, shop_id: UUID) -> None:
        """A shop was suspended or closed: its sockets end."""
        self.hub.close_recipient(shop_recipient(shop_id), SHOP_CLOSED)
