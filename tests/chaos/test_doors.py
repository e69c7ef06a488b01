"""Clients that do not give up: any process, the same key, until the service's last word."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from matcher.chaos.doors import ChaosApi, Doors
from matcher.chaos.watch import Kill, Watch
from matcher.demo.client import Refused
from matcher.demo.draws import generator

Answer = tuple[int, object] | None  # None: the connection is closed without an answer


@asynccontextmanager
async def process(answers: Callable[[], Answer]) -> AsyncIterator[tuple[str, list[str]]]:
    """A process on loopback: its origin, and the idempotency keys that it saw."""
    keys: list[str] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        headers = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if line)
        await reader.readexactly(int(headers.get("content-length", "0")))
        keys.append(headers.get("idempotency-key", ""))
        answer = answers()
        if answer is not None:
            payload = json.dumps(answer[1]).encode()
            length = f"content-length: {len(payload)}"
            writer.write(
                f"HTTP/1.1 {answer[0]} X\r\n{length}\r\nretry-after: 0\r\nconnection: close\r\n\r\n".encode()
                + payload
            )
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", keys
    finally:
        server.close()
        await server.wait_closed()


def doors_to(*origins: str) -> Doors:
    doors = Doors(generator(1, "test"))
    doors.origins += origins
    return doors


async def test_a_request_is_repeated_with_its_key_until_the_last_word() -> None:
    answers = iter(
        [
            None,
            (500, {"code": "internal_error"}),
            (503, {"code": "database_unavailable"}),
            (409, {"code": "idempotency_in_flight"}),
            (201, {"id": "a"}),
        ]
    )
    watch = Watch()
    async with process(lambda: next(answers)) as (origin, keys):
        api = ChaosApi(doors_to(origin), watch)
        assert await api.post("/x", {}) == {"id": "a"}
        await api.close()
    assert len(keys) == 5
    assert len(set(keys)) == 1
    assert watch.answers == 1
    assert set(watch.failures) == {
        "RemoteProtocolError",
        "500 internal_error",
        "503 database_unavailable",
        "409 idempotency_in_flight",
    }


async def test_a_refusal_is_a_last_word() -> None:
    watch = Watch()
    async with process(lambda: (409, {"code": "order_expired", "status": 409})) as (origin, keys):
        api = ChaosApi(doors_to(origin), watch)
        with pytest.raises(Refused) as refusal:
            await api.post("/x", {})
        await api.close()
    assert refusal.value.reason == "order_expired"
    assert len(keys) == 1
    assert not watch.failures


async def test_a_dead_process_is_left_for_another_and_the_answer_is_the_others() -> None:
    watch = Watch()
    async with process(lambda: (200, {})) as (dead, _):
        pass
    async with process(lambda: (200, {})) as (alive, keys):
        kill = Kill(component="api", at_s=0.0, origin=dead)
        watch.record_kill(kill)
        api = ChaosApi(doors_to(dead, dead, dead, alive), watch)
        await api.post("/x", {})
        await api.close()
    assert len(keys) == 1
    assert kill.request_s is None


def test_a_replaced_process_is_not_asked_any_more() -> None:
    doors = doors_to("http://a", "http://b")
    doors.replace("http://a", "http://c")
    assert {doors.pick() for _ in range(50)} == {"http://b", "http://c"}


def test_a_client_knows_where_its_socket_was_opened() -> None:
    api = ChaosApi(doors_to("http://127.0.0.1:5"), Watch())
    assert api.socket_url == "ws://127.0.0.1:5/api/v1/realtime"
    assert api.socket_origin == "http://127.0.0.1:5"
