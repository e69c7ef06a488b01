"""Bodies of the notification endpoints (CONTRACT 6)."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from msgspec import Meta

from matcher.notifications.webpush import Subscription
from matcher.serialization import WireStruct

MAX_RECIPIENTS = 1_000
MAX_TOKEN_CHARS = 4_096  # FCM promises no length; today's tokens have less than 200


class NotificationSend(WireStruct):
    """A message from the operators to people."""

    user_ids: Annotated[list[UUID], Meta(min_length=1, max_length=MAX_RECIPIENTS)]
    type: Annotated[str, Meta(min_length=1, max_length=60, pattern=r"^[a-z][a-z0-9-]*$(?!\n)")]
    title: Annotated[str, Meta(min_length=1, max_length=120)]
    message: Annotated[str, Meta(min_length=1, max_length=2_000)]
    data: dict[Annotated[str, Meta(max_length=60)], Annotated[str, Meta(max_length=500)]] | None = None


class NotificationSent(WireStruct):
    """How many people got it; unknown ids are named."""

    sent: int
    unknown_user_ids: list[UUID]


class NotificationView(WireStruct):
    """One notification of its person."""

    id: UUID
    type: str
    title: str
    message: str
    data: dict[str, Any] | None
    read_at: datetime | None
    created_at: datetime
    version: int


class DeviceRegister(WireStruct):
    """An installation that pushes reach: a phone's FCM token, or a browser's subscription."""

    platform: Literal["fcm", "webpush"]
    token: (
        Annotated[str, Meta(min_length=1, max_length=MAX_TOKEN_CHARS, pattern=r"^[!-~]+$(?!\n)")] | None
    ) = None
    subscription: Subscription | None = None


class DeviceView(WireStruct):
    """A device of the caller's."""

    id: UUID
    platform: str
    created_at: datetime
    last_used_at: datetime


class WebPushKey(WireStruct):
    """`applicationServerKey` for a browser's `pushManager.subscribe`."""

    public_key: str


class DeadLetterView(WireStruct):
    """A push that was given up: refused for good, or tried too often. `pending` once it is retried."""

    id: UUID
    user_id: UUID
    channel: str
    device_id: UUID | None
    type: str
    title: str
    status: str
    attempts: int
    last_error: str | None
    created_at: datetime
    expires_at: datetime
