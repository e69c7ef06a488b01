"""`matcher chaos races`: several sessions of a customer accept at once, over two API processes, while a shop edits or
withdraws, the customer cancels, or the order's end passes.

Owns: racing. What the answers must add up to is `race_report`'s, what everyone was told `laws`'.
"""

import asyncio
import random
import time
from collections.abc import Coroutine
from datetime import datetime
from typing import Any

from rich.console import Console

from matcher.chaos.crowd import Crowd
from matcher.chaos.doors import Doors
from matcher.chaos.fleet import Fleet
from matcher.chaos.ground import Ground
from matcher.chaos.load import Assembly, Cast, draw_order
from matcher.chaos.people import Customer, Shop
from matcher.chaos.proof import come_to_rest, prove
from matcher.chaos.race_report import Meanwhile, Outcome, RaceReport, RaceSum, Try
from matcher.chaos.run import API_PROCESSES, service_command
from matcher.chaos.watch import Watch
from matcher.db import create_pool
from matcher.demo.draws import generator, quote_body
from matcher.demo.journal import Journal, PlacedOrder

ORDER_OPEN_S = 8
_SESSIONS = 4  # acceptances of one order, in turn on each shop's quote
_SHOPS = 2
_CUSTOMERS = 16
_AT_ONCE = 16
# People of their own for so many acceptances: snapshots and models stay small.
_ROUND = 2_000
_SPREAD_S = 0.004  # the racers start within so long: about what one acceptance takes
_EDGE_S = 0.015  # a race against the order's end begins at most so long before it
_MEANWHILE: tuple[Meanwhile, ...] = ("nothing", "edit", "withdraw", "cancel", "expire")
_WEIGHTS = (30, 25, 20, 15, 10)


class Passive(Shop):
    """A shop that does only what a race asks of it."""

    def take(self, entity: str, data: dict[str, Any]) -> None:
        """Listen."""


