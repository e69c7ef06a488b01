"""Restoring a backup: into a new database, which takes the old one's name when it is complete.

Owns: the order of the checks and steps. Until the two renames, in one transaction, the old database is not touched;
after them it is whole under another name. A failure drops the new one.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import asyncpg

from matcher.backup import server
from matcher.backup.archive import ArchiveReader, Manifest, reading
from matcher.backup.errors import BackupError, DamagedBackup, DatabaseInUse, WrongRevision
from matcher.backup.progress import Progress
from matcher.backup.server import Address, quoted
from matcher.migrations import newest_revision

MAINTENANCE = "postgres"  # a database cannot be renamed from within
RESTORE_LOCK = 721_530_498  # with the hash of the database's name
NAME_CHARS = 35  # of the old name in the new ones: PostgreSQL cuts names at 63 bytes

# Rows of another cluster may carry transaction ids that this one has yet to reach; change feeds would read them at
# every poll until then (matcher/changes.py).
_STAMPED = """
SELECT table_name FROM information_schema.columns
WHERE table_schema = 'public' AND column_name = 'changed_xid' ORDER BY 1
"""
_USERS = """
SELECT coalesce(nullif(application_name, ''), 'a client') || ' (process ' || pid || ' of the server'
       || coalesce(', from ' || host(client_addr), '') || ')'
