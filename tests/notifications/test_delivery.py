"""What is due is sent, spared, tried again or given up; every edge of time by the database's clock."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from prometheus_client import REGISTRY

from matcher.notifications.acks import AckBook, RedisAcks
from matcher.notifications.channel import ChannelName, Gone, Message, Outcome, Rejected, Retry, Sent
from matcher.notifications.delivery import BACKOFF_MAX_S, BATCH, PushSender
from matcher.notifications.retention import delete_old
from matcher.realtime.cursor import Cursor, Position
from matcher.redis import create_redis
from tests.notifications.news import CUSTOMER, ORDER, SHOP, dispatch, order
from tests.notifications.world import CUSTOMER_ID, NOON, ScriptedChannel, World

NIGHT = {"start": "11:00", "end": "13:00", "timeZone": "UTC"}  # around NOON


async def shipped(world: World) -> UUID:
    """A customer with a phone whose order was shipped; the device."""
    await world.person(CUSTOMER_ID)
    device = await world.device(CUSTOMER_ID, "the-token")
    await world.tell(order("shipped"))
    return device


async def send(world: World) -> tuple[str, str | None]:
    """Send what is due; what became of the one delivery."""
    await world.sender.send_due()
    [status] = await world.statuses()
    return status


async def test_nothing_is_sent_before_the_sockets_had_their_time(world: World) -> None:
    await shipped(world)
    world.now = NOON + timedelta(seconds=5) - timedelta(microseconds=1)
    assert await send(world) == ("pending", None)
    world.forward(1e-6)
    assert await send(world) == ("sent", None)
    [(address, message)] = world.phone.sent
    assert address == "the-token"
    assert (message.title, message.topic) == ("Order on its way", str(ORDER))
    assert message.data == {"type": "order-shipped", "orderId": str(ORDER)}
    assert message.ttl_s == 86_400 - 5
    assert await world.sender.send_due() == 0


def cursor(row: Any, **changes: Any) -> Cursor:
    """A cursor right behind a delivery."""
    position = Position(row["log_generation"], row["log_sequence"])
    return Cursor(row["log_epoch"], 0, position, row["log_number"])._replace(**changes)


@pytest.mark.parametrize(
    ("changes", "pushed"),
    [
        ({}, False),
        ({"had": 5}, False),
        ({"had": 0}, True),
        ({"next": 1, "had": 0}, False),
        ({"next": -1, "had": 99}, True),
        ({"epoch": b"another!"}, True),
    ],
)
async def test_whoever_acknowledged_it_gets_no_push(
    world: World, changes: dict[str, Any], pushed: bool
) -> None:
    await shipped(world)
    [row] = await world.deliveries()
    changes = dict(changes)
    after = changes.pop("next", 0)
    seen = cursor(row, **changes)
    seen = seen._replace(position=Position(seen.position.generation, seen.position.sequence + after))
    world.acks.known[CUSTOMER, CUSTOMER_ID] = [seen]
    world.forward(5)
    assert (await send(world))[0] == ("sent" if pushed else "suppressed")
    assert bool(world.phone.sent) is pushed


async def test_an_ack_counts_for_its_person_alone(world: World) -> None:
    people = [await world.person(shop=SHOP) for _ in range(2)]
    for number, person in enumerate(people):
        await world.device(person, f"phone-{number}")
    await world.tell(dispatch("new-parts-order"))
    world.acks.known[SHOP, people[0]] = [cursor((await world.deliveries())[0])]
    world.forward(5)
    await world.sender.send_due()
    assert [address for address, _ in world.phone.sent] == ["phone-1"]


async def test_acks_travel_through_redis_from_any_process(world: World) -> None:
    await shipped(world)
    [row] = await world.deliveries()
    redis = create_redis(world.settings.redis_url)
    async with redis:
        prefix = world.settings.redis_prefix
        here, there = AckBook(redis, prefix, "a"), AckBook(redis, prefix, "b")
        here.on_ack(CUSTOMER, CUSTOMER_ID, cursor(row))
        there.on_ack(CUSTOMER, CUSTOMER_ID, cursor(row, had=0))  # a slower socket elsewhere
        await here.flush()
        await there.flush()
        found = await RedisAcks(redis, prefix).cursors([(CUSTOMER, CUSTOMER_ID), (SHOP, CUSTOMER_ID)])
    assert {pair: sorted(cursors) for pair, cursors in found.items()} == {
        (CUSTOMER, CUSTOMER_ID): [cursor(row, had=0), cursor(row)]
    }


@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        (Sent(), ("sent", None)),
        (Rejected("400 bad"), ("dead", "400 bad")),
        (Gone(), ("failed", "the device is gone")),
        (Retry("503 busy"), ("pending", "503 busy")),
        (RuntimeError("a defect"), ("pending", "RuntimeError('a defect')")),
    ],
)
async def test_each_outcome_has_its_status(
    world: World, outcome: Outcome | Exception, status: tuple[str, str | None]
) -> None:
    device = await shipped(world)
    world.phone.outcomes = [outcome]
    world.forward(5)
    assert await send(world) == status
    left = await world.pool.fetchval("SELECT count(*) FROM devices WHERE id = $1", device)
    assert left == (0 if isinstance(outcome, Gone) else 1)


async def test_a_device_registered_anew_meanwhile_is_not_forgotten(world: World) -> None:
    device = await shipped(world)

    class Renewed(ScriptedChannel):
        async def send(self, address: str, message: Message) -> Outcome:
            await world.pool.execute("UPDATE devices SET address = 'new-token' WHERE id = $1", device)
            return Gone()

    world.channels[ChannelName.FCM] = Renewed()
    world.forward(5)
    assert await send(world) == ("failed", "the device is gone")
    assert await world.pool.fetchval("SELECT address FROM devices") == "new-token"


async def test_pauses_double_with_jitter_until_the_letter_is_dead(world: World) -> None:
    await shipped(world)
    world.phone.outcomes = [Retry("500")] * 20
    world.forward(5)
    pauses = []
    while (await send(world))[0] == "pending":
        [row] = await world.deliveries()
        pauses.append((row["next_attempt_at"] - world.now).total_seconds())
        world.now = row["next_attempt_at"] - timedelta(microseconds=1)
        await world.sender.send_due()
        assert (await world.deliveries())[0]["attempts"] == row["attempts"], "not before its time"
        world.now = row["next_attempt_at"]
    assert await world.statuses() == [("dead", "500")]
    assert len(world.phone.sent) == world.settings.push_tries_max == 8
    for n, pause_s in enumerate(pauses):
        longest_s = min(BACKOFF_MAX_S, 2.0 * 2**n)
        assert longest_s / 2 <= pause_s <= longest_s


async def test_a_service_that_names_a_time_is_not_asked_before(world: World) -> None:
    await shipped(world)
    world.phone.outcomes = [Retry("429", after_s=90.0)]
    world.forward(5)
    await send(world)
    [row] = await world.deliveries()
    assert row["next_attempt_at"] == world.now + timedelta(seconds=90)


async def test_nothing_is_tried_beyond_its_time(world: World) -> None:
    await world.device(await world.person(shop=SHOP))
    world.facts.ends[ORDER] = NOON + timedelta(seconds=20)
    await world.tell(dispatch("new-parts-order"))
    world.phone.outcomes = [Retry("429", after_s=15.0)]
    world.forward(5)
    assert await send(world) == ("failed", "429")


async def test_what_is_late_beyond_its_time_is_not_sent(world: World) -> None:
    await world.device(await world.person(shop=SHOP))
    world.facts.ends[ORDER] = NOON + timedelta(seconds=20)
    await world.tell(dispatch("new-parts-order"))
    world.now = NOON + timedelta(seconds=20)
    assert await send(world) == ("failed", "its time ran out")
    assert world.phone.sent == []


async def test_a_device_that_was_removed_or_handed_over_gets_nothing(world: World) -> None:
    device = await shipped(world)
    other = await world.person()
    await world.pool.execute("UPDATE devices SET user_id = $2 WHERE id = $1", device, other)
    world.forward(5)
    assert await send(world) == ("failed", "the device is gone")
    assert world.phone.sent == []


async def test_a_worker_without_a_channel_leaves_it_to_the_others_until_the_time_is_over(
    world: World,
) -> None:
    await shipped(world)
    world.forward(5)
    without = PushSender(world.pool, {}, world.acks, world.settings)
    assert await without.send_due() == 0
    world.forward(86_400)
    assert await without.send_due() == 1
    assert await world.statuses() == [("failed", "its time ran out")]


async def test_in_quiet_hours_an_order_is_not_pushed_and_news_wait_for_their_end(world: World) -> None:
    owner = await world.person(CUSTOMER_ID, shop=SHOP)
    await world.device(owner)
    await world.prefer(owner, {"order-shipped": {"mail": True}}, NIGHT)
    await world.tell(dispatch("new-parts-order"), order("shipped"))
    world.forward(5)
    await world.sender.send_due()
    states = {(row["kind"], row["channel"]): row for row in await world.deliveries()}
    assert states["new-parts-order", "fcm"]["last_error"] == "quiet hours"
    assert states["order-shipped", "mail"]["status"] == "sent", "mail makes no noise"
    waiting = states["order-shipped", "fcm"]
    assert (waiting["status"], waiting["attempts"]) == ("pending", 0)
    assert waiting["next_attempt_at"] == NOON + timedelta(hours=1)
    world.now = NOON + timedelta(hours=1)
    await world.sender.send_due()
    assert [message.title for _, message in world.phone.sent] == ["Order on its way"]


async def test_a_worker_that_died_leaves_its_deliveries_to_others_after_a_while(world: World) -> None:
    await shipped(world)

    sending = asyncio.Event()

    class Endless(ScriptedChannel):
        async def send(self, address: str, message: Message) -> Outcome:
            sending.set()
            await asyncio.Event().wait()
            raise AssertionError("unreachable")

    world.channels[ChannelName.FCM] = Endless()
    world.forward(5)
    dying = asyncio.create_task(world.sender.send_due())
    await sending.wait()
    dying.cancel()
    await asyncio.gather(dying, return_exceptions=True)
    world.channels[ChannelName.FCM] = ScriptedChannel()
    _, other = world.worker()
    assert await other.send_due() == 0
    world.forward(BATCH * world.settings.push_timeout_s)
    assert await other.send_due() == 1
    assert await world.statuses() == [("sent", None)]


async def test_workers_share_the_work_and_send_each_once(world: World) -> None:
    await world.person(CUSTOMER_ID)
    for number in range(BATCH + 20):
        await world.device(CUSTOMER_ID, f"phone-{number}")
    await world.tell(order("shipped"))
    world.forward(5)
    senders = [world.worker()[1] for _ in range(3)]
    assert sum(await asyncio.gather(*(sender.send_due() for sender in senders))) == BATCH + 20
    assert len({address for address, _ in world.phone.sent}) == len(world.phone.sent) == BATCH + 20


async def test_attempts_are_counted_by_channel_and_outcome(world: World) -> None:
    def counted(outcome: str) -> float:
        labels = {"channel": "fcm", "outcome": outcome}
        return REGISTRY.get_sample_value("matcher_pushes_total", labels) or 0.0

    before = {outcome: counted(outcome) for outcome in ("sent", "retried")}
    await shipped(world)
    world.phone.outcomes = [Retry("500")]
    world.forward(5)
    await send(world)
    world.forward(10)
    await send(world)
    assert {outcome: counted(outcome) - count for outcome, count in before.items()} == {
        "sent": 1,
        "retried": 1,
    }


async def test_what_is_over_is_forgotten_in_time(world: World) -> None:
    await shipped(world)
    deleted = await world.person(status="deleted")
    await world.device(deleted)
    history = timedelta(days=7)
    world.forward(5)
    await send(world)
    await delete_old(world.pool, history)
    assert len(await world.deliveries()) == 1
    assert await world.pool.fetchval("SELECT count(*) FROM devices WHERE user_id = $1", deleted) == 0
    world.now = NOON + history + timedelta(seconds=1)
    await delete_old(world.pool, history)
    assert await world.deliveries() == []
    assert await world.pool.fetchval("SELECT count(*) FROM devices") == 1
