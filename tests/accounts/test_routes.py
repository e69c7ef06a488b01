from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import httpx
import pytest

from matcher.accounts.routes import ROUTES
from matcher.ids import uuid7
from tests.accounts.world import PASSWORD, Process, World, client_of

Client = httpx.AsyncClient
REGISTER = {"email": "a@example.com", "password": PASSWORD, "name": "Account A", "role": "customer"}


@pytest.fixture
async def client(process: Process) -> AsyncIterator[Client]:
    async with client_of(process) as client:
        yield client


def bearer(tokens: Any, **headers: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {tokens['accessToken']}"} | headers


async def register(client: Client, email: str = "a@example.com") -> Any:
    response = await client.post("/api/v1/auth/register", json=REGISTER | {"email": email})
    assert response.status_code == 201, response.text
    return response.json()


def problem(response: httpx.Response, status: int, code: str) -> Any:
    assert response.status_code == status, response.text
    assert response.headers["content-type"].startswith("application/problem+json")
    body = response.json()
    assert (body["status"], body["code"]) == (status, code)
    return body


async def test_an_account_from_registration_to_deletion(client: Client) -> None:
    tokens = await register(client)
    assert set(tokens) == {"userId", "accessToken", "refreshToken", "expiresIn", "tokenType"}
    assert (tokens["tokenType"], tokens["expiresIn"]) == ("Bearer", 900)

    login = await client.post("/api/v1/auth/login", json={"email": "A@example.com", "password": PASSWORD})
    assert login.status_code == 200
    assert set(login.json()) == {"accessToken", "refreshToken", "expiresIn", "tokenType"}
    refreshed = await client.post("/api/v1/auth/refresh", json={"refreshToken": login.json()["refreshToken"]})
    assert refreshed.status_code == 200
    tokens = refreshed.json()

    me = (await client.get("/api/v1/auth/me", headers=bearer(tokens))).json()
    assert (me["email"], me["shops"], me["version"]) == ("a@example.com", [], 1)
    assert me["createdAt"].endswith("Z")
    me = (await client.patch("/api/v1/auth/me", headers=bearer(tokens), json={"name": "B"})).json()
    assert (me["name"], me["version"]) == ("B", 2)

    changed = await client.post(
        "/api/v1/auth/password/change",
        headers=bearer(tokens),
        json={"currentPassword": PASSWORD, "newPassword": "another long one"},
    )
    assert changed.status_code == 200
    problem(await client.get("/api/v1/auth/me", headers=bearer(tokens)), 401, "invalid_token")
    deleted = await client.delete("/api/v1/auth/me", headers=bearer(changed.json()))
    assert (deleted.status_code, deleted.content) == (204, b"")
    problem(await client.get("/api/v1/auth/me", headers=bearer(changed.json())), 401, "invalid_token")


@pytest.mark.parametrize(("body", "others_end"), [(None, False), ({}, False), ({"everywhere": True}, True)])
async def test_logout_needs_no_body(client: Client, body: Any, others_end: bool) -> None:
    first = await register(client)
    login = await client.post("/api/v1/auth/login", json={"email": "a@example.com", "password": PASSWORD})
    response = await client.post("/api/v1/auth/logout", headers=bearer(first), json=body)
    if body is None:
        assert response.request.content == b""
    assert (response.status_code, response.content) == (204, b"")
    problem(await client.get("/api/v1/auth/me", headers=bearer(first)), 401, "invalid_token")
    other = await client.get("/api/v1/auth/me", headers=bearer(login.json()))
    assert other.status_code == (401 if others_end else 200)


async def test_a_wrong_password_and_too_many_of_them(client: Client, process: Process) -> None:
    await register(client)
    wrong = {"email": "a@example.com", "password": "wrong password"}
    for _ in range(process.settings.login_failures_max):
        refused = await client.post("/api/v1/auth/login", json=wrong)
        problem(refused, 401, "invalid_credentials")
        assert refused.headers["www-authenticate"] == "Bearer"
    refused = await client.post("/api/v1/auth/login", json=wrong)
    problem(refused, 429, "too_many_attempts")
    assert refused.headers["retry-after"] == str(process.settings.login_window_s)


@pytest.mark.parametrize(
    ("changed", "pointer"),
    [
        ({"password": "too short"}, "/password"),
        ({"password": "x" * 201}, "/password"),
        ({"password": REGISTER["email"]}, "/password"),
        ({"email": "nobody"}, "/email"),
        ({"email": 7}, "/email"),
        ({"email": "a" * 250 + "@example.com"}, "/email"),
        ({"name": "   "}, "/name"),
        ({"name": None}, "/name"),
        ({"phone": "call me"}, "/phone"),
        ({"role": "admin"}, "/role"),
        ({"isAdmin": True}, ""),
    ],
)
async def test_a_bad_field_of_a_registration_is_named(
    client: Client, world: World, changed: dict[str, Any], pointer: str
) -> None:
    refused = await client.post("/api/v1/auth/register", json=REGISTER | changed)
    body = problem(refused, 400, "invalid_request")
    assert [error["pointer"] for error in body["errors"]] == [pointer]
    assert await world.pool.fetchval("SELECT count(*) FROM users") == 0


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"email": "a\\u0000@example.com"}',
        b'{"email": "a\x00@example.com"}',
        b'{"email": "\\ud800@example.com"}',
        b"\xff",
    ],
)
@pytest.mark.parametrize("path", ["register", "login", "refresh"])
async def test_a_malformed_body_is_a_bad_request(client: Client, path: str, content: bytes) -> None:
    refused = await client.post(
        f"/api/v1/auth/{path}", content=content, headers={"Content-Type": "application/json"}
    )
    problem(refused, 400, "invalid_request")


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "\u00e9"])
async def test_a_bad_token_is_unauthorized_and_never_a_crash(client: Client, token: str) -> None:
    refused = await client.get("/api/v1/auth/me", headers=[(b"Authorization", f"Bearer {token}".encode())])
    assert refused.status_code == 401
    refused = await client.post("/api/v1/auth/refresh", json={"refreshToken": token})
    problem(refused, 401, "invalid_refresh_token")


