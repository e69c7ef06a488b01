"""Each refusal of an acceptance, and which comes first when several apply."""

from datetime import datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matcher.errors import MatcherError
from matcher.quotes.acceptance import QuoteState, ensure_acceptable, ensure_live, ensure_open
from matcher.quotes.lifecycle import OrderStatus, QuoteStatus
from matcher.quotes.locking import LockedOrder
from tests.quotes.factories import MICROSECOND, START

END = START + timedelta(hours=2)


def order(status: OrderStatus, now: datetime = START) -> LockedOrder:
    draft = status is OrderStatus.DRAFT
    return LockedOrder(
        id=UUID(int=1),
        user_id=UUID(int=2),
        status=status,
        version=3,
        view_version=3,
        urgency="normal",
        priority="normal",
        payment_method="cash_on_delivery",
        payment_status="pending",
        currency="USD",
        parts_count=1,
        wave=1,
        next_wave_at=None,
        accepted_quote_id=None,
        submitted_at=None if draft else START,
        expires_at=None if draft else END,
        now=now,
    )


def refusal(check: object, *args: object) -> str | None:
    assert callable(check)
    try:
        check(*args)
    except MatcherError as error:
        return error.code
    return None


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (OrderStatus.DRAFT, "order_is_draft"),
        (OrderStatus.SUBMITTED, None),
        (OrderStatus.QUOTED, None),
        (OrderStatus.ACCEPTED, "already_accepted"),
        (OrderStatus.PROCESSING, "already_accepted"),
        (OrderStatus.SHIPPED, "already_accepted"),
        (OrderStatus.DELIVERED, "already_accepted"),
        (OrderStatus.EXPIRED, "order_expired"),
        (OrderStatus.CANCELLED, "order_cancelled"),
    ],
)
def test_only_submitted_and_quoted_orders_are_open(status: OrderStatus, code: str | None) -> None:
    assert refusal(ensure_open, order(status)) == code


def test_order_is_over_at_its_very_microsecond() -> None:
    assert refusal(ensure_open, order(OrderStatus.QUOTED, END - MICROSECOND)) is None
    assert refusal(ensure_open, order(OrderStatus.QUOTED, END)) == "order_expired"


def test_final_order_says_how_it_ended_even_after_its_time() -> None:
    assert refusal(ensure_open, order(OrderStatus.CANCELLED, END)) == "order_cancelled"
    assert refusal(ensure_open, order(OrderStatus.ACCEPTED, END)) == "already_accepted"


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (QuoteStatus.ACTIVE, None),
        (QuoteStatus.WITHDRAWN, "quote_withdrawn"),
        (QuoteStatus.REJECTED, "quote_rejected"),
        (QuoteStatus.EXPIRED, "quote_expired"),
        (QuoteStatus.ACCEPTED, "already_accepted"),
    ],
)
def test_only_active_quotes_are_live(status: QuoteStatus, code: str | None) -> None:
    assert refusal(ensure_live, QuoteState(status, None, 2), START) == code


def test_quote_is_over_at_its_very_microsecond() -> None:
    quote = QuoteState(QuoteStatus.ACTIVE, START, 2)
    assert refusal(ensure_live, quote, START - MICROSECOND) is None
    assert refusal(ensure_live, quote, START) == "quote_expired"


@given(
    status=st.sampled_from(QuoteStatus),
    valid_for_s=st.none() | st.integers(-5, 5),
    version=st.integers(1, 4),
    seen=st.integers(1, 4),
)
def test_quote_that_is_gone_says_so_before_its_version_matters(
    status: QuoteStatus, valid_for_s: int | None, version: int, seen: int
) -> None:
    valid_until = None if valid_for_s is None else START + timedelta(seconds=valid_for_s)
    quote = QuoteState(status, valid_until, version)
    gone = refusal(ensure_live, quote, START)
    changed = None if version == seen else "quote_changed"
    assert refusal(ensure_acceptable, quote, seen, START) == (gone or changed)
