"""Time passes: orders expire at their microsecond, waves widen once, closed shops leave."""

import asyncio
import dataclasses
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from matcher.db import Pool, create_pool
from matcher.errors import MatcherError
from matcher.ids import uuid7
from matcher.quotes.quote_schemas import DeclineRequest, QuoteCreate, QuoteLine
from matcher.quotes.settling import expire_quotes
from matcher.settings import Settings
from tests.quotes.factories import MICROSECOND, START, Clock, check_invariants
from tests.quotes.order_world import HOME, World, new_customer, open_world, outcomes_of, staff_of

END = START + timedelta(hours=2)
INTERVAL = timedelta(minutes=10)


@pytest.fixture
async def world(clocked_pool: Pool, clock: Clock, settings: Settings) -> AsyncIterator[World]:
    small = dataclasses.replace(settings, wave_shops=2, wave_spare_shops=1)
    async with open_world(clocked_pool, small, clock) as world:
        yield world


async def quote(world: World, order: dict[str, Any], shop_id: UUID, minutes: int | None = None) -> None:
    lines = [
        QuoteLine(line_id=UUID(p["lineId"]), available=True, unit_price="9", quantity=p["quantity"])
        for p in order["parts"]
    ]
    until = None if minutes is None else world.clock.now + timedelta(minutes=minutes)
    terms = QuoteCreate(
        order_id=UUID(order["id"]),
        lines=lines,
        delivery_fee="1",
        currency="USD",
        estimated_delivery_minutes=5,
        valid_until=until,
    )
    await world.quotes.provide(staff_of(shop_id), terms, None)


async def decline(world: World, order: dict[str, Any], shop_id: UUID) -> None:
    body = DeclineRequest(order_id=UUID(order["id"]), reason="no stock")
    await world.quotes.decline(staff_of(shop_id), body, None)


# --- expiry


async def test_an_order_expires_at_its_microsecond_not_before(world: World) -> None:
    shops = await world.add_shops(2)
    order = await world.submit()
    await quote(world, order, shops[0])
    await world.take_events()
    world.clock.now = END - MICROSECOND
    assert await world.sweeps.expire_orders() == 0
    world.clock.now = END
    assert await world.sweeps.expire_orders() == 1
    row = await world.order(order["id"])
    assert (row["status"], row["closed_at"], row["next_wave_at"]) == ("expired", END, None)
    told = {(event.name, t.recipient) for event in await world.take_events() for t in event.targets}
    customer = f"user:{order['userId']}"
    assert told == {
        ("order-status-update", customer),
        ("quote-expired", customer),
        ("quote-expired", f"shop:{shops[0]}"),
        *(("dispatch-updated", f"shop:{shop}") for shop in shops),
    }
    world.clock.now = END + MICROSECOND
    assert await world.sweeps.expire_orders() == 0


async def test_two_thousand_orders_that_expire_together_are_all_told(world: World) -> None:
    shops = [uuid7(), uuid7()]
    await insert_open_orders(world.pool, 2_000, shops)
    world.clock.now = END
    started_s = time.perf_counter()
    assert await world.sweeps.expire_orders() == 2_000
    assert time.perf_counter() - started_s < 20  # 5 s are asked of an idle machine, for five times as many
    left = "SELECT count(*) FROM orders WHERE status <> 'expired'"
    assert await world.pool.fetchval(left) == 0
    told = await world.take_events()
    orders = {t.id for event in told if event.entity == "order" for t in event.targets}
    dispatches = [(t.id, t.recipient) for event in told if event.entity == "dispatch" for t in event.targets]
    assert len(orders) == 2_000
    assert len(set(dispatches)) == len(dispatches) == 4_000


