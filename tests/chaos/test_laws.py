"""The proof's comparisons: agreement is silent, and each kind of damage is found under its law."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from matcher.chaos.laws import (
    EVENTS,
    INVENTED,
    LAWS,
    ORDERS,
    QUOTES,
    REFUSED,
    TWICE,
    WINNERS,
    Books,
    Told,
    judge,
)
from matcher.chaos.load import draw_order
from matcher.demo.draws import generator
from matcher.demo.journal import Journal, PlacedOrder
from matcher.demo.model import Key, Model
from matcher.demo.verdict import Stored
from matcher.geo.types import Place

ORDER, QUOTE, SHOP, USER = (str(UUID(int=number)) for number in range(1, 5))
START = datetime(2026, 1, 1, tzinfo=UTC)
ENDED = START + timedelta(seconds=30)


class World:
    """One order, quoted by one shop, accepted and delivered, as it was told and as it is stored."""

    def __init__(self) -> None:
        self.journal = Journal()
        plan = draw_order(generator(1, "test"), Place(latitude=1.0, longitude=2.0), 7, 1)
        parts = [part | {"lineId": "l"} for part in plan.body["parts"]]
        body = {
            "id": ORDER,
            "userId": USER,
            "status": "submitted",
            "vehicle": plan.body["vehicle"],
            "deliveryLocation": plan.body["deliveryLocation"],
            "parts": parts,
            "currency": "USD",
            "dispatch": {"shopsNotified": 1, "reason": None},
            "version": 1,
        }
        self.customer = self.journal.model(f"user:{USER}")
        self.shop = self.journal.model(f"shop:{SHOP}")
        order = PlacedOrder(plan, body, self.customer, 0.0)
        self.journal.record_order(order, 0.1)
        shown = {"id": QUOTE, "orderId": ORDER, "shopId": SHOP, "lines": [], "totalPrice": "50.00"}
        order.accepted = shown | {"status": "active", "version": 2}
        self.journal.record_quote(order.accepted)
        self.views: list[tuple[Model, str, dict[str, Any]]] = [
            (self.customer, "order", body | {"status": "delivered", "version": 5}),
            (self.customer, "quote", shown | {"status": "accepted", "version": 3}),
            (self.shop, "quote", shown | {"status": "accepted", "version": 3}),
            (
                self.shop,
                "dispatch",
                {"id": ORDER, "orderId": ORDER, "status": "won", "orderStatus": "delivered", "version": 5},
            ),
        ]
        for model, entity, view in self.views:
            tell(model, entity, view)
        self.order_row: dict[str, Any] = {
            "id": UUID(ORDER),
            "user_id": UUID(USER),
            "status": "delivered",
            "version": 5,
            "view_version": 5,
            "currency": "USD",
            "accepted_quote_id": UUID(QUOTE),
            "accepted_at": START,
            "closed_at": ENDED,
            "updated_at": ENDED,
            "vehicle": body["vehicle"],
            "delivery_location": body["deliveryLocation"],
            "parts": parts,
        }
        self.dispatch_row: dict[str, Any] = {
            "shop_id": UUID(SHOP),
            "order_id": UUID(ORDER),
            "version": 5,
            "status": "won",
            "closed_reason": None,
            "responded_at": START,
        }
        self.quote_row: dict[str, Any] = {
            "id": UUID(QUOTE),
            "order_id": UUID(ORDER),
            "shop_id": UUID(SHOP),
            "version": 3,
            "status": "accepted",
            "currency": "USD",
            "lines": [],
            "total_minor": 5_000,
        }
        self.more_orders: list[dict[str, Any]] = []
        self.more_quotes: list[dict[str, Any]] = []
        self.snapshot_at = START - timedelta(seconds=1)

    def forget(self, model: Model, entity: str, entity_id: str) -> None:
        del model.held[Key(entity, entity_id)]

    def found(self) -> dict[str, list[str]]:
        stored = Stored(
            orders=[self.order_row, *self.more_orders],
            dispatches=[self.dispatch_row],
            quotes=[self.quote_row, *self.more_quotes],
        )
        told = [
            Told(model=model, fresh=Model(model.recipient), snapshot_at_s=self.snapshot_at.timestamp())
            for model in (self.customer, self.shop)
        ]
        verdicts = judge(self.journal, Books.of(stored), told)
        assert verdicts.keys() == set(LAWS)
        return {law: verdict.mismatches for law, verdict in verdicts.items() if verdict.mismatches}


def tell(model: Model, entity: str, view: dict[str, Any]) -> None:
    model.apply_event({"entity": entity, "version": view["version"], "data": view})


@pytest.fixture
def world() -> World:
    return World()


def test_agreement_is_silent(world: World) -> None:
    assert world.found() == {}


Damage = Callable[[World], object]


@pytest.mark.parametrize(
    ("damage", "law"),
    [
        pytest.param(lambda w: w.order_row.update(id=UUID(int=9)), ORDERS, id="order lost"),
        pytest.param(lambda w: w.order_row.update(parts=[]), ORDERS, id="order changed"),
        pytest.param(lambda w: w.quote_row.update(id=UUID(int=9)), QUOTES, id="quote lost"),
        pytest.param(lambda w: w.quote_row.update(version=1), QUOTES, id="quote gone back"),
        pytest.param(
            lambda w: w.more_orders.append(w.order_row | {"id": UUID(int=9)}), TWICE, id="order made twice"
        ),
        pytest.param(
            lambda w: w.more_quotes.append(w.quote_row | {"id": UUID(int=9)}), WINNERS, id="two winners"
        ),
        pytest.param(lambda w: w.quote_row.update(total_minor=5_001), WINNERS, id="another price"),
        pytest.param(lambda w: w.quote_row.update(status="rejected"), WINNERS, id="acceptance lost"),
        pytest.param(
            lambda w: w.order_row.update(view_version=6), EVENTS, id="last version of the order untold"
        ),
        pytest.param(
            lambda w: w.dispatch_row.update(version=6), EVENTS, id="last version of the dispatch untold"
        ),
        pytest.param(lambda w: w.quote_row.update(status="expired"), EVENTS, id="same version, other status"),
        pytest.param(lambda w: w.forget(w.shop, "dispatch", ORDER), EVENTS, id="shop never told"),
        pytest.param(
            lambda w: w.forget(w.customer, "quote", QUOTE), EVENTS, id="customer never told of the quote"
        ),
        pytest.param(
            lambda w: w.dispatch_row.update(version=4), INVENTED, id="told of a version that is not stored"
        ),
        pytest.param(
            lambda w: tell(w.shop, "dispatch", {"id": "x", "orderId": "x", "status": "closed", "version": 1}),
            INVENTED,
            id="told of an order that is not stored",
        ),
        pytest.param(
            lambda w: tell(w.customer, "order", w.views[0][2] | {"status": "expired"}),
            INVENTED,
            id="two views of one version",
        ),
        pytest.param(lambda w: w.journal.record_surprise("refused"), REFUSED, id="refused"),
    ],
)
def test_damage_is_found_under_its_law(world: World, damage: Damage, law: str) -> None:
    damage(world)
    assert law in world.found()


@pytest.mark.parametrize("recipient", ["user", "shop"])
def test_what_was_over_before_a_snapshot_need_not_be_held(world: World, recipient: str) -> None:
    model, entities = (
        (world.customer, ("order", "quote")) if recipient == "user" else (world.shop, ("dispatch", "quote"))
    )
    for entity in entities:
        world.forget(model, entity, QUOTE if entity == "quote" else ORDER)
    world.snapshot_at = ENDED - timedelta(microseconds=1)
    assert len(world.found()[EVENTS]) == 2
    world.snapshot_at = ENDED
    assert world.found() == {}


@pytest.mark.parametrize(
    ("row", "over_at"),
    [
        ({"status": "declined"}, START + timedelta(seconds=5)),
        ({"status": "closed", "closed_reason": "accepted_elsewhere"}, START + timedelta(seconds=10)),
        ({"status": "closed", "closed_reason": "expired"}, ENDED),
    ],
)
def test_a_shops_part_ends_when_it_declines_loses_or_the_order_ends(
    world: World, row: dict[str, Any], over_at: datetime
) -> None:
    world.order_row["accepted_at"] = START + timedelta(seconds=10)
    world.dispatch_row |= row | {"responded_at": START + timedelta(seconds=5)}
    for entity, entity_id in (("dispatch", ORDER), ("quote", QUOTE)):
        world.forget(world.shop, entity, entity_id)
    world.snapshot_at = over_at - timedelta(microseconds=1)
    assert len(world.found()[EVENTS]) == 2
    world.snapshot_at = over_at
    assert EVENTS not in world.found()


def test_an_open_entity_must_be_held_whatever_snapshot_came(world: World) -> None:
    world.order_row["status"] = "accepted"
    tell(world.customer, "order", world.views[0][2] | {"status": "accepted", "version": 6})
    world.order_row["view_version"] = 6
    world.forget(world.shop, "dispatch", ORDER)
    world.snapshot_at = ENDED + timedelta(hours=1)
    assert f"shop:{SHOP} was never told of dispatch {ORDER}, version 5" in world.found()[EVENTS]


def test_a_fresh_snapshot_that_shows_more_is_a_loss(world: World) -> None:
    fresh = Model(world.shop.recipient)
    fresh.apply_snapshot({"dispatches": [{"id": "y", "orderId": "y", "status": "pending", "version": 1}]})
    stored = Stored(orders=[], dispatches=[], quotes=[])
    told = Told(model=Model(world.shop.recipient), fresh=fresh, snapshot_at_s=0.0)
    verdicts = judge(Journal(), Books.of(stored), [told])
    assert verdicts[EVENTS].mismatches == [
        f"shop:{SHOP}: dispatch y is in the fresh snapshot but was never told"
    ]
