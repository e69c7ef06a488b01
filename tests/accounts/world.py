"""The accounts domain as a process holds it, on a database whose clock the test sets."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
from argon2 import PasswordHasher
from litestar import Litestar, Router
from litestar.datastructures import State
from litestar.di import Provide
from litestar.exceptions import HTTPException

from matcher.accounts import schemas
from matcher.accounts.access import Caller, guard, provide_call, provide_caller
from matcher.accounts.identities import IdentityCache
from matcher.accounts.passwords import Passwords
from matcher.accounts.routes import ROUTES
from matcher.accounts.service import AccountService
from matcher.accounts.tokens import TokenSigner
from matcher.db import Connection, Pool, create_pool
from matcher.errors import MatcherError
from matcher.events import Event
from matcher.http import RequestContext, WireDTO, handle_exception
from matcher.ids import uuid7
from matcher.settings import Settings
from matcher.transactions import Publisher, Transactions

# Argon2id all the same, at the least cost that it takes: these tests are not about its cost.
CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
PASSWORD = "correct horse battery"
HOME = "192.0.2.1"


class Clock:
    """The moment that PostgreSQL's `matcher_now()` and the processes read."""

    def __init__(self) -> None:
        self.now = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)

    def forward(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def unix_s(self) -> float:
        return self.now.timestamp()


class Process:
    """One process's accounts: its own cache over the shared database."""

    def __init__(self, pool: Pool, settings: Settings, now_s: Callable[[], float]) -> None:
        self.settings = settings
        self.pool = pool
        self.tokens = TokenSigner(settings)
        self.passwords = Passwords(settings.argon2_threads, CHEAP)
        self.identities = IdentityCache(pool, settings, self.tokens, now_s=now_s)
        self.transactions = Transactions(pool, Publisher(pool, _no_events, queue_max=10), {})
        self.accounts = AccountService(
            self.transactions, settings, self.tokens, self.passwords, self.identities
        )

    async def authenticate(self, tokens: schemas.Tokens) -> Caller:
        return await self.identities.authenticate(tokens.access_token)


class World:
    """A database with a clock, and the processes on it."""

    def __init__(self, pool: Pool, settings: Settings, clock: Clock) -> None:
        self.pool = pool
        self.settings = settings
        self.clock = clock
        self.processes: list[Process] = []

    async def process(self, **changed: Any) -> Process:
        """Another process, with `changed` settings."""
        process = Process(self.pool, replace(self.settings, **changed), self.clock.unix_s)
        await process.identities.start()
        self.processes.append(process)
        return process

    async def register(
        self, process: Process, email: str = "a@example.com", **changed: Any
    ) -> schemas.Registered:
        """An account with `PASSWORD`."""
        fields = {"password": PASSWORD, "name": "Account A", "role": "customer"} | changed
        return await process.accounts.register(schemas.Register(email=email, **fields), HOME)

    async def member(self, process: Process, shop_id: UUID, role: str, email: str) -> schemas.Registered:
        """An account with a role in a shop."""
        registered = await self.register(process, email)
        async with self.pool.acquire() as connection, connection.transaction():
            await process.accounts.grant(connection, registered.user_id, shop_id, role)
        process.identities.forget(registered.user_id)
        return registered

    async def shop(self) -> UUID:
        """A shop as accounts know it: an id."""
        return uuid7()


@asynccontextmanager
async def open_world(database_url: str, settings: Settings) -> AsyncIterator[World]:
    """A world on an empty database."""
    clock = Clock()

    async def set_clock(connection: Any) -> None:
        await connection.execute("SELECT set_config('matcher.now', $1, false)", clock.now.isoformat())

    pool = await create_pool(database_url, min_size=0, max_size=10, setup=set_clock)
    world = World(pool, settings, clock)
    try:
        yield world
    finally:
        for process in world.processes:
            process.passwords.close()
        await asyncio.wait_for(pool.close(), timeout=10)


def client_of(process: Process) -> httpx.AsyncClient:
    """An HTTP client of one process's accounts routes."""
    app: Any = Litestar(  # httpx and Litestar type the same ASGI differently
        [Router("/api/v1", route_handlers=ROUTES)],
        dependencies={
            "accounts": Provide(lambda: process.accounts, sync_to_thread=False),
            "caller": Provide(provide_caller, sync_to_thread=False),
            "call": Provide(provide_call),
        },
        guards=[guard],
        dto=WireDTO,
        return_dto=None,
        middleware=[RequestContext],
        state=State({"identities": process.identities}),
        exception_handlers={
            HTTPException: handle_exception,
            MatcherError: handle_exception,
            Exception: handle_exception,
        },
    )
    # Not litestar.testing: its client runs the app on another event loop than the pool lives on.
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app, client=(HOME, 50_000)), base_url="http://test"
    )


WAITERS = """
WITH RECURSIVE waiters (pid) AS (
    SELECT pid FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid))
    UNION
    SELECT pg_locks.pid FROM pg_locks, waiters
    WHERE NOT granted AND waiters.pid = ANY(pg_blocking_pids(pg_locks.pid))
)
SELECT count(DISTINCT pid) FROM waiters
"""


async def wait_for_waiters(connection: Connection, number: int = 1) -> None:
    """Until so many other connections wait, directly or in a row, for locks that this one holds."""
    while await connection.fetchval(WAITERS) < number:
        pass


async def _no_events(events: Sequence[Event]) -> None:
    raise AssertionError("accounts announce nothing")