async def insert_open_orders(pool: Pool, count: int, shops: list[UUID]) -> None:
    ids = [uuid7() for _ in range(count)]
    await pool.execute(
        "INSERT INTO orders (id, user_id, status, urgency, priority, payment_method, currency, parts_count, wave,"
        " submitted_at, expires_at) SELECT id, gen_random_uuid(), 'submitted', 'normal', 'normal',"
        " 'cash_on_delivery', 'USD', 1, 1, $2, $3 FROM unnest($1::uuid[]) AS id",
        *(ids, START, END),
    )
    await pool.execute(
        "INSERT INTO order_documents (order_id, make, latitude, longitude, vehicle, delivery_location, parts)"
        " SELECT id, 'toyota', $2, $3, '{}', '{}', '[]' FROM unnest($1::uuid[]) AS id",
        *(ids, HOME.latitude, HOME.longitude),
    )
    await pool.execute(
        "INSERT INTO dispatches (shop_id, order_id, version, created_version, wave, rank, distance_m,"
        " shown_distance_m, reasons, dispatched_at) SELECT shop, id, 1, 1, 1, 1, 5, 100, '[]', $3"
        " FROM unnest($1::uuid[]) AS id, unnest($2::uuid[]) AS shop",
        *(ids, shops, START),
    )


async def test_quotes_that_race_with_expiry_are_refused_or_expired(world: World, database_url: str) -> None:
    shops = await world.add_shops(2)
    orders = [await world.submit() for _ in range(15)]
    world.clock.now = END - MICROSECOND
    late = Clock(END)
    late_pool = await create_pool(database_url, min_size=0, max_size=3, setup=late.setup)
    async with open_world(late_pool, world.settings, late) as sweeper:
        answers = await outcomes_of(
            *(quote(world, order, shop) for order in orders for shop in shops),
            sweeper.sweeps.expire_orders(),
            sweeper.sweeps.expire_orders(),
        )
        assert all(answer is None or isinstance(answer, int | MatcherError) for answer in answers)
        await sweeper.sweeps.expire_orders()
    await late_pool.close()
    for order in orders:
        assert (await world.order(order["id"]))["status"] == "expired"
        await check_invariants(world.pool, UUID(order["id"]))
    active = "SELECT count(*) FROM quotes WHERE status = 'active'"
    assert await world.pool.fetchval(active) == 0


# --- widening


async def test_only_due_orders_widen_to_the_next_nearest_and_nobody_is_asked_twice(world: World) -> None:
    shops = await world.add_shops(5)
    order = await world.submit()
    world.clock.now = START + INTERVAL - MICROSECOND
    assert await world.sweeps.widen_orders() == 0
    world.clock.now = START + INTERVAL
    await world.sweeps.widen_orders()
    assert set(await world.asked(order["id"])) == set(shops[:4])
    world.clock.now += INTERVAL
    await world.sweeps.widen_orders()
    assert await world.asked(order["id"]) == [*(await world.asked(order["id"]))[:4], shops[4]]
    row = await world.order(order["id"])
    assert (row["wave"], row["shops_notified"]) == (3, 5)


async def test_enough_live_quotes_postpone_the_wave(world: World) -> None:
    shops = await world.add_shops(4)
    order = await world.submit()
    await quote(world, order, shops[0])
    await quote(world, order, shops[1], minutes=15)
    world.clock.now = START + INTERVAL
    await world.sweeps.widen_orders()
    row = await world.order(order["id"])
    assert (row["wave"], row["next_wave_at"]) == (1, START + 2 * INTERVAL)
    world.clock.now = START + 2 * INTERVAL  # one of the two is not live any more
    await world.sweeps.widen_orders()
    assert len(await world.asked(order["id"])) == 4


async def test_after_the_last_wave_come_shops_that_ship_beyond_their_area(world: World) -> None:
    near = await world.add_shops(1)
    far = await world.add_shops(1, first=30, radius_m=10, beyond=True)
    order = await world.submit()
    for _ in range(4):
        world.clock.now += INTERVAL
        await world.sweeps.widen_orders()
    assert await world.asked(order["id"]) == [*near, *far]
    world.clock.now += INTERVAL
    await world.sweeps.widen_orders()
    row = await world.order(order["id"])
    assert (row["wave"], row["next_wave_at"]) == (4, None)


