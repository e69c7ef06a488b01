"""What every test may ask for: real PostgreSQL and Redis, isolated per worker process and cleaned per test.

DATABASE_URL and REDIS_URL name outside servers; without them the embedded stack of this checkout serves, is started
if it does not run, and is left running.
"""

import asyncio
import contextlib
import hashlib
import os
import re
import secrets
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import hypothesis
import pytest
import redis
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]  # it ships no types

from matcher import migrations
from matcher.db import Pool, create_pool
from matcher.settings import Settings
from matcher.stack import Stack

FULL = os.environ.get("MATCHER_TEST_FULL") == "1"

# No deadline: on a busy machine it fails tests that are right.
hypothesis.settings.register_profile("short", deadline=None, max_examples=100)
hypothesis.settings.register_profile("full", deadline=None, max_examples=1_000)
hypothesis.settings.load_profile("full" if FULL else "short")

# Parallel workers build the template and clone it one after the other.
TEMPLATE_LOCK = 7_215_304_982
# A run that was killed leaves its database behind; nobody tests for longer than this without a connection.
LEFTOVER_AGE_S = 3 * 3600


# Tests of these folders share something expensive: each group runs on one worker process. The stories and the chaos
# harness are one group, because either fills the machine.
TOGETHER = {"tests/e2e/": "processes", "tests/chaos/": "processes", "tests/stack/": "stack"}


