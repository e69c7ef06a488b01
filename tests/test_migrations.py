"""The migrations: forward, back, started twice at once, and in step with the models."""

import asyncio
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from geoalchemy2 import alembic_helpers
from sqlalchemy import Connection
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import create_async_engine

from matcher import migrations
from matcher.schema import metadata
from matcher.settings import repository_root

# What a database without our tables still holds: PostGIS' own table, and Alembic's record.
NOT_OURS = {"spatial_ref_sys", "alembic_version"}


@pytest.fixture
def empty_database(database_url: str) -> Iterator[str]:
    """A database of this test alone, without any table."""
    name = f"matcher_test_{int(time.time())}_{secrets.token_hex(4)}"
    asyncio.run(execute(database_url, f"CREATE DATABASE {name} TEMPLATE template0"))
    yield make_url(database_url).set(database=name).render_as_string(hide_password=False)
    asyncio.run(execute(database_url, f"DROP DATABASE {name} WITH (FORCE)"))


async def execute(database_url: str, statement: str) -> list[Any]:
    connection = await asyncpg.connect(database_url)
    try:
        return await connection.fetch(statement)
    finally:
        await connection.close()


def tables(database_url: str) -> set[str]:
    rows = asyncio.run(execute(database_url, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"))
    return {name for (name,) in rows} - NOT_OURS


def schema_differences(connection: Connection) -> list[Any]:
    """Where a database differs from the models."""
    options = {"include_object": alembic_helpers.include_object, "compare_server_default": True}
    return list(compare_metadata(MigrationContext.configure(connection, opts=options), metadata))


def test_the_schema_goes_forward_back_and_forward_again(empty_database: str) -> None:
    migrations.upgrade(empty_database)
    assert tables(empty_database) == set(metadata.tables)
    migrations.downgrade(empty_database, "base")
    assert tables(empty_database) == set()
    migrations.upgrade(empty_database)
    assert tables(empty_database) == set(metadata.tables)


def test_processes_that_migrate_at_once_do_not_disturb_each_other(empty_database: str) -> None:
    script = "import sys; from matcher import migrations; migrations.upgrade(sys.stdin.read())"
    assert run_twice(script, empty_database) == [0, 0]
    assert tables(empty_database) == set(metadata.tables)


def run_twice(script: str, database_url: str) -> list[int]:
    """How two processes end that run the script at once, with the address on their standard input."""
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", script], cwd=repository_root(), stdin=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    for run in runs:
        assert run.stdin
        run.stdin.write(database_url)
        run.stdin.close()
    return [run.wait(timeout=60) for run in runs]


NEXT = """
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("ALTER TABLE orders ADD COLUMN note TEXT")
    with op.get_context().autocommit_block():
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS orders_note_idx")
        op.execute("CREATE INDEX CONCURRENTLY orders_note_idx ON orders (note)")
"""


def test_two_processes_build_an_index_beside_the_traffic(empty_database: str, tmp_path: Path) -> None:
    folder = shutil.copytree(migrations.FOLDER, tmp_path / "migrations")
    (folder / "versions" / "0002_note.py").write_text(NEXT)
    migrations.upgrade(empty_database, "0001")
    script = (
        "import sys, pathlib; from matcher import migrations;"
        f" migrations.FOLDER = pathlib.Path({str(folder)!r}); migrations.upgrade(sys.stdin.read())"
    )
    assert run_twice(script, empty_database) == [0, 0]
    valid = "SELECT indisvalid FROM pg_index WHERE indexrelid = 'orders_note_idx'::regclass"
    assert asyncio.run(execute(empty_database, valid)) == [(True,)]
    assert asyncio.run(execute(empty_database, "SELECT version_num FROM alembic_version")) == [("0002",)]


# SQLAlchemy cannot reflect xid8; such a column is compared by name and nullability alone.
@pytest.mark.filterwarnings("ignore:Did not recognize type 'xid8'")
async def test_the_models_describe_the_migrated_database(database_url: str) -> None:
    engine = create_async_engine(migrations.sqlalchemy_url(database_url))
    try:
        async with engine.connect() as connection:
            assert await connection.run_sync(schema_differences) == []
    finally:
        await engine.dispose()


def test_an_unknown_revision_is_an_expected_failure(empty_database: str) -> None:
    with pytest.raises(migrations.MigrationFailed, match="nowhere"):
        migrations.upgrade(empty_database, "nowhere")
    with pytest.raises(migrations.MigrationFailed, match="nowhere"):
        migrations.downgrade(empty_database, "nowhere")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("postgresql://u:p%40ss@h:5/d", "postgresql+asyncpg://u:p%40ss@h:5/d"),
        ("postgres://u@h/d?sslmode=require", "postgresql+asyncpg://u@h/d?ssl=require"),
    ],
)
def test_addresses_are_translated_for_sqlalchemy(given: str, expected: str) -> None:
    assert migrations.sqlalchemy_url(given).render_as_string(hide_password=False) == expected