async def test_when_all_have_declined_the_next_wave_comes_at_once(world: World) -> None:
    shops = await world.add_shops(4)
    order = await world.submit()
    await decline(world, order, shops[0])
    await world.sweeps.widen_orders()
    assert len(await world.asked(order["id"])) == 2
    await decline(world, order, shops[1])
    await world.sweeps.widen_orders()
    assert set(await world.asked(order["id"])) == set(shops)


async def test_an_order_that_nobody_serves_goes_through_all_waves_and_then_tries_again(world: World) -> None:
    order = await world.submit()
    assert order["dispatch"]["reason"] == "no_shop_for_make"
    for _ in range(3):
        await world.sweeps.widen_orders()
    row = await world.order(order["id"])
    assert (row["wave"], row["next_wave_at"]) == (4, START + INTERVAL)
    shops = await world.add_shops(1)  # one opens nearby
    await world.sweeps.widen_orders()
    assert not await world.asked(order["id"])
    world.clock.now = START + INTERVAL
    await world.sweeps.widen_orders()
    assert await world.asked(order["id"]) == shops
    row = await world.order(order["id"])
    assert (row["dispatch_reason"], row["shops_notified"], row["wave"]) == (None, 1, 4)


async def test_a_wave_raises_the_priority_in_every_inbox(world: World) -> None:
    shops = await world.add_shops(3)
    order = await world.submit()
    world.clock.now = END - timedelta(minutes=29)
    await world.take_events()
    await world.sweeps.widen_orders()
    told = {t.recipient for e in await world.take_events() if e.entity == "dispatch" for t in e.targets}
    assert told == {f"shop:{shop}" for shop in shops}
    view = await world.orders.read(staff_of(shops[0]), UUID(order["id"]))
    assert view["priority"] == "high"


async def test_an_expired_order_does_not_widen(world: World) -> None:
    await world.add_shops(4)
    order = await world.submit()
    world.clock.now = END
    await world.sweeps.widen_orders()
    assert len(await world.asked(order["id"])) == 2


async def test_sweepers_at_once_ask_nobody_twice(world: World) -> None:
    shops = await world.add_shops(6)
    orders = [await world.submit() for _ in range(5)]
    world.clock.now = START + INTERVAL
    await asyncio.gather(*(world.sweeps.widen_orders() for _ in range(4)))
    for order in orders:
        assert set(await world.asked(order["id"])) == set(shops[:4])
        assert (await world.order(order["id"]))["wave"] == 2


async def test_an_order_whose_step_fails_does_not_stop_the_others(world: World) -> None:
    await world.add_shops(4)
    broken, sound = await world.submit(), await world.submit()
    await world.pool.execute(
        "UPDATE order_documents SET latitude = 'NaN' WHERE order_id = $1", UUID(broken["id"])
    )
    await world.pool.execute("UPDATE orders SET next_wave_at = $2 WHERE id = $1", UUID(broken["id"]), START)
    world.clock.now = START + INTERVAL
    await world.sweeps.widen_orders()
    assert len(await world.asked(sound["id"])) == 4


async def test_an_order_that_somebody_holds_does_not_keep_the_others_waiting(world: World) -> None:
    shops = await world.add_shops(4)
    held, *others = [await world.submit() for _ in range(3)]
    await world.pool.execute("UPDATE orders SET next_wave_at = $2 WHERE id = $1", UUID(held["id"]), START)
    world.clock.now = START + INTERVAL
    async with world.pool.acquire() as connection, connection.transaction():
        await connection.execute("SELECT FROM orders WHERE id = $1 FOR UPDATE", UUID(held["id"]))
        widening = asyncio.create_task(world.sweeps.widen_orders())
        async with asyncio.timeout(10):
            for order in others:
                while set(await world.asked(order["id"])) != set(shops):
                    assert not widening.done()
    await widening
    assert set(await world.asked(held["id"])) == set(shops)


