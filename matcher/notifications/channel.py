"""The port of the channels: a message goes out, an outcome comes back. Knows no protocol and no database."""

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Protocol, TypeAlias
from uuid import UUID

import msgspec

MAX_RETRY_AFTER_S = 3_600.0  # a service that asks for more is asked again after an hour
MAX_REASON_CHARS = 300


class ChannelName(StrEnum):
    """The ways out of the service."""

    FCM = "fcm"
    WEBPUSH = "webpush"
    MAIL = "mail"


class Message(msgspec.Struct, frozen=True):
    """What a person is told, for one address."""

    id: UUID  # of the delivery; the same at each attempt
    title: str
    body: str
    data: Mapping[str, str]  # {type, orderId, shopId}, as far as they are known
    topic: str  # a newer message about the same thing replaces an older one
    urgent: bool
    sent_at: datetime
    expires_at: datetime  # afterwards it is of no use to anybody

    @property
    def ttl_s(self) -> int:
        """Whole seconds that services may keep it."""
        return max(0, int((self.expires_at - self.sent_at).total_seconds()))


class Sent(msgspec.Struct, frozen=True):
    """The service has taken it."""


class Gone(msgspec.Struct, frozen=True):
    """The address does not exist any more; it must be forgotten."""


class Retry(msgspec.Struct, frozen=True):
    """Not now. `after_s`: what the service asked for."""

    reason: str
    after_s: float | None = None


class Rejected(msgspec.Struct, frozen=True):
    """Never in this form: repeating it cannot help, somebody has to look."""

    reason: str


Outcome: TypeAlias = Sent | Gone | Retry | Rejected


class Channel(Protocol):
    """One way to reach an address."""

    async def send(self, address: str, message: Message) -> Outcome:
        """Try once, within the channel's time-out. Whatever the other side does is an outcome, never an exception."""
        ...


def retry_after_s(header: str | None, now: datetime) -> float | None:
    """`Retry-After` (RFC 9110 10.2.3: seconds or a date), bounded; None when absent or malformed."""
    if header is None:
        return None
    text = header.strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:10]), MAX_RETRY_AFTER_S)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return min(max(0.0, (aware - now).total_seconds()), MAX_RETRY_AFTER_S)


def reason_of(text: str) -> str:
    """What another side said, in one bounded line that PostgreSQL and a log can hold."""
    return " ".join(text.replace("\x00", "").split())[:MAX_REASON_CHARS]
