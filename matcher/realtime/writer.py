"""The bounded writer of one socket: frames wait here while the reader is slow, and no longer than allowed.

Owns the only task that sends on a socket, which exists while something waits: an idle socket costs none.
Where the server offers a wire (`server_protocol.py`), a frame that need not wait is written at once.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from litestar.exceptions import WebSocketException

from matcher.realtime.close_codes import Close
from matcher.realtime.server_protocol import Wire

# What sending to a client that has gone raises: OSError by the ASGI specification, Litestar's own else.
GONE = (OSError, WebSocketException)

Send = Callable[[Any], Awaitable[None]]


class Writer:
    """`put` never waits and never grows beyond `bytes_max`."""

    __slots__ = ("_bytes", "_bytes_max", "_close", "_drained", "_frames", "_gone", "_send", "_task", "_wire")

    def __init__(self, send: Send, *, bytes_max: int, wire: Wire | None = None) -> None:
        self._send = send
        self._wire = wire
        self._bytes_max = bytes_max
        self._frames: deque[bytes] = deque()
        self._bytes = 0
        self._close: Close | None = None
        self._gone = False
        self._task: asyncio.Task[None] | None = None
        self._drained: asyncio.Future[None] | None = None

    @property
    def room_bytes(self) -> int:
        """How much `put` would take now."""
        return self._bytes_max - self._bytes

    def put(self, frame: bytes) -> bool:
        """Queue a frame. False: the client reads too slowly, nothing was queued."""
        if self._close is not None or self._gone:
            return True
        if self._wire is not None and self._task is None and self._wire["write"](frame):
            return True
        # A frame above the whole bound goes out when it is alone: else its client could never have it.
        if self._bytes and self._bytes + len(frame) > self._bytes_max:
            return False
        self._bytes += len(frame)
        self._frames.append(frame)
        self._wake()
        return True

    async def drain(self) -> None:
        """Wait until nothing is queued."""
        if self._task is not None:
            if self._drained is None:
                self._drained = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._drained)

    def close(self, ending: Close, *, discard: bool = False) -> None:
        """End the socket after what is queued, or instead of it. The first call decides."""
        if self._close is None:
            self._close = ending
            if discard:
                self._frames.clear()
            self._wake()

    async def finish(self, timeout_s: float) -> None:
        """Wait until what is queued and the close frame have left; give up on a client that takes nothing."""
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=timeout_s)
        self._gone = True
        if self._task is not None:
            self._task.cancel()
            if self._wire is not None:
                self._wire["abort"]()

    def _wake(self) -> None:
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        try:
            while self._frames:
                frame = self._frames.popleft()
                await self._send({"type": "websocket.send", "text": frame.decode()})
                self._bytes -= len(frame)
            if self._close is not None:
                code, reason = self._close
                await self._send({"type": "websocket.close", "code": int(code), "reason": reason})
                self._gone = True
        except GONE:
            self._gone = True
            self._frames.clear()
        finally:
            self._task = None
            if self._drained is not None:
                self._drained.set_result(None)
                self._drained = None
