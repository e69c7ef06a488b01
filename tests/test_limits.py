"""Rate limits: the arithmetic of classes, and the routes of the real app."""

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any
from uuid import UUID

import httpx
import pytest
from litestar import Litestar, Router, get, post
from litestar.datastructures import State
from litestar.routes import HTTPRoute

from matcher.accounts.access import Access, Caller, guard
from matcher.addresses import TrustedProxies
from matcher.app import create_app
from matcher.errors import MatcherError, TooManyRequests
from matcher.http import RequestContext, handle_exception
from matcher.limits import Limit, Limits, limit_account, limit_address
from matcher.settings import Settings

ANN, BEN = UUID(int=1), UUID(int=2)
TIGHT = Settings(
    limit_orders_per_min=6, limit_requests_per_min=600, limit_logins_per_min=3, limit_address_times=2
)


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


def refused(charge: Callable[[], object]) -> TooManyRequests:
    with pytest.raises(TooManyRequests) as caught:
        charge()
    return caught.value


def test_an_account_gets_its_minute_at_once_and_then_its_rate(clock: Clock) -> None:
    limits = Limits(TIGHT, now_s=clock)
    left = [limits.charge_account(Limit.ORDERS, ANN)["RateLimit-Remaining"] for _ in range(6)]
    error = refused(lambda: limits.charge_account(Limit.ORDERS, ANN))

    assert left == ["5", "4", "3", "2", "1", "0"]
    assert error.retry_after_s == 10
    assert error.headers == {"RateLimit-Limit": "6", "RateLimit-Remaining": "0", "RateLimit-Reset": "60"}
    clock.now_s += 10
    limits.charge_account(Limit.ORDERS, ANN)
    refused(lambda: limits.charge_account(Limit.ORDERS, ANN))


def test_accounts_classes_and_addresses_have_buckets_of_their_own(clock: Clock) -> None:
    limits = Limits(TIGHT, now_s=clock)
    for _ in range(6):
        limits.charge_account(Limit.ORDERS, ANN)

    limits.charge_account(Limit.ORDERS, BEN)
    limits.charge_account(Limit.QUOTES, ANN)
    limits.charge_address(Limit.ORDERS, "192.0.2.1")


def test_people_share_an_address_but_not_without_bound(clock: Clock) -> None:
    limits = Limits(TIGHT, now_s=clock)
    for _ in range(12):
        limits.charge_address(Limit.ORDERS, "192.0.2.1")
    refused(lambda: limits.charge_address(Limit.ORDERS, "::ffff:192.0.2.1"))
    limits.charge_address(Limit.ORDERS, "192.0.2.2")


def test_signing_in_is_counted_by_the_address_as_the_setting_says(clock: Clock) -> None:
    limits = Limits(TIGHT, now_s=clock)
    for _ in range(3):
        limits.charge_address(Limit.LOGINS, "192.0.2.1")
    refused(lambda: limits.charge_address(Limit.LOGINS, "192.0.2.1"))


def test_lifted_limits_and_the_class_none_count_nothing(clock: Clock) -> None:
    lifted = Limits(replace(TIGHT, limits=False), now_s=clock)
    limits = Limits(TIGHT, now_s=clock)
    for _ in range(100):
        assert lifted.charge_account(Limit.ORDERS, ANN) == {}
        assert limits.charge_address(Limit.NONE, "192.0.2.1") == {}
    assert (len(lifted), len(limits)) == (0, 0)


def test_buckets_are_bounded_and_the_one_unused_longest_is_forgotten(clock: Clock) -> None:
    limits = Limits(TIGHT, now_s=clock, buckets_max=10)
    for _ in range(6):
        limits.charge_account(Limit.ORDERS, ANN)
    for n in range(100, 109):
        limits.charge_account(Limit.ORDERS, UUID(int=n))
    refused(lambda: limits.charge_account(Limit.ORDERS, ANN))  # used again: not the oldest
    for n in range(200, 209):
        limits.charge_account(Limit.ORDERS, UUID(int=n))
    assert len(limits) == 10
    refused(lambda: limits.charge_account(Limit.ORDERS, ANN))


def test_trips_are_told(clock: Clock) -> None:
    told: list[tuple[Limit, UUID | None]] = []
    limits = Limits(TIGHT, now_s=clock, on_trip=lambda limit, account: told.append((limit, account)))
    for _ in range(8):
        try:
            limits.charge_account(Limit.ORDERS, ANN)
        except TooManyRequests:
            continue
    for _ in range(4):
        try:
            limits.charge_address(Limit.LOGINS, "192.0.2.1")
        except TooManyRequests:
            continue
    assert told == [(Limit.ORDERS, ANN)] * 2 + [(Limit.LOGINS, None)]


