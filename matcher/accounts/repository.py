"""SQL of accounts. Owns which statement does what; must not decide, and opens no transaction."""

from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from matcher.accounts.sessions import Session
from matcher.db import Connection, Pool, Row, load_queries
from matcher.ids import uuid7

SQL = load_queries("matcher.accounts")


class Credentials(msgspec.Struct, frozen=True):
    """What a sign-in verifies."""

    user_id: UUID
    password_hash: str


async def insert_user(
    connection: Connection, *, email: str, password_hash: str, name: str, phone: str | None, role: str
) -> UUID | None:
    """The new account's id; None when the email is taken."""
    user_id: UUID | None = await connection.fetchval(
        SQL["insert_user"], uuid7(), email, password_hash, name, phone, role
    )
    return user_id


async def find_credentials(pool: Pool, email: str) -> Credentials | None:
    """What to verify for an email; None for an unknown account and for one that has no password."""
    row = await pool.fetchrow(SQL["find_login"], email)
    return Credentials(row["id"], row["password_hash"]) if row and row["password_hash"] else None


async def find_user(connection: Connection, user_id: UUID) -> Row | None:
    """An active account."""
    return await connection.fetchrow(SQL["find_user"], user_id)


async def open_session(
    connection: Connection, credentials: Credentials, *, life: timedelta, access_life: timedelta
) -> Session | None:
    """A new session; None when the account changed since its password was verified."""
    session_id = uuid7()
    row = await connection.fetchrow(
        SQL["open_session"], session_id, credentials.user_id, credentials.password_hash, life
    )
    if row is None:
        return None
    await connection.execute(SQL["delete_ended_sessions"], credentials.user_id, access_life)
    opened_at: datetime = row["advanced_at"]
    return Session(session_id, credentials.user_id, row["epoch"], 0, opened_at, opened_at + life, None)


async def lock_session(connection: Connection, session_id: UUID) -> Session | None:
    """A session, locked until the transaction ends."""
    row = await connection.fetchrow(SQL["lock_session"], session_id)
    return Session(*row.values()) if row else None


async def revoke_session(connection: Connection, session_id: UUID, user_id: UUID) -> None:
    """End one session of an account, and let every process know."""
    await connection.execute(SQL["revoke_session"], session_id, user_id)
    await connection.execute(SQL["touch_user"], user_id)


async def find_contact(connection: Connection, user_id: UUID) -> dict[str, str | None] | None:
    """Whom a shop asks for: `name` and `phone` of an active account."""
    row = await connection.fetchrow(SQL["find_contact"], user_id)
    return dict(row) if row else None


async def delete_stale(pool: Pool, *, access_life: timedelta, failures_window: timedelta) -> None:
    """Forget sessions that nobody can use any more, and windows of failures that are over."""
    await pool.execute(SQL["delete_stale_sessions"], access_life)
    await pool.execute(SQL["delete_stale_failures"], failures_window)
