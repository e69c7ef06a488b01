"""A backup brings everything back, or changes nothing at all."""

import asyncio
import secrets
import signal
import subprocess
from pathlib import Path
from typing import Any

import asyncpg
import click
import msgspec
import pytest
import redis
from sqlalchemy.ext.asyncio import create_async_engine

from matcher import cli, migrations
from matcher.backup.archive import Manifest, reading, writing
from matcher.db import create_pool
from matcher.events import Event, Target
from matcher.realtime.redis_log import RedisLog
from matcher.settings import Settings
from tests.backup.conftest import Home
from tests.e2e.processes import MATCHER
from tests.quotes.factories import Clock
from tests.quotes.order_world import new_customer, open_world
from tests.test_migrations import schema_differences

# SQLAlchemy cannot reflect xid8; such a column is compared by name and nullability alone.
pytestmark = pytest.mark.filterwarnings("ignore:Did not recognize type 'xid8'")

# What a dump of nothing but names would lose.
_DEFINITIONS = """
SELECT 'function', p.oid::regprocedure::text, pg_get_functiondef(p.oid) FROM pg_proc p
JOIN pg_language l ON l.oid = p.prolang AND l.lanname IN ('sql', 'plpgsql')
WHERE p.pronamespace = 'public'::regnamespace AND p.proname NOT LIKE 'st\\_%' AND p.prokind = 'f'
UNION ALL SELECT 'trigger', tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
UNION ALL SELECT 'constraint', conrelid::regclass || '.' || conname, pg_get_constraintdef(oid)
    FROM pg_constraint WHERE connamespace = 'public'::regnamespace
UNION ALL SELECT 'index', indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'
UNION ALL SELECT 'options', relname, reloptions::text FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND reloptions IS NOT NULL
ORDER BY 1, 2
"""
_TABLES = """
SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'spatial_ref_sys' ORDER BY 1
"""


def definitions(home: Home, database: str = "") -> list[Any]:
    return [tuple(row) for row in home.ask(lambda connection: connection.fetch(_DEFINITIONS), database)]


def contents(home: Home, database: str = "", where: str = "true") -> dict[str, str]:
    """A hash of each table's rows, but for the transaction that wrote them."""

    async def hashes(connection: Any) -> dict[str, str]:
        tables = [name for (name,) in await connection.fetch(_TABLES)]
        row = "(to_jsonb(t) - 'changed_xid')::text"
        query = f"SELECT md5(coalesce(string_agg({row}, ' ' ORDER BY {row}), '')) FROM {{}} t WHERE {where}"
        return {name: await connection.fetchval(query.format(name)) for name in tables}

    return home.ask(hashes, database)


@pytest.fixture
def saved(home: Home, trade: None, tmp_path: Path) -> Path:
    path = tmp_path / "saved.backup"
    assert cli.run(["backup", str(path)]) == 0
    return path


def refused(home: Home, path: Path, capsys: pytest.CaptureFixture[str], *options: str) -> str:
    """The one line of a restore that fails; the database is as it was, and nothing is left beside it."""
    before = contents(home)
    capsys.readouterr()
    assert cli.run(["restore", str(path), *(options or ["--yes"])]) == 1
    assert contents(home) == before
    assert home.siblings() == []
    return capsys.readouterr().err.strip().splitlines()[-1]