class Tokens:
    """A token names its account."""

    async def authenticate(self, token: str, *, fresh: bool = False) -> Caller:
        return Caller(UUID(int=int(token)), "customer")


@post("/orders", opt={"access": Access.CUSTOMER, "limit": Limit.ORDERS})
async def order() -> None:
    """An order."""


@get("/new", opt={"access": Access.PUBLIC})
async def new_route() -> None:
    """A route whose author thought of no limit."""


@pytest.fixture
async def client(clock: Clock) -> AsyncIterator[httpx.AsyncClient]:
    settings = replace(TIGHT, limit_requests_per_min=2)
    app: Any = Litestar(
        [Router("/", route_handlers=[order, new_route], guards=[limit_address, guard, limit_account])],
        state=State({"identities": Tokens(), "limits": Limits(settings, now_s=clock)}),
        exception_handlers={MatcherError: handle_exception, Exception: handle_exception},
    )
    wrapped: Any = RequestContext(app, TrustedProxies(["10.0.0.1"]))
    transport = httpx.ASGITransport(wrapped, client=("10.0.0.1", 5))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client


def headers(account: int, address: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {account}", "X-Forwarded-For": address}


async def test_the_answer_says_how_much_is_left(client: httpx.AsyncClient) -> None:
    answer = await client.post("/orders", headers=headers(1, "192.0.2.1"))
    assert answer.status_code == 201
    assert answer.headers["ratelimit-limit"] == "6", "the account's, not the address's"
    assert answer.headers["ratelimit-remaining"] == "5"
    assert answer.headers["ratelimit-reset"] == "10"


async def test_a_refusal_is_a_problem_that_says_when_to_come_back(client: httpx.AsyncClient) -> None:
    for n in range(6):
        assert (await client.post("/orders", headers=headers(1, f"192.0.2.{n}"))).status_code == 201
    answer = await client.post("/orders", headers=headers(1, "192.0.2.99"))
    assert (answer.status_code, answer.json()["code"]) == (429, "rate_limited")
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["retry-after"] == "10"
    assert answer.headers["ratelimit-remaining"] == "0"
    assert (await client.post("/orders", headers=headers(2, "192.0.2.99"))).status_code == 201


async def test_many_accounts_of_one_address_are_bounded_together(client: httpx.AsyncClient) -> None:
    answers = [
        (await client.post("/orders", headers=headers(n, "192.0.2.1"))).status_code for n in range(1, 14)
    ]
    assert answers == [201] * 12 + [429]
    assert (await client.post("/orders", headers=headers(1, "192.0.2.2"))).status_code == 201


async def test_a_route_without_a_class_is_limited_too(client: httpx.AsyncClient) -> None:
    said = {"X-Forwarded-For": "192.0.2.1"}
    assert [(await client.get("/new", headers=said)).status_code for _ in range(5)] == [200] * 4 + [429]


async def test_forged_tokens_are_counted(client: httpx.AsyncClient) -> None:
    for _ in range(12):
        answer = await client.post("/orders", headers={"X-Forwarded-For": "192.0.2.7"})
        assert answer.status_code == 401
    assert (await client.post("/orders", headers=headers(1, "192.0.2.7"))).status_code == 429


def test_the_classes_of_the_real_routes() -> None:
    app = create_app(Settings())
    classes: dict[Limit, set[str]] = {}
    for route in app.routes:
        for handler in route.route_handlers if isinstance(route, HTTPRoute) else ():
            if "access" in handler.opt:
                call = f"{min(handler.http_methods)} {route.path_format.removeprefix('/api/v1')}"
                classes.setdefault(handler.opt.get("limit", Limit.REQUESTS), set()).add(call)
    assert classes.pop(Limit.REQUESTS), "everything else"
    assert classes == {
        Limit.REGISTERS: {"POST /auth/register"},
        Limit.LOGINS: {"POST /auth/login", "POST /auth/refresh"},
        Limit.ORDERS: {"POST /auto-parts-orders", "POST /auto-parts-orders/{order_id}/submit"},
        Limit.QUOTES: {"POST /shop-quotes/provide-quote", "PUT /shop-quotes/{quote_id}"},
        Limit.UPLOADS: {"POST /uploads"},
        Limit.NONE: {"GET /health", "GET /ready", "GET /metrics", "GET /schema-assets/{name}"},
    }
