"""Whether an object exists cannot be found out by those whose it is not.

Ids are ordered by time, so they can be narrowed down; what protects is that each holds 62 random bits, and that an
object of others answers exactly as one that never was. (Sign-ins: tests/accounts/test_service.py.)
"""

from collections.abc import Mapping
from typing import Any

import httpx
import pytest

from matcher.ids import uuid7
from tests.e2e.api import Account, Api, Json, edit_body, quote_body
from tests.e2e.sockets import open_socket
from tests.e2e.world import World

# Of a stranger and a rival, each with a body that gets past validation.
CUSTOMERS = {
    "GET /auto-parts-orders/{order}": None,
    "GET /auto-parts-orders/{order}/dispatches": None,
    "GET /auto-parts-orders/{order}/photos/{order}": None,
    "PUT /auto-parts-orders/{order}": {"urgency": "low"},
    "POST /auto-parts-orders/{order}/submit": None,
    "POST /auto-parts-orders/{order}/cancel": {},
    "POST /auto-parts-orders/{order}/extend": {"minutes": 10},
    "POST /auto-parts-orders/{order}/status": {"status": "processing"},
    "POST /auto-parts-orders/{order}/accept-quote": "accept",
    "GET /auto-parts-orders/user/{user}": None,
    "GET /shops/{shop}": None,
    "PATCH /shops/{shop}": {"name": "Mine"},
    "GET /shops/{shop}/staff": None,
    "POST /shops/{shop}/staff": {"email": "a@example.test", "role": "cashier"},
    "DELETE /shops/{shop}/staff/{user}": None,
}
SHOPS = {
    "GET /auto-parts-orders/{order}": None,
    "POST /auto-parts-orders/{order}/status": {"status": "processing"},
    "POST /auto-parts-orders/{order}/cancel": {"reason": "no"},
    "GET /auto-parts-orders/user/{user}": None,
    "POST /shop-quotes/provide-quote": "quote",
    "POST /shop-quotes/decline": "decline",
    "POST /shop-quotes/seen": "seen",
    "PUT /shop-quotes/{quote}": "edit",
    "DELETE /shop-quotes/{quote}": None,
    "GET /shops/{shop}": None,
    "GET /shops/{shop}/staff": None,
}


def ids_of_others(world: World) -> dict[str, str]:
    return {
        "order": world.rival_order["id"],
        "quote": world.rival_quote["id"],
        "shop": world.rival.shop_id,
        "user": world.stranger.user_id,
    }


def made_up(ids: Mapping[str, str]) -> dict[str, str]:
    """Ids of this very moment, of nothing."""
    return {name: str(uuid7()) for name in ids}


def body_of(name: Any, world: World, ids: Mapping[str, str]) -> Any:
    order = world.rival_order | {"id": ids["order"]}
    named = {
        "accept": {"quoteId": ids["quote"], "quoteVersion": 1},
        "quote": quote_body(order),
        "edit": edit_body(order, "45.00"),
        "decline": {"orderId": ids["order"], "reason": "no"},
        "seen": {"orderId": ids["order"]},
    }
    return named[name] if isinstance(name, str) else name


async def ask(api: Api, who: Account, call: str, body: Any, ids: Mapping[str, str]) -> httpx.Response:
    method, _, path = call.partition(" ")
    return await api.call(method, path.format(**ids), body, who)


def seen(answer: httpx.Response) -> tuple[int, Json, dict[str, str]]:
    """All that a client sees, but for what is of each request."""
    changing = {"date", "x-request-id", "ratelimit-remaining", "ratelimit-reset"}
    headers = {name: value for name, value in answer.headers.items() if name not in changing}
    return answer.status_code, answer.json() | {"instance": None}, headers


@pytest.mark.parametrize(
    ("person", "call", "body"),
    [("customer", *row) for row in CUSTOMERS.items()] + [("owner", *row) for row in SHOPS.items()],
)
async def test_what_is_of_others_answers_as_what_never_was(
    a: Api, world: World, person: str, call: str, body: Any
) -> None:
    who, theirs = getattr(world, person), ids_of_others(world)
    nothing = made_up(theirs)
    foreign = await ask(a, who, call, body_of(body, world, theirs), theirs)
    unknown = await ask(a, who, call, body_of(body, world, nothing), nothing)

    assert foreign.status_code == 404, foreign.text
    assert seen(foreign) == seen(unknown)


async def test_nor_do_sockets_tell(a: Api, world: World) -> None:
    theirs = ids_of_others(world)
    nothing = made_up(theirs)
    async with open_socket(a, world.owner, shop=True) as socket:
        for method, body in (("provide-quote", "quote"), ("decline-order", "decline"), ("mark-seen", "seen")):
            foreign = await socket.request(method, body_of(body, world, theirs))
            unknown = await socket.request(method, body_of(body, world, nothing))
            assert foreign[0] == unknown[0] == 404, method
            assert foreign[1] | {"instance": None} == unknown[1] | {"instance": None}


def test_an_id_cannot_be_guessed_from_the_one_before() -> None:
    """Time and a counter come first; the last 62 bits are random (RFC 9562 section 5.7, method 3 of 6.2)."""
    numbers = [uuid7().int for _ in range(2_000)]
    for bit in range(62):
        set_in = sum(number >> bit & 1 for number in numbers)
        assert 800 < set_in < 1_200, f"bit {bit} is set in {set_in} of 2,000: not at random"
