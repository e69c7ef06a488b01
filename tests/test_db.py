"""Connections as the service sets them up, and statements by name."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest

from matcher.db import Pool, create_pool, load_queries, snapshot
from matcher.ids import uuid7

INSERT = "INSERT INTO users (id, name, role) VALUES ($1, 'T', 'customer')"


async def test_json_travels_as_python_values_and_ready_bytes(pool: Pool) -> None:
    value = {"a": [1, None, "ü"], "b": {"c": True}}
    assert await pool.fetchval("SELECT $1::jsonb", value) == value
    assert await pool.fetchval("SELECT $1::json", value) == value
    assert await pool.fetchval("SELECT $1::jsonb", b'{"ready": 1}') == {"ready": 1}
    assert await pool.fetchval("SELECT $1::jsonb[]", [b"[1]", {"x": 2}]) == [[1], {"x": 2}]


async def test_transaction_ids_are_whole_numbers(pool: Pool) -> None:
    xid = await pool.fetchval("SELECT pg_current_xact_id()")
    assert isinstance(xid, int)
    assert await pool.fetchval("SELECT $1::xid8", xid) == xid


async def test_sessions_are_utc_and_statements_bounded(database_url: str) -> None:
    pool = await create_pool(database_url, min_size=0, statement_timeout_s=0.05)
    assert await pool.fetchval("SHOW timezone") == "UTC"
    assert await pool.fetchval("SHOW jit") == "off"
    with pytest.raises(asyncpg.QueryCanceledError):
        await pool.execute("SELECT pg_sleep(5)")
    await pool.close()


async def test_the_database_clock_can_be_set_for_a_connection(pool: Pool) -> None:
    moment = datetime(2026, 5, 4, tzinfo=UTC)
    async with pool.acquire() as connection:
        await connection.execute("SELECT set_config('matcher.now', $1, false)", moment.isoformat())
        assert await connection.fetchval("SELECT matcher_now()") == moment
    ahead = await pool.fetchval("SELECT matcher_now()") - datetime.now(UTC)
    assert abs(ahead) < timedelta(minutes=1)


async def test_a_snapshot_sees_one_moment_and_writes_nothing(pool: Pool) -> None:
    count = "SELECT count(*) FROM users"
    async with snapshot(pool) as connection:
        assert await connection.fetchval(count) == 0
        await pool.execute(INSERT, uuid7())
        assert await connection.fetchval(count) == 0
        with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
            await connection.execute(INSERT, uuid7())
    assert await pool.fetchval(count) == 1


def test_statements_are_loaded_by_name() -> None:
    queries = load_queries("matcher", "transactions.sql")
    assert queries["claim_key"].startswith("INSERT INTO idempotency_keys")
    assert all(text and "-- name:" not in text for text in queries.values())


def test_a_statement_named_twice_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "twice"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "queries.sql").write_text("-- name: a\nSELECT 1\n\n-- name: a\nSELECT 2\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ValueError, match="names a statement twice"):
        load_queries("twice")
