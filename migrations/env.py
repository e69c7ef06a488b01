"""Alembic's entry point: runs the migrations over asyncpg, each in its own transaction, one runner at a time.

`matcher.migrations` calls it with the database's address in `config.attributes["url"]`.
"""

import asyncio

from alembic import context
from geoalchemy2 import alembic_helpers
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from matcher.schema import metadata

# Any number that nothing else in this database locks; two migrating processes must meet on the same one.
MIGRATION_LOCK = 7_215_304_981
LOCK_RETRY_S = 0.1


def migrate(connection: Connection) -> None:
    """Run what Alembic asks for on `connection`."""
    context.configure(
        connection=connection,
        target_metadata=metadata,
        include_object=alembic_helpers.include_object,
        render_item=alembic_helpers.render_item,
        compare_server_default=True,
        # An autocommit_block (indexes built CONCURRENTLY) commits what was before it.
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        context.run_migrations()


async def connect_and_migrate() -> None:
    """Open the one connection that the migrations need; a second runner waits and then finds nothing left to do."""
    engine = create_async_engine(context.config.attributes["url"], poolclass=NullPool)
    try:
        async with engine.connect() as connection:
            # Asked for again and again, not waited for: who waits holds a snapshot, and the first runner's
            # CREATE INDEX CONCURRENTLY would wait for that. Kept until the connection ends.
            while not await connection.scalar(
                text("SELECT pg_try_advisory_lock(:key)"), {"key": MIGRATION_LOCK}
            ):
                await connection.rollback()
                await asyncio.sleep(LOCK_RETRY_S)
            await connection.commit()
            await connection.run_sync(migrate)
    finally:
        await engine.dispose()


asyncio.run(connect_and_migrate())
