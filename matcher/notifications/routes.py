"""HTTP of notifications (CONTRACT 6). Translations only."""

from uuid import UUID

from litestar import Response, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody

from matcher.accounts.access import Access, Caller
from matcher.http import answer, json_response
from matcher.notifications import schemas
from matcher.notifications.service import NotificationService
from matcher.paging import DEFAULT_LIMIT, Cursor, Limit, Page
from matcher.transactions import IdempotentCall

Notifications = NamedDependency[NotificationService]
Signed = NamedDependency[Caller]
Call = NamedDependency[IdempotentCall | None]


@get("/notifications", opt={"access": Access.SIGNED_IN}, tags=["notifications"])
async def list_notifications(
    notifications: Notifications,
    caller: Signed,
    unread: FromQuery[bool | None] = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Response[Page[schemas.NotificationView]]:
    """The caller's notifications, newest first; `unread=true` leaves out those read."""
    return json_response(await notifications.list(caller, unread, limit, cursor))


@put("/notifications/{notification_id:uuid}/read", opt={"access": Access.SIGNED_IN}, tags=["notifications"])
async def read_notification(
    notifications: Notifications, caller: Signed, notification_id: FromPath[UUID]
) -> Response[schemas.NotificationView]:
    """Mark a notification read."""
    return answer(await notifications.mark_read(caller, notification_id))


@post("/notifications/send", opt={"access": Access.ADMIN}, tags=["notifications"])
async def send_notification(
    notifications: Notifications, call: Call, data: JSONBody[schemas.NotificationSend]
) -> Response[schemas.NotificationSent]:
    """Tell people something; their sockets get it at once."""
    return answer(await notifications.send(data, call))


ROUTES = [list_notifications, read_notification, send_notification]