async def run(count: int, seed: int, ground: Ground, console: Console) -> RaceReport:
    """Race until about `count` acceptances were sent. Raises MatcherError, OSError."""
    started_s = time.monotonic()
    total = RaceSum()
    with Fleet(service_command(), ground.environment, ground.folder) as fleet:
        doors = Doors(generator(seed, "doors"))
        for _ in range(API_PROCESSES):
            doors.origins.append(fleet.start_api().origin)
        fleet.start_worker()
        await asyncio.gather(*(fleet.wait_ready(process) for process in fleet.apis))
        for town, first in enumerate(range(0, count, _ROUND)):
            size = min(_ROUND, count - first)
            await _race_in_town(town, -(-size // _SESSIONS), seed, doors, ground, total)
            elapsed_s = time.monotonic() - started_s
            console.print(f"{elapsed_s:5.0f} s  {first + size:,} acceptances raced", style="dim")
    return total.report(time.monotonic() - started_s)


async def _race_in_town(
    town: int, races: int, seed: int, doors: Doors, ground: Ground, total: RaceSum
) -> None:
    journal, watch = Journal(), Watch()
    async with (
        await create_pool(ground.database_url, min_size=0, max_size=2) as pool,
        asyncio.TaskGroup() as group,
    ):
        crowd = Crowd(journal, watch, group)
        assembly = Assembly(crowd, doors, ground.settings, town=town, seed=seed)
        cast = await assembly.gather(shops=_SHOPS, customers=_CUSTOMERS, keeper=Passive)
        listening = [group.create_task(person.socket.run()) for person in cast.people]
        await cast.wait_connected()
        gate = asyncio.Semaphore(_AT_ONCE)
        rngs = [generator(seed, "race", town, number) for number in range(races)]
        races_run = [Race(crowd, cast, rng) for rng in rngs]
        tasks = [group.create_task(race.run(assembly, number, gate)) for number, race in enumerate(races_run)]
        total.add_outcomes([outcome for task in tasks if (outcome := await task) is not None])
        left = await come_to_rest(crowd, cast.people, pool, ORDER_OPEN_S)
        total.add_round(await prove(crowd, watch, cast.people, pool, left), journal.counts)
        for listener in listening:
            listener.cancel()
        await asyncio.gather(*listening, return_exceptions=True)
        await cast.close()


class Race:
    """One order, quoted by every shop, for which sessions race."""

    def __init__(self, crowd: Crowd, cast: Cast, rng: random.Random) -> None:
        self._crowd = crowd
        self._cast = cast
        self._rng = rng
        self._meanwhile = rng.choices(_MEANWHILE, _WEIGHTS)[0]

    async def run(self, assembly: Assembly, number: int, gate: asyncio.Semaphore) -> Outcome | None:
        """Order, have it quoted, and race; None when the order itself was refused."""
        plan = draw_order(self._rng, assembly.place, number, len(self._cast.customers))
        customer = self._cast.customers[plan.customer]
        async with gate:
            sent_at_s = time.perf_counter()
            call = customer.api.post("/auto-parts-orders", plan.body, customer.account)
            body = await self._crowd.attempt(call)
            if body is None:
                return None
            order = PlacedOrder(plan, body, customer.model, sent_at_s)
            self._crowd.journal.record_order(order, time.perf_counter())
            quotes = [await self._quote(shop, body) for shop in self._cast.shops]
            if self._meanwhile != "expire":
                return await self._race(customer, order, quotes)
        ends_at_s = datetime.fromisoformat(body["expiresAt"]).timestamp()
        await asyncio.sleep(ends_at_s - self._rng.uniform(0.0, _EDGE_S) - time.time())
        return await self._race(customer, order, quotes)

    async def _quote(self, shop: Shop, order: dict[str, Any]) -> dict[str, Any]:
        body = quote_body(self._rng, shop.habits, _as_dispatch(order))
        quote: dict[str, Any] = await shop.api.post("/shop-quotes/provide-quote", body, shop.account)
        self._crowd.journal.record_quote(quote)
        return quote

    async def _race(self, customer: Customer, order: PlacedOrder, quotes: list[dict[str, Any]]) -> Outcome:
        sessions = [
            self._accept(customer, order.body["id"], quotes[number % len(quotes)])
            for number in range(_SESSIONS)
        ]
        disturbed, tries = await asyncio.gather(
            self._disturb(customer, order.body, quotes[0]), asyncio.gather(*sessions)
        )
        outcome = Outcome(meanwhile=self._meanwhile, tries=tries, disturbed=disturbed)
        # A customer may cancel what it has just accepted: then nobody has won in the end.
        if outcome.winners and not (self._meanwhile == "cancel" and disturbed):
            order.accepted = outcome.winners[0].quote
        return outcome

    async def _accept(self, customer: Customer, order_id: str, quote: dict[str, Any]) -> Try:
        choice = {"quoteId": quote["id"], "quoteVersion": quote["version"]}
        await asyncio.sleep(self._rng.uniform(0.0, _SPREAD_S))
        sent_at_s = time.perf_counter()
        path = f"/auto-parts-orders/{order_id}/accept-quote"
        answer = await self._crowd.attempt(customer.api.post(path, choice, customer.account))
        return Try(quote, answer is not None, sent_at_s, time.perf_counter())

    async def _disturb(self, customer: Customer, order: dict[str, Any], quote: dict[str, Any]) -> bool:
        """Whether it succeeded."""
        shop = self._cast.shops[0]
        await asyncio.sleep(self._rng.uniform(0.0, _SPREAD_S))
        if self._meanwhile == "edit":
            return await self._edit(shop, order, quote)
        if self._meanwhile == "withdraw":
            return await self._succeeds(shop.api.delete(f"/shop-quotes/{quote['id']}", shop.account))
        if self._meanwhile == "cancel":
            path = f"/auto-parts-orders/{order['id']}/cancel"
            return await self._succeeds(customer.api.post(path, {"reason": "Found"}, customer.account))
        return False

    async def _edit(self, shop: Shop, order: dict[str, Any], quote: dict[str, Any]) -> bool:
        terms = quote_body(self._rng, shop.habits, _as_dispatch(order), cheaper=1.5)
        del terms["orderId"]
        edited = await self._crowd.attempt(shop.api.put(f"/shop-quotes/{quote['id']}", terms, shop.account))
        if edited is not None:
            self._crowd.journal.record_quote(edited)
        return edited is not None

    async def _succeeds(self, call: Coroutine[Any, Any, Any]) -> bool:
        async def done() -> bool:
            await call  # its answer may well be empty
            return True

        return await self._crowd.attempt(done()) is True


def _as_dispatch(order: dict[str, Any]) -> dict[str, Any]:
    return order | {"orderId": order["id"], "distanceM": 1_000}
