"""The check's comparisons: agreement is silent, and each kind of damage is found."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from matcher.demo.draws import plan_orders
from matcher.demo.journal import Journal, PlacedOrder
from matcher.demo.verdict import Stored, Verdict, compare, compare_shown

ORDER, QUOTE, SHOP, USER = (str(UUID(int=number)) for number in range(1, 5))


class World:
    """One order, quoted by one shop and accepted, as the clients were told and as it is stored."""

    def __init__(self) -> None:
        self.journal = Journal()
        plan = plan_orders(1, 1, 1)[0]
        body = {
            "id": ORDER,
            "orderNumber": "CL-260101-00000001",
            "userId": USER,
            "status": "submitted",
            "vehicle": plan.body["vehicle"],
            "deliveryLocation": plan.body["deliveryLocation"],
            "parts": [part | {"lineId": "l"} for part in plan.body["parts"]],
            "currency": "USD",
            "dispatch": {"shopsNotified": 1, "reason": None},
            "version": 1,
        }
        self.customer = self.journal.model(f"user:{USER}")
        self.shop = self.journal.model(f"shop:{SHOP}")
        order = PlacedOrder(plan, body, self.customer, 0.0)
        self.journal.record_order(order, 0.1)
        lines = [{"lineId": "l", "available": True, "unitPrice": "45.00"}]
        quote = {
            "id": QUOTE,
            "orderId": ORDER,
            "shopId": SHOP,
            "status": "accepted",
            "lines": lines,
            "totalPrice": "50.00",
            "version": 3,
        }
        order.accepted = quote | {"status": "active", "version": 2}
        self.journal.record_quote(order.accepted)
        self.tell(self.customer, "order", body | {"status": "accepted", "version": 3})
        self.tell(self.customer, "quote", quote)
        self.tell(self.shop, "quote", quote)
        self.tell(self.shop, "dispatch", {"id": ORDER, "orderId": ORDER, "status": "won", "version": 3})
        self.order_row: dict[str, Any] = {
            "id": UUID(ORDER),
            "user_id": UUID(USER),
            "status": "accepted",
            "view_version": 3,
            "currency": "USD",
            "accepted_quote_id": UUID(QUOTE),
            "vehicle": body["vehicle"],
            "delivery_location": body["deliveryLocation"],
            "parts": body["parts"],
        }
        self.quote_row: dict[str, Any] = {
            "id": UUID(QUOTE),
            "order_id": UUID(ORDER),
            "shop_id": UUID(SHOP),
            "version": 3,
            "status": "accepted",
            "currency": "USD",
            "lines": lines,
            "total_minor": 5_000,
        }
        self.dispatch_row: dict[str, Any] = {
            "shop_id": UUID(SHOP),
            "order_id": UUID(ORDER),
            "version": 3,
            "status": "won",
        }
        self.stored = Stored(orders=[self.order_row], dispatches=[self.dispatch_row], quotes=[self.quote_row])

    @staticmethod
    def tell(model: Any, entity: str, data: dict[str, Any]) -> None:
        model.apply_event({"entity": entity, "version": data["version"], "data": data})


def test_a_run_that_agrees_has_no_mismatch() -> None:
    world = World()
    verdict = compare(world.journal, world.stored)
    assert verdict.mismatches == []
    assert verdict.compared > 15


def _lose_order(world: World) -> None:
    world.stored.orders = []


def _lose_quote(world: World) -> None:
    world.stored.quotes = []


def _change_parts(world: World) -> None:
    world.order_row["parts"] = [part | {"quantity": 99} for part in world.order_row["parts"]]


def _change_owner(world: World) -> None:
    world.order_row["user_id"] = UUID(SHOP)


def _change_total(world: World) -> None:
    world.quote_row["total_minor"] = 4_999


def _accept_twice(world: World) -> None:
    world.stored.quotes = [world.quote_row, world.quote_row | {"id": UUID(int=9)}]


def _accept_another(world: World) -> None:
    world.order_row["accepted_quote_id"] = UUID(int=9)


def _accept_unasked(world: World) -> None:
    world.journal.orders[ORDER].accepted = None


def _no_winner(world: World) -> None:
    world.dispatch_row["status"] = "closed"


def _miss_last_event(world: World) -> None:
    world.order_row["view_version"] = 4


def _miss_dispatch(world: World) -> None:
    world.shop.held.clear()


def _lose_dispatch(world: World) -> None:
    world.stored.dispatches = []


def _invent_quote(world: World) -> None:
    World.tell(
        world.customer, "quote", {"id": "invented", "orderId": ORDER, "status": "active", "version": 3}
    )


def _contradict(world: World) -> None:
    World.tell(world.shop, "dispatch", {"id": ORDER, "orderId": ORDER, "status": "lost", "version": 3})


@pytest.mark.parametrize(
    "damage",
    [
        _lose_order,
        _lose_quote,
        _change_parts,
        _change_owner,
        _change_total,
        _accept_twice,
        _accept_another,
        _accept_unasked,
        _no_winner,
        _miss_last_event,
        _miss_dispatch,
        _lose_dispatch,
        _invent_quote,
        _contradict,
    ],
)
def test_every_damage_is_found(damage: Callable[[World], None]) -> None:
    world = World()
    damage(world)
    assert compare(world.journal, world.stored).mismatches


def test_shops_outside_the_story_are_not_judged() -> None:
    world = World()
    world.journal.orders[ORDER].view["dispatch"]["shopsNotified"] = 2
    world.stored.dispatches = [
        world.dispatch_row,
        world.dispatch_row | {"shop_id": UUID(int=9), "status": "pending"},
    ]
    assert compare(world.journal, world.stored).mismatches == []


def test_http_must_show_what_the_socket_told() -> None:
    world = World()
    told = world.customer.find("quote", QUOTE)
    assert told is not None
    same, other, newer = Verdict(), Verdict(), Verdict()
    compare_shown(same, world.customer, "quote", told)
    compare_shown(other, world.customer, "quote", told | {"totalPrice": "1.00"})
    compare_shown(newer, world.customer, "quote", told | {"version": 7})
    assert same.mismatches == []
    assert "differs between socket and HTTP" in other.mismatches[0]
    assert "never told" in newer.mismatches[0]


def test_orders_from_outside_the_story_are_judged_only_by_what_the_shops_were_promised() -> None:
    world = World()
    foreign = {
        "id": str(UUID(int=8)),
        "orderId": str(UUID(int=7)),
        "status": "active",
        "lines": [],
        "totalPrice": "1.00",
        "version": 2,
    }
    World.tell(world.shop, "quote", foreign)
    world.journal.record_quote(foreign)
    assert len(compare(world.journal, world.stored).mismatches) == 1  # acknowledged, so it must be stored
    row = world.quote_row | {"id": UUID(int=8), "order_id": UUID(int=7), "lines": [], "total_minor": 100}
    world.stored.quotes = [world.quote_row, row | {"version": 5, "status": "expired"}]
    assert compare(world.journal, world.stored).mismatches == []
