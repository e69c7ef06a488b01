"""Bodies of the notification endpoints (CONTRACT 6)."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from msgspec import Meta

from matcher.serialization import WireStruct

MAX_RECIPIENTS = 1_000


class NotificationSend(WireStruct):
    """A message from the operators to people."""

    user_ids: Annotated[list[UUID], Meta(min_length=1, max_length=MAX_RECIPIENTS)]
    type: Annotated[str, Meta(min_length=1, max_length=60, pattern=r"^[a-z][a-z0-9-]*$")]
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
