"""A shop's inbox and its own quotes."""

from datetime import timedelta
from uuid import UUID

from matcher.db import Pool
from matcher.ids import uuid7
from matcher.quotes.lifecycle import QuoteStatus
from matcher.quotes.quote_schemas import DeclineRequest
from tests.quotes.factories import (
    START,
    Quoting,
    close_order,
    insert_order,
    provide,
    shop_caller,
)


async def test_inbox_shows_the_most_urgent_first_page_by_page(clocked_pool: Pool, quoting: Quoting) -> None:
    shop, rival = shop_caller(uuid7()), shop_caller(uuid7())
    soon, late = START + timedelta(hours=1), START + timedelta(hours=2)
    expected = []
    for priority, end in [("urgent", late), ("high", soon), ("high", late), ("normal", soon), ("low", soon)]:
        order = await insert_order(clocked_pool, shops=[shop, rival], priority=priority, expires_at=end)
        expected.append(order.id)
    await insert_order(clocked_pool, shops=[rival])
    declined = await insert_order(clocked_pool, shops=[shop])
    await quoting.service.decline(shop, DeclineRequest(order_id=declined.id, reason="no"), None)
    cancelled = await insert_order(clocked_pool, shops=[shop])
    await close_order(clocked_pool, cancelled.id, "cancelled")

    shown: list[UUID] = []
    cursor = None
    while True:
        page = await quoting.service.inbox(shop, 2, cursor)
        assert len(page.items) <= 2
        shown += [item["orderId"] for item in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert shown == expected


async def test_inbox_hides_the_exact_place(clocked_pool: Pool, quoting: Quoting) -> None:
    order = await insert_order(clocked_pool, shops=1)
    [item] = (await quoting.service.inbox(order.shops[0], 50, None)).items
    place = item["deliveryLocation"]
    assert set(place) == {"latitude", "longitude", "precisionM"}
    assert (place["latitude"], place["longitude"]) != (30.0444, 31.2357)
    assert item["distanceM"] == 1300
    assert item["contact"] is None


async def test_shop_lists_its_own_quotes_newest_first(clocked_pool: Pool, quoting: Quoting) -> None:
    shop, rival = shop_caller(uuid7()), shop_caller(uuid7())
    ids = []
    for _ in range(3):
        order = await insert_order(clocked_pool, shops=[shop, rival])
        ids.append((await provide(quoting, order, 0))["id"])
        await provide(quoting, order, 1)
    await quoting.service.withdraw(shop, UUID(ids[0]))
    first = await quoting.service.list_quotes(shop, None, 2, None)
    rest = await quoting.service.list_quotes(shop, None, 2, first.next_cursor)
    assert [str(q["id"]) for q in [*first.items, *rest.items]] == ids[::-1]
    assert rest.next_cursor is None
    active = await quoting.service.list_quotes(shop, QuoteStatus.ACTIVE, 50, None)
    assert [str(q["id"]) for q in active.items] == ids[:0:-1]
