"""A customer accepts a quote, on real PostgreSQL: effects, refusals, events."""

from uuid import UUID

import pytest

from matcher.accounts.access import Caller
from matcher.db import Pool
from matcher.errors import NotFound
from matcher.ids import uuid7
from matcher.quotes import errors
from matcher.quotes.quote_schemas import AcceptQuote, DeclineRequest
from matcher.transactions import IdempotentCall
from tests.quotes.factories import (
    CONTACT,
    START,
    SUSPENDED_SHOP,
    Quoting,
    accept,
    body,
    check_invariants,
    dispatch_row,
    insert_order,
    order_row,
    provide,
    taking,
    terms,
)


async def test_acceptance_closes_every_other_offer(clocked_pool: Pool, quoting: Quoting) -> None:
    order = await insert_order(clocked_pool, shops=4)
    winner = await provide(quoting, order, 0)
    loser = await provide(quoting, order, 1)
    await quoting.service.decline(order.shops[2], DeclineRequest(order_id=order.id, reason="no"), None)
    await quoting.events()
    view = await accept(quoting, order, winner)
    assert (view["status"], view["selectedQuoteId"]) == ("accepted", winner["id"])
    assert {q["id"]: q["status"] for q in view["quotes"]} == {
        winner["id"]: "accepted",
        loser["id"]: "rejected",
    }
    row = await order_row(clocked_pool, order)
    assert (row["version"], row["view_version"], row["accepted_at"], row["next_wave_at"]) == (
        5,
        5,
        START,
        None,
    )
    states = [await dispatch_row(clocked_pool, order, shop) for shop in range(4)]
    assert [(s["status"], s["closed_reason"]) for s in states] == [
        ("won", None),
        ("closed", "accepted_elsewhere"),
        ("declined", None),
        ("closed", "accepted_elsewhere"),
    ]
    assert await clocked_pool.fetchval("SELECT contact FROM order_documents") == CONTACT
    await check_invariants(clocked_pool, order.id)
    shops = [f"shop:{shop.shop_id}" for shop in order.shops]
    customer = f"user:{order.customer.user_id}"
    events = sorted((name, sorted(to)) for name, to in await quoting.events())
    assert events == sorted(
        [
            ("dispatch-updated", [shops[0]]),
            ("dispatch-updated", sorted([shops[1], shops[3]])),
            ("order-status-update", [customer]),
            ("quote-accepted", sorted([shops[0], customer])),
            ("quote-rejected", sorted([shops[1], customer])),
        ]
    )


async def test_second_acceptance_names_the_accepted_quote(clocked_pool: Pool, quoting: Quoting) -> None:
    order = await insert_order(clocked_pool)
    first, second = await provide(quoting, order, 0), await provide(quoting, order, 1)
    await accept(quoting, order, first)
    for quote in (first, second):
        with pytest.raises(errors.AlreadyAccepted) as refusal:
            await accept(quoting, order, quote)
        assert refusal.value.problem()["acceptedQuoteId"] == UUID(first["id"])
    with pytest.raises(errors.AlreadyAccepted) as to_shop:
        await quoting.service.update(order.shops[1], UUID(second["id"]), terms(order))
    assert "acceptedQuoteId" not in to_shop.value.problem()


async def test_quote_changed_since_it_was_seen_is_not_accepted(clocked_pool: Pool, quoting: Quoting) -> None:
    order = await insert_order(clocked_pool)
    quote = await provide(quoting, order)
    dearer = body(
        await quoting.service.update(order.shops[0], UUID(quote["id"]), terms(order, unit_price="99.00"))
    )
    with pytest.raises(errors.QuoteChanged) as refusal:
        await accept(quoting, order, quote)
    assert refusal.value.problem()["currentVersion"] == dearer["version"]
    await check_invariants(clocked_pool, order.id)
    assert (await accept(quoting, order, dearer))["status"] == "accepted"


async def test_foreign_orders_and_quotes_are_unknown(clocked_pool: Pool, quoting: Quoting) -> None:
    order, other = await insert_order(clocked_pool), await insert_order(clocked_pool)
    quote, foreign = await provide(quoting, order), await provide(quoting, other)
    service, stranger = quoting.service, Caller(uuid7(), "customer")
    with pytest.raises(NotFound):
        await service.accept(stranger, order.id, taking(quote), None)
    with pytest.raises(NotFound):
        await service.accept(order.customer, uuid7(), taking(quote), None)
    with pytest.raises(NotFound):
        await service.accept(order.customer, order.id, taking(foreign), None)
    unknown = AcceptQuote(quote_id=uuid7(), quote_version=1)
    with pytest.raises(NotFound):
        await service.accept(order.customer, order.id, unknown, None)


async def test_rejected_quote_of_an_order_that_is_open_again_is_closed(
    clocked_pool: Pool, quoting: Quoting
) -> None:
    order = await insert_order(clocked_pool)
    quote = await provide(quoting, order)
    await clocked_pool.execute("UPDATE quotes SET status = 'rejected'")
    with pytest.raises(errors.QuoteRejected):
        await accept(quoting, order, quote)


async def test_accepted_quote_beside_an_open_order_is_a_conflict_and_no_crash(
    clocked_pool: Pool, quoting: Quoting
) -> None:
    order = await insert_order(clocked_pool)
    first, second = await provide(quoting, order, 0), await provide(quoting, order, 1)
    await clocked_pool.execute("UPDATE quotes SET status = 'accepted' WHERE id = $1", UUID(first["id"]))
    with pytest.raises(errors.AlreadyAccepted):
        await accept(quoting, order, second)
    assert (await order_row(clocked_pool, order))["status"] == "quoted"


async def test_repeated_accept_with_its_key_is_replayed(clocked_pool: Pool, quoting: Quoting) -> None:
    order = await insert_order(clocked_pool)
    quote = await provide(quoting, order)
    call = IdempotentCall.of(order.customer.user_id, "POST accept-quote", "key-1", b"payload")
    first = await quoting.service.accept(order.customer, order.id, taking(quote), call)
    again = await quoting.service.accept(order.customer, order.id, taking(quote), call)
    assert (again.status, again.body, again.replayed) == (200, first.body, True)


async def test_refused_accept_with_its_key_is_replayed_as_refused(
    clocked_pool: Pool, quoting: Quoting
) -> None:
    order = await insert_order(clocked_pool)
    quote = await provide(quoting, order)
    stale = AcceptQuote(quote_id=UUID(quote["id"]), quote_version=quote["version"] + 1)
    call = IdempotentCall.of(order.customer.user_id, "POST accept-quote", "key-1", b"payload")
    with pytest.raises(errors.QuoteChanged):
        await quoting.service.accept(order.customer, order.id, stale, call)
    again = await quoting.service.accept(order.customer, order.id, stale, call)
    assert (again.status, again.replayed, body(again)["code"]) == (409, True, "quote_changed")


async def test_quote_of_a_shop_suspended_a_moment_ago_cannot_be_accepted(
    clocked_pool: Pool, quoting: Quoting
) -> None:
    order = await insert_order(clocked_pool)
    quote = await provide(quoting, order)
    await clocked_pool.execute("UPDATE quotes SET shop_id = $1", SUSPENDED_SHOP)
    with pytest.raises(errors.QuoteWithdrawn):
        await accept(quoting, order, quote)
    assert (await order_row(clocked_pool, order))["status"] == "quoted"
