"""PostgreSQL: the pool, the type codecs, the metadata and named SQL.

Owns how a connection is set up. Must not know any table. Models exist for migrations and for reading;
statements are written in `queries.sql` beside the repository that runs them.
"""

import re
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from importlib import resources
from typing import Any, TypeAlias

import asyncpg
import orjson
from asyncpg.pool import PoolConnectionProxy
from sqlalchemy import MetaData

from matcher.errors import MatcherError

# What a repository function takes: a pooled connection or a bare one.
Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]"
Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"
Row: TypeAlias = asyncpg.Record

metadata = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "fk": "%(table_name)s_%(column_0_name)s_fkey",
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "ck": "%(table_name)s_%(constraint_name)s_check",
    }
)


class DatabaseUnavailable(MatcherError):
    """The database cannot be reached at the moment; repeat the request after the time that `Retry-After` names."""

    code = "database_unavailable"
    status = 503
    title = "Database unavailable"


# What a lost or refused connection raises, in asyncpg or below it.
CONNECTION_ERRORS = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    # The pool resets a connection as it takes it back; one whose server has just gone is found in mid-operation.
    asyncpg.InternalClientError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
)

# What waited too long for others: nothing was done, the same request may well succeed in a moment.
BUSY_ERRORS = (
    asyncpg.QueryCanceledError,
    asyncpg.LockNotAvailableError,
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
)


async def create_pool(
    database_url: str,
    *,
    min_size: int = 1,
    max_size: int = 10,
    statement_timeout_s: float = 15.0,
    setup: Callable[[Any], Coroutine[Any, Any, None]] | None = None,
) -> Pool:
    """A pool whose connections speak jsonb as Python values. `setup` runs at each acquire (tests set the clock)."""
    pool: Pool = await asyncpg.create_pool(
        database_url,
        min_size=min_size,
        max_size=max_size,
        init=init_connection,
        setup=setup,
        server_settings={
            "application_name": "matcher",
            "timezone": "UTC",
            "statement_timeout": str(int(statement_timeout_s * 1000)),
            # JIT compiles our short statements for longer than they run.
            "jit": "off",
        },
    )
    return pool


async def init_connection(connection: Any) -> None:
    """Codecs of a new connection."""
    # jsonb's binary form is a version byte and the text; binary so that arrays of jsonb travel too.
    await connection.set_type_codec(
        "jsonb",
        encoder=lambda value: b"\x01" + (value if isinstance(value, bytes) else orjson.dumps(value)),
        decoder=lambda data: orjson.loads(data[1:]),
        schema="pg_catalog",
        format="binary",
    )
    await connection.set_type_codec(
        "json", encoder=_encode_json, decoder=orjson.loads, schema="pg_catalog", format="text"
    )
    # xid8 as int: watermarks are compared and carried, never shown.
    await connection.set_type_codec("xid8", encoder=str, decoder=int, schema="pg_catalog", format="text")


def _encode_json(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else orjson.dumps(value).decode()


@asynccontextmanager
async def snapshot(pool: Pool) -> AsyncIterator[Connection]:
    """A connection inside a read-only REPEATABLE READ transaction: every statement sees one moment."""
    async with (
        pool.acquire() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        yield connection


def load_queries(package: str, name: str = "queries.sql") -> dict[str, str]:
    """Named statements of a package's .sql file: `-- name: find_order` opens each."""
    text = resources.files(package).joinpath(name).read_text("utf-8")
    parts = re.split(r"^-- name: (\w+)\s*$", text, flags=re.MULTILINE)
    queries = {parts[i]: parts[i + 1].strip() for i in range(1, len(parts), 2)}
    if len(queries) * 2 + 1 != len(parts):
        raise ValueError(f"{package}/{name} names a statement twice")
    return queries
