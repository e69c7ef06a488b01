"""The socket client against a scripted server on loopback: snapshots in parts, resuming, requests, final ends."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.typing import Subprotocol

from matcher.demo.client import Account, Api, Refused, Unreachable
from matcher.demo.live_socket import LiveSocket, fresh_snapshot
from matcher.demo.model import Model

Script = Callable[[ServerConnection, dict[str, Any]], Awaitable[None]]


def order(version: int) -> dict[str, Any]:
    return {"id": "a", "version": version, "status": "submitted"}


def connected(snapshot: Any, *, mode: str = "snapshot", last: bool = True) -> dict[str, Any]:
    return {
        "type": "connected",
        "mode": mode,
        "recipient": "user:1",
        "cursor": "c0",
        "snapshot": snapshot,
        "last": last,
        "heartbeatS": 25,
    }


def event(version: int) -> dict[str, Any]:
    return {
        "type": "event",
        "event": "order-status-update",
        "entity": "order",
        "id": f"a.{version}",
        "cursor": f"c{version}",
        "at": "2026-01-01T00:00:00Z",
        "version": version,
        "data": order(version),
    }


@asynccontextmanager
async def service(script: Script) -> AsyncIterator[Api]:
    """A service whose sockets run `script` once they have greeted."""

    async def handle(socket: ServerConnection) -> None:
        await script(socket, json.loads(await socket.recv()))

    async with serve(handle, "127.0.0.1", 0, subprotocols=[Subprotocol("clutch.v1")]) as server:
        api = Api(f"http://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}")
        try:
            yield api
        finally:
            await api.close()


@asynccontextmanager
async def client(api: Api, news: list[dict[str, Any]]) -> AsyncIterator[tuple[LiveSocket, Model]]:
    """A client that is connected."""
    model = Model("user:1")
    socket = LiveSocket(api, account(), model, news.append)
    running = asyncio.create_task(socket.run())
    await asyncio.wait_for(socket.connected.wait(), 5)
    try:
        yield socket, model
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def account() -> Account:
    somebody = Account("demo@example.com", "Demo", "customer", "secret")
    somebody.take_tokens({"accessToken": "token", "refreshToken": "r", "expiresIn": 900})
    return somebody


async def send(socket: ServerConnection, frame: dict[str, Any]) -> None:
    await socket.send(json.dumps(frame))


async def test_a_snapshot_in_parts_is_complete_before_the_client_counts_as_connected() -> None:
    async def script(socket: ServerConnection, greeting: dict[str, Any]) -> None:
        assert greeting == {"type": "connect", "token": "token", "cursor": None}
        await send(socket, connected({"orders": [order(1)]}, last=False))
        part = {"orders": [order(2) | {"id": "b"}]}
        await send(socket, {"type": "snapshot", "part": 2, "last": True, "snapshot": part})
        await socket.wait_closed()

    async with service(script) as api:
        model = await fresh_snapshot(api, account(), "user:1", None)
    assert {key.id for key in model.held} == {"a", "b"}


async def test_events_are_acknowledged_and_only_news_are_handed_on() -> None:
    acknowledged: list[Any] = []
    done = asyncio.Event()

    async def script(socket: ServerConnection, greeting: dict[str, Any]) -> None:
        await send(socket, connected({"orders": [order(2)]}))
        for version in (3, 1, 3, 4):
            await send(socket, event(version))
        acknowledged.extend([json.loads(await socket.recv()) for _ in range(4)])
        done.set()
        await socket.wait_closed()

    news: list[dict[str, Any]] = []
    async with service(script) as api, client(api, news) as (_, model):
        await asyncio.wait_for(done.wait(), 5)
        assert [frame["version"] for frame in news] == [3, 4]
        assert model.find("order", "a") == order(4)
    assert acknowledged == [{"type": "ack", "cursor": f"c{version}"} for version in (3, 1, 3, 4)]


async def test_a_lost_socket_resumes_at_its_cursor() -> None:
    greetings: list[dict[str, Any]] = []
    resumed = asyncio.Event()

    async def script(socket: ServerConnection, greeting: dict[str, Any]) -> None:
        greetings.append(greeting)
        if len(greetings) == 1:
            await send(socket, connected({"orders": []}))
            await send(socket, event(1))
            await socket.recv()
            await socket.close(4000, "going away")
        else:
            await send(socket, connected(None, mode="resumed"))
            await send(socket, event(2))
            await socket.recv()
            resumed.set()
            await socket.wait_closed()

    async with service(script) as api, client(api, []) as (_, model):
        await asyncio.wait_for(resumed.wait(), 5)
        assert model.find("order", "a") == order(2)
    assert [greeting["cursor"] for greeting in greetings] == [None, "c1"]


async def test_requests_are_answered_by_ref_whatever_comes_between() -> None:
    async def script(socket: ServerConnection, _: dict[str, Any]) -> None:
        await send(socket, connected({"orders": []}))
        async for text in socket:
            request = json.loads(text)
            if request["type"] != "request":
                continue
            await send(socket, {"type": "heartbeat", "at": "now"})
            await send(socket, event(1))
            refused = request["method"] == "decline-order"
            data = {"code": "order_expired", "status": 409, "detail": "Late."} if refused else request["data"]
            status = 409 if refused else 201
            await send(socket, {"type": "reply", "ref": "unknown", "status": 200, "data": {}})
            await send(socket, {"type": "reply", "ref": request["ref"], "status": status, "data": data})

    async with service(script) as api, client(api, []) as (socket, _):
        assert await socket.request("provide-quote", {"orderId": "a"}) == {"orderId": "a"}
        with pytest.raises(Refused) as refusal:
            await socket.request("decline-order", {"orderId": "a"})
    assert refusal.value.reason == "order_expired"


async def test_a_request_is_repeated_with_its_key() -> None:
    keys: list[str] = []

    async def script(socket: ServerConnection, _: dict[str, Any]) -> None:
        await send(socket, connected({"orders": []}))
        request = json.loads(await socket.recv())
        keys.append(request["idempotencyKey"])
        if len(keys) == 2:
            await send(
                socket, {"type": "reply", "ref": request["ref"], "status": 200, "data": {"done": True}}
            )
            await socket.wait_closed()

    async with service(script) as api, client(api, []) as (socket, _):
        with pytest.raises(Unreachable):
            await socket.request("accept-quote", {}, "the same key")
        # The lost socket comes back by itself; the request waits for that.
        assert await socket.request("accept-quote", {}, "the same key") == {"done": True}
    assert keys == ["the same key"] * 2


async def test_each_snapshot_is_announced_when_it_is_whole() -> None:
    announced: list[int] = []
    resumed = asyncio.Event()

    async def script(socket: ServerConnection, _: dict[str, Any]) -> None:
        await send(socket, connected({"orders": [order(1)]}, last=False))
        part = {"orders": [order(2) | {"id": "b"}]}
        await send(socket, {"type": "snapshot", "part": 2, "last": True, "snapshot": part})
        await send(socket, connected({"orders": []}))
        await send(socket, connected(None, mode="resumed"))
        await send(socket, event(3))
        await socket.recv()
        resumed.set()
        await socket.wait_closed()

    async with service(script) as api:
        model = Model("user:1")
        socket = LiveSocket(
            api, account(), model, lambda _: None, on_snapshot=lambda: announced.append(len(model.held))
        )
        running = asyncio.create_task(socket.run())
        await asyncio.wait_for(resumed.wait(), 5)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert announced == [2, 0]


async def test_a_final_close_is_not_tried_again() -> None:
    attempts = 0

    async def script(socket: ServerConnection, _: dict[str, Any]) -> None:
        nonlocal attempts
        attempts += 1
        await socket.close(4502, "not yours")

    async with service(script) as api:
        with pytest.raises(Refused, match="not yours"):
            await fresh_snapshot(api, account(), "user:1", "shop")
    assert attempts == 1