class FolderScheduling(LoadScopeScheduling):  # type: ignore[misc]  # of an untyped module
    """Any test to any worker, but for `TOGETHER`.

    xdist's own `--dist loadgroup` groups nothing under pytest 9.2: it renames tests by `Item._nodeid`, which is gone.
    """

    def _split_scope(self, nodeid: str) -> str:
        return next((group for folder, group in TOGETHER.items() if nodeid.startswith(folder)), nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> FolderScheduling:
    """Asked by xdist, when it runs."""
    return FolderScheduling(config, log)


@dataclass(frozen=True)
class Servers:
    """Where PostgreSQL (a database that may create others) and Redis listen."""

    database_url: str
    redis_url: str


@pytest.fixture(scope="session")
def full() -> bool:
    """Whether this is the full form (`scripts/test --full`): more examples, larger data."""
    return FULL


@pytest.fixture(scope="session")
def servers() -> Servers:
    """The outside servers if both are named, else the embedded stack."""
    database_url, redis_url = os.environ.get("DATABASE_URL"), os.environ.get("REDIS_URL")
    if not (database_url and redis_url):
        status = Stack.for_checkout().up()
        database_url, redis_url = database_url or status.database_url, redis_url or status.redis_url
    assert database_url, "a stack that is up has a database"
    assert redis_url, "a stack that is up has a Redis"
    return Servers(database_url, redis_url)


@pytest.fixture(scope="session")
def redis_url(servers: Servers) -> str:
    """The Redis of this run; keep to keys that begin with `redis_prefix`."""
    return servers.redis_url


@pytest.fixture(scope="session")
def database_url(servers: Servers) -> Iterator[str]:
    """A migrated database of this worker process alone; ask for `clean_database` or `pool` to find it empty."""
    with cloned_database(servers) as url:
        yield url


@contextlib.contextmanager
def cloned_database(servers: Servers) -> Iterator[str]:
    """A migrated, empty database for as long as the body runs."""
    name = f"matcher_test_{int(time.time())}_{secrets.token_hex(4)}"
    asyncio.run(_clone_template(servers.database_url, name))
    yield _with_database(servers.database_url, name)
    asyncio.run(_drop(servers.database_url, name))


@pytest.fixture(scope="session")
def dirty_tables(database_url: str) -> list[str]:
    """The tables that tests fill; those that the migrations filled keep their rows."""
    return asyncio.run(_empty_tables(database_url))


@pytest.fixture
async def clean_database(database_url: str, dirty_tables: list[str]) -> None:
    """Empty every table before the test, so that what an earlier test left cannot matter."""
    await _delete_rows(database_url, dirty_tables)


@pytest.fixture
async def pool(database_url: str, clean_database: None) -> AsyncIterator[Pool]:
    """A pool, on the test's own event loop, of the worker's database, which is empty at the start."""
    pool = await create_pool(database_url, min_size=0, max_size=10)
    yield pool
    try:
        await asyncio.wait_for(pool.close(), timeout=10)
    except TimeoutError:
        # A test that keeps a connection has a bug; say so, and do not wait for it for ever.
        pool.terminate()
        raise


@pytest.fixture
def redis_prefix(redis_url: str) -> Iterator[str]:
    """What this test's Redis keys begin with; they are deleted afterwards."""
    prefix = f"test:{secrets.token_hex(6)}:"
    yield prefix
    with redis.Redis.from_url(redis_url) as client:
        for key in client.scan_iter(match=f"{prefix}*", count=1_000):
            client.delete(key)


@pytest.fixture
def settings(database_url: str, redis_url: str, redis_prefix: str) -> Settings:
    """Settings for this test's servers; vary them with `dataclasses.replace`."""
    return Settings(database_url=database_url, redis_url=redis_url, redis_prefix=redis_prefix)


async def _clone_template(server_url: str, name: str) -> None:
    template = f"matcher_template_{_migrations_hash()}"
    connection = await asyncpg.connect(server_url)
    try:
        # Held by the session: CREATE DATABASE refuses to run in a transaction.
        await connection.execute("SELECT pg_advisory_lock($1)", TEMPLATE_LOCK)
        await _drop_leftovers(connection, keep=template)
        if not await connection.fetchval(
            "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", template
        ):
            await _build_template(connection, server_url, template)
        await connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    finally:
        await connection.close()


async def _build_template(connection: Any, server_url: str, template: str) -> None:
    # Under its final name only when complete, so that an interrupted run leaves no half of it.
    unfinished = f"{template}_unfinished"
    await connection.execute(f"DROP DATABASE IF EXISTS {unfinished} WITH (FORCE)")
    await connection.execute(f"CREATE DATABASE {unfinished} TEMPLATE template0")
    await asyncio.to_thread(migrations.upgrade, _with_database(server_url, unfinished))
    await connection.execute(f"ALTER DATABASE {unfinished} RENAME TO {template}")


async def _drop_leftovers(connection: Any, keep: str) -> None:
    """Drop templates of other migrations and the databases of dead runs."""
    rows = await connection.fetch(
        "SELECT datname FROM pg_database WHERE datname ~ '^matcher_(test|template)_' AND datname <> $1"
        " AND NOT EXISTS (SELECT FROM pg_stat_activity a WHERE a.datname = pg_database.datname)",
        keep,
    )
    for (name,) in rows:
        test = re.fullmatch(r"matcher_test_(\d+)_\w+", name)
        if test is None or int(test[1]) < time.time() - LEFTOVER_AGE_S:
            await connection.execute(f'DROP DATABASE IF EXISTS "{name}"')


async def _drop(server_url: str, name: str) -> None:
    connection = await asyncpg.connect(server_url)
    try:
        await connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
    finally:
        await connection.close()


async def _empty_tables(database_url: str) -> list[str]:
    connection = await asyncpg.connect(database_url)
    try:
        rows = await connection.fetch(
            "SELECT quote_ident(tablename) FROM pg_tables WHERE schemaname = 'public' ORDER BY 1"
        )
        return [
            table
            for (table,) in rows
            if not await connection.fetchval(f"SELECT EXISTS (SELECT FROM {table})")
        ]
    finally:
        await connection.close()


async def _delete_rows(database_url: str, tables: list[str]) -> None:
    connection = await asyncpg.connect(
        database_url,
        server_settings={
            # Foreign keys and triggers must not see this; a forgotten lock must fail the test, not hang it.
            "session_replication_role": "replica",
            "synchronous_commit": "off",
            "lock_timeout": "10s",
        },
    )
    try:
        # DELETE, not TRUNCATE: on a few rows it takes 1 ms, where TRUNCATE makes new files for every table.
        await connection.execute("".join(f"DELETE FROM {table};" for table in tables))
    finally:
        await connection.close()


def _migrations_hash() -> str:
    digest = hashlib.sha256()
    for path in sorted(migrations.FOLDER.rglob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


def _with_database(url: str, name: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))
