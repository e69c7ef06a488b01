"""A small app of the shops routes alone, on real PostGIS; and people who call it."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import httpx
import pytest
from argon2 import PasswordHasher
from litestar import Litestar, Router
from litestar.di import Provide
from litestar.exceptions import HTTPException

from matcher.accounts.access import Caller, guard, provide_call, provide_caller
from matcher.accounts.identities import IdentityCache
from matcher.accounts.passwords import Passwords
from matcher.accounts.service import AccountService
from matcher.accounts.tokens import TokenSigner
from matcher.db import Pool
from matcher.errors import MatcherError, Unauthorized
from matcher.events import Event
from matcher.http import RequestContext, WireDTO, handle_exception
from matcher.ids import uuid7
from matcher.settings import Settings
from matcher.shops.directory import ShopDirectory
from matcher.shops.onboarding_service import OnboardingService
from matcher.shops.routes import ROUTES
from matcher.shops.service import ShopService
from matcher.shops.uploads import UploadService
from matcher.transactions import Publisher, Transactions

CAIRO = {"latitude": 30.0444, "longitude": 31.2357}

BUSINESS = {"name": "Nile Parts", "phone": "+20 2 2795 0000", "email": "parts@nile.test", "taxId": "123-456"}
LOCATION = {
    **CAIRO,
    "address": "12 Tahrir Square",
    "deliveryRadiusM": 15_000,
    "openingHours": {"sun": [["09:00", "17:00"]], "mon": [["18:00", "02:00"]]},
    "timeZone": "Africa/Cairo",
}
BRANDS = {"supportedBrands": ["toyota", "vw"]}
INVENTORY = {"mode": "manual"}
PRICING = {"currency": "EGP", "defaultMarkupPercent": 12.5, "autoQuote": False}
VERIFICATION: dict[str, Any] = {"documentIds": []}
STEPS = (BUSINESS, LOCATION, BRANDS, INVENTORY, PRICING, VERIFICATION)

PNG: bytes = b"\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR" + bytes(40)


class TokensAreIds:
    """Identities whose tokens are user ids; roles as the database has them."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def authenticate(self, token: str, *, fresh: bool = False) -> Caller:
        user_id = UUID(token)
        role = await self._pool.fetchval("SELECT role FROM users WHERE id = $1", user_id)
        if role is None:
            raise Unauthorized
        rows = await self._pool.fetch("SELECT shop_id, role FROM memberships WHERE user_id = $1", user_id)
        return Caller(user_id=user_id, role=role, shops={row["shop_id"]: row["role"] for row in rows})


@dataclass
class Person:
    """Somebody who calls the API."""

    id: UUID
    client: httpx.AsyncClient

    async def call(self, method: str, path: str, json: Any = None, **kwargs: Any) -> Any:
        """The response of `/api/v1<path>`."""
        headers = {"Authorization": f"Bearer {self.id}", **kwargs.pop("headers", {})}
        return await self.client.request(
            method, f"/api/v1{path}", headers=headers, **({} if json is None else {"json": json}), **kwargs
        )

    async def do(self, method: str, path: str, json: Any = None, **kwargs: Any) -> Any:
        """The body of a call that must succeed."""
        response = await self.call(method, path, json, **kwargs)
        assert response.status_code < 400, response.text
        return response.json()

    async def refused(self, method: str, path: str, json: Any = None, **kwargs: Any) -> Any:
        """The problem of a call that must be refused."""
        response = await self.call(method, path, json, **kwargs)
        assert response.status_code >= 400, response.text
        assert response.headers["content-type"] == "application/problem+json"
        assert response.json()["status"] == response.status_code
        return response.json()

    async def start(self, claim_shop_id: UUID | str | None = None) -> str:
        """An onboarding with all steps given; its id."""
        body = {"claimShopId": str(claim_shop_id)} if claim_shop_id else {}
        onboarding: str = (await self.do("POST", "/shop-onboarding/start", body))["id"]
        for number, step in enumerate(STEPS, 1):
            await self.do("PUT", f"/shop-onboarding/{onboarding}/step/{number}", step)
        return onboarding

    async def open_shop(self, claim_shop_id: UUID | str | None = None) -> str:
        """A shop that waits for verification; its id."""
        onboarding = await self.start(claim_shop_id)
        shop_id: str = (await self.do("POST", f"/shop-onboarding/{onboarding}/complete"))["shopId"]
        return shop_id


