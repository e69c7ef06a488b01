"""The audit trail: in the action's transaction, or noted and coalesced; read by admins only."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest

from matcher.addresses import CURRENT
from matcher.app import create_app
from matcher.audit import DETAIL_CHARS, NOTES_MAX, SQL, AuditTrail, Kind, delete_old, record
from matcher.core import open_core
from matcher.db import Pool
from matcher.errors import InvalidCursor
from matcher.settings import Settings
from matcher.tasks import periodic_tasks
from tests.accounts.world import PASSWORD

ANN, BEN = UUID(int=1), UUID(int=2)
HOME = "192.0.2.7"


@pytest.fixture
def at_home() -> Iterator[None]:
    token = CURRENT.set(HOME)
    yield
    CURRENT.reset(token)


async def kinds(pool: Pool) -> list[str]:
    return [row["kind"] for row in await pool.fetch("SELECT kind FROM security_events ORDER BY id")]


async def test_an_event_is_on_record_only_if_its_action_happened(pool: Pool, at_home: None) -> None:
    async with pool.acquire() as connection:
        undone = connection.transaction()
        await undone.start()
        await record(connection, Kind.STAFF_ADDED, ANN)
        await undone.rollback()
        async with connection.transaction():
            await record(connection, Kind.LOGIN, ANN, {"everywhere": True})

    (row,) = await pool.fetch("SELECT * FROM security_events")
    assert (row["kind"], row["account_id"], row["address"]) == ("login", ANN, HOME)
    assert row["detail"] == {"everywhere": True}


async def test_texts_are_cut_and_the_column_is_bounded(pool: Pool) -> None:
    async with pool.acquire() as connection:
        await record(connection, Kind.SHOP_REJECTED, ANN, {"reason": "x" * 10_000})
    assert await pool.fetchval("SELECT length(detail->>'reason') FROM security_events") == DETAIL_CHARS
    with pytest.raises(asyncpg.CheckViolationError):
        await pool.execute(SQL["insert_event"], ANN, None, None, "login", {"x": "y" * 5_000})


async def test_refusals_are_coalesced_and_written_once(pool: Pool, at_home: None) -> None:
    audit = AuditTrail(pool)
    for _ in range(1_000):
        audit.note(Kind.RATE_LIMITED, ANN, {"limit": "orders"})
    audit.note(Kind.RATE_LIMITED, BEN, {"limit": "orders"})
    await audit.flush()
    await audit.flush()

    rows = await pool.fetch("SELECT account_id, address, detail FROM security_events ORDER BY id")
    assert [(row["account_id"], row["address"], row["detail"]) for row in rows] == [
        (ANN, HOME, {"limit": "orders", "count": 1_000}),
        (BEN, HOME, {"limit": "orders", "count": 1}),
    ]


async def test_an_attacker_with_many_addresses_fills_a_counter_and_not_a_disk(pool: Pool) -> None:
    audit = AuditTrail(pool)
    for n in range(NOTES_MAX + 50):
        audit.note(Kind.RATE_LIMITED, UUID(int=n), {"limit": "orders"})
    audit.note(Kind.RATE_LIMITED, UUID(int=3), {"limit": "orders"})  # known: still counted
    await audit.flush()
    assert len(await kinds(pool)) == NOTES_MAX


async def test_notes_wait_while_the_database_is_away(pool: Pool, database_url: str) -> None:
    closed = await asyncpg.create_pool(database_url, min_size=0)
    await closed.close()
    audit = AuditTrail(closed)
    audit.note(Kind.RATE_LIMITED, ANN, {"limit": "orders"})
    await audit.flush()
    audit._pool = pool
    audit.note(Kind.RATE_LIMITED, ANN, {"limit": "orders"})
    await audit.flush()
    assert await pool.fetchval("SELECT detail->>'count' FROM security_events") == "2"


async def test_events_are_listed_newest_first_by_kind_and_account(pool: Pool) -> None:
    audit = AuditTrail(pool)
    async with pool.acquire() as connection:
        for n in range(6):
            await record(connection, (Kind.LOGIN, Kind.LOGIN_FAILED)[n % 2], (ANN, BEN)[n // 3], {"n": n})

    async def listed(kind: Kind | None = None, account: UUID | None = None) -> list[int]:
        found, cursor = list[int](), None
        while True:
            page = await audit.list_events(kind, account, 2, cursor)
            found += [event.detail["n"] for event in page.items]
            cursor = page.next_cursor
            if cursor is None:
                return found

    assert await listed() == [5, 4, 3, 2, 1, 0]
    assert await listed(Kind.LOGIN) == [4, 2, 0]
    assert await listed(account=BEN) == [5, 4, 3]
    assert await listed(Kind.LOGIN, ANN) == [2, 0]
    with pytest.raises(InvalidCursor):
        await audit.list_events(None, None, 2, "!")


async def test_events_are_kept_for_their_time(pool: Pool, settings: Settings) -> None:
    async with pool.acquire() as connection:
        await record(connection, Kind.LOGIN, ANN)
        await record(connection, Kind.SESSION_REVOKED, ANN)
    keep = timedelta(seconds=settings.audit_keep_s)
    await pool.execute(
        "UPDATE security_events SET at = now() - $1::interval WHERE kind = 'login'", keep + timedelta(hours=1)
    )
    await delete_old(pool, keep * 2)
    assert len(await kinds(pool)) == 2
    async with open_core(settings) as core:
        await next(task for task in periodic_tasks(core) if task.name == "delete-old-events").run()
    assert await kinds(pool) == ["session_revoked"]


class Api:
    """The whole app in this process; every request comes from `HOME`."""

    def __init__(self, app: Any) -> None:
        self.app = app
        transport = httpx.ASGITransport(app, client=(HOME, 1))
        self.http = httpx.AsyncClient(transport=transport, base_url="http://test/api/v1")

    async def post(self, path: str, body: Any, token: str = "") -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return await self.http.post(path, json=body, headers=headers)

    async def events(self, pool: Pool) -> list[tuple[str, dict[str, Any]]]:
        await self.app.state.audit.flush()
        rows = await pool.fetch("SELECT kind, address, detail FROM security_events ORDER BY id")
        assert {row["address"] for row in rows} == {HOME}
        return [(row["kind"], row["detail"]) for row in rows]


@asynccontextmanager
async def open_api(settings: Settings) -> AsyncIterator[Api]:
    """No fixture: Litestar's lifespan must end in the task that it began in."""
    tight = replace(settings, argon2_threads=1, limit_uploads_per_min=1, login_failures_max=2)
    api = Api(create_app(tight))
    async with api.app.lifespan(), api.http:
        yield api


