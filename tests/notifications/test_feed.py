"""What happened becomes what waits to be pushed: for whom, how long, and once, whatever becomes of the log."""

import asyncio
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from matcher.ids import uuid7
from matcher.notifications.channel import ChannelName
from matcher.notifications.feed import MARGIN, PushFeed
from matcher.realtime.memory_log import MemoryLog
from matcher.realtime.redis_log import RedisLog
from matcher.redis import create_redis
from matcher.settings import Settings
from tests.notifications.news import ORDER, RIVAL, SHOP, dispatch, note, order, quote
from tests.notifications.world import CUSTOMER_ID, NOON, World


async def customer(world: World) -> Any:
    """The customer of `news`, with a phone."""
    await world.person(CUSTOMER_ID)
    return await world.device(CUSTOMER_ID)


async def test_a_shops_quoting_staff_is_told_on_every_device(world: World) -> None:
    owner = await world.person(shop=SHOP, shop_role="shop_owner")
    cashier = await world.person(shop=SHOP)
    devices = {
        (owner, await world.device(owner)),
        (owner, await world.device(owner, platform="webpush")),
        (cashier, await world.device(cashier)),
    }
    for other in (
        await world.person(shop=SHOP, shop_role="stock_clerk"),
        await world.person(shop=RIVAL),
        await world.person(shop=SHOP, shop_role="manager", status="deleted"),
    ):
        await world.device(other)
    await world.person(shop=SHOP)  # without a device
    await world.tell(dispatch("new-parts-order"))
    rows = await world.deliveries()
    assert {(row["user_id"], row["target_id"]) for row in rows} == devices
    assert {row["channel"] for row in rows} == {"fcm", "webpush"}
    assert all(
        (row["recipient"], row["kind"], row["status"]) == (SHOP, "new-parts-order", "pending") for row in rows
    )
    assert rows[0]["content"]["body"] == "Toyota Corolla 2018: 2 parts, 1.3 km away"


async def test_sockets_have_five_seconds_and_the_push_lasts_as_long_as_the_order(world: World) -> None:
    await customer(world)
    await world.device(await world.person(shop=SHOP))
    world.facts.ends[ORDER] = NOON + timedelta(hours=1)
    await world.tell(dispatch("new-parts-order"), quote("new-quote"), order("shipped"))
    rows = await world.deliveries()
    assert [row["next_attempt_at"] for row in rows] == [NOON + timedelta(seconds=5)] * 3
    lasting = {row["kind"]: row["expires_at"] - NOON for row in rows}
    assert lasting == {
        "new-parts-order": timedelta(hours=1),
        "new-quote": timedelta(hours=1),
        "order-shipped": timedelta(days=1),
    }


async def test_preferences_decide_over_each_kind_and_channel(world: World) -> None:
    device = await customer(world)
    await world.device(CUSTOMER_ID, platform="webpush")
    await world.prefer(
        CUSTOMER_ID, {"new-quote": {"webpush": False, "mail": True}, "order-shipped": {"fcm": False}}
    )
    await world.tell(quote("new-quote"))
    assert [(row["channel"], row["target_id"]) for row in await world.deliveries()] == [
        ("fcm", device),
        ("mail", CUSTOMER_ID),
    ]
    await world.tell(order("shipped", 9))
    assert [row["channel"] for row in await world.deliveries()] == ["fcm", "mail", "webpush"]


async def test_channels_that_are_not_set_up_get_nothing(world: World) -> None:
    await customer(world)
    feed = PushFeed(world.pool, world.log, world.facts, (ChannelName.MAIL,), world.settings)
    await world.log.append([order("shipped")])
    assert await feed.follow() == 1
    assert await world.deliveries() == []


async def test_without_any_channel_the_log_is_not_read(world: World) -> None:
    feed = PushFeed(world.pool, world.log, world.facts, (), world.settings)
    await world.log.append([order("shipped")])
    assert await feed.follow() == 0


async def test_what_would_be_late_before_it_is_due_is_not_written(world: World) -> None:
    await world.device(await world.person(shop=SHOP))
    world.facts.ends[ORDER] = NOON + timedelta(seconds=world.settings.push_after_s)
    await world.tell(dispatch("new-parts-order"))
    assert await world.deliveries() == []


async def test_the_same_news_reaches_nobody_twice(world: World) -> None:
    await customer(world)
    await world.tell(order("shipped", 7))
    await world.tell(order("shipped", 7), order("shipped", 8))
    assert len(await world.deliveries()) == 1


async def test_what_is_answered_or_outdated_waits_no_more(world: World) -> None:
    await customer(world)
    await world.device(await world.person(shop=SHOP))
    await world.tell(dispatch("new-parts-order"), order("processing", 3), note())
    await world.tell(
        dispatch("dispatch-updated", 4, status="quoted"), order("shipped", 5), note(2, read_at="x")
    )
    kinds = {row["kind"]: (row["status"], row["last_error"]) for row in await world.deliveries()}
    over = ("suppressed", "superseded")
    assert kinds == {
        "new-parts-order": over,
        "order-processing": over,
        "notification": over,
        "order-shipped": ("pending", None),
    }


async def test_news_that_is_outdated_within_one_reading_is_not_written(world: World) -> None:
    await world.device(await world.person(shop=SHOP))
    await world.tell(dispatch("new-parts-order"), dispatch("dispatch-updated", 4, status="closed"))
    assert await world.deliveries() == []


