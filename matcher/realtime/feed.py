"""What one client is shown: the past it missed, a snapshot when that is not known, and every event from then on.

The order is what makes it lossless: subscribe (holding events back) -> take the cursor -> read the snapshot
in one transaction -> send it -> send what was held -> live. A commit after the snapshot is logged after the
cursor, because entries are written after their commit.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Protocol

from matcher import metrics
from matcher.realtime.buffer import Buffer, Delivery
from matcher.realtime.cursor import Cursor
from matcher.realtime.endings import BUSY, SLOW
from matcher.realtime.frames import resumed_frame, snapshot_frames
from matcher.realtime.hub import Subscriber
from matcher.realtime.ports import RecipientKind
from matcher.realtime.writer import Writer

if TYPE_CHECKING:
    from uuid import UUID

    from matcher.realtime.service import RealtimeService


class Recipient(Subscriber, Protocol):
    """The socket that the feed is for."""

    @property
    def kind(self) -> RecipientKind:
        """What the recipient is."""
        ...

    @property
    def recipient_id(self) -> "UUID":
        """Whose events come here."""
        ...


class _Held:
    """Events that wait for the snapshot, bounded like the writer."""

    __slots__ = ("frames", "room_bytes")

    def __init__(self, bytes_max: int) -> None:
        self.frames: list[tuple[bytes, str, int]] = []
        self.room_bytes = bytes_max

    def add(self, frame: bytes, delivery: Delivery) -> bool:
        self.room_bytes -= len(frame)
        self.frames.append((frame, delivery.entity_id, delivery.version))
        return self.room_bytes >= 0


class Feed:
    """See the module. `fail` is told of a crash outside the socket's own task."""

    def __init__(
        self, service: "RealtimeService", socket: Recipient, writer: Writer, fail: Callable[[Exception], None]
    ) -> None:
        self._service = service
        self._settings = service.settings
        self._socket = socket
        self._writer = writer
        self._fail = fail
        self._held: _Held | None = None
        self._stale = False  # the client lacks something that only a snapshot has
        self._starting = False
        self._stopped = False
        self._reset_task: asyncio.Task[None] | None = None

    @property
    def settled(self) -> bool:
        """Whether the client has been shown everything, but for what waits in the writer."""
        return self._held is None and not self._stale

    def deliver(self, frame: bytes, delivery: Delivery) -> None:
        """An event of the log: to the client, or held until the snapshot has been sent."""
        if self._stale:  # what the log lost comes with the snapshot, so no cursor may lead past it before
            frame = delivery.frame_from_nowhere()
        if self._held is None:
            self._put(frame)
        elif not self._held.add(frame, delivery):
            self._socket.close(SLOW)

    def reset(self, delay_s: float) -> None:
        """Events may be missing: send a fresh snapshot after the delay."""
        self._stale = True
        if not self._starting and self._reset_task is None:
            self._reset_task = asyncio.get_running_loop().create_task(self._reset_later(delay_s))

    def stop(self) -> None:
        """The socket ends."""
        self._stopped = True
        if self._reset_task is not None:
            self._reset_task.cancel()

    async def start(self, cursor: Cursor | None) -> None:
        """Resume from the cursor if this process covers it, else send snapshots until none is stale."""
        self._starting = True
        try:
            buffer = self._service.hub.buffer_of(self._socket.recipient)
            if cursor is not None and buffer is not None and buffer.covers(cursor):
                await self._resume(cursor, buffer)
            else:
                self._stale = True
            while self._stale and not self._stopped:
                await self._send_snapshot()
        finally:
            self._starting = False

    async def _reset_later(self, delay_s: float) -> None:
        try:
            await asyncio.sleep(delay_s)
            await self.start(None)
        except Exception as error:  # noqa: BLE001  Connection._fail logs it and ends the socket
            self._fail(error)
        finally:
            self._reset_task = None

    async def _resume(self, cursor: Cursor, buffer: Buffer) -> None:
        self._subscribe()
        missed = list(buffer.after(cursor, self._socket.recipient))
        metrics.SNAPSHOTS.labels("resumed").inc()
        # Its own cursor comes back: a client that is cut off before the missed events must ask for them again.
        self._put(resumed_frame(self._socket.recipient, str(cursor), self._settings.heartbeat_s))
        if await self._send_paced(delivery.frame() for delivery in missed):
            self._release({})

    async def _send_snapshot(self) -> None:
        async with self._service.snapshot_turn() as admitted:
            if not admitted:
                self._socket.close(BUSY)
                return
            self._stale = False
            self._subscribe()
            cursor = self._service.hub.cursor_of(self._socket.recipient)
            snapshot = await self._service.snapshots.snapshot(self._socket.kind, self._socket.recipient_id)
        metrics.SNAPSHOTS.labels("snapshot").inc()
        frames = snapshot_frames(
            snapshot,
            self._socket.recipient,
            str(cursor),
            self._settings.heartbeat_s,
            part_items=self._settings.snapshot_part_items,
        )
        if await self._send_paced(frames):
            self._release(snapshot.versions)

    def _subscribe(self) -> None:
        """From here on no event is missed: it is held until `_release`."""
        self._held = _Held(self._settings.socket_buffer_bytes)
        if not self._stopped:
            self._service.hub.subscribe(self._socket)

    async def _send_paced(self, frames: Iterable[bytes]) -> bool:
        """Send more than the writer may hold, at the client's pace; False when the socket ended meanwhile."""
        for frame in frames:
            # Half of the bound is left for replies and live frames.
            if self._writer.room_bytes - len(frame) < self._settings.socket_buffer_bytes // 2:
                try:
                    async with asyncio.timeout(self._settings.request_timeout_s):
                        await self._writer.drain()
                except TimeoutError:
                    self._socket.close(SLOW)
            if self._stopped:
                return False
            self._put(frame)
        return True

    def _release(self, versions: dict[str, int]) -> None:
        """Send what was held, without what the snapshot has already, and go live."""
        held, self._held = self._held, None
        for frame, entity_id, version in held.frames if held else ():
            if version > versions.get(entity_id, -1):
                self._put(frame)

    def _put(self, frame: bytes) -> None:
        if not self._writer.put(frame):
            self._socket.close(SLOW)