# --- shops that close, quotes and drafts that grow old


async def test_a_suspended_shop_leaves_every_open_order(world: World) -> None:
    shops = await world.add_shops(3)
    orders = [await world.submit() for _ in range(2)]
    for order in orders:
        await quote(world, order, shops[0])
    await world.pool.execute("UPDATE shops SET status = 'suspended' WHERE id = $1", shops[0])
    await world.take_events()
    assert await world.sweeps.revoke_closed_shops() == 2
    for order in orders:
        assert (await world.order(order["id"]))["status"] == "submitted"
        await check_invariants(world.pool, UUID(order["id"]))
    rows = await world.pool.fetch("SELECT * FROM dispatches WHERE shop_id = $1", shops[0])
    assert {(row["status"], row["closed_reason"]) for row in rows} == {("closed", "revoked")}
    told = {(event.name, t.recipient) for event in await world.take_events() for t in event.targets}
    assert ("dispatch-updated", f"shop:{shops[0]}") in told
    assert ("quote-rejected", f"user:{orders[0]['userId']}") in told
    assert await world.sweeps.revoke_closed_shops() == 0


async def test_when_the_last_shop_is_revoked_the_next_wave_comes_at_once(world: World) -> None:
    shops = await world.add_shops(3)
    order = await world.submit()
    await world.pool.execute("UPDATE shops SET status = 'inactive' WHERE id = ANY($1)", shops[:2])
    await world.sweeps.revoke_closed_shops()
    await world.sweeps.widen_orders()
    assert (await world.asked(order["id"]))[2:] == [shops[2]]


async def test_due_quotes_expire_and_the_order_is_submitted_again(world: World) -> None:
    shops = await world.add_shops(2)
    order = await world.submit()
    await quote(world, order, shops[0], minutes=5)
    world.clock.now = START + timedelta(minutes=5) - MICROSECOND
    assert await expire_quotes(world.transactions, 10) == 0
    assert (await world.order(order["id"]))["status"] == "quoted"
    world.clock.now += MICROSECOND
    assert await expire_quotes(world.transactions, 10) == 1
    assert (await world.order(order["id"]))["status"] == "submitted"
    await quote(world, order, shops[0])


async def test_drafts_are_closed_after_a_week_and_say_so(world: World) -> None:
    customer = new_customer()
    draft = await world.submit(customer, draft=True)
    world.clock.now = START + timedelta(days=7)
    await world.sweeps.close_old_drafts()
    assert (await world.order(draft["id"]))["status"] == "draft"
    await world.take_events()
    world.clock.now += MICROSECOND
    await world.sweeps.close_old_drafts()
    assert (await world.order(draft["id"]))["status"] == "cancelled"
    assert [event.name for event in await world.take_events()] == ["order-status-update"]


async def test_what_a_deleted_account_left_open_is_cancelled_and_its_shops_are_told(world: World) -> None:
    shops = await world.add_shops(2)
    gone, here = new_customer(), new_customer()
    for customer, status in ((gone, "deleted"), (here, "active")):
        await world.pool.execute(
            "INSERT INTO users (id, name, role, status) VALUES ($1, 'A', 'customer', $2)",
            customer.user_id,
            status,
        )
    left, draft = await world.submit(gone), await world.submit(gone, draft=True)
    kept = await world.submit(here)
    await quote(world, left, shops[0])
    await world.take_events()
    assert await world.sweeps.close_abandoned_orders() == 2
    statuses = [(await world.order(order["id"]))["status"] for order in (left, draft, kept)]
    assert statuses == ["cancelled", "cancelled", "submitted"]
    told = {(event.name, t.recipient) for event in await world.take_events() for t in event.targets}
    assert {("dispatch-updated", f"shop:{shop}") for shop in shops} <= told
    assert ("quote-rejected", f"shop:{shops[0]}") in told
    await check_invariants(world.pool, UUID(left["id"]))
    assert await world.sweeps.close_abandoned_orders() == 0
