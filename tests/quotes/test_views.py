"""Views are functions of stored rows: the same row is the same view, and a shop's view keeps its secrets."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from matcher.db import Pool
from matcher.ids import order_number
from matcher.quotes import events, views
from matcher.quotes.order_schemas import DispatchView, OrderView
from matcher.quotes.quote_schemas import QuoteView
from matcher.serialization import encode
from tests.quotes.factories import CONTACT, START, Order, Quoting, insert_order, quote_of


async def rows_of(pool: Pool, order: Order) -> tuple[Any, Any]:
    row = (await pool.fetch(events.SQL["orders"], [order.id]))[0]
    dispatch = await pool.fetchrow("SELECT * FROM dispatches WHERE order_id = $1 ORDER BY rank", order.id)
    return dict(row), dict(dispatch or {})


async def test_views_have_the_shape_that_the_api_document_says(clocked_pool: Pool, quoting: Quoting) -> None:
    order = await insert_order(clocked_pool)
    await quoting.service.provide(order.shops[0], quote_of(order), None)
    row, dispatch = await rows_of(clocked_pool, order)
    quote = (await clocked_pool.fetch("SELECT * FROM quotes"))[0]
    shown = msgspec.json.decode(encode(views.order_view(row) | {"quotes": []}), type=OrderView)
    assert shown.order_number == order_number(order.id)
    for state in ({}, {"status": "won"}):
        asked = msgspec.json.decode(encode(views.dispatch_view(row, dispatch | state)), type=DispatchView)
        assert asked.order_id == order.id
    assert msgspec.json.decode(encode(views.quote_view(quote)), type=QuoteView).parts_total == "135.00"


@pytest.mark.parametrize("status", ["pending", "seen", "quoted", "declined", "closed"])
@pytest.mark.parametrize("order_status", ["submitted", "quoted", "accepted", "cancelled"])
async def test_a_shop_that_has_not_won_learns_neither_place_nor_rivals(
    clocked_pool: Pool, status: str, order_status: str
) -> None:
    row, dispatch = await rows_of(clocked_pool, await insert_order(clocked_pool))
    row |= {"contact": CONTACT, "status": order_status}
    view = views.dispatch_view(row, dispatch | {"status": status})
    text = encode(view).decode()
    for secret in (*CONTACT.values(), "1 Test Street", "30.0444", "31.2357", "1234", str(row["user_id"])):
        assert secret not in text
    assert view["orderStatus"] == ("closed" if status == "closed" else "open")
    assert view["distanceM"] == 1300


async def test_the_winner_sees_place_contact_and_exact_distance(clocked_pool: Pool) -> None:
    row, dispatch = await rows_of(clocked_pool, await insert_order(clocked_pool))
    view = views.dispatch_view(row | {"contact": CONTACT, "status": "shipped"}, dispatch | {"status": "won"})
    assert view["contact"] == CONTACT
    assert view["deliveryLocation"]["address"] == "1 Test Street"
    assert (view["orderStatus"], view["distanceM"]) == ("shipped", 1234)


def test_a_delivery_is_packing_and_streets() -> None:
    assert views.estimated_delivery(START, 0) == START + timedelta(minutes=20)
    assert views.estimated_delivery(START, 10_000) == START + timedelta(minutes=20, seconds=1560)
