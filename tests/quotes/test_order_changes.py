"""What customers and winning shops do to a submitted order, in every state, and who may not."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from matcher.accounts.access import Caller
from matcher.db import Pool
from matcher.errors import Forbidden, InvalidRequest, MatcherError, NotFound
from matcher.ids import uuid7
from matcher.quotes.errors import (
    ExtensionTooLong,
    OrderCancelled,
    OrderExpired,
    OrderIsDraft,
    OrderNotOpen,
)
from matcher.quotes.order_schemas import StatusUpdate, Tracking
from matcher.quotes.quote_schemas import AcceptQuote, DeclineRequest, QuoteCreate, QuoteLine
from matcher.settings import Settings
from tests.quotes.factories import CONTACT, MICROSECOND, START, Clock, body
from tests.quotes.order_world import ADDRESS, World, new_customer, open_world, staff_of


@pytest.fixture
async def world(clocked_pool: Pool, clock: Clock, settings: Settings) -> AsyncIterator[World]:
    async with open_world(clocked_pool, settings, clock) as world:
        yield world


class Case:
    """An order of a customer, asked of shops that quote."""

    def __init__(self, world: World, customer: Caller, order: dict[str, Any], shops: list[UUID]) -> None:
        self.world, self.customer, self.view = world, customer, order
        self.id = UUID(order["id"])
        self.shops = [staff_of(shop) for shop in shops]

    async def quote(self, shop: int, **changes: Any) -> dict[str, Any]:
        lines = [
            QuoteLine(line_id=UUID(p["lineId"]), available=True, unit_price="9", quantity=p["quantity"])
            for p in self.view["parts"]
        ]
        terms = QuoteCreate(
            order_id=self.id,
            lines=lines,
            delivery_fee="1",
            currency="USD",
            estimated_delivery_minutes=5,
            **changes,
        )
        view: dict[str, Any] = body(await self.world.quotes.provide(self.shops[shop], terms, None))
        return view

    async def accept(self, quote: dict[str, Any]) -> None:
        terms = AcceptQuote(quote_id=UUID(quote["id"]), quote_version=quote["version"])
        await self.world.quotes.accept(self.customer, self.id, terms, None)

    async def cancel(self, caller: Caller | None = None, reason: str | None = "no need") -> dict[str, Any]:
        reply = await self.world.changes.cancel(caller or self.customer, self.id, reason, None)
        view: dict[str, Any] = body(reply)
        return view

    async def progress(
        self, *statuses: Any, shop: int = 0, tracking: Tracking | None = None
    ) -> dict[str, Any]:
        for status in statuses:
            update = StatusUpdate(status=status, tracking=tracking)
            reply = await self.world.changes.set_status(self.shops[shop], self.id, update, None)
        view: dict[str, Any] = body(reply)
        return view

    async def statuses(self) -> tuple[str, dict[int, str], set[str]]:
        """Of the order, of the dispatch of each shop, of the quotes."""
        order = await self.world.order(self.id)
        rows = await self.world.pool.fetch("SELECT * FROM dispatches WHERE order_id = $1", self.id)
        of_shop = {row["shop_id"]: row["closed_reason"] or row["status"] for row in rows}
        quotes = await self.world.pool.fetch("SELECT status FROM quotes WHERE order_id = $1", self.id)
        dispatches = {n: of_shop[shop.shop_id] for n, shop in enumerate(self.shops)}
        return order["status"], dispatches, {row["status"] for row in quotes}


async def submitted(world: World, shops: int = 2) -> Case:
    ids = await world.add_shops(shops)
    customer = new_customer()
    return Case(world, customer, await world.submit(customer), ids)


async def accepted(world: World, shops: int = 2) -> Case:
    """Shop 0 has won, all others have lost with a quote."""
    case = await submitted(world, shops)
    winner = await case.quote(0)
    for shop in range(1, shops):
        await case.quote(shop)
    await case.accept(winner)
    return case


async def test_the_customer_cancels_a_draft(world: World) -> None:
    customer = new_customer()
    case = Case(world, customer, await world.submit(customer, draft=True), [])
    assert (await case.cancel())["status"] == "cancelled"


async def test_the_customer_cancels_an_open_order_and_all_are_told(world: World) -> None:
    case = await submitted(world)
    await case.quote(0)
    await world.take_events()
    view = await case.cancel(reason="sold the car")
    assert (view["status"], view["cancelReason"]) == ("cancelled", "sold the car")
    assert await case.statuses() == ("cancelled", {0: "cancelled", 1: "cancelled"}, {"rejected"})
    told = {(event.name, t.recipient) for event in await world.take_events() for t in event.targets}
    customer = f"user:{case.customer.user_id}"
    shops = [f"shop:{shop.shop_id}" for shop in case.shops]
    assert told == {
        ("order-status-update", customer),
        ("dispatch-updated", shops[0]),
        ("dispatch-updated", shops[1]),
        ("quote-rejected", shops[0]),
        ("quote-rejected", customer),
    }


async def test_the_customer_cancels_an_accepted_order_and_the_winner_forgets_the_address(
    world: World,
) -> None:
    case = await accepted(world)
    won = await world.orders.read(case.shops[0], case.id)
    assert won["deliveryLocation"]["address"] == ADDRESS
    await case.cancel()
    assert (await case.statuses())[:2] == ("cancelled", {0: "cancelled", 1: "accepted_elsewhere"})
    view = await world.orders.read(case.shops[0], case.id)
    assert view["contact"] is None
    assert "address" not in view["deliveryLocation"]


@pytest.mark.parametrize(
    ("progress", "hint"),
    [(["processing"], "ask the shop to cancel"), (["processing", "shipped"], "shipped cannot be cancelled")],
)
async def test_once_it_is_being_prepared_the_customer_cannot_cancel(
    world: World, progress: list[str], hint: str
) -> None:
    case = await accepted(world)
    await case.progress(*progress)
    with pytest.raises(OrderNotOpen, match=hint):
        await case.cancel()


async def test_what_is_over_cannot_be_cancelled(world: World) -> None:
    case = await submitted(world)
    await case.cancel()
    with pytest.raises(OrderCancelled):
        await case.cancel()
    late = await submitted(world)
    world.clock.now += timedelta(hours=2)
    with pytest.raises(OrderExpired):  # though nobody has told so yet
        await late.cancel()
    await world.sweeps.expire_orders()
    with pytest.raises(OrderExpired):
        await late.cancel()
    world.clock.now = START
    done = await accepted(world)
    await done.progress("processing", "shipped", "delivered")
    with pytest.raises(OrderNotOpen):
        await done.cancel()


async def test_the_winner_backs_out_and_the_others_quotes_live_again(world: World) -> None:
    case = await accepted(world, shops=3)
    await world.take_events()
    view = await case.cancel(case.shops[0], "sold out")
    assert (view["status"], view["closedReason"], view["contact"]) == ("closed", "revoked", None)
    status, dispatches, _ = await case.statuses()
    assert (status, dispatches) == ("quoted", {0: "revoked", 1: "quoted", 2: "quoted"})
    order = await world.orders.read(case.customer, case.id)
    assert order["selectedQuoteId"] is None
    assert sorted(quote["status"] for quote in order["quotes"]) == ["active", "active", "withdrawn"]
    document = await world.pool.fetchrow("SELECT contact FROM order_documents WHERE order_id = $1", case.id)
    assert document is not None
    assert document["contact"] is None
    revived = next(quote for quote in order["quotes"] if quote["status"] == "active")
    terms = AcceptQuote(quote_id=revived["id"], quote_version=revived["version"])
    await world.quotes.accept(case.customer, case.id, terms, None)


async def test_a_quote_whose_validity_passed_meanwhile_stays_closed(world: World) -> None:
    case = await submitted(world)
    winner = await case.quote(0)
    await case.quote(1, valid_until=START + timedelta(minutes=30))
    await case.accept(winner)
    world.clock.now = START + timedelta(minutes=30)
    await case.cancel(case.shops[0], "sold out")
    status, dispatches, quotes = await case.statuses()
    assert (status, dispatches, quotes) == ("submitted", {0: "revoked", 1: "seen"}, {"withdrawn", "rejected"})


async def test_a_suspended_shops_quote_does_not_live_again(world: World) -> None:
    case = await submitted(world, shops=3)
    winner = await case.quote(0)
    await case.quote(1)
    await world.pool.execute("UPDATE shops SET status = 'suspended' WHERE id = $1", case.shops[1].shop_id)
    await world.sweeps.revoke_closed_shops()
    await case.accept(
        winner
        | {
            "version": (
                await world.pool.fetchval("SELECT max(version) FROM quotes WHERE id=$1", UUID(winner["id"]))
            )
        }
    )
    await case.cancel(case.shops[0], "sold out")
    status, dispatches, quotes = await case.statuses()
    assert (status, dispatches) == ("submitted", {0: "revoked", 1: "revoked", 2: "pending"})
    assert quotes == {"withdrawn", "rejected"}


async def test_with_its_time_over_an_order_given_back_is_cancelled(world: World) -> None:
    case = await accepted(world)
    world.clock.now = START + timedelta(hours=2)
    await case.cancel(case.shops[0], "sold out")
    assert (await case.statuses())[:2] == ("cancelled", {0: "revoked", 1: "accepted_elsewhere"})


async def test_a_shop_may_back_out_while_preparing_but_not_once_shipped(world: World) -> None:
    case = await accepted(world)
    await case.progress("processing")
    with pytest.raises(InvalidRequest) as refused:
        await case.cancel(case.shops[0], None)
    assert refused.value.errors[0].pointer == "/reason"
    await case.progress("shipped")
    with pytest.raises(OrderNotOpen):
        await case.cancel(case.shops[0], "sold out")


async def test_a_backed_out_order_with_nobody_left_widens_at_once(world: World) -> None:
    case = await accepted(world, shops=1)
    await case.cancel(case.shops[0], "sold out")
    assert (await world.order(case.id))["next_wave_at"] == START


async def test_extending_reaches_exactly_24_hours(world: World) -> None:
    case = await submitted(world)
    reply = await world.changes.extend(case.customer, case.id, 22 * 60, None)
    assert body(reply)["expiresAt"] == "2026-05-05T12:00:00Z"
    with pytest.raises(ExtensionTooLong):
        await world.changes.extend(case.customer, case.id, 1, None)
    dispatch = await world.orders.read(case.shops[0], case.id)
    assert dispatch["expiresAt"] == START + timedelta(hours=24)


async def test_only_open_orders_are_extended_and_the_clock_decides(world: World) -> None:
    case = await submitted(world)
    world.clock.now = START + timedelta(hours=2) - MICROSECOND
    await world.changes.extend(case.customer, case.id, 1, None)
    world.clock.now = START + timedelta(hours=2, minutes=1)
    with pytest.raises(OrderExpired):
        await world.changes.extend(case.customer, case.id, 1, None)
    draft = await world.submit(case.customer, draft=True)
    with pytest.raises(OrderIsDraft):
        await world.changes.extend(case.customer, UUID(draft["id"]), 1, None)


async def test_the_winner_reports_progress_to_the_end(world: World) -> None:
    case = await accepted(world)
    view = await case.progress("processing")
    assert view["orderStatus"] == "processing"
    await case.progress("shipped", tracking=Tracking(carrier="Bike", number="7"))
    await case.progress("shipped", tracking=Tracking(note="at the bridge"))
    await case.progress("delivered")
    order = await world.orders.read(case.customer, case.id)
    assert (order["status"], order["paymentStatus"]) == ("delivered", "paid")
    assert order["tracking"]["note"] == "at the bridge"
    assert (await world.order(case.id))["closed_at"] == START


@pytest.mark.parametrize(
    ("before", "wanted"),
    [
        ([], "shipped"),
        ([], "delivered"),
        (["processing"], "delivered"),
        (["processing", "shipped"], "processing"),
    ],
)
async def test_progress_goes_step_by_step(world: World, before: list[str], wanted: str) -> None:
    case = await accepted(world)
    if before:
        await case.progress(*before)
    with pytest.raises(OrderNotOpen):
        await case.progress(wanted)


async def test_strangers_and_losers_find_nothing(world: World) -> None:
    case = await accepted(world)
    attempts = [
        case.cancel(new_customer()),
        case.cancel(case.shops[1]),
        case.cancel(staff_of(uuid7())),
        case.progress("processing", shop=1),
        world.changes.extend(new_customer(), case.id, 5, None),
        world.changes.cancel(case.customer, uuid7(), None, None),
        world.changes.set_status(case.shops[0], uuid7(), StatusUpdate(status="processing"), None),
    ]
    for attempt in attempts:
        with pytest.raises(NotFound):
            await attempt


@pytest.mark.parametrize("role", ["stock_clerk", "accountant"])
async def test_staff_that_does_not_quote_cannot_move_the_order(world: World, role: str) -> None:
    case = await accepted(world)
    clerk = staff_of(case.shops[0].shop_id or uuid7(), role)
    with pytest.raises(Forbidden):
        await case.cancel(clerk, "sold out")
    with pytest.raises(Forbidden):
        await world.changes.set_status(clerk, case.id, StatusUpdate(status="processing"), None)


async def test_a_shop_that_quotes_again_after_declining_hears_its_earlier_quotes_again(world: World) -> None:
    case = await submitted(world)
    first = await case.quote(0)
    await world.quotes.withdraw(case.shops[0], UUID(first["id"]))
    await world.quotes.decline(case.shops[0], DeclineRequest(order_id=case.id, reason="no stock"), None)
    await world.take_events()
    second = await case.quote(0)
    said = {t.id for event in await world.take_events() for t in event.targets if event.entity == "quote"}
    assert said == {f"{first['id']}.{second['version']}", f"{second['id']}.{second['version']}"}


async def test_a_refused_change_leaves_nothing_behind(world: World) -> None:
    case = await accepted(world)
    before = await world.order(case.id)
    await world.take_events()
    for attempt in (case.cancel(case.shops[1]), case.progress("delivered")):
        with pytest.raises(MatcherError):
            await attempt
    assert await world.order(case.id) == before
    assert not await world.take_events()
    assert CONTACT["name"] in str(await world.orders.read(case.shops[0], case.id))
