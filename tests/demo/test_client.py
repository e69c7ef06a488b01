"""The HTTP client against a small server on loopback: retries that are safe, refusals that say why."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import NamedTuple

import pytest

from matcher.demo.client import Account, Api, Refused, Unreachable

Answer = tuple[int, dict[str, str], object]
TOKENS = {"accessToken": "access-1", "refreshToken": "refresh-1", "expiresIn": 900}


class Seen(NamedTuple):
    """A request as the server saw it."""

    line: str
    headers: dict[str, str]
    body: object


@asynccontextmanager
async def service(answer: Callable[[Seen], Answer]) -> AsyncIterator[tuple[Api, list[Seen]]]:
    """A service that answers each request with what `answer` says: status, headers, JSON."""
    requests: list[Seen] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {
            name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)
        }
        content = await reader.readexactly(int(headers.get("content-length", "0")))
        seen = Seen(head[0].removesuffix(" HTTP/1.1"), headers, json.loads(content) if content else None)
        requests.append(seen)
        status, extra, body = answer(seen)
        payload = json.dumps(body).encode()
        lines = [f"HTTP/1.1 {status} X", f"content-length: {len(payload)}", "connection: close"]
        lines += [f"{name}: {value}" for name, value in extra.items()]
        writer.write("\r\n".join([*lines, "", ""]).encode() + payload)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    api = Api(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    try:
        yield api, requests
    finally:
        await api.close()
        server.close()
        await server.wait_closed()


def account() -> Account:
    owner = Account("demo@example.com", "Demo", "customer", "secret")
    owner.take_tokens(TOKENS)
    return owner


async def test_requests_carry_the_token_and_posts_a_key() -> None:
    async with service(lambda _: (201, {}, {"id": "a"})) as (api, requests):
        assert await api.post("/auto-parts-orders", {"draft": False}, account()) == {"id": "a"}
    assert requests[0].line == "POST /api/v1/auto-parts-orders"
    assert requests[0].headers["authorization"] == "Bearer access-1"
    assert len(requests[0].headers["idempotency-key"]) == 36
    assert requests[0].body == {"draft": False}


async def test_a_busy_service_is_asked_again_with_the_same_key() -> None:
    answers = iter(
        [(503, {"Retry-After": "0"}, {}), (429, {"Retry-After": "0"}, {}), (200, {}, {"ok": True})]
    )
    async with service(lambda _: next(answers)) as (api, requests):
        assert await api.post("/x", {}, account()) == {"ok": True}
    assert len({seen.headers["idempotency-key"] for seen in requests}) == 1
    assert len(requests) == 3


async def test_a_refusal_names_its_code_and_its_fields() -> None:
    problem = {
        "code": "invalid_request",
        "status": 400,
        "detail": "Correct it.",
        "errors": [{"pointer": "/parts", "message": "too many"}],
    }
    async with service(lambda _: (400, {}, problem)) as (api, _):
        with pytest.raises(Refused) as refusal:
            await api.get("/x")
    assert refusal.value.reason == "invalid_request"
    assert refusal.value.detail == "GET /x: 400 invalid_request: Correct it. /parts too many"


async def test_an_answer_that_is_no_problem_document_is_a_refusal_too() -> None:
    async with service(lambda _: (500, {}, "boom")) as (api, _):
        with pytest.raises(Refused) as refusal:
            await api.get("/x")
    assert refusal.value.reason == "no_problem_document"


async def test_a_known_account_logs_in_and_a_new_one_registers() -> None:
    def answer(seen: Seen) -> Answer:
        return 200, {}, {"userId": "u"} if seen.line == "GET /api/v1/auth/me" else TOKENS

    async with service(answer) as (api, requests):
        for known in (True, False):
            signing_in = Account("demo@example.com", "Demo", "customer", "secret")
            await api.sign_in(signing_in, known=known)
            assert signing_in.user_id == "u"
    assert [seen.line for seen in requests] == [
        "POST /api/v1/auth/login",
        "GET /api/v1/auth/me",
        "POST /api/v1/auth/register",
        "GET /api/v1/auth/me",
    ]
    assert "idempotency-key" not in requests[0].headers


async def test_a_token_that_is_about_to_end_is_renewed_once() -> None:
    renewed = {"accessToken": "access-2", "refreshToken": "refresh-2", "expiresIn": 900}
    async with service(lambda _: (200, {}, renewed)) as (api, requests):
        owner = Account("demo@example.com", "Demo", "customer", "secret")
        owner.take_tokens(TOKENS | {"expiresIn": 100})
        tokens = await asyncio.gather(owner.token(api), owner.token(api))
    assert set(tokens) == {"access-2"}
    assert [seen.body for seen in requests] == [{"refreshToken": "refresh-1"}]


async def test_a_service_that_is_not_there_is_unreachable() -> None:
    async with service(lambda _: (200, {}, {})) as (api, _):
        origin = api.origin
    gone = Api(origin)
    with pytest.raises(Unreachable):
        await gone.get("/x")
    await gone.close()
