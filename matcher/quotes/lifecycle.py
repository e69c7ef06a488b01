"""The state machines of an order, its dispatches and its quotes: which change is allowed from where.

Pure: values in, values out. Time comes in as the database's clock, read after the order's lock was
taken (DESIGN 7). The same rules stand as constraints in the tables.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum


class OrderStatus(StrEnum):
    """Where an order stands."""

    DRAFT = "draft"
    SUBMITTED = "submitted"
    QUOTED = "quoted"
    ACCEPTED = "accepted"
    PROCESSING = "processing"
    SHIPPED = "shipped"
    DELIVERED = "delivered"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


class DispatchStatus(StrEnum):
    """What a shop that was asked has done."""

    PENDING = "pending"
    SEEN = "seen"
    QUOTED = "quoted"
    DECLINED = "declined"
    CLOSED = "closed"
    WON = "won"


class ClosedReason(StrEnum):
    """Why a dispatch is over for its shop."""

    ACCEPTED_ELSEWHERE = "accepted_elsewhere"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    REVOKED = "revoked"


class QuoteStatus(StrEnum):
    """Where a quote stands."""

    ACTIVE = "active"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"


OPEN = frozenset({OrderStatus.SUBMITTED, OrderStatus.QUOTED})
WON = frozenset({OrderStatus.ACCEPTED, OrderStatus.PROCESSING, OrderStatus.SHIPPED, OrderStatus.DELIVERED})

# accepted -> submitted | quoted: the shop backs out and the order reopens to the others.
ORDER_CHANGES: Mapping[OrderStatus, frozenset[OrderStatus]] = {
    OrderStatus.DRAFT: frozenset({OrderStatus.SUBMITTED, OrderStatus.CANCELLED}),
    OrderStatus.SUBMITTED: frozenset(
        {OrderStatus.QUOTED, OrderStatus.ACCEPTED, OrderStatus.EXPIRED, OrderStatus.CANCELLED}
    ),
    OrderStatus.QUOTED: frozenset(
        {OrderStatus.SUBMITTED, OrderStatus.ACCEPTED, OrderStatus.EXPIRED, OrderStatus.CANCELLED}
    ),
    OrderStatus.ACCEPTED: frozenset(
        {OrderStatus.PROCESSING, OrderStatus.CANCELLED, OrderStatus.SUBMITTED, OrderStatus.QUOTED}
    ),
    OrderStatus.PROCESSING: frozenset(
        {OrderStatus.SHIPPED, OrderStatus.CANCELLED, OrderStatus.SUBMITTED, OrderStatus.QUOTED}
    ),
    OrderStatus.SHIPPED: frozenset({OrderStatus.DELIVERED}),
    OrderStatus.DELIVERED: frozenset(),
    OrderStatus.EXPIRED: frozenset(),
    OrderStatus.CANCELLED: frozenset(),
}

# closed -> pending | seen | quoted: a reopened order asks the remaining shops again.
DISPATCH_CHANGES: Mapping[DispatchStatus, frozenset[DispatchStatus]] = {
    DispatchStatus.PENDING: frozenset(
        {DispatchStatus.SEEN, DispatchStatus.QUOTED, DispatchStatus.DECLINED, DispatchStatus.CLOSED}
    ),
    DispatchStatus.SEEN: frozenset({DispatchStatus.QUOTED, DispatchStatus.DECLINED, DispatchStatus.CLOSED}),
    # quoted -> seen: the quote was withdrawn or ran out; the shop may quote again.
    DispatchStatus.QUOTED: frozenset(
        {DispatchStatus.SEEN, DispatchStatus.WON, DispatchStatus.DECLINED, DispatchStatus.CLOSED}
    ),
    DispatchStatus.DECLINED: frozenset({DispatchStatus.QUOTED, DispatchStatus.CLOSED}),
    DispatchStatus.CLOSED: frozenset({DispatchStatus.PENDING, DispatchStatus.SEEN, DispatchStatus.QUOTED}),
    DispatchStatus.WON: frozenset({DispatchStatus.CLOSED}),
}

QUOTE_CHANGES: Mapping[QuoteStatus, frozenset[QuoteStatus]] = {
    QuoteStatus.ACTIVE: frozenset(
        {QuoteStatus.ACCEPTED, QuoteStatus.REJECTED, QuoteStatus.WITHDRAWN, QuoteStatus.EXPIRED}
    ),
    # accepted -> withdrawn: the winner backs out; -> rejected: the customer cancels.
    QuoteStatus.ACCEPTED: frozenset({QuoteStatus.WITHDRAWN, QuoteStatus.REJECTED}),
    # rejected -> active: the winner backed out and the order reopened.
    QuoteStatus.REJECTED: frozenset({QuoteStatus.ACTIVE}),
    QuoteStatus.WITHDRAWN: frozenset(),
    QuoteStatus.EXPIRED: frozenset(),
}


def is_expired(expires_at: datetime, now: datetime) -> bool:
    """At its very microsecond a thing has expired: `now >= expires_at`."""
    return now >= expires_at


def open_status(live_quotes: int) -> OrderStatus:
    """What an open order is called: quoted while there is a live quote."""
    return OrderStatus.QUOTED if live_quotes else OrderStatus.SUBMITTED


def extended(
    expires_at: datetime, submitted_at: datetime, minutes: int, longest: timedelta
) -> datetime | None:
    """The new end of an open order, or None when its whole life would pass `longest`."""
    later = expires_at + timedelta(minutes=minutes)
    return later if later - submitted_at <= longest else None


class Priority(StrEnum):
    """How loudly an order asks to be answered."""

    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"
    URGENT = "urgent"


_LADDER = (Priority.LOW, Priority.NORMAL, Priority.HIGH, Priority.URGENT)
MANY_PARTS = 10
SHORT_TIME = timedelta(minutes=30)


def priority(urgency: str, parts_count: int, expires_at: datetime, now: datetime) -> Priority:
    """Urgency, one step up for 10 parts or more (worth more), one for less than 30 minutes left; at most urgent.

    An order keeps asking to be answered: as its time runs out it climbs in every inbox.
    """
    step = _LADDER.index(Priority(urgency))
    step += parts_count >= MANY_PARTS
    step += expires_at - now < SHORT_TIME
    return _LADDER[min(step, len(_LADDER) - 1)]
