"""Many connections at once: exactly one acceptance or none, never at a price that was not seen."""

import asyncio
import random
from collections.abc import Awaitable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from matcher.db import Pool, create_pool
from matcher.errors import MatcherError
from matcher.quotes import errors
from matcher.quotes.quote_schemas import AcceptQuote, DeclineRequest, SeenRequest
from matcher.transactions import IdempotentCall, Reply
from tests.quotes.factories import (
    MICROSECOND,
    START,
    Clock,
    Quoting,
    body,
    check_invariants,
    close_order,
    insert_order,
    make_quoting,
    quote_of,
    terms,
)

# What a customer or a shop may be told about a lost race; anything else is a defect.
LOST = (
    errors.AlreadyAccepted,
    errors.OrderCancelled,
    errors.OrderExpired,
    errors.QuoteChanged,
    errors.QuoteExists,
    errors.QuoteExpired,
    errors.QuoteRejected,
    errors.QuoteWithdrawn,
)


async def outcome(change: Awaitable[Reply]) -> Any:
    """The reply's JSON, or the conflict."""
    try:
        return body(await change)
    except LOST as error:
        return error


def successes(outcomes: list[Any]) -> list[dict[str, Any]]:
    return [done for done in outcomes if not isinstance(done, MatcherError)]


@pytest.mark.parametrize("late", [False, True], ids=["in time", "at the end"])
async def test_one_acceptance_or_none_while_everything_changes(
    clocked_pool: Pool, quoting: Quoting, clock: Clock, database_url: str, late: bool, full: bool
) -> None:
    late_clock = Clock()
    late_pool = await create_pool(database_url, min_size=0, max_size=6, setup=late_clock.setup)
    over = make_quoting(late_pool)
    accepted_runs = 0
    for seed in range(200 if full else 25):
        chance = random.Random(seed)
        clock.now = START
        order = await insert_order(clocked_pool, shops=4)
        service = quoting.service
        # What the customer has seen: (quote, version) -> total.
        seen: dict[tuple[str, int], str] = {}
        for shop in order.shops[:3]:
            quote = body(await service.provide(shop, quote_of(order), None))
            seen[quote["id"], quote["version"]] = quote["totalPrice"]
        before = await clocked_pool.fetchval("SELECT version FROM orders WHERE id = $1", order.id)
        clock.now, late_clock.now = order.expires_at - MICROSECOND, order.expires_at

        takers = [service, over.service] if late else [service]
        accepts = [
            chance.choice(takers).accept(
                order.customer, order.id, AcceptQuote(quote_id=UUID(quote_id), quote_version=version), None
            )
            for quote_id, version in seen
            for _ in range(2)
        ]
        quote_ids = [UUID(quote_id) for quote_id, _ in seen]
        others = [
            service.update(order.shops[0], quote_ids[0], terms(order, unit_price="0.01")),
            service.update(order.shops[0], quote_ids[0], terms(order, unit_price="999.00")),
            service.withdraw(order.shops[1], quote_ids[1]),
            service.provide(order.shops[3], quote_of(order), None),
        ]
        changes = [(True, accept) for accept in accepts] + [(False, other) for other in others]
        chance.shuffle(changes)
        ends = [close_order(late_pool, order.id, "expired")] if late else []
        if chance.random() < 0.3:
            ends.append(close_order(clocked_pool, order.id, "cancelled"))
        *outcomes, ended = await asyncio.gather(
            *(outcome(change) for _, change in changes), asyncio.gather(*ends)
        )

        done = [result for (is_accept, _), result in zip(changes, outcomes, strict=True) if is_accept]
        winners = successes(done)
        assert len(winners) <= 1
        row = await clocked_pool.fetchrow("SELECT * FROM orders WHERE id = $1", order.id)
        assert row is not None
        assert row["version"] == before + len(successes(outcomes)) + sum(ended)
        await check_invariants(clocked_pool, order.id)
        assert (row["status"] == "accepted") == bool(winners)
        for view in winners:
            accepted_runs += 1
            [taken] = [quote for quote in view["quotes"] if quote["status"] == "accepted"]
            versions = {version for quote_id, version in seen if quote_id == taken["id"]}
            assert {seen[taken["id"], version] for version in versions} == {taken["totalPrice"]}
    await late_pool.close()
    assert accepted_runs > 0


