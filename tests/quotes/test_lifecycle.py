"""The state machines: which change is allowed from where, and what the clock decides."""

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import CheckConstraint

from matcher.quotes.lifecycle import (
    DISPATCH_CHANGES,
    MANY_PARTS,
    OPEN,
    ORDER_CHANGES,
    QUOTE_CHANGES,
    SHORT_TIME,
    WON,
    DispatchStatus,
    OrderStatus,
    Priority,
    QuoteStatus,
    extended,
    is_expired,
    open_status,
    priority,
)
from matcher.quotes.models import dispatches, orders, quotes

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
MACHINES: list[tuple[type[StrEnum], Any, Any]] = [
    (OrderStatus, ORDER_CHANGES, orders),
    (DispatchStatus, DISPATCH_CHANGES, dispatches),
    (QuoteStatus, QUOTE_CHANGES, quotes),
]


@pytest.mark.parametrize(("states", "changes", "table"), MACHINES)
def test_every_state_is_in_the_machine_and_in_the_table(
    states: type[StrEnum], changes: Any, table: Any
) -> None:
    assert set(changes) == set(states)
    checks = [str(c.sqltext) for c in table.constraints if isinstance(c, CheckConstraint)]
    # Of an order another constraint begins alike: the longer list is that of all states.
    allowed = max((check for check in checks if check.startswith("status IN (")), key=len)
    assert {s.value for s in states} == set(allowed.split("'")[1::2])


@pytest.mark.parametrize(
    ("states", "changes", "start"),
    [
        (OrderStatus, ORDER_CHANGES, OrderStatus.DRAFT),
        (DispatchStatus, DISPATCH_CHANGES, DispatchStatus.PENDING),
        (QuoteStatus, QUOTE_CHANGES, QuoteStatus.ACTIVE),
    ],
)
def test_every_state_is_reached_and_none_is_a_change_to_itself(
    states: type[StrEnum], changes: Any, start: Any
) -> None:
    reached, waiting = {start}, [start]
    while waiting:
        state = waiting.pop()
        assert state not in changes[state]
        fresh = changes[state] - reached
        reached |= fresh
        waiting += fresh
    assert reached == set(states)


def test_final_orders_stay_and_only_accepted_ones_reopen() -> None:
    assert {state for state in OrderStatus if not ORDER_CHANGES[state]} == {
        "delivered",
        "expired",
        "cancelled",
    }
    reopened = {state for state in WON if ORDER_CHANGES[state] & OPEN}
    assert reopened == {OrderStatus.ACCEPTED, OrderStatus.PROCESSING}


def test_a_thing_has_expired_at_its_very_microsecond() -> None:
    assert not is_expired(NOW, NOW - MICROSECOND)
    assert is_expired(NOW, NOW)
    assert is_expired(NOW, NOW + MICROSECOND)


def test_an_open_order_is_quoted_while_there_is_a_live_quote() -> None:
    assert open_status(0) is OrderStatus.SUBMITTED
    assert open_status(1) is open_status(9) is OrderStatus.QUOTED


@given(st.integers(0, 2_000), st.integers(1, 2_000))
def test_an_extension_never_passes_the_longest_life(lived_min: int, minutes: int) -> None:
    longest, end = timedelta(hours=24), NOW + timedelta(minutes=lived_min)
    later = extended(end, NOW, minutes, longest)
    if lived_min + minutes <= 24 * 60:
        assert later == end + timedelta(minutes=minutes)
    else:
        assert later is None


URGENCIES = ["low", "normal", "high", "urgent"]


@given(st.sampled_from(URGENCIES), st.integers(1, 100), st.integers(0, 7_200))
def test_priority_climbs_by_parts_and_by_lack_of_time(urgency: str, parts: int, left_s: int) -> None:
    ladder = list(Priority)
    got = ladder.index(priority(urgency, parts, NOW + timedelta(seconds=left_s), NOW))
    steps = (parts >= MANY_PARTS) + (timedelta(seconds=left_s) < SHORT_TIME)
    assert got == min(URGENCIES.index(urgency) + steps, 3)
