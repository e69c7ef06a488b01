"""The journal: latencies whichever of answer and frame comes first, and what customers know of their orders."""

import pytest

from matcher.demo.draws import OrderPlan, plan_orders
from matcher.demo.journal import Journal, PlacedOrder


def plan() -> OrderPlan:
    return plan_orders(1, 1, 1)[0]


def placed(journal: Journal, order_id: str, sent_at_s: float) -> PlacedOrder:
    body = {
        "id": order_id,
        "orderNumber": f"CL-260101-{order_id:>08}",
        "status": "submitted",
        "dispatch": {"reason": None},
        "version": 1,
    }
    return PlacedOrder(plan(), body, journal.model("user:1"), sent_at_s)


def test_the_time_to_the_first_shop_counts_when_the_frame_follows_the_answer() -> None:
    journal = Journal()
    journal.record_order(placed(journal, "a", 10.0), 10.5)
    journal.record_dispatch("a", "Shop", 900, 10.7)
    journal.record_dispatch("a", "Other", 1_200, 10.9)
    assert journal.latencies_s["submit"] == [pytest.approx(0.5)]
    assert journal.latencies_s["submit to first shop"] == [pytest.approx(0.7)]
    assert journal.counts["dispatches"] == 2
    assert [asked.shop_name for asked in journal.asked["a"]] == ["Shop", "Other"]


def test_the_time_to_the_first_shop_counts_when_the_frame_overtakes_the_answer() -> None:
    journal = Journal()
    journal.record_dispatch("a", "Shop", 900, 10.2)
    assert not journal.latencies_s["submit to first shop"]
    journal.record_order(placed(journal, "a", 10.0), 10.5)
    assert journal.latencies_s["submit to first shop"] == [pytest.approx(0.2)]


def test_a_quote_is_timed_from_its_request_to_the_customers_frame() -> None:
    journal = Journal()
    journal.record_quote_sent("a", "s", 1.0)
    journal.record_quote_seen({"orderId": "a", "shopId": "s"}, 1.25)
    journal.record_quote_seen({"orderId": "a", "shopId": "somebody else"}, 9.0)
    assert journal.latencies_s["quote to customer"] == [pytest.approx(0.25)]
    assert journal.counts["quotes"] == 2


def test_the_newest_acknowledged_quote_is_kept() -> None:
    journal = Journal()
    journal.record_quote({"id": "q", "version": 3})
    journal.record_quote({"id": "q", "version": 2})
    assert journal.quotes == {"q": {"id": "q", "version": 3}}


def test_an_orders_status_is_what_its_customer_was_last_told() -> None:
    journal = Journal()
    order = placed(journal, "a", 0.0)
    journal.record_order(order, 0.1)
    assert (order.status, order.is_final) == ("submitted", False)
    data = order.body | {"status": "expired", "version": 2}
    order.customer.apply_event({"entity": "order", "version": 2, "data": data})
    assert (order.status, order.is_final) == ("expired", True)
    assert journal.count_orders() == {"expired": 1}
    assert journal.frames == 1


def test_orders_that_nobody_was_asked_for_are_counted_by_reason() -> None:
    journal = Journal()
    order = placed(journal, "a", 0.0)
    order.body["dispatch"]["reason"] = "no_shop_in_range"
    journal.record_order(order, 0.1)
    assert journal.counts["no_shop_in_range"] == 1
    assert journal.counts["asked"] == 0
