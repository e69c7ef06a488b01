"""Addresses without secrets on command lines, and the tools that fit the server."""

from pathlib import Path

import pytest

from matcher.backup.errors import BackupError, NoTool
from matcher.backup.server import Address, find_tool, quoted


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:s%40cret@db.test:5433/parts?sslmode=require",
        "postgres://me@db.test:5433/parts?sslmode=require&password=s%40cret",
    ],
)
def test_the_password_goes_by_environment_and_not_by_argument(url: str) -> None:
    address = Address.parse(url)
    public, environment = address.for_tools()
    assert public == "postgresql://me@db.test:5433/parts?sslmode=require"
    assert environment["PGPASSWORD"] == "s@cret"
    assert address.place == "parts on db.test:5433"


def test_without_a_password_the_callers_password_file_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSFILE", "/a/file")
    monkeypatch.delenv("PGPASSWORD", raising=False)
    _, environment = Address.parse("postgresql://me@db.test/parts").for_tools()
    assert environment["PGPASSFILE"] == "/a/file"
    assert "PGPASSWORD" not in environment


def test_an_address_without_a_database_is_refused() -> None:
    with pytest.raises(BackupError, match="names no database"):
        Address.parse("postgresql://me@db.test")


async def test_a_server_that_is_not_there_is_one_line() -> None:
    with pytest.raises(BackupError, match=r"parts on 127\.0\.0\.1:1 cannot be reached"):
        await Address.parse("postgresql://me@127.0.0.1:1/parts").connect()


def make_tool(path: Path, version: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho 'pg_dump (PostgreSQL) {version}'\n")
    path.chmod(0o755)
    return path


def test_only_the_servers_own_major_version_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    make_tool(tmp_path / "usr/lib/postgresql/15/bin/pg_dump", "15.9")
    in_path = make_tool(tmp_path / "bin/pg_dump", "17.2 (Debian 17.2-1)")
    assert find_tool("pg_dump", 15, tmp_path / "usr").parent.parent.name == "15"
    assert find_tool("pg_dump", 17, tmp_path / "usr") == in_path
    with pytest.raises(NoTool, match="pg_dump of PostgreSQL 16"):
        find_tool("pg_dump", 16, tmp_path / "usr")
    with pytest.raises(NoTool):
        find_tool("pg_restore", 17, tmp_path / "usr")


def test_names_are_quoted() -> None:
    assert quoted('a"b') == '"a""b"'
