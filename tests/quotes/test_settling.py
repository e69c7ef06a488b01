"""Quotes run out at their time, and the order follows."""

from datetime import timedelta

import pytest

from matcher.db import Pool
from matcher.quotes import errors
from matcher.quotes.settling import expire_quotes
from tests.quotes.factories import (
    MICROSECOND,
    START,
    Clock,
    Quoting,
    accept,
    check_invariants,
    insert_order,
    names,
    order_row,
    provide,
)


async def test_quotes_run_out_at_their_microsecond(
    clocked_pool: Pool, quoting: Quoting, clock: Clock
) -> None:
    order, until = await insert_order(clocked_pool), START + timedelta(minutes=5)
    short = await provide(quoting, order, 0, valid_until=until)
    await provide(quoting, order, 1)
    await quoting.events()
    clock.now = until - MICROSECOND
    assert await expire_quotes(quoting.transactions, 100) == 0
    clock.now = until
    assert await expire_quotes(quoting.transactions, 100) == 1
    assert names(await quoting.events()) == ["dispatch-updated", "quote-expired"]
    assert await expire_quotes(quoting.transactions, 100) == 0
    with pytest.raises(errors.QuoteExpired):
        await accept(quoting, order, short)
    assert (await order_row(clocked_pool, order))["status"] == "quoted"
    await check_invariants(clocked_pool, order.id)


async def test_order_is_submitted_again_when_its_last_quote_ran_out(
    clocked_pool: Pool, quoting: Quoting, clock: Clock
) -> None:
    until = START + timedelta(minutes=5)
    orders = [await insert_order(clocked_pool) for _ in range(3)]
    for order in orders:
        await provide(quoting, order, valid_until=until)
    clock.now = until
    assert [await expire_quotes(quoting.transactions, 2) for _ in range(3)] == [2, 1, 0]
    for order in orders:
        assert (await order_row(clocked_pool, order))["status"] == "submitted"
        await check_invariants(clocked_pool, order.id)