@dataclass
class World:
    """The app and the directory behind it."""

    client: httpx.AsyncClient
    pool: Pool
    directory: ShopDirectory
    uploads: UploadService
    steps: tuple[dict[str, Any], ...] = STEPS
    png: bytes = PNG

    async def person(self, role: str = "shop_owner") -> Person:
        """A new account."""
        user_id = uuid7()
        await self.pool.execute(
            "INSERT INTO users (id, email, name, role) VALUES ($1, $2, 'Test', $3)",
            user_id,
            f"{user_id}@example.test",
            role,
        )
        return Person(user_id, self.client)

    async def active_shop(self) -> tuple[Person, str]:
        """A verified shop and its owner."""
        owner, admin = await self.person(), await self.person("admin")
        shop_id = await owner.open_shop()
        await admin.do("POST", f"/admin/shops/{shop_id}/verify")
        await self.directory.refresh()
        return owner, shop_id


InsertShop = Callable[..., Awaitable[UUID]]


@pytest.fixture
def insert_shop(pool: Pool) -> InsertShop:
    """Writes a shop's row directly."""

    async def insert(
        *, status: str = "unclaimed", source: str = "osm", makes: Sequence[str] = ("toyota",), **place: float
    ) -> UUID:
        shop_id = uuid7()
        at = CAIRO | place
        # In one transaction, as every change of makes is: followers read the row once.
        async with pool.acquire() as connection, connection.transaction():
            await connection.execute(
                "INSERT INTO shops (id, source, source_ref, status, name, place, h3_r5, h3_r8, delivery_radius_m,"
                " service_reach_m) VALUES ($1, $2, $1::uuid::text, $3, 'Imported',"
                " ST_MakePoint($4, $5)::geography, 1, 1, 20000, 20000)",
                shop_id,
                source,
                status,
                at["longitude"],
                at["latitude"],
            )
            await connection.executemany(
                "INSERT INTO shop_makes (shop_id, make) VALUES ($1, $2)", [(shop_id, make) for make in makes]
            )
        return shop_id

    return insert


def _giving(service: Any) -> Callable[[], Any]:
    return lambda: service


async def _discard(events: Sequence[Event]) -> None:
    del events


@pytest.fixture
async def world(pool: Pool, settings: Settings) -> AsyncIterator[World]:
    """The app, with an empty directory that is loaded."""
    transactions = Transactions(pool, Publisher(pool, _discard, queue_max=100), {})
    directory = ShopDirectory(pool)
    await directory.load()
    passwords, tokens = (
        Passwords(1, PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)),
        TokenSigner(settings),
    )
    identities = IdentityCache(pool, settings, tokens)
    accounts = AccountService(transactions, settings, tokens, passwords, identities)
    services: dict[str, Any] = {
        "shops": ShopService(transactions, directory),
        "onboarding": OnboardingService(transactions, accounts),
        "uploads": UploadService(transactions),
    }
    app: Any = Litestar(
        [Router("/api/v1", route_handlers=ROUTES)],
        dependencies={
            "caller": Provide(provide_caller, sync_to_thread=False),
            "call": Provide(provide_call),
            **{name: Provide(_giving(service), sync_to_thread=False) for name, service in services.items()},
        },
        exception_handlers={
            HTTPException: handle_exception,
            MatcherError: handle_exception,
            Exception: handle_exception,
        },
        guards=[guard],
        dto=WireDTO,
        return_dto=None,
        middleware=[RequestContext],
        request_max_body_size=256 * 1024,
        openapi_config=None,
    )
    app.state.identities = TokensAreIds(pool)
    # On the test's own event loop, where the pool lives.
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://api.test") as client:
        yield World(client, pool, directory, services["uploads"])
    passwords.close()