async def test_an_event_that_cannot_be_read_does_not_stop_the_others(world: World) -> None:
    await customer(world)
    strange = order("shipped", 4)
    for shared in (b'"status":"shipped"', b"no JSON", b'"status":[]'):
        await world.log.append([msgspec.structs.replace(strange, shared=shared)])
    await world.tell(order("delivered", 9))
    assert [row["kind"] for row in await world.deliveries()] == ["order-delivered"]


async def test_pushes_begin_with_what_has_just_changed(world: World) -> None:
    await customer(world)
    await world.pool.execute("DELETE FROM push_cursors")
    await world.log.append([order("processing")])
    world.facts.events = [order("shipped", 5)]
    feed, _ = world.worker()
    await feed.follow()
    assert world.facts.asked_since == [NOON - MARGIN]
    await world.log.append([note()])
    await feed.follow()
    assert [row["kind"] for row in await world.deliveries()] == ["order-shipped", "notification"]


async def test_another_worker_goes_on_where_one_stopped(world: World) -> None:
    await customer(world)
    await world.log.append([order("shipped")])
    feed, _ = world.worker()
    await world.log.append([order("delivered", 9)])
    assert await feed.follow() == 2
    assert await world.feed.follow() == 0
    assert [row["kind"] for row in await world.deliveries()] == ["order-delivered"]


async def test_workers_at_the_same_time_take_turns(world: World) -> None:
    await customer(world)
    feeds = [world.worker()[0] for _ in range(3)]
    for feed in feeds:
        await feed.follow()
    await world.log.append([order("shipped")])
    assert sum(await asyncio.gather(*(feed.follow() for feed in feeds))) == 1
    assert len(await world.deliveries()) == 1


async def test_of_a_long_backlog_only_the_newest_is_told(world: World) -> None:
    await customer(world)
    for version in range(300):
        await world.log.append([order("shipped", version, selectedQuoteId=uuid7())])
    assert await world.feed.follow() == 300
    assert [row["version"] for row in await world.deliveries()] == [299]


async def test_what_a_lost_log_held_is_read_from_the_rows(world: World) -> None:
    await customer(world)
    await world.tell(order("processing", 3))
    await world.pool.execute("UPDATE push_cursors SET complete_at = $1", NOON)
    assert isinstance(world.log, MemoryLog)
    world.log.empty()
    world.facts.events = [order("processing", 3), order("shipped", 5)]
    await world.feed.follow()
    assert world.facts.asked_since == [NOON - MARGIN]
    assert [row["kind"] for row in await world.deliveries()] == ["order-processing", "order-shipped"]
    await world.tell(order("delivered", 9))
    assert len(world.facts.asked_since) == 1
    assert len(await world.deliveries()) == 3


async def test_a_feed_that_slept_for_days_reads_no_further_back_than_a_push_lives(world: World) -> None:
    assert isinstance(world.log, MemoryLog)
    world.forward(10 * 86_400)
    world.log.empty()
    await world.pool.execute("UPDATE push_cursors SET complete_at = $1", NOON)
    await world.feed.follow()
    assert world.facts.asked_since == [world.now - timedelta(seconds=world.settings.push_keep_s)]


async def test_a_trimmed_log_sends_the_feed_to_the_rows_as_well(world: World) -> None:
    world.log = MemoryLog(entries_max=2)
    feed, _ = world.worker()
    await world.begin(feed)
    for version in range(5):
        await world.log.append([order("shipped", version)])
    await feed.follow()
    assert len(world.facts.asked_since) == 1


@pytest.fixture
async def redis_log(settings: Settings) -> Any:
    log = RedisLog(settings.redis_url, settings.redis_prefix)
    yield log
    await log.close()


async def test_another_run_of_redis_sends_the_feed_to_the_rows(world: World, redis_log: RedisLog) -> None:
    await customer(world)
    world.log = redis_log
    feed, _ = world.worker()
    await world.begin(feed)
    await world.log.append([order("processing", 3)])
    await feed.follow()
    # As after a restart that lost its last second: the run is another, and so is the epoch.
    await world.pool.execute("UPDATE push_cursors SET epoch = $1", b"\x01" * 8)
    world.facts.events = [order("shipped", 5)]
    await feed.follow()
    assert len(world.facts.asked_since) == 1
    assert [row["kind"] for row in await world.deliveries()] == ["order-processing", "order-shipped"]
    assert await feed.follow() == 0
    await feed.close()


async def test_an_emptied_redis_sends_the_feed_to_the_rows(
    world: World, redis_log: RedisLog, settings: Settings
) -> None:
    await customer(world)
    world.log = redis_log
    feed, _ = world.worker()
    await world.begin(feed)
    redis = create_redis(settings.redis_url)
    async with redis:
        for key in [key async for key in redis.scan_iter(f"{settings.redis_prefix}*")]:
            await redis.delete(key)
    world.facts.events = [order("shipped", 5)]
    await feed.follow()
    assert [row["kind"] for row in await world.deliveries()] == ["order-shipped"]
    await world.log.append([order("delivered", 9)])
    await feed.follow()
    assert len(await world.deliveries()) == 2
    await feed.close()
