"""The audit trail: what happened that an operator may have to explain later (docs/adr/0055).

Owns the table `security_events`. What an action does is written in the action's own transaction (`record`): it
happened and is on record, or neither. What was merely refused has none: it is noted, coalesced and written a moment
later (`AuditTrail.note`), so that an attacker fills a counter and not a disk. Never given passwords or tokens.
"""

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

import asyncpg
import structlog

from matcher import metrics
from matcher.addresses import CURRENT
from matcher.db import CONNECTION_ERRORS, Connection, Pool, Row, load_queries
from matcher.ids import uuid7
from matcher.paging import Page, decode_cursor, page_of
from matcher.serialization import WireStruct

SQL = load_queries("matcher", "audit.sql")
NOTE_EVERY_S = 10.0  # refusals of one kind, account and address within this time are one row
NOTES_MAX = 200  # rows that refusals may add in that time; beyond, they are only counted
DETAIL_CHARS = 200  # of one text; a dozen of them fit the column

Detail = Mapping[str, str | int | bool]

log = structlog.get_logger()


class Kind(StrEnum):
    """What is on record."""

    LOGIN = "login"
    LOGIN_FAILED = "login_failed"
    REFRESH_REUSED = "refresh_reused"
    SESSION_REVOKED = "session_revoked"
    PASSWORD_CHANGED = "password_changed"  # noqa: S105  the name of an event
    ACCOUNT_DELETED = "account_deleted"
    ADMIN_CREATED = "admin_created"
    STAFF_ADDED = "staff_added"
    STAFF_REMOVED = "staff_removed"
    SHOP_CLAIMED = "shop_claimed"
    SHOP_VERIFIED = "shop_verified"
    SHOP_REJECTED = "shop_rejected"
    SHOP_SUSPENDED = "shop_suspended"
    SHOP_REACTIVATED = "shop_reactivated"
    RATE_LIMITED = "rate_limited"
    ADMIN_REFUSED = "admin_refused"


class SecurityEvent(WireStruct):
    """One row. `account_id` is who acted, or whose account was tried; `detail` names the others."""

    id: UUID
    at: datetime
    account_id: UUID | None
    address: str | None
    kind: str
    detail: dict[str, Any]


async def record(
    connection: Connection, kind: Kind, account_id: UUID | None, detail: Detail | None = None
) -> None:
    """Put an event on record in the caller's transaction, with the address of the request that runs."""
    await _insert(connection, kind, account_id, CURRENT.get(), detail or {})


async def _insert(
    connection: "Connection | Pool", kind: Kind, account_id: UUID | None, address: str | None, detail: Detail
) -> None:
    bounded = {
        name: value[:DETAIL_CHARS] if isinstance(value, str) else value for name, value in detail.items()
    }
    await connection.execute(SQL["insert_event"], uuid7(), account_id, address, kind, bounded)
    metrics.SECURITY_EVENTS.labels(kind).inc()


Key = tuple[Kind, UUID | None, str | None, tuple[tuple[str, str | int | bool], ...]]


class AuditTrail:
    """Notes refusals and lists what is on record. Keep `run` running; `flush` once more at the end."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._notes: dict[Key, int] = {}

    def note(self, kind: Kind, account_id: UUID | None, detail: Detail) -> None:
        """Note a refusal of the request that runs; written within `NOTE_EVERY_S` with a `count`."""
        key = (kind, account_id, CURRENT.get(), tuple(sorted(detail.items())))
        if key in self._notes or len(self._notes) < NOTES_MAX:
            self._notes[key] = self._notes.get(key, 0) + 1
        else:
            metrics.SECURITY_NOTES_DROPPED.inc()

    async def run(self) -> None:
        """Write what was noted, until cancelled."""
        while True:
            await asyncio.sleep(NOTE_EVERY_S)
            await self.flush()

    async def flush(self) -> None:
        """Write what was noted; what cannot be written now is kept for the next time."""
        for key, count in list(self._notes.items()):
            kind, account_id, address, detail = key
            try:
                await _insert(self._pool, kind, account_id, address, dict(detail) | {"count": count})
            except (*CONNECTION_ERRORS, asyncpg.PostgresError, TimeoutError) as error:
                log.warning("security_notes_wait", notes=len(self._notes), error=repr(error))
                return
            # More may have been noted meanwhile.
            self._notes[key] -= count
            if not self._notes[key]:
                del self._notes[key]

    async def list_events(
        self, kind: Kind | None, account_id: UUID | None, limit: int, cursor: str | None
    ) -> Page[SecurityEvent]:
        """A page of what is on record, newest first. Raises InvalidCursor."""
        rows = await self._pool.fetch(SQL["list_events"], kind, account_id, decode_cursor(cursor), limit + 1)
        return page_of(rows, limit, _view, lambda row: row["id"])


async def delete_old(pool: Pool, keep: timedelta) -> None:
    """Forget what is older than `keep`."""
    await pool.execute(SQL["delete_old_events"], keep)


def _view(row: Row) -> SecurityEvent:
    return SecurityEvent(
        id=row["id"],
        at=row["at"],
        account_id=row["account_id"],
        address=row["address"],
        kind=row["kind"],
        detail=row["detail"],
    )
