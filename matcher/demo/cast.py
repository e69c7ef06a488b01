"""The story's people: shop owners who claim real shops through onboarding, an admin who verifies them, customers.

Owns: everything before the first order, through public endpoints only.
"""

import asyncio
from collections.abc import Callable, Collection, Coroutine, Iterable, Sequence
from typing import Any

import msgspec

from matcher.demo.catalogue import CITIES, City
from matcher.demo.client import Account, Api, Refused
from matcher.demo.draws import Habits, draw_claim_place, generator, service_area, shop_habits
from matcher.errors import MatcherError
from matcher.geo.distance import distance_m
from matcher.geo.types import Place
from matcher.settings import Settings

ADMIN_EMAIL = "demo-admin@example.com"
_AT_ONCE = 8  # sign-ins and onboardings in flight
_NEAR_LIMIT = 20  # shops looked at around a drawn place


class OtherSecret(MatcherError):
    """The demo's accounts were made under another MATCHER_JWT_SECRET; set that one, or `matcher stack reset`."""

    code = "demo_other_secret"
    title = "Other secret"


class ClaimedShop(msgspec.Struct):
    """A shop of the story: real, claimed by a demo owner, verified by the demo admin."""

    number: int
    account: Account
    shop_id: str
    name: str
    city: str
    habits: Habits

    @property
    def recipient(self) -> str:
        """Its name on sockets."""
        return f"shop:{self.shop_id}"


class Cast:
    """Signs people in and claims shops. `known` holds the emails of accounts that exist already."""

    def __init__(self, api: Api, settings: Settings, known: Collection[str], seed: int) -> None:
        self._api = api
        self._settings = settings
        self._known = known
        self._seed = seed
        self._gate = asyncio.Semaphore(_AT_ONCE)
        self._admin = admin_account(settings)
        self._taken: set[str] = set()

    async def claim_shops(self, count: int, progress: Callable[[], None]) -> list[ClaimedShop]:
        """Up to `count` shops, spread over the cities; fewer when a city has no unclaimed shops left.

        Raises Refused, Unreachable, OtherSecret.
        """
        await self._sign_in(self._admin)
        owners = list(enumerate(city for city, n in city_shares(count) for _ in range(n)))
        claimed = await _all(self._settle_owner(number, city, progress) for number, city in owners)
        return [shop for shop in claimed if shop is not None]

    async def sign_in_customers(self, count: int) -> list[Account]:
        """The customers' accounts, signed in. Raises as `claim_shops`."""
        accounts = [
            self._account(f"demo-customer-{number:04}@example.com", f"Demo customer {number}", "customer")
            for number in range(1, count + 1)
        ]
        await _all(self._sign_in(account) for account in accounts)
        return accounts

    async def _settle_owner(
        self, number: int, city: City, progress: Callable[[], None]
    ) -> ClaimedShop | None:
        account = self._account(
            f"demo-owner-{number + 1:04}@example.com", f"Demo owner {number + 1}", "shop_owner"
        )
        async with self._gate:
            me = await self._sign_in_now(account)
            habits = shop_habits(self._seed, number)
            if me["shops"]:
                shop_id: str | None = me["shops"][0]["shopId"]
            else:
                shop_id = await self._claim(number, city, account, habits)
            if shop_id is None:
                return None
            shop = await self._api.get(f"/shops/{shop_id}", account)
            if shop["status"] == "pending_verification":
                shop = await self._api.post(f"/admin/shops/{shop_id}/verify", account=self._admin)
        progress()
        if shop["status"] != "active":
            return None
        return ClaimedShop(number, account, str(shop_id), shop["name"], city.name, habits)

    async def _claim(self, number: int, city: City, account: Account, habits: Habits) -> str | None:
        found = await self._find_unclaimed(number, city)
        if found is None:
            return None
        body = {"claimShopId": found["id"]}
        onboarding = await self._api.post("/shop-onboarding/start", body, account)
        path = f"/shop-onboarding/{onboarding['id']}"
        for step, answers in enumerate(onboarding_steps(found, city, habits, self._settings), start=1):
            await self._api.put(f"{path}/step/{step}", answers, account)
        completed = await self._api.post(f"{path}/complete", account=account)
        return str(completed["shopId"])

    async def _find_unclaimed(self, number: int, city: City) -> dict[str, Any] | None:
        rng = generator(self._seed, "claim", number)
        for _ in range(5):
            place = draw_claim_place(rng, city)
            near = await self._api.get(
                "/shops/near",
                latitude=place.latitude,
                longitude=place.longitude,
                unclaimed=True,
                limit=_NEAR_LIMIT,
            )
            free = [shop for shop in near["items"] if self._is_free(shop, city)]
            if free:
                shop: dict[str, Any] = rng.choice(free)
                self._taken.add(shop["id"])  # before the next await: two owners never want the same shop
                return shop
        return None

    def _is_free(self, shop: dict[str, Any], city: City) -> bool:
        centre = Place(latitude=city.latitude, longitude=city.longitude)
        apart_m = distance_m(Place(**shop["place"]), centre)
        return shop["status"] == "unclaimed" and shop["id"] not in self._taken and apart_m <= city.reach_m

    def _account(self, email: str, name: str, role: str) -> Account:
        return Account(email, name, role, self._settings.jwt_secret)

    async def _sign_in(self, account: Account) -> dict[str, Any]:
        async with self._gate:
            return await self._sign_in_now(account)

    async def _sign_in_now(self, account: Account) -> dict[str, Any]:
        try:
            return await self._api.sign_in(account, known=account.email in self._known)
        except Refused as refusal:
            if refusal.reason == "invalid_credentials":
                raise OtherSecret from refusal
            raise


def admin_account(settings: Settings) -> Account:
    """The demo's admin."""
    return Account(ADMIN_EMAIL, "Demo admin", "admin", settings.jwt_secret)


def city_shares(count: int) -> list[tuple[City, int]]:
    """How many of `count` shops each city gets: by weight, largest remainders first."""
    total = sum(city.shops_weight for city in CITIES)
    exact = [count * city.shops_weight / total for city in CITIES]
    shares = [int(share) for share in exact]
    by_remainder = sorted(range(len(CITIES)), key=lambda i: shares[i] - exact[i])
    for i in by_remainder[: count - sum(shares)]:
        shares[i] += 1
    return list(zip(CITIES, shares, strict=True))


def onboarding_steps(
    shop: dict[str, Any], city: City, habits: Habits, settings: Settings
) -> Sequence[dict[str, Any]]:
    """The bodies of the six steps (CONTRACT 3) for a shop as `/shops/near` shows it."""
    place = Place(**shop["place"])
    area: dict[str, Any]
    if habits.polygon:
        area = {"serviceArea": service_area(place, habits.radius_m)}
    else:
        area = {"deliveryRadiusM": habits.radius_m}
    return (
        {"name": shop["name"], "phone": "+1 555 0100"},
        shop["place"] | area | {"address": f"Demo address, {city.name}", "timeZone": city.time_zone},
        {"supportedBrands": list(habits.makes)},
        {"mode": "manual"},
        {"currency": settings.currency, "defaultMarkupPercent": 20},
        {"documentIds": []},
    )


async def _all(coroutines: Iterable[Coroutine[Any, Any, Any]]) -> list[Any]:
    """The results in order; the first failure cancels the others and is raised as itself."""
    tasks: list[asyncio.Task[Any]] = []
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(coroutine) for coroutine in coroutines]
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [task.result() for task in tasks]