def test_a_quiet_database_comes_back_row_for_row_with_its_whole_schema(
    home: Home, saved: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, schema = contents(home), definitions(home)
    assert len({name for kind, name, _ in schema if kind == "function"}) >= 2
    home.execute("DELETE FROM dispatches; UPDATE users SET name = 'changed'; DROP INDEX quotes_one_live")
    assert cli.run(["restore", str(saved), "--yes"]) == 0
    assert contents(home) == before
    assert definitions(home) == schema
    assert asyncio.run(differences(home.url)) == []
    (kept,) = home.siblings()
    assert f"is kept as {kept};" in capsys.readouterr().out
    assert home.value("SELECT count(*) FROM dispatches", kept) == 0


async def differences(url: str) -> list[Any]:
    engine = create_async_engine(migrations.sqlalchemy_url(url))
    try:
        async with engine.connect() as connection:
            return await connection.run_sync(schema_differences)
    finally:
        await engine.dispose()


def test_into_another_cluster_the_rows_are_stamped_with_its_transaction_ids(
    home: Home, trade: None, tmp_path: Path
) -> None:
    home.execute(
        "ALTER TABLE users DISABLE TRIGGER users_changed; UPDATE users SET changed_xid = '987654321987';"
        " ALTER TABLE users ENABLE TRIGGER users_changed"
    )
    before = contents(home)
    assert cli.run(["backup", str(tmp_path / "b")]) == 0
    home.execute(f"DROP DATABASE {home.name}", "postgres")
    assert cli.run(["restore", str(tmp_path / "b"), "--yes"]) == 0
    assert home.siblings() == []
    assert contents(home) == before
    newest = home.value("SELECT max(changed_xid::text::bigint) FROM users")
    assert newest <= home.value("SELECT pg_current_xact_id()::text::bigint")
    home.execute("UPDATE users SET name = 'changed'")
    assert home.value("SELECT min(changed_xid::text::bigint) FROM users") > newest


def test_the_event_log_begins_anew_and_above(
    home: Home, saved: Path, redis_url: str, redis_prefix: str
) -> None:
    async def newest(append: bool) -> int:
        log = RedisLog(redis_url, redis_prefix, partitions=2)
        if append:
            for n in range(20):  # some for each partition
                target = Target(f"user:{n}", f"order:{n}.7", b"")
                await log.append([Event("order-updated", "order", 7, "", b"{}", (target,))])
        reader = log.reader(0)
        position = await reader.open()
        await reader.close()
        await log.close()
        return position.generation

    before = asyncio.run(newest(append=True))
    with redis.Redis.from_url(redis_url) as client:
        client.set(f"{redis_prefix}tasks", "kept")
        assert cli.run(["restore", str(saved), "--yes"]) == 0
        assert [*client.scan_iter(match=f"{redis_prefix}*", _type="stream")] == []
        assert client.get(f"{redis_prefix}tasks") == b"kept"
    assert asyncio.run(newest(append=False)) > before


def test_tables_belong_to_the_role_that_the_service_signs_in_with(home: Home, saved: Path) -> None:
    role = f"matcher_test_{secrets.token_hex(4)}"
    home.execute(f"CREATE ROLE {role} NOSUPERUSER NOCREATEDB", "postgres")
    try:
        home.execute(f"ALTER DATABASE {home.name} OWNER TO {role}", "postgres")
        assert cli.run(["restore", str(saved), "--yes", "--drop-old"]) == 0
        assert home.siblings() == []
        owners = home.value(
            "SELECT array_agg(DISTINCT tableowner) FROM pg_tables WHERE tablename IN ('orders', 'users')"
        )
        assert owners == [role]
        assert home.value(f"SELECT has_table_privilege('{role}', 'orders', 'INSERT')")
    finally:
        home.execute(f"REASSIGN OWNED BY {role} TO CURRENT_USER")
        home.execute(f"DROP ROLE {role}", "postgres")


async def test_every_order_acknowledged_before_a_backup_under_load_is_in_it_whole(
    home: Home, settings: Settings, tmp_path: Path
) -> None:
    acknowledged: list[Any] = []
    enough, stopping = asyncio.Event(), asyncio.Event()
    path = tmp_path / "loaded.backup"
    pool = await create_pool(home.url, min_size=0)

    async def matcher(*arguments: str) -> None:
        # A process of its own: the writers keep this one busy.
        process = await asyncio.create_subprocess_exec(MATCHER, *arguments)
        assert await process.wait() == 0

    async with pool, open_world(pool, settings, Clock()) as world:
        await world.add_shops(12)

        async def write() -> None:
            while not stopping.is_set():
                acknowledged.append((await world.submit(new_customer()))["id"])
                if len(acknowledged) == 200:
                    enough.set()

        async with asyncio.TaskGroup() as group:
            for _ in range(4):
                group.create_task(write())
            await enough.wait()
            before = len(acknowledged)
            await matcher("backup", str(path))
            assert len(acknowledged) > before + 4, "the writers were at it meanwhile"
            stopping.set()

    await matcher("restore", str(path), "--yes")
    (kept,) = await asyncio.to_thread(home.siblings)
    promised = ", ".join(f"'{order_id}'" for order_id in acknowledged[:before])
    for table, key in (("orders", "id"), ("order_documents", "order_id"), ("dispatches", "order_id")):
        rows = f"FROM {table} t WHERE {key} IN ({promised})"
        query = f"SELECT count(*) || md5(string_agg(t::text, ' ' ORDER BY t::text)) {rows}"
        restored, original = [await asyncio.to_thread(home.value, query, name) for name in ("", kept)]
        assert restored == original
    halves = await asyncio.to_thread(
        home.value,
        "SELECT count(*) FROM orders o WHERE shops_notified <> (SELECT count(*) FROM dispatches WHERE order_id = o.id)"
        " OR NOT EXISTS (SELECT FROM order_documents WHERE order_id = o.id)",
    )
    assert halves == 0


def test_nothing_happens_without_a_yes(
    home: Home, saved: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def no(question: str, **_: Any) -> None:
        asked.append(question)
        raise click.Abort

    monkeypatch.setattr("click.confirm", no)
    assert refused(home, saved, capsys, "--drop-old") == "matcher: stopped."
    assert asked[0].startswith(f"Replace {home.name} on 127.0.0.1")
    assert "schema 0001" in asked[0]


async def test_a_database_in_use_is_refused_and_its_users_are_named(
    home: Home, saved: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pool = await create_pool(home.url, min_size=1)
    async with pool:
        restore = await asyncio.create_subprocess_exec(
            MATCHER, "restore", str(saved), "--yes", stderr=subprocess.PIPE
        )
        _, complaint = await restore.communicate()
    assert restore.returncode == 1
    assert f"{home.name} on 127.0.0.1" in complaint.decode()
    assert "in use by matcher (process " in complaint.decode()
    assert await asyncio.to_thread(home.siblings) == []


def test_who_comes_during_a_restore_keeps_the_old_database(
    home: Home, saved: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    guests: list[Any] = []

    async def stay(connection: Any) -> None:
        try:
            await asyncio.Event().wait()
        finally:  # cancelled when the restore has ended
            await connection.close()

    async def arrive(*_: Any) -> None:
        guests.append(asyncio.create_task(stay(await asyncpg.connect(home.url))))

    # The last step before the renames.
    monkeypatch.setattr("matcher.backup.event_log.renew", arrive)
    assert "was taken into use during the restore" in refused(home, saved, capsys)
    assert len(guests) == 1


def test_a_restore_that_is_told_to_end_changes_nothing(
    home: Home, saved: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def told_to_end(*_: Any) -> None:
        signal.raise_signal(signal.SIGTERM)
        await asyncio.Event().wait()

    monkeypatch.setattr("matcher.backup.event_log.renew", told_to_end)
    assert refused(home, saved, capsys) == "matcher: stopped."


def test_two_restores_at_once_do_not_meet(
    home: Home, saved: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def another(*_: Any, **__: Any) -> None:
        result = subprocess.run(
            [MATCHER, "restore", str(saved), "--yes"], capture_output=True, text=True, check=False
        )
        assert result.returncode == 1
        assert "Another restore" in result.stderr
        raise click.Abort

    monkeypatch.setattr("click.confirm", another)
    assert refused(home, saved, capsys, "--drop-old") == "matcher: stopped."


def test_damaged_files_are_refused(home: Home, saved: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = saved.read_bytes()
    saved.write_bytes(content[:-1])
    assert "Use another backup." in refused(home, saved, capsys)
    saved.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert "was altered" in refused(home, saved, capsys)


def rewritten(path: Path, content: bytes | None = None, **changes: Any) -> Path:
    """A backup that is whole, and says or holds something else."""
    other = path.with_name("other.backup")
    with reading(path) as archive:
        manifest: Manifest = archive.manifest
        content = content if content is not None else b"".join(archive.chunks())
    with writing(other) as archive_writer:
        archive_writer.write(content)
        archive_writer.finish(msgspec.structs.replace(manifest, size_bytes=len(content), **changes))
    return other


def test_another_schema_is_refused_with_what_to_do(
    home: Home, saved: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = refused(home, rewritten(saved, revision="9999", release="7.0.0"), capsys)
    assert "has schema 9999, made by release 7.0.0; this one has 0001" in line
    assert "Restore it with release 7.0.0" in line


def test_a_newer_postgresql_is_refused(home: Home, saved: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "is PostgreSQL 99's" in refused(home, rewritten(saved, postgres_major=99), capsys)


def test_a_dump_that_pg_restore_refuses_changes_nothing(
    home: Home, saved: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    garbage = rewritten(saved, b"not a dump" * 100_000)
    assert "pg_restore failed: pg_restore: error: input file does not" in refused(home, garbage, capsys)


def test_rows_that_are_missing_after_the_restore_change_nothing(
    home: Home, saved: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with reading(saved) as archive:
        rows = archive.manifest.rows | {"orders": 6}
    assert "are not those of the backup" in refused(home, rewritten(saved, rows=rows), capsys)


def test_without_redis_nothing_is_replaced(
    home: Home, saved: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    assert "Start Redis and restore again" in refused(home, saved, capsys)


@pytest.mark.parametrize(
    "arguments", [["backup"], ["backup", "/"], ["restore"], ["restore", "/nowhere/at/all"], ["restore", "/"]]
)
def test_wrong_usage_is_status_2(arguments: list[str]) -> None:
    assert cli.run(arguments) == 2
