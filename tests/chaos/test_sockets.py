"""A socket that moves and never gives up: it comes back with its cursor, and repeats requests with their key."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.typing import Subprotocol

from matcher.chaos import sockets
from matcher.chaos.doors import ChaosApi, Doors
from matcher.chaos.sockets import RovingSocket
from matcher.chaos.watch import Watch
from matcher.demo.client import Account, Refused
from matcher.demo.draws import generator
from matcher.demo.model import Model

CONNECTED = {
    "type": "connected",
    "mode": "snapshot",
    "recipient": "user:1",
    "snapshot": {"orders": []},
    "last": True,
}


class Service:
    """Counts greetings and requests; `answers` are taken in turn, None breaks the connection."""

    def __init__(self, *answers: tuple[int, Any] | None) -> None:
        self.answers = list(answers)
        self.cursors: list[Any] = []
        self.keys: list[str] = []
        self.thrice = asyncio.Event()  # whether it was greeted three times

    async def handle(self, socket: ServerConnection) -> None:
        self.cursors.append(json.loads(await socket.recv())["cursor"])
        await socket.send(json.dumps(CONNECTED | {"cursor": f"c{len(self.cursors)}"}))
        if len(self.cursors) == 3:
            self.thrice.set()
        async for text in socket:
            frame = json.loads(text)
            self.keys.append(frame["idempotencyKey"])
            answer = self.answers.pop(0)
            if answer is None:
                socket.transport.abort()
                return
            reply = {"type": "reply", "ref": frame["ref"], "status": answer[0], "data": answer[1]}
            await socket.send(json.dumps(reply))


@asynccontextmanager
async def roving(service: Service) -> AsyncIterator[RovingSocket]:
    """A socket that roves over one process."""
    async with serve(service.handle, "127.0.0.1", 0, subprotocols=[Subprotocol("clutch.v1")]) as server:
        doors = Doors(generator(1, "test"))
        doors.origins.append(f"http://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}")
        account = Account("a@example.com", "A", "customer", "secret")
        account.take_tokens({"accessToken": "t", "refreshToken": "r", "expiresIn": 900})
        watch, over = Watch(), asyncio.Event()
        socket = RovingSocket(ChaosApi(doors, watch), account, Model("user:1"), lambda _: None)
        moving = asyncio.create_task(socket.rove(generator(1, "rove"), watch, over))
        try:
            yield socket
        finally:
            over.set()
            await moving


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "_REPEAT_AFTER_S", 0.001)


async def test_a_request_is_repeated_with_its_key_until_the_last_word() -> None:
    in_flight = {"code": "idempotency_in_flight", "status": 409, "detail": ""}
    away = {"code": "database_unavailable", "status": 503, "detail": ""}
    service = Service(None, (503, away), (409, in_flight), (201, {"id": "q"}))
    async with roving(service) as socket:
        assert await asyncio.wait_for(socket.ask("provide-quote", {}), 20) == {"id": "q"}
    assert len(service.keys) == 4
    assert len(set(service.keys)) == 1


async def test_a_refusal_is_a_last_word() -> None:
    service = Service((409, {"code": "order_expired", "status": 409, "detail": ""}))
    async with roving(service) as socket:
        with pytest.raises(Refused):
            await asyncio.wait_for(socket.ask("accept-quote", {}), 20)
    assert len(service.keys) == 1


async def test_it_moves_on_by_itself_with_its_cursor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "_STAY_S", (0.2, 0.2))
    service = Service()
    async with roving(service):
        await asyncio.wait_for(service.thrice.wait(), 20)
    assert service.cursors[:3] == [None, "c1", "c2"]
