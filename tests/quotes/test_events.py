"""The proof of the domain: whatever happens in whatever order, old snapshot + events = fresh snapshot.

A client here knows views only: per entity the highest version counts, entities leave by the contract's rules.
"""

import asyncio
import contextlib
import dataclasses
import random
from collections import defaultdict
from datetime import timedelta
from typing import Any
from uuid import UUID

import hypothesis
import msgspec
import pytest
from hypothesis import strategies as st

from matcher.db import Pool, create_pool
from matcher.errors import MatcherError
from matcher.events import Event, shop_recipient, user_recipient
from matcher.quotes import events
from matcher.quotes.order_schemas import OrderUpdate, StatusUpdate
from matcher.quotes.quote_schemas import (
    AcceptQuote,
    DeclineRequest,
    QuoteCreate,
    QuoteLine,
    QuoteUpdate,
    SeenRequest,
)
from matcher.quotes.settling import expire_quotes
from matcher.serialization import encode
from matcher.settings import Settings
from matcher.transactions import sweep
from tests.quotes.factories import CONTACT, START, Clock
from tests.quotes.order_world import (
    ADDRESS,
    HOME,
    RENDERERS,
    World,
    insert_shop,
    new_customer,
    new_order,
    open_world,
    order_body,
    staff_of,
)

Views = dict[tuple[str, str], dict[str, Any]]
SECTIONS = {"orders": "order", "dispatches": "dispatch", "quotes": "quote"}
FINAL = {"delivered", "expired", "cancelled"}
SHOPS, CUSTOMERS = 5, 2


class Step(msgspec.Struct, frozen=True):
    """One thing that somebody does; `who`, `which` and `much` are read by each action in its way."""

    action: str
    who: int
    which: int
    much: int


ACTIONS = (
    *(
        "create",
        "draft",
        "edit_draft",
        "submit",
        "cancel",
        "extend",
        "accept",
        "accept",
        "back_out",
        "progress",
    ),
    *(
        "quote",
        "quote",
        "quote",
        "edit_quote",
        "withdraw",
        "decline",
        "decline",
        "look",
        "suspend",
        "reactivate",
    ),
    *("pass_time", "expire", "expire_quotes", "widen", "widen", "revoke", "old_drafts"),
)
STEPS = st.lists(
    st.builds(Step, st.sampled_from(ACTIONS), st.integers(0, 9), st.integers(0, 9), st.integers(1, 70)),
    min_size=12,
    max_size=40,
)


