"""A PostgreSQL server as backups meet it: its address, its tools, its tables.

Owns: how pg_dump and pg_restore are found and called. Must not decide what is dumped or replaced.
"""

import contextlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import asyncpg
from sqlalchemy.engine import URL, make_url

from matcher.backup.archive import CHUNK_BYTES
from matcher.backup.errors import BackupError, NoTool

# What pg_dump would dump: not PostGIS' own table, which its extension makes.
_TABLES = """
SELECT c.relname FROM pg_class c
WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace
  AND NOT EXISTS (
      SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
  )
ORDER BY 1
"""


@dataclass(frozen=True, slots=True)
class Address:
    """Where one database is."""

    url: URL

    @classmethod
    def parse(cls, database_url: str) -> "Address":
        """The address that `DATABASE_URL` names. Raises BackupError when it names no database."""
        url = make_url(database_url).set(drivername="postgresql")
        if not url.database:
            raise BackupError("DATABASE_URL names no database.")
        return cls(url)

    @property
    def database(self) -> str:
        """The database's name."""
        return self.url.database or ""

    def sibling(self, database: str) -> "Address":
        """Another database of the same server."""
        return Address(self.url.set(database=database))

    @property
    def place(self) -> str:
        """Where it is, for people: without secrets."""
        return f"{self.database} on {self.url.host or 'localhost'}:{self.url.port or 5432}"

    def for_tools(self) -> tuple[str, dict[str, str]]:
        """The address for libpq, and the environment that holds the password: argv can be read by everybody."""
        secret = self.url.password or self.url.query.get("password")
        public = self.url._replace(password=None).difference_update_query(["password"])
        environment = os.environ | {"PGAPPNAME": "matcher-backup", "LC_ALL": "C"}
        if secret:
            environment["PGPASSWORD"] = str(secret)
        return public.render_as_string(hide_password=False), environment

    async def connect(self) -> Any:
        """A connection. Raises BackupError."""
        try:
            return await asyncpg.connect(
                self.url.render_as_string(hide_password=False),
                timeout=30,
                server_settings={"application_name": "matcher-backup", "timezone": "UTC"},
            )
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise BackupError(f"{self.place} cannot be reached: {error}.") from error


def find_tool(name: str, major: int, usr: Path = Path("/usr")) -> Path:
    """`pg_dump` or `pg_restore` of exactly this major version. Raises NoTool.

    Exactly: an older one refuses the server, and what a newer one writes, the server need not understand.
    """
    beside = usr / "lib" / "postgresql" / str(major) / "bin" / name
    if beside.exists():
        return beside
    found = shutil.which(name)
    if found:
        version = subprocess.run([found, "--version"], capture_output=True, text=True, check=False).stdout
        if re.search(rf"\) {major}(\.|\D|$)", version):
            return Path(found)
    raise NoTool(f"{name} of PostgreSQL {major}, the server's version, is not installed.")


def dump(address: Address, tool: Path, snapshot: str) -> Iterator[bytes]:
    """The database as pg_dump's custom format, of an exported snapshot. Raises BackupError when pg_dump fails."""
    url, environment = address.for_tools()
    options = ["--format=custom", "--no-owner", "--no-privileges", "--no-comments", "--no-password"]
    # A migration may hold locks; then the backup fails with its name instead of waiting for ever.
    options += ["--lock-wait-timeout=60s", f"--snapshot={snapshot}"]
    # PostGIS' own table comes with PostGIS; the database's owner may not write to it.
    options += ["--exclude-table-data=*.spatial_ref_sys"]
    with tempfile.TemporaryFile() as complaints:
        process = subprocess.Popen(
            [str(tool), *options, f"--dbname={url}"],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=complaints,
        )
        assert process.stdout is not None
        try:
            while chunk := process.stdout.read(CHUNK_BYTES):
                yield chunk
            _check(process, "pg_dump", complaints)
        finally:
            _end(process)


def fill(address: Address, tool: Path, chunks: Iterator[bytes], *, owner: str) -> Iterator[int]:
    """Restore a dump into an empty database, its tables owned by `owner`; yields the bytes of each step.

    Raises BackupError when pg_restore fails.
    """
    url, environment = address.for_tools()
    options = ["--exit-on-error", "--no-owner", "--no-privileges", "--no-password", f"--role={owner}"]
    with tempfile.TemporaryFile() as complaints:
        process = subprocess.Popen(
            [str(tool), *options, f"--dbname={url}"],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=complaints,
        )
        assert process.stdin is not None
        try:
            for chunk in chunks:
                try:
                    process.stdin.write(chunk)
                except BrokenPipeError:  # it has ended early; its status tells why
                    break
                yield len(chunk)
            _close(process.stdin)
            _check(process, "pg_restore", complaints)
        finally:
            _end(process)


async def row_counts(connection: Any) -> dict[str, int]:
    """The rows of every table of ours."""
    tables = [name for (name,) in await connection.fetch(_TABLES)]
    return {name: await connection.fetchval(f"SELECT count(*) FROM {quoted(name)}") for name in tables}  # noqa: S608


async def revision_of(connection: Any) -> str:
    """The schema's revision. Raises BackupError for a database without one."""
    try:
        revision = await connection.fetchval("SELECT version_num FROM alembic_version")
    except asyncpg.UndefinedTableError:
        revision = None
    if not revision:
        raise BackupError("The database has no schema of this service; `matcher migrate` makes it.")
    return str(revision)


def major_of(connection: Any) -> int:
    """The server's major version."""
    return int(connection.get_server_version().major)


def quoted(name: str) -> str:
    """An identifier for SQL."""
    return '"' + name.replace('"', '""') + '"'


def _close(pipe: IO[bytes] | None) -> None:
    # The other end may be gone already; then its status tells why.
    if pipe is not None:
        with contextlib.suppress(BrokenPipeError):
            pipe.close()


def _check(process: "subprocess.Popen[bytes]", name: str, complaints: Any) -> None:
    if process.wait() != 0:
        complaints.seek(0)
        lines = complaints.read().decode(errors="replace").strip().splitlines()
        raise BackupError(f"{name} failed: {' '.join(lines[:3]) or f'status {process.returncode}'}.")


def _end(process: "subprocess.Popen[bytes]") -> None:
    # Also when the reader gives up (disk full, Ctrl-C): no dump goes on for nobody.
    if process.poll() is None:
        process.kill()
        process.wait()
    _close(process.stdin)
    _close(process.stdout)