FROM pg_stat_activity
WHERE datname = $1 AND pid <> pg_backend_pid() AND coalesce(backend_type, 'client backend') = 'client backend'
ORDER BY pid
"""
_OLD = """
SELECT pg_get_userbyid(datdba) AS owner, datcollate AS collate, datctype AS ctype
FROM pg_database WHERE datname = $1
"""


def restore(
    database_url: str,
    path: Path,
    *,
    confirm: Callable[[Manifest, str], None],
    before_swap: Callable[[], Awaitable[None]],
) -> str | None:
    """Put the backup's content in the place of the database; the name that the old one has now, if there was one.

    `confirm` gets what is to be restored, and where, and raises to stop; `before_swap` is run when all else has
    succeeded. Starts an event loop. Raises BackupError, OSError; then the old database is as it was.
    """
    address = Address.parse(database_url)
    with reading(path) as archive:
        _check_archive(archive, path)
        with asyncio.Runner() as runner:
            swap = Replacement(address, archive.manifest, runner.run(address.sibling(MAINTENANCE).connect()))
            try:
                runner.run(swap.check())
                confirm(archive.manifest, address.place)
                tool = server.find_tool("pg_restore", server.major_of(swap.connection))
                return _replace(runner, swap, archive, tool, before_swap)
            finally:
                runner.run(swap.connection.close(timeout=5))


def _check_archive(archive: ArchiveReader, path: Path) -> None:
    manifest = archive.manifest
    with Progress(f"Checking {path}", manifest.size_bytes) as progress:
        for count_bytes in archive.verify():
            progress.add(count_bytes)
    newest = newest_revision()
    if manifest.revision != newest:
        raise WrongRevision(
            f"{path} has schema {manifest.revision}, made by release {manifest.release}; this one has {newest}."
            f" Restore it with release {manifest.release}, then install this one and run `matcher migrate`."
        )


def _replace(
    runner: "asyncio.Runner",
    swap: "Replacement",
    archive: ArchiveReader,
    tool: Path,
    before_swap: Callable[[], Awaitable[None]],
) -> str | None:
    async def finish() -> str | None:
        await swap.settle()
        await before_swap()
        return await swap.rename()

    try:
        runner.run(swap.make())
        with Progress("Restoring", archive.manifest.size_bytes) as progress:
            for count_bytes in server.fill(swap.fresh, tool, archive.chunks(), owner=swap.owner):
                progress.add(count_bytes)
        return runner.run(finish())
    except BaseException:
        runner.run(swap.drop())
        raise


class Replacement:
    """The new database on its way into the old one's place. `connection` goes to neither of them."""

    def __init__(self, address: Address, manifest: Manifest, connection: Any) -> None:
        self.connection = connection
        self.owner = ""
        self.fresh = address.sibling(f"{address.database[:NAME_CHARS]}_restoring")
        self._address = address
        self._manifest = manifest
        self._old: Any = None

    async def check(self) -> None:
        """Whether the server takes this backup now. Raises BackupError."""
        major = server.major_of(self.connection)
        if major < self._manifest.postgres_major:
            raise BackupError(
                f"The backup is PostgreSQL {self._manifest.postgres_major}'s, the server is the older {major}."
            )
        # By session: CREATE DATABASE refuses to run in a transaction.
        lock = "SELECT pg_try_advisory_lock($1, hashtext($2))"
        if not await self.connection.fetchval(lock, RESTORE_LOCK, self._address.database):
            raise DatabaseInUse(f"Another restore of {self._address.place} is running; wait for its end.")
        users = [user for (user,) in await self.connection.fetch(_USERS, self._address.database)]
        if users:
            more = f" and {len(users) - 1} more" if users[1:] else ""
            raise DatabaseInUse(
                f"{self._address.place} is in use by {users[0]}{more}; stop the API and worker processes first."
            )
        self._old = await self.connection.fetchrow(_OLD, self._address.database)
        # Restored by a superuser, the tables must still belong to the role that the service signs in with.
        self.owner = (
            self._old["owner"] if self._old else await self.connection.fetchval("SELECT current_user")
        )

    async def make(self) -> None:
        """Make the new database, empty but for PostGIS. Raises BackupError."""
        name = quoted(self.fresh.database)
        locale = ""
        if self._old:
            locale = f" LC_COLLATE {_text(self._old['collate'])} LC_CTYPE {_text(self._old['ctype'])}"
        try:
            # Left by a restore that was killed; the lock says that none is running.
            await self.connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
            await self.connection.execute(
                f"CREATE DATABASE {name} OWNER {quoted(self.owner)} TEMPLATE template0 ENCODING 'UTF8'{locale}"
            )
        except asyncpg.PostgresError as error:
            raise BackupError(f"A new database cannot be made: {error}.") from error
        connection = await self.fresh.connect()
        try:
            # The dump finds it there: its own CREATE EXTENSION would run as the owner, who may not.
            await connection.execute("CREATE EXTENSION IF NOT EXISTS postgis")
        except asyncpg.PostgresError as error:
            raise BackupError(
                f"PostGIS cannot be made in a new database: {error}. Restore with DATABASE_URL of a role"
                " that may make it."
            ) from error
        finally:
            await connection.close()

    async def settle(self) -> None:
        """Check what arrived, and make it at home in this cluster. Raises DamagedBackup."""
        connection = await self.fresh.connect()
        try:
            if await server.row_counts(connection) != self._manifest.rows:
                raise DamagedBackup(
                    "The restored rows are not those of the backup; the database is as it was."
                )
            for (table,) in await connection.fetch(_STAMPED):
                await connection.execute(
                    f"UPDATE {quoted(table)} SET changed_xid = DEFAULT WHERE changed_xid > pg_current_xact_id()"  # noqa: S608
                )
            # A dump has no statistics; the first queries would be planned blindly.
            await connection.execute("ANALYZE")
        finally:
            await connection.close()

    async def rename(self) -> str | None:
        """Give the new database the old one's name; what the old one is called then. Raises DatabaseInUse."""
        name, fresh = quoted(self._address.database), quoted(self.fresh.database)
        kept = f"{self._address.database[:NAME_CHARS]}_before_{datetime.now().astimezone():%Y%m%d%H%M%S}"
        try:
            async with self.connection.transaction():
                if self._old:
                    await self.connection.execute(f"ALTER DATABASE {name} RENAME TO {quoted(kept)}")
                await self.connection.execute(f"ALTER DATABASE {fresh} RENAME TO {name}")
        except asyncpg.ObjectInUseError as error:
            raise DatabaseInUse(
                f"{self._address.place} was taken into use during the restore; stop all of its processes and"
                " restore again."
            ) from error
        except asyncpg.PostgresError as error:
            raise BackupError(f"The databases cannot be renamed: {error}.") from error
        return kept if self._old else None

    async def drop(self) -> None:
        """Remove the new database; a no-op once it has its final name."""
        await self.connection.execute(f"DROP DATABASE IF EXISTS {quoted(self.fresh.database)} WITH (FORCE)")


async def drop_kept(database_url: str, name: str) -> None:
    """Drop the old database that `restore` kept. Raises BackupError."""
    connection = await Address.parse(database_url).sibling(MAINTENANCE).connect()
    try:
        await connection.execute(f"DROP DATABASE {quoted(name)}")
    except asyncpg.PostgresError as error:
        raise BackupError(f"Restored, but {name} cannot be dropped: {error}.") from error
    finally:
        await connection.close()


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
