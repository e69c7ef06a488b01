"""A database of each test's own, with the commands pointed at it."""

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeVar

import asyncpg
import pytest
from sqlalchemy.engine import make_url

from matcher.db import create_pool
from matcher.settings import Settings
from tests.conftest import Servers, cloned_database
from tests.quotes.factories import Clock
from tests.quotes.order_world import open_world

T = TypeVar("T")


class Home:
    """The database that the commands of this test save and replace."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.name = make_url(url).database or ""

    def sibling(self, name: str) -> str:
        """The address of another database of the same server."""
        return make_url(self.url).set(database=name).render_as_string(hide_password=False)

    def ask(self, work: Callable[[Any], Awaitable[T]], database: str = "") -> T:
        """What `work` answers, given a connection."""

        async def connected() -> T:
            connection = await asyncpg.connect(self.sibling(database or self.name))
            try:
                return await work(connection)
            finally:
                await connection.close()

        return asyncio.run(connected())

    def execute(self, statement: str, database: str = "") -> None:
        self.ask(lambda connection: connection.execute(statement), database)

    def value(self, query: str, database: str = "") -> Any:
        return self.ask(lambda connection: connection.fetchval(query), database)

    def siblings(self) -> list[str]:
        """The databases that a restore has made or kept."""
        query = f"SELECT array_agg(datname ORDER BY 1) FROM pg_database WHERE datname LIKE '{self.name}!_%' ESCAPE '!'"
        return self.value(query, "postgres") or []

    def drop_siblings(self) -> None:
        for name in self.siblings():
            self.execute(f"DROP DATABASE {name} WITH (FORCE)", "postgres")


@pytest.fixture
def home(
    servers: Servers, redis_url: str, redis_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Home]:
    """A migrated database without rows; what a restore keeps beside it is dropped."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    with cloned_database(servers) as url, contextlib.ExitStack() as cleaning:
        home = Home(url)
        monkeypatch.setenv("DATABASE_URL", url)
        monkeypatch.setenv("REDIS_URL", redis_url)
        monkeypatch.setenv("MATCHER_REDIS_PREFIX", redis_prefix)
        cleaning.callback(home.drop_siblings)
        yield home
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def trade(home: Home, settings: Settings) -> None:
    """Orders with what belongs to them, and people."""

    async def run() -> None:
        pool = await create_pool(home.url, min_size=0)
        async with pool, open_world(pool, settings, Clock()) as world:
            await world.add_shops(12)
            for _ in range(5):
                await world.submit()
            await pool.execute(
                "INSERT INTO users (id, name, role, email) SELECT gen_random_uuid(), 'ابن ' || n || E'\\n\"', "
                "'customer', n || '@example.test' FROM generate_series(1, 50) n"
            )

    asyncio.run(run())
