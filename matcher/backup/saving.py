"""Making a backup of a running service.

Owns: that the dump and what the header says of it come from one snapshot. Changes nothing in the database.
"""

import asyncio
from datetime import UTC
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec

from matcher.backup import server
from matcher.backup.archive import Manifest, writing
from matcher.backup.progress import Progress
from matcher.backup.server import Address


def save(database_url: str, path: Path) -> Manifest:
    """Write the database to `path`; readers and writers go on meanwhile. Starts an event loop.

    Raises BackupError, OSError; then `path` is as it was.
    """
    address = Address.parse(database_url)
    with asyncio.Runner() as runner:
        connection = runner.run(address.connect())
        try:
            tool = server.find_tool("pg_dump", server.major_of(connection))
            # Opened before the database is read, so that a folder that cannot be written costs nobody anything.
            with writing(path) as archive:
                snapshot, manifest = runner.run(_describe(connection))
                with Progress(f"Writing {path}") as progress:
                    for chunk in server.dump(address, tool, snapshot):
                        archive.write(chunk)
                        progress.add(len(chunk))
                manifest = msgspec.structs.replace(manifest, size_bytes=archive.size_bytes)
                archive.finish(manifest)
        finally:
            runner.run(connection.close(timeout=5))
    return manifest


async def _describe(connection: Any) -> tuple[str, Manifest]:
    # Left open: pg_dump joins the snapshot, so that its rows are those that were counted.
    await connection.execute("SET idle_in_transaction_session_timeout = 0; SET statement_timeout = 0")
    await connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    snapshot = await connection.fetchval("SELECT pg_export_snapshot()")
    manifest = Manifest(
        revision=await server.revision_of(connection),
        release=version("clutch-matcher"),
        postgres_major=server.major_of(connection),
        taken_at=(await connection.fetchval("SELECT clock_timestamp()")).astimezone(UTC),
        rows=await server.row_counts(connection),
        size_bytes=0,
    )
    return str(snapshot), manifest
