"""A socket of the contract: connects, keeps the model of CONTRACT 7, sends requests."""

import asyncio
import contextlib
import itertools
import json
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from tests.e2e.api import Account, Api
from tests.realtime.model_client import ModelClient

TIMEOUT_S = 15.0


def having(**wanted: Any) -> Callable[[dict[str, Any]], bool]:
    """Accepts data with these values."""
    return lambda data: all(data[name] == value for name, value in wanted.items())


class Socket:
    """One recipient's socket; `model` holds what its client shows."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.model = ModelClient()
        self._refs = itertools.count(1)

    async def next(self) -> dict[str, Any]:
        """The next frame, applied to the model."""
        return self.model.take(await self.connection.recv())

    async def event(
        self, name: str, accept: Callable[[dict[str, Any]], bool] = lambda _: True
    ) -> dict[str, Any]:
        """The data of an event that came or comes in time."""
        frame = await self.event_frame(name, accept)
        data: dict[str, Any] = frame["data"]
        return data

    async def event_frame(
        self, name: str, accept: Callable[[dict[str, Any]], bool] = lambda _: True
    ) -> dict[str, Any]:
        """The whole frame of an event."""
        try:
            async with asyncio.timeout(TIMEOUT_S):
                for frame in self.model.events:
                    if frame["event"] == name and accept(frame["data"]):
                        return frame
                while True:
                    frame = await self.next()
                    if frame["type"] == "event" and frame["event"] == name and accept(frame["data"]):
                        return frame
        except TimeoutError as error:
            seen = [(frame["event"], frame["version"]) for frame in self.model.events]
            raise AssertionError(f"no {name}; came: {seen}") from error

    async def request(self, method: str, data: Any, key: str | None = None) -> tuple[int, Any]:
        """Status and data of the reply."""
        ref = str(next(self._refs))
        frame = {"type": "request", "ref": ref, "method": method, "data": data}
        await self.send(frame | ({"idempotencyKey": key} if key else {}))
        async with asyncio.timeout(TIMEOUT_S):
            while ref not in self.model.replies:
                await self.next()
        reply = self.model.replies[ref]
        return reply["status"], reply["data"]

    async def send(self, frame: Any) -> None:
        """A frame of JSON."""
        await self.connection.send(json.dumps(frame))

    async def close_code(self) -> int:
        """Read on until the server ends the socket; its code."""
        with contextlib.suppress(ConnectionClosed):
            async with asyncio.timeout(TIMEOUT_S):
                while True:
                    await self.next()
        assert self.connection.close_code is not None
        return self.connection.close_code

    async def quiet(self, for_s: float) -> list[dict[str, Any]]:
        """The frames that come within so long."""
        frames = []
        deadline_s = time.monotonic() + for_s
        with contextlib.suppress(TimeoutError):
            while True:
                async with asyncio.timeout(max(0.001, deadline_s - time.monotonic())):
                    frames.append(await self.next())
        return frames


@contextlib.asynccontextmanager
async def raw_socket(api: Api, **options: Any) -> AsyncIterator[ClientConnection]:
    """An open socket on which nothing has been said."""
    address = f"{api.url.replace('http', 'ws', 1)}/api/v1/realtime"
    options = {"subprotocols": [Subprotocol("clutch.v1")], "compression": None, "proxy": None} | options
    async with connect(address, max_size=8 * 2**20, **options) as connection:
        yield connection


@contextlib.asynccontextmanager
async def open_socket(
    api: Api,
    account: Account,
    *,
    shop: bool = False,
    cursor: str | None = None,
    model: ModelClient | None = None,
) -> AsyncIterator[Socket]:
    """A connected socket: a shop's with `shop`, else the account's own."""
    async with raw_socket(api) as connection:
        socket = Socket(connection)
        socket.model = model or socket.model
        greeting = {"type": "connect", "token": account.token, "cursor": cursor}
        await socket.send(greeting | ({"shopId": account.shop_id} if shop else {}))
        socket.model.complete = False
        async with asyncio.timeout(TIMEOUT_S):
            while not socket.model.complete:
                await socket.next()
        yield socket