@pytest.fixture
async def shop(world: World, process: Process) -> UUID:
    return await world.shop()


async def member(world: World, process: Process, shop: UUID, role: str, email: str) -> dict[str, Any]:
    registered = await world.member(process, shop, role, email)
    return {"accessToken": registered.access_token, "userId": str(registered.user_id)}


async def test_staff_join_and_leave(client: Client, world: World, process: Process, shop: UUID) -> None:
    owner = await member(world, process, shop, "shop_owner", "o@example.com")
    person = await register(client, "p@example.com")
    path = f"/api/v1/shops/{shop}/staff"
    body = {"email": "p@example.com", "role": "manager"}
    problem(await client.get(path, headers=bearer(person)), 404, "not_found")
    added = await client.post(path, headers=bearer(owner, **{"Idempotency-Key": "k"}), json=body)
    assert added.status_code == 201
    assert added.json()["userId"] == person["userId"]
    again = await client.post(path, headers=bearer(owner, **{"Idempotency-Key": "k"}), json=body)
    assert (again.status_code, again.headers["idempotency-replayed"]) == (201, "true")
    problem(await client.post(path, headers=bearer(owner), json=body), 409, "already_staff")

    # The new manager is let in at once, although the cache remembers an account without shops.
    listed = await client.get(path, headers=bearer(person))
    assert [(m["email"], m["role"]) for m in listed.json()["items"]] == [
        ("o@example.com", "shop_owner"),
        ("p@example.com", "manager"),
    ]
    me = (await client.get("/api/v1/auth/me", headers=bearer(person))).json()
    assert me["shops"] == [{"shopId": str(shop), "role": "manager"}]
    refused = await client.delete(f"{path}/{owner['userId']}", headers=bearer(person))
    problem(refused, 403, "forbidden")
    refused = await client.delete(f"{path}/{owner['userId']}", headers=bearer(owner))
    problem(refused, 409, "last_owner")

    removed = await client.delete(f"{path}/{person['userId']}", headers=bearer(owner))
    assert (removed.status_code, removed.content) == (204, b"")
    problem(await client.get(path, headers=bearer(person)), 404, "not_found")
    refused = await client.delete(f"{path}/{person['userId']}", headers=bearer(owner))
    problem(refused, 404, "not_found")


@pytest.mark.parametrize("role", ["cashier", "stock_clerk", "accountant"])
async def test_helpers_do_not_see_the_staff(
    client: Client, world: World, process: Process, shop: UUID, role: str
) -> None:
    helper = await member(world, process, shop, role, "h@example.com")
    problem(await client.get(f"/api/v1/shops/{shop}/staff", headers=bearer(helper)), 403, "forbidden")


async def test_a_foreign_shop_is_not_there(
    client: Client, world: World, process: Process, shop: UUID
) -> None:
    await member(world, process, shop, "shop_owner", "o@example.com")
    rival = await member(world, process, await world.shop(), "shop_owner", "r@example.com")
    path = f"/api/v1/shops/{shop}/staff"
    body = {"email": "r@example.com", "role": "shop_owner"}
    named = bearer(rival, **{"X-Shop-Id": str(shop)})
    for headers in (bearer(rival), named):
        problem(await client.get(path, headers=headers), 404, "not_found")
        problem(await client.post(path, headers=headers, json=body), 404, "not_found")
        problem(await client.delete(f"{path}/{uuid7()}", headers=headers), 404, "not_found")
    problem(await client.get(path), 401, "unauthorized")


async def test_the_shop_header_must_be_an_id(client: Client) -> None:
    tokens = await register(client)
    refused = await client.get("/api/v1/auth/me", headers=bearer(tokens, **{"X-Shop-Id": "mine"}))
    problem(refused, 400, "invalid_request")


async def test_every_route_names_who_may_call_it() -> None:
    assert all("access" in route.opt for route in ROUTES)
