"""A client's WebSocket (CONTRACT 7): connects, resumes, keeps its model, sends requests.

Owns: frames and reconnecting. Must not know what its owner does with an event.
"""

import asyncio
import contextlib
import itertools
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.typing import Subprotocol

from matcher.demo.client import Account, Api, Refused, Unreachable
from matcher.demo.model import Model

SUBPROTOCOL = Subprotocol("clutch.v1")
_FIRST_TERMINAL_CODE = 4500
_CONNECT_ATTEMPTS = 6
_REPLY_TIMEOUT_S = 20.0

OnEvent = Callable[[dict[str, Any]], None]


class LiveSocket:
    """One recipient's socket: a shop's when `shop_id` is given, else the account's own."""

    def __init__(
        self,
        api: Api,
        account: Account,
        model: Model,
        on_event: OnEvent,
        shop_id: str | None = None,
        on_snapshot: Callable[[], None] = lambda: None,
    ) -> None:
        """`on_event` is called with each event frame that was news, `on_snapshot` after each whole snapshot.

        Both after the model took them.
        """
        self._api = api
        self._account = account
        self._model = model
        self._on_event = on_event
        self._on_snapshot = on_snapshot
        self._shop_id = shop_id
        self._cursor: str | None = None
        self._socket: ClientConnection | None = None
        self._replies: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._refs = itertools.count(1)
        self.connected = asyncio.Event()

    async def run(self) -> None:
        """Stay connected until cancelled. Raises Refused when the service ends the socket for good, Unreachable."""
        failures = 0
        while True:
            try:
                async with self._open() as socket:
                    await self._greet(socket)
                    failures = 0
                    async for message in socket:
                        frame = msgspec.json.decode(message)
                        self._take(frame)
                        if frame["type"] == "event":
                            await socket.send(_text({"type": "ack", "cursor": frame["cursor"]}))
            except (OSError, WebSocketException) as error:
                self._check_final(error)
                failures += 1
                if failures == _CONNECT_ATTEMPTS:
                    raise Unreachable(f"{self._model.recipient}: {error}") from error
            finally:
                self._lose()
            await asyncio.sleep(0.1 * 2**failures)

    async def request(self, method: str, data: dict[str, Any], key: str | None = None) -> Any:
        """Send a request and wait for its reply's data; `key` repeats an earlier one. Raises Refused, Unreachable."""
        while (socket := self._socket) is None or not self.connected.is_set():
            await self.connected.wait()
        ref = str(next(self._refs))
        reply: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._replies[ref] = reply
        frame = {"type": "request", "ref": ref, "method": method, "data": data}
        try:
            await socket.send(_text(frame | {"idempotencyKey": key or str(uuid4())}))
            answer = await asyncio.wait_for(reply, _REPLY_TIMEOUT_S)
        except (TimeoutError, ConnectionClosed) as error:
            raise Unreachable(f"{method} over the socket had no reply: {error}") from error
        finally:
            self._replies.pop(ref, None)
            if reply.done():  # sending failed as well, and says the same
                reply.exception()
        if answer["status"] >= 400:
            raise Refused(f"{method} over the socket", answer["data"])
        return answer["data"]

    def _open(self) -> connect:
        # proxy: as for HTTP, what runs on this machine is not asked through one.
        return connect(
            self._api.socket_url,
            subprotocols=[SUBPROTOCOL],
            compression=None,
            max_size=8 * 2**20,
            proxy=None,
        )

    async def _greet(self, socket: ClientConnection) -> None:
        token = await self._account.token(self._api)
        greeting = {"type": "connect", "token": token, "cursor": self._cursor}
        await socket.send(_text(greeting | ({"shopId": self._shop_id} if self._shop_id else {})))
        self._socket = socket

    def _take(self, frame: dict[str, Any]) -> None:
        kind = frame["type"]
        if kind == "event":
            self._cursor = frame["cursor"]
            if self._model.apply_event(frame):
                self._on_event(frame)
        elif kind == "connected":
            self._take_connected(frame)
        elif kind == "snapshot":
            self._model.extend_snapshot(frame["snapshot"])
            if frame["last"]:
                self._complete(snapshot=True)
        elif kind == "reply":
            reply = self._replies.get(frame["ref"])
            if reply is not None and not reply.done():
                reply.set_result(frame)

    def _take_connected(self, frame: dict[str, Any]) -> None:
        if frame["recipient"] != self._model.recipient:
            raise Unreachable(f"{frame['recipient']} was connected instead of {self._model.recipient}")
        self._cursor = frame["cursor"]
        if frame["mode"] == "snapshot":
            self._model.apply_snapshot(frame["snapshot"])
        if frame.get("last", True):
            self._complete(snapshot=frame["mode"] == "snapshot")

    def _complete(self, *, snapshot: bool) -> None:
        self.connected.set()
        if snapshot:
            self._on_snapshot()

    def _lose(self) -> None:
        self.connected.clear()
        self._socket = None
        for reply in self._replies.values():
            if not reply.done():
                reply.set_exception(ConnectionClosed(None, None))

    def _check_final(self, error: Exception) -> None:
        if not isinstance(error, ConnectionClosed) or error.rcvd is None:
            return
        if error.rcvd.code >= _FIRST_TERMINAL_CODE:
            problem = {"status": error.rcvd.code, "code": "socket_closed", "detail": error.rcvd.reason}
            raise Refused(f"the socket of {self._model.recipient}", problem) from error


async def fresh_snapshot(api: Api, account: Account, recipient: str, shop_id: str | None) -> Model:
    """The model of a client that connects now for the first time. Raises Refused, Unreachable."""
    model = Model(recipient)
    socket = LiveSocket(api, account, model, lambda _: None, shop_id)
    running = asyncio.create_task(socket.run())
    waiting = asyncio.create_task(socket.connected.wait())
    try:
        done, _ = await asyncio.wait(
            {running, waiting}, timeout=_REPLY_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED
        )
        if running in done:
            running.result()
        if waiting not in done:
            raise Unreachable(f"{recipient}: no snapshot within {_REPLY_TIMEOUT_S:.0f} s")
    finally:
        for task in (running, waiting):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, Refused, Unreachable):
                await task
    return model


def _text(frame: dict[str, Any]) -> str:
    return msgspec.json.encode(frame).decode()