async def test_two_quotes_of_one_shop_at_once_leave_one(clocked_pool: Pool, quoting: Quoting) -> None:
    order = await insert_order(clocked_pool)
    outcomes = await asyncio.gather(
        *(outcome(quoting.service.provide(order.shops[0], quote_of(order), None)) for _ in range(8))
    )
    assert len(successes(outcomes)) == 1
    assert {type(lost) for lost in outcomes if isinstance(lost, MatcherError)} == {errors.QuoteExists}
    assert await clocked_pool.fetchval("SELECT version FROM orders WHERE id = $1", order.id) == 2
    await check_invariants(clocked_pool, order.id)


async def test_quotes_meet_the_end_of_their_order(
    clocked_pool: Pool, quoting: Quoting, clock: Clock, full: bool
) -> None:
    clock.now = START + timedelta(hours=2) - MICROSECOND
    for _ in range(100 if full else 15):
        order = await insert_order(clocked_pool, shops=4)
        *outcomes, _ = await asyncio.gather(
            *(outcome(quoting.service.provide(shop, quote_of(order), None)) for shop in order.shops),
            close_order(clocked_pool, order.id, "expired"),
        )
        assert all(
            isinstance(lost, errors.OrderExpired) for lost in outcomes if isinstance(lost, MatcherError)
        )
        statuses = await clocked_pool.fetch("SELECT status FROM quotes WHERE order_id = $1", order.id)
        assert [row["status"] for row in statuses] == ["expired"] * len(successes(outcomes))
        await check_invariants(clocked_pool, order.id)


async def test_same_key_at_once_accepts_once_and_answers_all_alike(
    clocked_pool: Pool, quoting: Quoting
) -> None:
    order = await insert_order(clocked_pool)
    quote = body(await quoting.service.provide(order.shops[0], quote_of(order), None))
    data = AcceptQuote(quote_id=UUID(quote["id"]), quote_version=quote["version"])
    call = IdempotentCall.of(order.customer.user_id, "POST accept-quote", "key-1", b"payload")
    replies = await asyncio.gather(
        *(quoting.service.accept(order.customer, order.id, data, call) for _ in range(6))
    )
    assert {reply.body for reply in replies} == {replies[0].body}
    assert [reply.status for reply in replies] == [200] * 6
    assert sum(not reply.replayed for reply in replies) == 1


async def test_many_looks_and_answers_at_once_raise_the_version_once_each(
    clocked_pool: Pool, quoting: Quoting
) -> None:
    order = await insert_order(clocked_pool, shops=6)
    decline = DeclineRequest(order_id=order.id, reason="no")
    await asyncio.gather(
        *(quoting.service.mark_seen(shop, SeenRequest(order_id=order.id)) for shop in order.shops * 2),
        *(quoting.service.decline(shop, decline, None) for shop in order.shops[:3] * 2),
    )
    changes = await clocked_pool.fetchval(
        "SELECT count(*) FILTER (WHERE seen_at IS NOT NULL) + count(responded_at) FROM dispatches"
    )
    # A shop that declined first was not pending any more when it looked.
    version = await clocked_pool.fetchval("SELECT version FROM orders WHERE id = $1", order.id)
    versions = [row["version"] for row in await clocked_pool.fetch("SELECT version FROM dispatches")]
    assert 1 + 3 + 3 <= version <= 1 + changes
    assert len(set(versions)) == 6
    await check_invariants(clocked_pool, order.id)
