"""A client of the service that knows only the contract: accounts, shops, orders, quotes over HTTP."""

import asyncio
import itertools
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

PASSWORD = "correct horse battery"
ADMIN_EMAIL = "admin@example.test"
# Each test plays in a town of its own, farther apart than any shop delivers (200 km).
TOWNS = itertools.count()

Json = dict[str, Any]


@dataclass(frozen=True)
class Town:
    """A place of one test."""

    latitude: float
    longitude: float

    @classmethod
    def new(cls) -> "Town":
        """A town that no other test uses."""
        number = next(TOWNS)
        return cls(latitude=-50.0 + 5 * (number // 60), longitude=-150.0 + 5 * (number % 60))

    def north(self, distance_m: float) -> Json:
        """A place so far north of the town."""
        return {"latitude": self.latitude + distance_m / 111_195, "longitude": self.longitude}


@dataclass
class Account:
    """Somebody who is signed in."""

    email: str
    token: str
    refresh_token: str
    user_id: str = ""
    shop_id: str = ""


@dataclass
class Api:
    """One API process, as clients reach it."""

    url: str
    http: httpx.AsyncClient = field(init=False)

    def __post_init__(self) -> None:
        limits = httpx.Limits(max_connections=100, max_keepalive_connections=100)
        self.http = httpx.AsyncClient(base_url=self.url, timeout=60, trust_env=False, limits=limits)

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        who: Account | None = None,
        *,
        headers: dict[str, str] | None = None,
        **options: Any,
    ) -> httpx.Response:
        """The response to a call below /api/v1."""
        signed = {"Authorization": f"Bearer {who.token}"} if who else {}
        if body is not None:
            options["json"] = body
        return await self.http.request(method, f"/api/v1{path}", headers=signed | (headers or {}), **options)

    async def do(
        self, method: str, path: str, body: Any = None, who: Account | None = None, **options: Any
    ) -> Any:
        """The body of a call that must succeed."""
        response = await self.call(method, path, body, who, **options)
        assert response.status_code < 300, f"{method} {path}: {response.status_code} {response.text}"
        return response.json() if response.content else None

    async def refused(
        self,
        status: int,
        code: str,
        method: str,
        path: str,
        body: Any = None,
        who: Account | None = None,
        **options: Any,
    ) -> Json:
        """The problem of a call that must be refused so."""
        response = await self.call(method, path, body, who, **options)
        return problem(response, status, code)

    async def register(self, role: str = "customer") -> Account:
        """A new account."""
        email = f"{secrets.token_hex(8)}@example.test"
        body = {
            "email": email,
            "password": PASSWORD,
            "name": "Test",
            "phone": "+20 100 000 0000",
            "role": role,
        }
        tokens = await self.do("POST", "/auth/register", body)
        return Account(email, tokens["accessToken"], tokens["refreshToken"], tokens["userId"])

    async def login(self, email: str) -> Account:
        """A further session of an account."""
        tokens = await self.do("POST", "/auth/login", {"email": email, "password": PASSWORD})
        account = Account(email, tokens["accessToken"], tokens["refreshToken"])
        account.user_id = (await self.do("GET", "/auth/me", who=account))["userId"]
        return account

    async def open_shop(
        self, admin: Account, place: Json, *, makes: tuple[str, ...] = ("Toyota",)
    ) -> Account:
        """The owner of a new active shop: six steps, then an admin verifies."""
        owner = await self.register("shop_owner")
        steps: list[Json] = [
            {"name": f"Parts {secrets.token_hex(3)}", "phone": "+20 2 0000 0000"},
            {**place, "address": "1 High Street", "deliveryRadiusM": 50_000, "timeZone": "UTC"},
            {"supportedBrands": list(makes)},
            {"mode": "manual"},
            {"currency": "USD"},
            {"documentIds": []},
        ]
        onboarding = (await self.do("POST", "/shop-onboarding/start", {}, owner))["id"]
        for number, step in enumerate(steps, 1):
            await self.do("PUT", f"/shop-onboarding/{onboarding}/step/{number}", step, owner)
        done = await self.do("POST", f"/shop-onboarding/{onboarding}/complete", None, owner)
        owner.shop_id = done["shopId"]
        await self.do("POST", f"/admin/shops/{owner.shop_id}/verify", None, admin)
        return owner

    async def near(self, town: Town, make: str = "Toyota") -> list[str]:
        """The shops that this process would ask."""
        query = f"latitude={town.latitude}&longitude={town.longitude}&make={make}&limit=50"
        return [shop["id"] for shop in (await self.do("GET", f"/shops/near?{query}"))["items"]]


def order_body(town: Town, *, parts: int = 1, **changes: Any) -> Json:
    """A valid order at the town."""
    return {
        "vehicle": {"make": "Toyota", "model": "Corolla", "year": 2018, "vin": None, "engine": None},
        "deliveryLocation": {
            "latitude": town.latitude,
            "longitude": town.longitude,
            "address": "7 Hidden Lane",
            "instructions": None,
        },
        "parts": [{"name": f"Part {n}", "quantity": 2, "condition": "any"} for n in range(parts)],
        "urgency": "normal",
        "paymentMethod": "cash_on_delivery",
    } | changes


def quote_body(order: Json, price: str = "45.00", **changes: Any) -> Json:
    """A valid quote for an order or a dispatch; without `orderId` it is an edit."""
    lines = [
        {"lineId": part["lineId"], "available": True, "unitPrice": price, "quantity": part["quantity"]}
        for part in order["parts"]
    ]
    terms = {
        "orderId": order.get("orderId", order["id"]),
        "lines": lines,
        "deliveryFee": "5.00",
        "currency": "USD",
        "estimatedDeliveryMinutes": 45,
    }
    return terms | changes


def edit_body(order: Json, price: str) -> Json:
    """The terms of an edit."""
    return {name: value for name, value in quote_body(order, price).items() if name != "orderId"}


def problem(response: httpx.Response, status: int, code: str) -> Json:
    """The problem document of a refusal, whole."""
    assert response.headers.get("content-type") == "application/problem+json", response.text
    document: Json = response.json()
    assert (response.status_code, document["code"]) == (status, code), document
    assert document["status"] == status
    assert document["type"] == f"urn:matcher:problem:{code}"
    assert document["instance"] == response.headers["x-request-id"]
    assert document["title"]
    assert document["detail"]
    return document


async def eventually(
    what: Callable[[], Awaitable[Any]], accept: Callable[[Any], bool] = bool, within_s: float = 10.0
) -> Any:
    """Ask until the answer is accepted."""
    deadline_s = time.monotonic() + within_s
    while True:
        answer = await what()
        if accept(answer):
            return answer
        assert time.monotonic() < deadline_s, f"still {answer!r} after {within_s} s"
        await asyncio.sleep(0.02)
