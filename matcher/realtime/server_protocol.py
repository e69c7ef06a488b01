"""A shorter way from a frame to the wire, for uvicorn: give it `WireProtocol` (or a subclass) as `ws`.

ASGI hands each frame through three coroutines and two copies of its text. An event frame is ready to be
written, so the server offers two more functions in `scope["extensions"]`; without them (another server, the
test client) the same frames go through ASGI. Must not know what is in a frame.
"""

from collections.abc import Callable
from typing import Any, TypedDict

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request

EXTENSION = "clutch.wire"


class Wire(TypedDict):
    """What the extension offers."""

    write: Callable[[bytes], bool]  # a text frame, now; False when the socket cannot take it at once
    abort: Callable[[], None]  # drop the connection and what it still holds


class WireProtocol(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket protocol with the extension."""

    def handle_connect(self, event: Request) -> None:
        """Begin the ASGI task, whose scope offers the extension."""
        super().handle_connect(event)
        scope: Any = getattr(self, "scope", None)  # none when the handshake was refused
        if scope is not None:
            scope["extensions"][EXTENSION] = Wire(write=self.write_text, abort=self.abort)

    def write_text(self, payload: bytes) -> bool:
        """Write one text frame (RFC 6455 section 5.2: final, not masked, not compressed)."""
        if not self.writable.is_set() or self.close_sent or self.transport.is_closing():
            return False
        size = len(payload)
        if size < 126:
            head = b"\x81%c" % size
        elif size < 65_536:
            head = b"\x81\x7e" + size.to_bytes(2)
        else:
            head = b"\x81\x7f" + size.to_bytes(8)
        self.transport.write(head + payload)
        return True

    def abort(self) -> None:
        """Do not wait for a peer that takes nothing: closing alone would keep the buffer until TCP gives up."""
        self.transport.abort()
