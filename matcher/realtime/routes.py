"""`GET /realtime`: the handshake. What follows is `connection.py`."""

import asyncio
import math
import random
from typing import Any, cast

from litestar import WebSocket, websocket
from litestar.handlers import BaseRouteHandler

from matcher import metrics
from matcher.errors import Forbidden, InvalidRequest, MatcherError, Overloaded
from matcher.realtime.protocol import SUBPROTOCOL
from matcher.realtime.server_protocol import EXTENSION, Wire
from matcher.realtime.service import RealtimeService
from matcher.serialization import encode


@websocket("/realtime")
async def realtime(socket: WebSocket[Any, Any, Any]) -> None:
    """Events, snapshots and requests over one socket (subprotocol clutch.v1)."""
    service: RealtimeService = socket.app.state.realtime
    refusal = _refusal(socket, service)
    if refusal is not None:
        await _refuse(socket, refusal)
        return
    wait_s = service.reserve_handshake()
    if wait_s is None:
        metrics.CONNECTS_SHED.inc()
        await _refuse(socket, _crowded(service.settings.connect_wait_s))
        return
    if wait_s > 0:
        await asyncio.sleep(wait_s)
    await socket.accept(subprotocols=SUBPROTOCOL if _offered(socket) else None)
    scheme, _, token = socket.headers.get("authorization", "").partition(" ")
    header_token = token.strip() if scheme.lower() == "bearer" else ""
    wire: Wire | None = cast("dict[str, Any]", socket.scope["extensions"] or {}).get(EXTENSION)
    await service.serve(socket.receive, socket.send, header_token or None, wire)


ROUTES: list[BaseRouteHandler] = [realtime]


def origin_allowed(origin: str | None, host: str, allowed: tuple[str, ...]) -> bool:
    """Browsers send `Origin`, and only they must be kept to known sites. Without a list: to our own."""
    if origin is None:
        return True
    return origin in allowed if allowed else origin.lower().partition("://")[2] == host.lower() != ""


def _refusal(socket: WebSocket[Any, Any, Any], service: RealtimeService) -> MatcherError | None:
    if service.stopping:
        return Overloaded("This process stops: connect again, another one serves.", retry_after_s=1)
    origin = socket.headers.get("origin")
    if not origin_allowed(origin, socket.headers.get("host", ""), service.settings.allowed_origins):
        return Forbidden(
            "Sockets from this Origin are not allowed; MATCHER_ALLOWED_ORIGINS lists those that are."
        )
    # A client that offers nothing (a tool at a terminal) is taken to speak what there is.
    if _offered(socket) and SUBPROTOCOL not in _offered(socket):
        return InvalidRequest(f"Offer the subprotocol {SUBPROTOCOL}.")
    return None


def _crowded(wait_max_s: float) -> Overloaded:
    # By then the line is gone; those who are sent away come back spread over the time that it takes.
    after_s = random.randint(1, math.ceil(wait_max_s) + 1)  # noqa: S311  jitter
    return Overloaded("Too many sockets connect at once; connect again.", retry_after_s=after_s)


def _offered(socket: WebSocket[Any, Any, Any]) -> list[str]:
    return list(socket.scope["subprotocols"])


async def _refuse(socket: WebSocket[Any, Any, Any], error: MatcherError) -> None:
    """Answer the handshake with a problem document."""
    await socket.receive()
    headers = [(b"content-type", b"application/problem+json")]
    if error.retry_after_s is not None:
        headers.append((b"retry-after", str(error.retry_after_s).encode()))
    send: Any = socket.send  # Litestar's types do not name the extension "websocket.http.response"
    await send({"type": "websocket.http.response.start", "status": error.status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": encode(error.problem())})
