"""In-app notifications: stored, listed, read, and announced to the person's sockets."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from matcher.accounts.access import Caller
from matcher.clock import utc_now, wire_time
from matcher.db import Connection, Row, load_queries
from matcher.errors import NotFound
from matcher.events import Event, Target, members, user_recipient
from matcher.ids import uuid7
from matcher.notifications.schemas import NotificationSend
from matcher.paging import Page, decode_cursor, page_of
from matcher.transactions import IdempotentCall, Reply, Transaction, Transactions

SQL = load_queries("matcher.notifications")
TOPIC = "notification"
SNAPSHOT_MAX = 100  # a person reads the newest; the list holds the rest


class NotificationService:
    """See the module."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    async def list(
        self, caller: Caller, unread: bool | None, limit: int, cursor: str | None
    ) -> Page[dict[str, Any]]:
        """The caller's notifications, newest first."""
        rows = await self._transactions.pool.fetch(
            SQL["list_notifications"], caller.user_id, unread, decode_cursor(cursor), limit + 1
        )
        return page_of(rows, limit, view, lambda row: row["id"])

    async def mark_read(self, caller: Caller, notification_id: UUID) -> Reply:
        """The notification, read; reading it again changes nothing."""

        async def work(tx: Transaction) -> dict[str, Any]:
            row = await tx.connection.fetchrow(SQL["mark_read"], notification_id, caller.user_id)
            if row is not None:
                tx.changed(TOPIC, notification_id, row["version"])
            else:
                row = await tx.connection.fetchrow(SQL["find_notification"], notification_id, caller.user_id)
            if row is None:
                raise NotFound
            return view(row)

        return await self._transactions.run(work)

    async def send(self, body: NotificationSend, call: IdempotentCall | None) -> Reply:
        """Store a message for each person and announce it; unknown people are named, the others get it."""

        async def work(tx: Transaction) -> dict[str, Any]:
            user_ids = list(dict.fromkeys(body.user_ids))
            rows = await tx.connection.fetch(
                SQL["insert_notifications"],
                [uuid7() for _ in user_ids],
                user_ids,
                body.type,
                body.title,
                body.message,
                body.data,
            )
            for row in rows:
                tx.changed(TOPIC, row["id"], 1)
            reached = {row["user_id"] for row in rows}
            unknown = [user_id for user_id in user_ids if user_id not in reached]
            return {"sent": len(rows), "unknownUserIds": unknown}

        return await self._transactions.run(work, status=201, call=call)


def view(row: Row) -> dict[str, Any]:
    """A row as `NotificationView`."""
    return {
        "id": row["id"],
        "type": row["type"],
        "title": row["title"],
        "message": row["message"],
        "data": row["data"],
        "readAt": row["read_at"],
        "createdAt": row["created_at"],
        "version": row["version"],
    }


async def render_changes(connection: Connection, ids: Sequence[UUID], versions: Sequence[int]) -> list[Event]:
    """A `notification` event for each that changed at or after its version."""
    rows = await connection.fetch(SQL["changed"], list(ids), list(versions))
    at = wire_time(utc_now())
    return [
        Event(
            "notification",
            "notification",
            row["version"],
            at,
            members(view(row)),
            (Target(user_recipient(row["user_id"]), f"{row['id']}.{row['version']}", b""),),
        )
        for row in rows
    ]


async def changed_since(connection: Connection, since: datetime) -> list[Event]:
    """The events of everything written or read since: for who lost the log."""
    rows = await connection.fetch(SQL["changed_since"], since)
    return await render_changes(connection, [row["id"] for row in rows], [row["version"] for row in rows])


async def user_snapshot(connection: Connection, user_id: UUID) -> dict[str, list[dict[str, Any]]]:
    """The newest unread notifications, at most `SNAPSHOT_MAX`."""
    rows = await connection.fetch(SQL["unread"], user_id, SNAPSHOT_MAX)
    return {"notifications": [view(row) for row in rows]}
