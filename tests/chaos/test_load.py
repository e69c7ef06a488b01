"""Orders that are drawn: valid, different, repeatable; and a rate that does not depend on answers."""

import asyncio
from collections import Counter
from types import SimpleNamespace
from typing import Any, cast

from matcher.chaos.load import MAKE, Cast, draw_order, post_orders
from matcher.demo.draws import OrderPlan, generator
from matcher.geo.types import Place

PLACE = Place(latitude=40.0, longitude=-73.0)


def test_the_same_seed_draws_the_same_orders_and_each_kind_of_ending_comes() -> None:
    first, again = (
        [draw_order(rng, PLACE, number, 16) for number in range(300)]
        for rng in (generator(1, "orders"), generator(1, "orders"))
    )
    assert first == again
    assert Counter(plan.ending for plan in first).keys() == {"accept", "cancel", "forget"}
    assert {plan.customer for plan in first} == set(range(16))
    assert {plan.body["vehicle"]["make"] for plan in first} == {MAKE}
    addresses = {plan.body["deliveryLocation"]["address"] for plan in first}
    assert len(addresses) == 300  # so that a second one made by a retry would be recognised


async def test_orders_come_at_their_rate_though_none_is_answered() -> None:
    placed: list[OrderPlan] = []
    enough = asyncio.Event()

    class Silent:
        async def place(self, plan: OrderPlan) -> None:
            placed.append(plan)
            if len(placed) == 5:
                enough.set()
            await asyncio.Event().wait()

    async with asyncio.TaskGroup() as group:
        tasks: list[asyncio.Task[Any]] = []
        crowd = cast("Any", SimpleNamespace(spawn=lambda work: tasks.append(group.create_task(work))))
        people = Cast(shops=[], customers=[cast("Any", Silent())])
        posting = group.create_task(post_orders(crowd, people, PLACE, generator(1, "o"), 200.0))
        await asyncio.wait_for(enough.wait(), 10)
        posting.cancel()
        await asyncio.gather(posting, return_exceptions=True)
        for task in tasks:
            task.cancel()
    assert len(placed) >= 5
