"""The app as it is put together: every answer has the contract's shape, every part is wired."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from litestar import Litestar, get
from litestar.testing import AsyncTestClient
from structlog.testing import capture_logs

from matcher.accounts.access import Access
from matcher.app import SERVICES, create_app
from matcher.db import Pool
from matcher.settings import Settings
from tests.e2e.api import problem

Client = AsyncTestClient[Litestar]


@get("/crash", opt={"access": Access.PUBLIC})
async def crash() -> None:
    raise ZeroDivisionError("the secret of the inside")


@pytest.fixture
async def client(settings: Settings, pool: Pool) -> AsyncIterator[Client]:
    """The whole app, in this process, over an empty database."""
    app = create_app(replace(settings, argon2_threads=1))
    app.register(crash)
    async with AsyncTestClient(app) as client:
        yield client


async def test_it_is_ready_with_every_service_in_place(client: Client) -> None:
    answer = await client.get("/api/v1/ready")
    assert (answer.status_code, answer.json()) == (200, {"status": "ready", "missing": [], "shops": 0})
    assert all(hasattr(client.app.state, name) for name in SERVICES)


async def test_a_crash_tells_nothing_of_the_inside_and_is_logged_with_its_request(client: Client) -> None:
    with capture_logs() as logs:
        answer = await client.get("/crash", headers={"X-Request-Id": "find-me"})
    document = problem(answer, 500, "internal_error")
    assert "secret" not in json.dumps(document)
    assert document["instance"] == "find-me"
    (logged,) = [entry for entry in logs if entry["event"] == "request_failed"]
    assert "ZeroDivisionError" in logged["error"]


async def test_a_route_without_a_rule_is_refused_not_open(settings: Settings, pool: Pool) -> None:
    from matcher.accounts import routes

    @get("/auth/forgotten")
    async def forgotten() -> str:
        return "open"

    routes.ROUTES.append(forgotten)
    try:
        app = create_app(settings)
    finally:
        routes.ROUTES.remove(forgotten)
    async with AsyncTestClient(app) as client:
        problem(await client.get("/api/v1/auth/forgotten"), 500, "internal_error")


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/", 404, "not_found"),
        ("GET", "/api", 404, "not_found"),
        ("GET", "/api/v1/nothing", 404, "not_found"),
        ("GET", "/api/v2/health", 404, "not_found"),
        ("POST", "/api/v1/health", 405, "method_not_allowed"),
        ("GET", "/api/v1/auth/me", 401, "unauthorized"),
        ("GET", "/api/v1/notifications", 401, "unauthorized"),
        ("POST", "/api/v1/auth/login", 400, "invalid_request"),
    ],
)
async def test_every_refusal_is_a_problem(
    client: Client, method: str, path: str, status: int, code: str
) -> None:
    problem(await client.request(method, path), status, code)


async def test_without_the_database_it_says_so_and_lives_on(client: Client) -> None:
    core: Any = client.app.state.core
    core.pool.terminate()
    answer = await client.get("/api/v1/ready")
    assert (answer.status_code, answer.json()["missing"]) == (503, ["postgresql"])
    assert (await client.get("/api/v1/health")).status_code == 200


async def test_stopping_closes_what_was_opened(settings: Settings, pool: Pool) -> None:
    async with AsyncTestClient(create_app(settings)) as client:
        core: Any = client.app.state.core
        assert not core.pool.is_closing()
    assert core.pool.is_closing()
    assert client.app.state.realtime.stopping
