"""HTTP of notifications (CONTRACT 6). Translations only."""

from typing import Any
from uuid import UUID

from litestar import Request, Response, delete, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody

from matcher.accounts.access import Access, Caller
from matcher.http import answer, expected_version, json_response
from matcher.notifications import schemas
from matcher.notifications.preferences import Preferences, PreferencesUpdate
from matcher.notifications.reach import ReachService
from matcher.notifications.service import NotificationService
from matcher.paging import DEFAULT_LIMIT, Cursor, Limit, Page
from matcher.transactions import IdempotentCall

Notifications = NamedDependency[NotificationService]
Reach = NamedDependency[ReachService]
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


@get("/notifications/devices", opt={"access": Access.SIGNED_IN}, tags=["notifications"])
async def list_devices(reach: Reach, caller: Signed) -> Response[Page[schemas.DeviceView]]:
    """The caller's devices; their addresses are not shown."""
    return json_response(await reach.devices(caller))


@post("/notifications/devices", opt={"access": Access.SIGNED_IN}, tags=["notifications"])
async def register_device(
    reach: Reach, caller: Signed, call: Call, data: JSONBody[schemas.DeviceRegister]
) -> Response[schemas.DeviceView]:
    """Push to this device from now on. Do it at each start of the app: tokens change, and unused ones give way."""
    return answer(await reach.register(caller, data, call))


@delete(
    "/notifications/devices/{device_id:uuid}",
    opt={"access": Access.SIGNED_IN},
    tags=["notifications"],
    status_code=204,
)
async def remove_device(reach: Reach, caller: Signed, device_id: FromPath[UUID]) -> None:
    """Push to this device no more; do it at sign-out."""
    await reach.remove(caller, device_id)


@get("/notifications/web-push-key", opt={"access": Access.SIGNED_IN}, tags=["notifications"])
async def web_push_key(reach: Reach) -> Response[schemas.WebPushKey]:
    """The key that browsers subscribe with."""
    return json_response(schemas.WebPushKey(public_key=reach.web_push_key()))


@get("/notifications/preferences", opt={"access": Access.SIGNED_IN}, tags=["notifications"])
async def get_preferences(reach: Reach, caller: Signed) -> Response[Preferences]:
    """What the caller is told over which channel, and when not."""
    return json_response(await reach.preferences(caller))


@put("/notifications/preferences", opt={"access": Access.SIGNED_IN}, tags=["notifications"])
async def put_preferences(
    reach: Reach, caller: Signed, request: Request[Any, Any, Any], data: JSONBody[PreferencesUpdate]
) -> Response[Preferences]:
    """Replace the preferences. The app itself always shows everything; sockets do too."""
    return answer(await reach.put_preferences(caller, data, expected_version(request)))


@get("/admin/notification-dead-letters", opt={"access": Access.ADMIN}, tags=["notifications"])
async def list_dead_letters(
    reach: Reach, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
) -> Response[Page[schemas.DeadLetterView]]:
    """Pushes that were given up, newest first, with the last error."""
    return json_response(await reach.dead_letters(limit, cursor))


@post(
    "/admin/notification-dead-letters/{delivery_id:uuid}/retry",
    opt={"access": Access.ADMIN},
    tags=["notifications"],
    status_code=200,
)
async def retry_dead_letter(
    reach: Reach, call: Call, delivery_id: FromPath[UUID]
) -> Response[schemas.DeadLetterView]:
    """Try a push again that was given up."""
    return answer(await reach.retry(delivery_id, call))


ROUTES = [
    list_notifications,
    read_notification,
    send_notification,
    list_devices,
    register_device,
    remove_device,
    web_push_key,
    get_preferences,
    put_preferences,
    list_dead_letters,
    retry_dead_letter,
]
