from datetime import UTC, datetime
from typing import Any

import pytest

from matcher.events import Event, Target
from matcher.ids import uuid7
from matcher.notifications.rules import (
    MAX_BODY_CHARS,
    MAX_TITLE_CHARS,
    TIME_CRITICAL,
    URGENT,
    Kind,
    Push,
    Superseded,
    deliveries_of,
    read_event,
)
from tests.notifications.news import (
    CUSTOMER,
    EXPIRES,
    NOTE,
    ORDER,
    QUOTE,
    RIVAL,
    SHOP,
    SHOP_ID,
    dispatch,
    event,
    note,
    order,
    quote,
)


def only(found: Event) -> Push:
    [push] = read_event(found)[0]
    return push


def test_a_shop_is_told_of_an_order_for_as_long_as_it_is_open() -> None:
    push = only(dispatch("new-parts-order"))
    assert (push.recipient, push.kind) == (SHOP, Kind.NEW_PARTS_ORDER)
    assert push.body == "Toyota Corolla 2018: 2 parts, 1.3 km away"
    assert push.data == {"type": "new-parts-order", "orderId": str(ORDER), "shopId": SHOP_ID}
    assert push.deadline == datetime(2026, 3, 1, 14, 0, tzinfo=UTC)
    assert (push.order_id, push.topic) == (ORDER, str(ORDER))


def test_each_shop_of_an_event_has_a_number_of_its_own() -> None:
    found = dispatch("new-parts-order")
    targets = (found.targets[0], Target(RIVAL, found.targets[0].id, found.targets[0].own))
    both = Event(found.name, found.entity, found.version, found.at, found.shared, targets)
    assert [(push.recipient, push.number) for push in read_event(both)[0]] == [(SHOP, 1), (RIVAL, 2)]
    assert [(one, before) for one, before in deliveries_of([both, found])] == [(both, 0), (found, 2)]


@pytest.mark.parametrize(
    ("own", "kind"),
    [
        ({"status": "seen"}, None),
        ({"status": "quoted", "respondedAt": EXPIRES}, None),
        ({"status": "won", "orderStatus": "accepted", "respondedAt": EXPIRES}, Kind.ORDER_WON),
        ({"status": "won", "orderStatus": "processing", "respondedAt": EXPIRES}, None),
        ({"status": "closed", "closedReason": "cancelled", "respondedAt": EXPIRES}, Kind.ORDER_CANCELLED),
        ({"status": "closed", "closedReason": "cancelled"}, None),
        ({"status": "closed", "closedReason": "expired", "respondedAt": EXPIRES}, None),
        ({"status": "closed", "closedReason": "accepted_elsewhere", "respondedAt": EXPIRES}, None),
    ],
)
def test_a_shop_is_told_when_it_won_and_when_its_work_is_over(own: dict[str, Any], kind: Kind | None) -> None:
    pushes, _ = read_event(dispatch("dispatch-updated", 5, **own))
    assert [push.kind for push in pushes] == ([kind] if kind else [])


@pytest.mark.parametrize(
    ("status", "settled"),
    [
        ("pending", False),
        ("seen", False),
        ("quoted", True),
        ("declined", True),
        ("closed", True),
        ("won", True),
    ],
)
def test_an_answered_order_needs_no_push_any_more(status: str, settled: bool) -> None:
    _, superseded = read_event(dispatch("dispatch-updated", 5, status=status))
    assert superseded == ([Superseded(SHOP, str(ORDER), 5)] if settled else [])


def test_a_customer_is_told_of_a_quote_and_its_shop_is_not() -> None:
    push = only(quote("new-quote"))
    assert (push.recipient, push.number) == (CUSTOMER, 2)
    assert push.body == "Nile Parts offers 125.50 USD"
    assert push.data == {"type": "new-quote", "orderId": str(ORDER), "shopId": SHOP_ID}
    assert (push.order_id, push.deadline) == (ORDER, None)
    assert only(quote("new-quote", validUntil=EXPIRES)).deadline is not None


@pytest.mark.parametrize("status", ["withdrawn", "expired", "accepted", "rejected"])
def test_a_quote_that_is_over_supersedes_its_push(status: str) -> None:
    pushes, superseded = read_event(quote(f"quote-{status}", 7, status=status))
    assert pushes == []
    assert Superseded(CUSTOMER, str(QUOTE), 7) in superseded


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("processing", Kind.ORDER_PROCESSING),
        ("shipped", Kind.ORDER_SHIPPED),
        ("delivered", Kind.ORDER_DELIVERED),
        ("expired", Kind.ORDER_EXPIRED),
        ("cancelled", Kind.ORDER_CANCELLED),
        ("submitted", None),
        ("quoted", None),
        ("accepted", None),
    ],
)
def test_a_customer_is_told_what_others_did_to_the_order(status: str, kind: Kind | None) -> None:
    pushes, _ = read_event(order(status))
    assert [push.kind for push in pushes] == ([kind] if kind else [])
    assert all((push.order_id, push.deadline) == (None, None) for push in pushes)


def test_the_same_news_at_a_later_version_is_the_same_news() -> None:
    assert only(order("shipped", 7)).key == only(order("shipped", 9)).key
    assert only(order("shipped", 7)).key != only(order("shipped", 9, selectedQuoteId=uuid7())).key
    assert only(order("shipped")).key != only(order("delivered")).key
    assert only(dispatch("new-parts-order", 1)).key != only(dispatch("new-parts-order", 4)).key


def test_an_order_for_which_nobody_was_found_is_told_once() -> None:
    nobody = {"shopsNotified": 0, "reason": "no_shop_in_range"}
    first, widened = (only(order("submitted", version, dispatch=nobody)) for version in (1, 4))
    assert first.kind is Kind.NO_SHOP_FOUND
    assert first.key == widened.key
    assert first.deadline is not None


def test_a_message_of_the_operators_is_pushed_until_it_is_read() -> None:
    push = only(note())
    assert (push.title, push.body) == ("News", "We open at 9")
    assert push.data == {"type": "news", "notificationId": str(NOTE)}
    pushes, superseded = read_event(note(2, EXPIRES))
    assert (pushes, superseded) == ([], [Superseded(CUSTOMER, str(NOTE), 2)])


def test_long_texts_are_cut() -> None:
    shared = {"id": NOTE, "type": "news", "title": "T" * 500, "message": "M" * 5000, "readAt": None}
    push = only(event("notification", "notification", NOTE, 1, shared, targets={CUSTOMER: {}}))
    assert (len(push.title), len(push.body)) == (MAX_TITLE_CHARS, MAX_BODY_CHARS)


def test_events_without_a_rule_reach_nobody() -> None:
    assert read_event(event("something-new", "order", ORDER, 1, {}, targets={SHOP: {}})) == ([], [])


def test_what_is_time_critical_is_urgent() -> None:
    assert TIME_CRITICAL <= URGENT
