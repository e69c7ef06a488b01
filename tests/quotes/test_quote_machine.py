"""Any sequence of quotes, edits, withdrawals, acceptances and passing time agrees with a simple model."""

import asyncio
from datetime import datetime, timedelta
from typing import Any, ClassVar
from uuid import UUID

import hypothesis
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)

from matcher.db import Pool, create_pool
from matcher.errors import MatcherError
from matcher.quotes.quote_schemas import AcceptQuote, DeclineRequest, SeenRequest
from matcher.quotes.settling import expire_quotes
from tests.quotes.factories import (
    START,
    Clock,
    Order,
    Quoting,
    body,
    check_invariants,
    close_order,
    insert_order,
    make_quoting,
    quote_of,
    terms,
)

SHOPS = 3


class ModelQuote:
    """What the model knows of a quote."""

    def __init__(self, quote_id: UUID, shop: int, version: int, valid_until: datetime | None) -> None:
        self.id = quote_id
        self.shop = shop
        self.version = version
        self.valid_until = valid_until
        self.status = "active"


class Quoted(RuleBasedStateMachine):
    """One order, three shops. The model predicts the outcome of each call and every stored state."""

    runner: ClassVar[asyncio.Runner]
    pool: ClassVar[Pool]
    clock: ClassVar[Clock]
    quoting: ClassVar[Quoting]

    handles = Bundle("handles")

    @initialize()
    def submit(self) -> None:
        self.clock.now = START
        self.order: Order = self.run(insert_order(self.pool, shops=SHOPS))
        self.status, self.version = "submitted", 1
        self.dispatches = ["pending"] * SHOPS
        self.quotes: dict[UUID, ModelQuote] = {}

    # --- the model

    def run(self, work: Any) -> Any:
        return self.runner.run(work)

    def attempt(self, work: Any) -> Any:
        """The reply's JSON, or the code of the refusal."""
        try:
            return body(self.run(work))
        except MatcherError as error:
            return error.code

    def order_refusal(self) -> str | None:
        if self.status in ("accepted", "cancelled"):
            return {"accepted": "already_accepted", "cancelled": "order_cancelled"}[self.status]
        return "order_expired" if self.clock.now >= self.order.expires_at else None

    def quote_refusal(self, quote: ModelQuote) -> str | None:
        if quote.status != "active":
            return "already_accepted" if quote.status == "accepted" else f"quote_{quote.status}"
        return "quote_expired" if self.is_due(quote) else None

    def is_due(self, quote: ModelQuote) -> bool:
        return quote.valid_until is not None and self.clock.now >= quote.valid_until

    def expire_due(self) -> bool:
        due = [quote for quote in self.quotes.values() if quote.status == "active" and self.is_due(quote)]
        for quote in due:
            quote.status, quote.version = "expired", self.version + 1
            if self.dispatches[quote.shop] == "quoted":
                self.dispatches[quote.shop] = "seen"
        return bool(due)

    def changed(self) -> None:
        self.version += 1
        if self.status in ("submitted", "quoted"):
            active = any(quote.status == "active" for quote in self.quotes.values())
            self.status = "quoted" if active else "submitted"

    # --- what people do

    @rule(target=handles, shop=st.integers(0, SHOPS - 1), minutes=st.none() | st.integers(1, 90))
    def provide(self, shop: int, minutes: int | None) -> Any:
        until = None if minutes is None else self.clock.now + timedelta(minutes=minutes)
        refusal = self.order_refusal()
        if refusal is None and any(
            quote.shop == shop and quote.status == "active" and not self.is_due(quote)
            for quote in self.quotes.values()
        ):
            refusal = "quote_exists"
        found = self.attempt(
            self.quoting.service.provide(
                self.order.shops[shop], quote_of(self.order, valid_until=until), None
            )
        )
        if refusal:
            assert found == refusal
            return multiple()
        self.expire_due()
        assert found["version"] == self.version + 1
        if self.dispatches[shop] == "declined":  # its client dropped them: they are said again
            for quote in self.quotes.values():
                if quote.shop == shop:
                    quote.version = self.version + 1
        quote = ModelQuote(UUID(found["id"]), shop, found["version"], until)
        self.quotes[quote.id] = quote
        self.dispatches[shop] = "quoted"
        self.changed()
        return quote.id

    @rule(handle=handles, price=st.sampled_from(["1.00", "45.00"]), stale=st.booleans())
    def edit(self, handle: UUID, price: str, stale: bool) -> None:
        quote = self.quotes[handle]
        refusal = self.order_refusal() or self.quote_refusal(quote) or ("version_conflict" if stale else None)
        found = self.attempt(
            self.quoting.service.update(
                self.order.shops[quote.shop],
                quote.id,
                terms(self.order, unit_price=price),
                quote.version - 1 if stale else quote.version,
            )
        )
        if refusal:
            assert found == refusal
            return
        quote.version, quote.valid_until = self.version + 1, None
        assert (found["version"], found["lines"][0]["unitPrice"]) == (quote.version, price)
        self.changed()

    @rule(handle=handles)
    def withdraw(self, handle: UUID) -> None:
        quote = self.quotes[handle]
        refusal = self.order_refusal() or self.quote_refusal(quote)
        found = self.attempt(self.quoting.service.withdraw(self.order.shops[quote.shop], quote.id))
        if refusal:
            assert found == refusal
            return
        quote.status, quote.version = "withdrawn", self.version + 1
        self.dispatches[quote.shop] = "seen"
        self.changed()

    @rule(shop=st.integers(0, SHOPS - 1))
    def decline(self, shop: int) -> None:
        live = any(
            quote.shop == shop and quote.status == "active" and not self.is_due(quote)
            for quote in self.quotes.values()
        )
        refusal = self.order_refusal() or ("quote_exists" if live else None)
        request = DeclineRequest(order_id=self.order.id, reason="no")
        found = self.attempt(self.quoting.service.decline(self.order.shops[shop], request, None))
        if refusal:
            assert found == refusal
        elif self.dispatches[shop] != "declined":
            self.expire_due()
            self.dispatches[shop] = "declined"
            self.changed()

    @rule(shop=st.integers(0, SHOPS - 1))
    def look(self, shop: int) -> None:
        found = self.attempt(
            self.quoting.service.mark_seen(self.order.shops[shop], SeenRequest(order_id=self.order.id))
        )
        if self.dispatches[shop] == "pending":
            self.dispatches[shop] = "seen"
            self.changed()
        assert found["status"] == self.dispatches[shop]

    @rule(handle=handles, versions_behind=st.sampled_from([0, 0, 0, 1]))
    def accept(self, handle: UUID, versions_behind: int) -> None:
        quote = self.quotes[handle]
        refusal = (
            self.order_refusal()
            or self.quote_refusal(quote)
            or ("quote_changed" if versions_behind else None)
        )
        data = AcceptQuote(quote_id=quote.id, quote_version=quote.version - versions_behind)
        found = self.attempt(self.quoting.service.accept(self.order.customer, self.order.id, data, None))
        if refusal:
            assert found == refusal
            return
        assert (found["status"], found["selectedQuoteId"]) == ("accepted", str(quote.id))
        for other in self.quotes.values():
            if other.status == "active":
                other.status, other.version = "rejected", self.version + 1
        quote.status, quote.version = "accepted", self.version + 1
        self.dispatches = [status if status == "declined" else "closed" for status in self.dispatches]
        self.dispatches[quote.shop] = "won"
        self.status = "accepted"
        self.changed()

    @rule(handle=consumes(handles))
    @precondition(lambda self: self.order_refusal() is None)
    def cancel(self, handle: UUID) -> None:
        # Rare (it uses up a quote's handle): an order that is over has little left to go wrong.
        assert self.run(close_order(self.pool, self.order.id, "cancelled"))
        for quote in self.quotes.values():
            if quote.status == "active":
                quote.status, quote.version = "expired", self.version + 1
        self.dispatches = [status if status == "declined" else "closed" for status in self.dispatches]
        self.status = "cancelled"
        self.changed()

    @rule()
    def sweep(self) -> None:
        self.run(expire_quotes(self.quoting.transactions, 10))
        if self.expire_due():
            self.changed()

    @rule(seconds=st.integers(1, 1_800))
    def wait(self, seconds: int) -> None:
        self.clock.now += timedelta(seconds=seconds)

    @rule(handle=handles)
    def wait_for_the_end_of_a_quote(self, handle: UUID) -> None:
        until = self.quotes[handle].valid_until
        if until and until > self.clock.now:
            self.clock.now = until

    # --- agreement

    @invariant()
    def stored_states_are_the_model_s(self) -> None:
        self.run(self.compare())

    async def compare(self) -> None:
        order = await self.pool.fetchrow("SELECT status, version FROM orders WHERE id = $1", self.order.id)
        quotes = await self.pool.fetch(
            "SELECT id, status, version FROM quotes WHERE order_id = $1", self.order.id
        )
        dispatches = await self.pool.fetch(
            "SELECT status FROM dispatches WHERE order_id = $1 ORDER BY rank", self.order.id
        )
        assert order is not None
        assert (order["status"], order["version"]) == (self.status, self.version)
        assert {row["id"]: (row["status"], row["version"]) for row in quotes} == {
            quote.id: (quote.status, quote.version) for quote in self.quotes.values()
        }
        assert [row["status"] for row in dispatches] == self.dispatches
        await check_invariants(self.pool, self.order.id)


@pytest.mark.timeout(900)  # the full form runs for minutes when the machine is busy
def test_any_sequence_agrees_with_the_model(database_url: str, clean_database: None, full: bool) -> None:
    clock = Clock()
    with asyncio.Runner() as runner:
        pool = runner.run(create_pool(database_url, min_size=1, max_size=2, setup=clock.setup))
        Quoted.runner, Quoted.pool, Quoted.clock, Quoted.quoting = runner, pool, clock, make_quoting(pool)
        run_state_machine_as_test(
            Quoted,
            settings=hypothesis.settings(
                max_examples=200 if full else 40, stateful_step_count=40 if full else 25, deadline=None
            ),
        )
        runner.run(pool.close())
