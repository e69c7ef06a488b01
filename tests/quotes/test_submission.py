"""Every acknowledged order is written once, whole, and announced; a bad neighbour, a repeated key or a lost
connection changes nothing of that."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from datetime import timedelta
from itertools import pairwise
from typing import Any

import asyncpg
import msgspec
import pytest

from matcher.db import Pool, create_pool
from matcher.errors import Overloaded
from matcher.quotes.errors import TooManyOpenOrders
from matcher.quotes.submission import SubmissionQueue
from matcher.settings import Settings
from matcher.transactions import IdempotencyInFlight, IdempotencyKeyReused, Reply
from tests.quotes.factories import START, Clock, body
from tests.quotes.order_world import (
    SCOPE,
    World,
    new_customer,
    new_order,
    open_world,
    outcomes_of,
)


@pytest.fixture
async def world(clocked_pool: Pool, clock: Clock, settings: Settings) -> AsyncIterator[World]:
    async with open_world(clocked_pool, settings, clock) as world:
        yield world


async def test_one_statement_writes_order_document_dispatches_and_pointer(world: World) -> None:
    shops = await world.add_shops(12)
    order = new_order(world)
    reply = await world.queue.submit(order)
    view = body(reply)
    assert (reply.status, view["status"], view["version"]) == (201, "submitted", 1)
    assert view["dispatch"]["shopsNotified"] == 10
    assert set(await world.asked(order.id)) == set(shops[:10])
    row = await world.order(order.id)
    assert row["submitted_at"] == START
    assert row["expires_at"] == START + timedelta(hours=2)
    assert row["next_wave_at"] == START + timedelta(minutes=10)
    document = await world.pool.fetchrow("SELECT * FROM order_documents WHERE order_id = $1", order.id)
    assert document is not None
    assert document["parts"] == order.parts
    pointers = await world.pool.fetch("SELECT * FROM outbox")
    assert [(p["topic"], p["entity_ids"], p["versions"]) for p in pointers] == [("order", [order.id], [1])]
    told = {target.recipient for event in await world.take_events() for target in event.targets}
    assert told == {f"user:{order.user_id}", *(f"shop:{shop}" for shop in shops[:10])}
    assert await world.pool.fetchval("SELECT count(*) FROM outbox") == 0


async def test_a_wave_is_the_nearest_shops_ranked_by_score_with_reasons(world: World) -> None:
    shops = await world.add_shops(12)
    await world.pool.execute(
        "UPDATE shops SET reply_rate = 1, rating = 5, version = 2 WHERE id = $1", shops[5]
    )
    await world.directory.load()
    order = new_order(world)
    await world.queue.submit(order)
    rows = await world.pool.fetch("SELECT * FROM dispatches WHERE order_id = $1 ORDER BY rank", order.id)
    assert [row["rank"] for row in rows] == list(range(1, 11))
    assert {row["shop_id"] for row in rows} == set(shops[:10])
    scores = [sum(r["value"] * r["weight"] for r in row["reasons"]) for row in rows]
    # The reasons are rounded to three digits, the score is not.
    assert all(better > worse - 0.001 for better, worse in pairwise(scores))
    assert rows[0]["shop_id"] == shops[5]
    assert all(row["shown_distance_m"] % 100 == 0 for row in rows)


@pytest.mark.parametrize("change", ["status = 'suspended'", "paused_until = 'infinity'"])
async def test_a_shop_closed_after_the_choice_gets_nothing_and_a_spare_takes_its_place(
    world: World, change: str
) -> None:
    shops = await world.add_shops(14)
    order = new_order(world)
    await world.pool.execute(f"UPDATE shops SET {change} WHERE id = ANY($1)", shops[:3])
    view = body(await world.queue.submit(order))
    rows = await world.pool.fetch("SELECT * FROM dispatches WHERE order_id = $1 ORDER BY rank", order.id)
    assert {row["shop_id"] for row in rows} == set(shops[3:13])
    assert [row["rank"] for row in rows] == list(range(1, 11))
    assert view["dispatch"]["shopsNotified"] == 10
    assert view["dispatch"]["radiusM"] == max(row["distance_m"] for row in rows)
    told = {target.recipient for event in await world.take_events() for target in event.targets}
    assert not told & {f"shop:{shop}" for shop in shops[:3]}


async def test_a_pause_that_is_over_is_none(world: World) -> None:
    shops = await world.add_shops(2)
    order = new_order(world)
    await world.pool.execute("UPDATE shops SET paused_until = $1", START)
    await world.queue.submit(order)
    assert set(await world.asked(order.id)) == set(shops)


async def test_with_nobody_to_ask_the_order_says_why_and_widens_at_once(world: World) -> None:
    order = new_order(world, empty_reason="no_shop_for_make")
    view = body(await world.queue.submit(order))
    assert view["dispatch"] == {"wave": 1, "shopsNotified": 0, "radiusM": None, "reason": "no_shop_for_make"}
    assert (await world.order(order.id))["next_wave_at"] == START


async def test_open_orders_are_capped_within_a_batch_too(world: World) -> None:
    await world.add_shops(1)
    customer = new_customer()
    world_settings = dataclasses.replace(world.settings, order_open_per_customer=3, batch_writers=1)
    async with SubmissionQueue(world.pool, world.publisher, world_settings) as queue:
        others = [queue.submit(new_order(world)) for _ in range(2)]
        answers = await outcomes_of(*(queue.submit(new_order(world, customer)) for _ in range(5)), *others)
        refused = [answer for answer in answers if isinstance(answer, TooManyOpenOrders)]
        assert len(refused) == 2
        assert sum(isinstance(answer, Reply) for answer in answers) == 5
        with pytest.raises(TooManyOpenOrders):
            await queue.submit(new_order(world, customer))
    count = "SELECT count(*) FROM orders WHERE user_id = $1"
    assert await world.pool.fetchval(count, customer.user_id) == 3


async def test_limits_off_lifts_the_cap(world: World) -> None:
    customer = new_customer()
    lifted = dataclasses.replace(world.settings, order_open_per_customer=1, limits=False)
    async with SubmissionQueue(world.pool, world.publisher, lifted) as queue:
        answers = await outcomes_of(*(queue.submit(new_order(world, customer)) for _ in range(4)))
    assert all(isinstance(answer, Reply) for answer in answers)


async def test_a_repeated_key_replays_and_another_payload_is_refused(world: World) -> None:
    await world.add_shops(2)
    customer = new_customer()
    first = await world.queue.submit(new_order(world, customer, key="k"))
    again = await world.queue.submit(new_order(world, customer, key="k"))
    assert (again.status, again.body, again.replayed) == (first.status, first.body, True)
    with pytest.raises(IdempotencyKeyReused):
        await world.queue.submit(new_order(world, customer, key="k", payload=b"2"))
    stranger = await world.queue.submit(new_order(world, key="k"))
    assert not stranger.replayed
    assert await world.pool.fetchval("SELECT count(*) FROM orders") == 2


async def test_a_refusal_over_the_cap_is_kept_for_its_key(world: World) -> None:
    customer = new_customer()
    tight = dataclasses.replace(world.settings, order_open_per_customer=0)
    async with SubmissionQueue(world.pool, world.publisher, tight) as queue:
        with pytest.raises(TooManyOpenOrders):
            await queue.submit(new_order(world, customer, key="k"))
        again = await queue.submit(new_order(world, customer, key="k"))
    assert (again.status, body(again)["code"], again.replayed) == (409, "too_many_open_orders", True)


async def test_the_same_key_at_once_in_one_process_is_one_order(world: World) -> None:
    customer = new_customer()
    answers = await outcomes_of(
        *(world.queue.submit(new_order(world, customer, key="k")) for _ in range(10)),
        world.queue.submit(new_order(world, customer, key="k", payload=b"2")),
    )
    assert isinstance(answers.pop(), IdempotencyKeyReused)
    assert len({answer.body for answer in answers}) == 1
    assert sum(not answer.replayed for answer in answers) == 1
    assert await world.pool.fetchval("SELECT count(*) FROM orders") == 1


async def test_a_client_that_hangs_up_and_repeats_at_once_makes_one_order(world: World) -> None:
    customer = new_customer()
    gone = asyncio.ensure_future(world.queue.submit(new_order(world, customer, key="k")))
    await asyncio.sleep(0)  # it stands in the queue; no writer has run yet
    gone.cancel()
    again = await world.queue.submit(new_order(world, customer, key="k"))
    assert again.status == 201
    assert await world.pool.fetchval("SELECT count(*) FROM orders") == 1


async def test_the_same_keys_at_once_in_two_processes_are_one_order_each(
    world: World, database_url: str
) -> None:
    await world.add_shops(3)
    customers = [new_customer() for _ in range(40)]
    other_pool = await create_pool(database_url, min_size=0, max_size=4)
    async with SubmissionQueue(other_pool, world.publisher, world.settings) as other:
        answers = await asyncio.wait_for(
            outcomes_of(
                *(world.queue.submit(new_order(world, c, key=f"k{n}")) for n, c in enumerate(customers)),
                *(
                    other.submit(new_order(world, c, key=f"k{n}"))
                    for n, c in reversed([*enumerate(customers)])
                ),
            ),
            timeout=30,
        )
    await other_pool.close()
    assert all(isinstance(answer, Reply) for answer in answers)
    forwards, backwards = answers[:40], answers[:39:-1]
    assert [a.body for a in forwards] == [b.body for b in backwards]
    assert all(a.replayed != b.replayed for a, b in zip(forwards, backwards, strict=True))
    assert await world.pool.fetchval("SELECT count(*) FROM orders") == 40


async def test_a_key_in_flight_elsewhere_is_waited_for_and_then_refused(
    world: World, database_url: str
) -> None:
    customer = new_customer()
    hurried = dataclasses.replace(world.settings, idempotency_wait_s=0.3, batch_writers=1)
    elsewhere = await asyncpg.connect(database_url)
    insert = "INSERT INTO idempotency_keys (account_id, scope, key, fingerprint) VALUES ($1, $2, 'k', '')"
    async with SubmissionQueue(world.pool, world.publisher, hurried) as queue:
        transaction = elsewhere.transaction()
        await transaction.start()
        await elsewhere.execute(insert, customer.user_id, SCOPE)
        neighbours = [queue.submit(new_order(world, key="mine")) for _ in range(6)]
        blocked, *written = await outcomes_of(queue.submit(new_order(world, customer, key="k")), *neighbours)
        assert isinstance(blocked, IdempotencyInFlight)
        assert (blocked.status, blocked.retry_after_s) == (409, 1)
        assert all(isinstance(answer, Reply) for answer in written)
        waiting = asyncio.ensure_future(queue.submit(new_order(world, customer, key="k")))
        await transaction.rollback()
        assert not (await waiting).replayed
    await elsewhere.close()


async def test_a_key_in_flight_elsewhere_does_not_hold_up_other_orders(
    world: World, database_url: str
) -> None:
    customer = new_customer()
    single = dataclasses.replace(world.settings, idempotency_wait_s=60, batch_writers=1, drain_s=0.1)
    elsewhere = await asyncpg.connect(database_url)
    async with elsewhere.transaction():
        await elsewhere.execute(
            "INSERT INTO idempotency_keys (account_id, scope, key, fingerprint) VALUES ($1, $2, 'k', '')",
            *(customer.user_id, SCOPE),
        )
        async with SubmissionQueue(world.pool, world.publisher, single) as queue:
            blocked = asyncio.ensure_future(queue.submit(new_order(world, customer, key="k")))
            await asyncio.sleep(0)
            reply = await asyncio.wait_for(queue.submit(new_order(world)), timeout=5)
            assert reply.status == 201
            assert not blocked.done()
        with pytest.raises(Overloaded):
            await blocked
    await elsewhere.close()


BAD: list[dict[str, Any]] = [
    {"urgency": "whenever"},
    {"currency": "a\0b"},
    {"vehicle": {"make": "NUL \0"}},
    {"parts": [{"name": "x"}] * 40_000},
]


@pytest.mark.parametrize("bad", BAD, ids=["constraint", "text", "jsonb", "range"])
@pytest.mark.parametrize("keyed", [False, True])
async def test_an_order_that_the_database_refuses_fails_alone(
    world: World, bad: dict[str, Any], keyed: bool
) -> None:
    await world.add_shops(2)
    one = dataclasses.replace(world.settings, batch_writers=1)
    async with SubmissionQueue(world.pool, world.publisher, one) as queue:
        good = [new_order(world, key=f"k{n}" if keyed else None) for n in range(7)]
        culprit = new_order(world, key="bad" if keyed else None, **bad)
        calls = [queue.submit(order) for order in (*good[:4], culprit, *good[4:])]
        answers = await outcomes_of(*calls)
    assert isinstance(answers.pop(4), asyncpg.PostgresError)
    assert [answer.status for answer in answers] == [201] * 7
    ids = {row["id"] for row in await world.pool.fetch("SELECT id FROM orders")}
    assert ids == {order.id for order in good}
    keys = "SELECT count(*) FROM idempotency_keys WHERE key = 'bad'"
    assert await world.pool.fetchval(keys) == 0


async def test_a_connection_killed_in_a_batch_loses_and_doubles_nothing(
    world: World, database_url: str
) -> None:
    await world.add_shops(3)
    killer = await asyncpg.connect(database_url)
    one = dataclasses.replace(world.settings, batch_writers=1)
    # The lock holds the batch in the middle of its statement, until its connection is killed.
    lock = killer.transaction()
    await lock.start()
    await killer.execute("LOCK TABLE order_documents IN EXCLUSIVE MODE")
    async with SubmissionQueue(world.pool, world.publisher, one) as queue:
        orders = [new_order(world, key=f"k{n}" if n % 2 else None) for n in range(10)]
        work = asyncio.gather(*(queue.submit(order) for order in orders))
        pids: list[int] = []
        while not pids:
            rows = await killer.fetch(
                "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
                " AND wait_event_type = 'Lock' AND pid <> pg_backend_pid()"
            )
            pids = [row["pid"] for row in rows]
        await killer.execute("SELECT pg_terminate_backend($1)", pids[0])
        await lock.rollback()
        replies = await work
    await killer.close()
    assert [body(reply)["id"] for reply in replies] == [str(order.id) for order in orders]
    assert await world.pool.fetchval("SELECT count(*) FROM orders") == 10
    assert await world.pool.fetchval("SELECT count(*) FROM dispatches") == 30


async def test_a_commit_that_comes_through_after_its_connection_is_read_back(world: World) -> None:
    """The same ids again, as after a lost connection, beside one that the lost batch did not write."""
    await world.add_shops(2)
    one = dataclasses.replace(world.settings, batch_writers=1)
    orders = [new_order(world) for _ in range(3)]
    async with SubmissionQueue(world.pool, world.publisher, one) as queue:
        first = await outcomes_of(*(queue.submit(order) for order in orders[:2]))
        again = await outcomes_of(*(queue.submit(order) for order in orders))
    assert [body(answer) for answer in again[:2]] == [body(answer) for answer in first]
    assert [body(answer)["id"] for answer in again] == [str(order.id) for order in orders]
    assert await world.pool.fetchval("SELECT count(*) FROM orders") == 3


async def test_a_full_queue_answers_overloaded(world: World) -> None:
    small = dataclasses.replace(world.settings, submission_queue_max=3)
    queue = SubmissionQueue(world.pool, world.publisher, small)  # not entered: nobody writes yet
    waiting = [asyncio.ensure_future(queue.submit(new_order(world))) for _ in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(Overloaded) as refused:
        await queue.submit(new_order(world))
    assert (refused.value.status, refused.value.retry_after_s) == (503, 1)
    async with queue:
        replies = await asyncio.gather(*waiting)
    assert [reply.status for reply in replies] == [201] * 3


async def test_shutdown_writes_what_waits_and_takes_nothing_more(world: World) -> None:
    async with SubmissionQueue(world.pool, world.publisher, world.settings) as queue:
        waiting = [asyncio.ensure_future(queue.submit(new_order(world))) for _ in range(150)]
        await asyncio.sleep(0)
    assert [(await reply).status for reply in waiting] == [201] * 150
    with pytest.raises(Overloaded):
        await queue.submit(new_order(world))


async def test_shutdown_answers_even_what_it_cannot_write(world: World, database_url: str) -> None:
    brief = dataclasses.replace(world.settings, drain_s=0.05, batch_writers=1, batch_orders_max=2)
    blocker = await asyncpg.connect(database_url)
    async with blocker.transaction():
        await blocker.execute("LOCK TABLE order_documents IN EXCLUSIVE MODE")
        async with SubmissionQueue(world.pool, world.publisher, brief) as queue:
            waiting = [asyncio.ensure_future(queue.submit(new_order(world))) for _ in range(6)]
            await asyncio.sleep(0)
        answers = await asyncio.wait_for(outcomes_of(*waiting), timeout=5)
    await blocker.close()
    assert all(isinstance(answer, Overloaded) for answer in answers)


async def test_many_processes_with_shared_keys_acknowledge_each_order_once(
    world: World, database_url: str
) -> None:
    await world.add_shops(12)
    customers = [new_customer() for _ in range(50)]
    pools = [await create_pool(database_url, min_size=0, max_size=4) for _ in range(3)]
    queues = [SubmissionQueue(pool, world.publisher, world.settings) for pool in pools]

    async def submit(n: int) -> Reply:
        customer = customers[n % 50]
        key = f"shared-{n % 50}" if n % 4 == 0 else None
        return await queues[n % 3].submit(new_order(world, customer, key=key))

    for queue in queues:
        await queue.__aenter__()
    replies = await asyncio.wait_for(asyncio.gather(*(submit(n) for n in range(200))), timeout=60)
    for queue in queues:
        await queue.__aexit__()
    acknowledged = [msgspec.json.decode(reply.body)["id"] for reply in replies]
    rows = await world.pool.fetch(
        "SELECT o.id, o.shops_notified, count(d.shop_id) AS dispatches, count(DISTINCT doc.order_id) AS documents"
        " FROM orders o JOIN dispatches d ON d.order_id = o.id JOIN order_documents doc ON doc.order_id = o.id"
        " GROUP BY o.id"
    )
    assert {str(row["id"]) for row in rows} == set(acknowledged)
    assert len(rows) == len({(r.body) for r in replies}) == sum(not reply.replayed for reply in replies)
    assert all((row["shops_notified"], row["dispatches"], row["documents"]) == (10, 10, 1) for row in rows)
    pointers = await world.pool.fetch("SELECT unnest(entity_ids) AS id FROM outbox")
    assert sorted(str(row["id"]) for row in pointers) == sorted(set(acknowledged))
    announced = [
        target.id
        for event in await world.take_events()
        if event.entity == "order"
        for target in event.targets
    ]
    assert sorted(announced) == sorted(f"{order_id}.1" for order_id in set(acknowledged))
    for pool in pools:
        await pool.close()