async def register(api: Api, email: str = "a@example.test") -> Any:
    body = {"email": email, "password": PASSWORD, "name": "A", "role": "customer"}
    answer = await api.post("/auth/register", body)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def test_a_session_tells_its_story_without_its_secrets(settings: Settings, pool: Pool) -> None:
    async with open_api(settings) as api:
        tokens = await register(api)
        credentials = {"email": "a@example.test", "password": PASSWORD}
        first = (await api.post("/auth/login", credentials)).json()
        for _ in range(3):  # the first refresh advances; older ones are of a thief
            newest = (await api.post("/auth/refresh", {"refreshToken": first["refreshToken"]})).json()
        second = (await api.post("/auth/refresh", {"refreshToken": newest["refreshToken"]})).json()
        assert (await api.post("/auth/refresh", {"refreshToken": first["refreshToken"]})).status_code == 401
        assert second["accessToken"]
        await api.post("/auth/login", credentials | {"password": "hunter2 hunter2"})
        new = {"currentPassword": PASSWORD, "newPassword": "another long password"}
        changed = (await api.post("/auth/password/change", new, tokens["accessToken"])).json()
        assert (
            await api.post("/auth/logout", {"everywhere": True}, changed["accessToken"])
        ).status_code == 204

        events = await api.events(pool)
        assert [kind for kind, _ in events] == [
            "login",
            "login",
            "refresh_reused",
            "login_failed",
            "login",
            "password_changed",
            "session_revoked",
        ]
        everything = str(events)
        for secret in (PASSWORD, "hunter2", "another long", "a@example.test", tokens["refreshToken"]):
            assert secret not in everything


async def test_refusals_of_admins_routes_and_limits_are_on_record(settings: Settings, pool: Pool) -> None:
    async with open_api(settings) as api:
        token = (await register(api))["accessToken"]
        for _ in range(3):
            answer = await api.http.get(
                "/admin/security-events", headers={"Authorization": f"Bearer {token}"}
            )
            assert answer.status_code == 403
        for _ in range(3):
            await api.post("/uploads", {}, token)
        wrong = {"email": "b@example.test", "password": "hunter2 hunter2"}
        statuses = [(await api.post("/auth/login", wrong)).status_code for _ in range(4)]
        assert statuses == [401, 401, 429, 429]

        events = dict((await api.events(pool))[3:])
        assert (await kinds(pool)).count("login_failed") == 2
        assert events["admin_refused"] == {"call": "GET /api/v1/admin/security-events", "count": 3}
        noted = [detail for kind, detail in await api.events(pool) if kind == "rate_limited"]
        assert noted == [{"limit": "uploads", "count": 2}, {"limit": "attempts", "count": 2}]


async def test_admins_read_it(settings: Settings, pool: Pool) -> None:
    async with open_api(settings) as api:
        user = await register(api)
        await pool.execute("UPDATE users SET role = 'admin', version = version + 1")
        api.app.state.identities.forget(UUID(user["userId"]))
        answer = await api.http.get(
            f"/admin/security-events?kind=login&account={user['userId']}&limit=10",
            headers={"Authorization": f"Bearer {user['accessToken']}"},
        )
        assert answer.status_code == 200, answer.text
        (event,) = answer.json()["items"]
        assert (event["kind"], event["address"], event["accountId"]) == ("login", HOME, user["userId"])
        assert event["at"].endswith("Z")


async def test_notes_are_written_in_the_background(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("matcher.audit.NOTE_EVERY_S", 0.001)
    audit = AuditTrail(pool)
    audit.note(Kind.ADMIN_REFUSED, ANN, {"call": "GET /"})
    running = asyncio.create_task(audit.run())
    async with asyncio.timeout(10):
        while not await kinds(pool):
            pass
    running.cancel()