class Story:
    """A world in which people act at random; refusals are part of life."""

    def __init__(self, world: World, shops: list[UUID]) -> None:
        self.world = world
        self.shops = [staff_of(shop_id) for shop_id in shops]
        self.customers = [new_customer() for _ in range(CUSTOMERS)]
        self.recipients = {shop_recipient(shop_id): shop_id for shop_id in shops} | {
            user_recipient(c.user_id): c.user_id for c in self.customers
        }
        self.told: dict[str, list[list[tuple[str, dict[str, Any]]]]] = defaultdict(list)  # of each step
        self.snapshots: dict[str, list[Views]] = defaultdict(list)
        self.seen: dict[tuple[str, str, str, int], dict[str, Any]] = {}

    async def play(self, steps: list[Step]) -> None:
        await self.observe()
        await self.create(Step("create", 0, 0, 1))
        for step in steps:
            with contextlib.suppress(MatcherError):
                await getattr(self, step.action)(step)
            await self.observe()

    # --- what a recipient gets

    async def observe(self) -> None:
        told = await self.world.take_events()
        for recipient, identity in self.recipients.items():
            frames = [frame for event in told for frame in frames_for(event, recipient)]
            self.told[recipient].append(frames)
            read = events.shop_snapshot if recipient.startswith("shop:") else events.customer_snapshot
            async with self.world.pool.acquire() as connection:
                snapshot = msgspec.json.decode(encode(await read(connection, identity)))
            views = {(SECTIONS[name], view["id"]): view for name, part in snapshot.items() for view in part}
            self.check_versions(recipient, views, frames)
            self.snapshots[recipient].append(views)

    def check_versions(self, recipient: str, views: Views, frames: list[tuple[str, dict[str, Any]]]) -> None:
        """Versions only rise, and one version is one view."""
        if self.snapshots[recipient]:
            before = self.snapshots[recipient][-1]
            assert all(
                views[key]["version"] >= view["version"] for key, view in before.items() if key in views
            )
        for entity, view in [*frames, *((key[0], view) for key, view in views.items())]:
            known = self.seen.setdefault((recipient, entity, view["id"], view["version"]), view)
            assert known == view, f"two views of {entity} {view['id']} at version {view['version']}"
            if recipient.startswith("shop:") and entity == "dispatch" and view["status"] != "won":
                assert_private(view)

    def check(self, chance: random.Random) -> None:
        """From every snapshot on, all events in any order, some twice, lead to the last snapshot."""
        for recipient, snapshots in self.snapshots.items():
            told = self.told[recipient]
            for start, snapshot in enumerate(snapshots):
                later = [((entity, view["id"]), view) for step in told[start + 1 :] for entity, view in step]
                delivered = later + chance.sample(later, len(later) // 2)
                chance.shuffle(delivered)
                held: Views = {}
                for key, view in [*snapshot.items(), *delivered]:
                    if key not in held or held[key]["version"] < view["version"]:
                        held[key] = view
                assert shown(recipient, held) == snapshots[-1], f"{recipient} from step {start}"

    # --- what people do

    async def create(self, step: Step, *, draft: bool = False) -> None:
        customer = self.customers[step.who % CUSTOMERS]
        await self.world.orders.create(customer, order_body(draft=draft), None)

    async def draft(self, step: Step) -> None:
        await self.create(step, draft=True)

    async def edit_draft(self, step: Step) -> None:
        order = await self.pick(step)
        await self.world.orders.update(self.owner(order), order["id"], OrderUpdate(urgency="high"), None)

    async def submit(self, step: Step) -> None:
        order = await self.pick(step)
        await self.world.orders.submit(self.owner(order), order["id"], None)

    async def cancel(self, step: Step) -> None:
        order = await self.pick(step)
        await self.world.changes.cancel(self.owner(order), order["id"], "changed my mind", None)

    async def extend(self, step: Step) -> None:
        order = await self.pick(step)
        await self.world.changes.extend(self.owner(order), order["id"], step.much, None)

    async def accept(self, step: Step) -> None:
        rows = await self.world.pool.fetch("SELECT * FROM quotes WHERE status = 'active' ORDER BY id")
        if rows:
            quote = rows[step.which % len(rows)]
            order = await self.world.order(quote["order_id"])
            body = AcceptQuote(quote_id=quote["id"], quote_version=quote["version"])
            await self.world.quotes.accept(self.owner(order), order["id"], body, None)

    async def back_out(self, step: Step) -> None:
        if winner := await self.winner(step):
            await self.world.changes.cancel(staff_of(winner["shop_id"]), winner["order_id"], "sold out", None)

    async def progress(self, step: Step) -> None:
        if winner := await self.winner(step):
            status = ("processing", "shipped", "delivered")[step.much % 3]
            body = StatusUpdate(status=status)  # type: ignore[arg-type]  # one of the three
            await self.world.changes.set_status(staff_of(winner["shop_id"]), winner["order_id"], body, None)

    async def quote(self, step: Step) -> None:
        order = await self.pick(step)
        until = self.world.clock.now + timedelta(minutes=step.much) if step.much % 2 else None
        terms = await self.terms(order["id"], str(step.much), until)
        body = QuoteCreate(order_id=order["id"], **msgspec.structs.asdict(terms))
        await self.world.quotes.provide(self.shops[step.who % SHOPS], body, None)

    async def edit_quote(self, step: Step) -> None:
        if quote := await self.own_quote(step):
            terms = await self.terms(quote["order_id"], str(step.much), None)
            await self.world.quotes.update(staff_of(quote["shop_id"]), quote["id"], terms)

    async def withdraw(self, step: Step) -> None:
        if quote := await self.own_quote(step):
            await self.world.quotes.withdraw(staff_of(quote["shop_id"]), quote["id"])

    async def decline(self, step: Step) -> None:
        order = await self.pick(step)
        body = DeclineRequest(order_id=order["id"], reason="no stock")
        await self.world.quotes.decline(self.shops[step.who % SHOPS], body, None)

    async def look(self, step: Step) -> None:
        order = await self.pick(step)
        await self.world.quotes.mark_seen(self.shops[step.who % SHOPS], SeenRequest(order_id=order["id"]))

    async def suspend(self, step: Step, status: str = "suspended") -> None:
        await self.world.pool.execute(
            "UPDATE shops SET status = $2, version = version + 1 WHERE id = $1",
            *(self.shops[step.who % SHOPS].shop_id, status),
        )
        await self.world.directory.refresh()

    async def reactivate(self, step: Step) -> None:
        await self.suspend(step, "active")

    async def pass_time(self, step: Step) -> None:
        self.world.clock.now += timedelta(minutes=step.much)

    async def expire(self, _: Step) -> None:
        await self.world.sweeps.expire_orders()

    async def expire_quotes(self, _: Step) -> None:
        await expire_quotes(self.world.transactions, 100)

    async def widen(self, _: Step) -> None:
        await self.world.sweeps.widen_orders()

    async def revoke(self, _: Step) -> None:
        await self.world.sweeps.revoke_closed_shops()

    async def old_drafts(self, step: Step) -> None:
        if step.much % 5 == 0:
            self.world.clock.now += timedelta(days=8)
        await self.world.sweeps.close_old_drafts()

    # --- who and what

    async def pick(self, step: Step) -> Any:
        """An order, the newest ones more often."""
        rows = await self.world.pool.fetch(
            "SELECT * FROM orders ORDER BY id DESC LIMIT $1", step.which // 3 + 1
        )
        if not rows:
            await self.create(step)
            return await self.pick(step)
        return rows[-1]

    async def own_quote(self, step: Step) -> Any:
        rows = await self.world.pool.fetch("SELECT * FROM quotes ORDER BY status, id LIMIT 10")
        return rows[step.which % len(rows)] if rows else None

    async def winner(self, step: Step) -> Any:
        rows = await self.world.pool.fetch("SELECT * FROM dispatches WHERE status = 'won' ORDER BY order_id")
        return rows[step.which % len(rows)] if rows else None

    def owner(self, order: Any) -> Any:
        return next(customer for customer in self.customers if customer.user_id == order["user_id"])

    async def terms(self, order_id: UUID, price: str, until: Any) -> QuoteUpdate:
        parts = await self.world.pool.fetchval(
            "SELECT parts FROM order_documents WHERE order_id = $1", order_id
        )
        lines = [
            QuoteLine(
                line_id=UUID(part["lineId"]), available=True, unit_price=price, quantity=part["quantity"]
            )
            for part in parts
        ]
        return QuoteUpdate(
            lines=lines, delivery_fee="1", currency="USD", estimated_delivery_minutes=30, valid_until=until
        )


def frames_for(event: Event, recipient: str) -> list[tuple[str, dict[str, Any]]]:
    """(entity, data) of an event, as a socket would splice it for this recipient."""
    found = []
    for target in event.targets:
        if target.recipient == recipient:
            data = msgspec.json.decode(
                b"{" + b",".join(part for part in (event.shared, target.own) if part) + b"}"
            )
            assert target.id == f"{data['id']}.{event.version}"
            assert data["version"] == event.version
            found.append((event.entity, data))
    return found


def shown(recipient: str, held: Views) -> Views:
    """What is left of all that was heard, by the rules of the contract."""
    if recipient.startswith("user:"):
        open_ids = {key[1] for key, v in held.items() if key[0] == "order" and v["status"] not in FINAL}
    else:
        open_ids = {key[1] for key, v in held.items() if key[0] == "dispatch" and is_held(v)}
    return {key: v for key, v in held.items() if (v["orderId"] if key[0] == "quote" else key[1]) in open_ids}


def is_held(dispatch: dict[str, Any]) -> bool:
    if dispatch["status"] == "won":
        return bool(dispatch["orderStatus"] != "delivered")
    return bool(dispatch["status"] in ("pending", "seen", "quoted"))


def assert_private(view: dict[str, Any]) -> None:
    text = msgspec.json.encode(view).decode()
    secrets = (ADDRESS, *CONTACT.values(), str(HOME.latitude), str(HOME.longitude))
    assert not [secret for secret in secrets if secret in text]
    assert view["contact"] is None
    assert view["orderStatus"] in ("open", "closed")


async def begin(pool: Pool, clock: Clock) -> Story:
    """A fresh world: four shops in reach, one that ships from afar, two asked in a wave."""
    clock.now = START
    tables = "idempotency_keys, outbox, quotes, dispatches, order_documents, orders, shop_makes, shops"
    for table in tables.split(", "):
        await pool.execute(f"DELETE FROM {table}")
    shops = [await insert_shop(pool, steps=n) for n in range(1, SHOPS)]
    shops.append(await insert_shop(pool, steps=SHOPS, radius_m=1, beyond=True))
    settings = dataclasses.replace(Settings(), wave_shops=2, wave_spare_shops=1, waves=2)
    world = World(pool, settings, clock)
    await world.directory.load()
    return Story(world, shops)


@pytest.mark.timeout(1_800)  # the full form plays a thousand stories
def test_old_snapshot_and_events_in_any_order_are_the_fresh_snapshot(
    database_url: str, clean_database: None, full: bool
) -> None:
    clock = Clock()

    async def play(steps: list[Step], chance: random.Random) -> None:
        story = await begin(pool, clock)
        async with story.world.queue:
            await story.play(steps)
        story.check(chance)

    with asyncio.Runner() as runner:
        pool = runner.run(create_pool(database_url, min_size=0, max_size=6, setup=clock.setup))
        proof = hypothesis.given(STEPS, st.randoms(use_true_random=False))(
            lambda steps, chance: runner.run(play(steps, chance))
        )
        hypothesis.settings(
            max_examples=1_000 if full else 30,
            suppress_health_check=list(hypothesis.HealthCheck),
        )(proof)()
        runner.run(pool.close())


async def test_what_a_crash_left_is_published_from_the_rows_alike(
    clocked_pool: Pool, clock: Clock, settings: Settings
) -> None:
    async with open_world(clocked_pool, settings, clock) as world:
        await compare_with_sweeper(world)


async def compare_with_sweeper(world: World) -> None:
    await world.add_shops(3)
    await world.queue.submit(new_order(world))
    crashed: list[Any] = []

    async def append(batch: Any) -> None:
        crashed.extend(batch)

    world.clock.now = START + timedelta(seconds=3)
    assert await sweep(world.pool, append, RENDERERS, older_than_s=2) == 1
    assert [said(event) for event in crashed] == [said(event) for event in await world.take_events()]


def said(event: Event) -> tuple[Any, ...]:
    """An event without its moment and the order of its members, which jsonb does not keep."""
    own = [(t.recipient, t.id, msgspec.json.decode(b"{" + t.own + b"}")) for t in event.targets]
    return event.name, event.entity, event.version, msgspec.json.decode(b"{" + event.shared + b"}"), own
