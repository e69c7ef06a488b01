"""When a quote may be accepted, and why not. Pure: states and the clock in, the precise refusal out.

The order is judged before the quote: a customer whose order is over learns that, whatever became of the
quote. Of a quote, that it is gone is said before that its terms have changed.
"""

from datetime import datetime

import msgspec

from matcher.quotes.errors import (
    AlreadyAccepted,
    OrderCancelled,
    OrderExpired,
    OrderIsDraft,
    QuoteChanged,
    QuoteExpired,
    QuoteRejected,
    QuoteWithdrawn,
)
from matcher.quotes.lifecycle import WON, OrderStatus, QuoteStatus, is_expired
from matcher.quotes.locking import LockedOrder


class QuoteState(msgspec.Struct, frozen=True):
    """What decides whether a quote can still be acted on."""

    status: QuoteStatus
    valid_until: datetime | None
    version: int


def ensure_open(order: LockedOrder) -> None:
    """OrderIsDraft, AlreadyAccepted, OrderCancelled or OrderExpired unless the order takes quotes at its `now`."""
    if order.status is OrderStatus.DRAFT:
        raise OrderIsDraft
    if order.status in WON:
        raise AlreadyAccepted
    if order.status is OrderStatus.CANCELLED:
        raise OrderCancelled
    assert order.expires_at is not None, "only drafts have no end"
    # By the clock too: the sweeper that stores `expired` only tells people.
    if order.status is OrderStatus.EXPIRED or is_expired(order.expires_at, order.now):
        raise OrderExpired


def ensure_live(quote: QuoteState, now: datetime) -> None:
    """QuoteWithdrawn, QuoteExpired, QuoteRejected or AlreadyAccepted unless the quote stands at `now`."""
    if quote.status is QuoteStatus.WITHDRAWN:
        raise QuoteWithdrawn
    if quote.status is QuoteStatus.REJECTED:
        raise QuoteRejected
    if quote.status is QuoteStatus.ACCEPTED:
        raise AlreadyAccepted
    if quote.status is QuoteStatus.EXPIRED or (
        quote.valid_until is not None and is_expired(quote.valid_until, now)
    ):
        raise QuoteExpired


def ensure_acceptable(quote: QuoteState, seen_version: int, now: datetime) -> None:
    """As `ensure_live`; QuoteChanged unless the customer saw the quote as it stands."""
    ensure_live(quote, now)
    if quote.version != seen_version:
        raise QuoteChanged(extra={"currentVersion": quote.version})
