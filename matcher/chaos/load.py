"""The people of a run and the orders they post: shops of one town, their customers, a steady rate.

Owns: making the people through public endpoints, and drawing orders. Must not know faults.
"""

import asyncio
import random
import time
from collections.abc import Sequence
from itertools import count

import msgspec

from matcher.chaos.crowd import Crowd
from matcher.chaos.doors import ChaosApi, Doors
from matcher.chaos.people import Customer, Person, Shop
from matcher.demo.cast import admin_account, onboarding_steps
from matcher.demo.catalogue import NEW_YORK, PARTS
from matcher.demo.client import Account, Unreachable
from matcher.demo.draws import Ending, Habits, OrderPlan, generator
from matcher.geo.types import Place
from matcher.settings import Settings

MAKE = "toyota"
_RADIUS_M = 50_000
_TOWN_DEGREES = 3.0  # of longitude: about 250 km at this latitude
_SPACING_DEGREES = 0.01  # about a kilometre between neighbouring shops
_CONNECT_TIMEOUT_S = 30.0
_ENDINGS: tuple[Ending, ...] = ("accept", "cancel", "forget")
_ENDING_WEIGHTS = (68, 10, 22)
_PATIENCE_S = (0.1, 1.2)  # between the first quote and the decision
_WAIT_BEYOND_END_S = 5.0  # a customer waits so much longer for a quote than its order is open


class Cast(msgspec.Struct, frozen=True):
    """The people of a run."""

    shops: list[Shop]
    customers: list[Customer]

    @property
    def people(self) -> Sequence[Person]:
        """All of them."""
        return [*self.shops, *self.customers]

    def socket_origins(self) -> dict[str, str]:
        """Where each recipient's socket is."""
        return {person.model.recipient: person.api.socket_origin for person in self.people}

    async def wait_connected(self) -> None:
        """Wait until every socket is there. Raises Unreachable."""
        try:
            async with asyncio.timeout(_CONNECT_TIMEOUT_S):
                for person in self.people:
                    await person.socket.connected.wait()
        except TimeoutError as error:
            raise Unreachable(f"Not all sockets were connected in {_CONNECT_TIMEOUT_S:.0f} s.") from error

    async def close(self) -> None:
        """Close the HTTP connections."""
        for person in self.people:
            await person.api.close()


class Assembly:
    """Makes the people of one town, through public endpoints. Towns are farther apart than any shop delivers."""

    def __init__(self, crowd: Crowd, doors: Doors, settings: Settings, *, town: int = 0, seed: int) -> None:
        self.place = Place(latitude=NEW_YORK.latitude, longitude=NEW_YORK.longitude - town * _TOWN_DEGREES)
        self._crowd = crowd
        self._doors = doors
        self._settings = settings
        self._town = town
        self._seed = seed

    async def gather(self, *, shops: int, customers: int, keeper: type[Shop] = Shop) -> Cast:
        """Register everybody, onboard and verify the shops. Raises Refused, Unreachable."""
        office = ChaosApi(self._doors, self._crowd.watch)
        admin = admin_account(self._settings)
        try:
            await office.sign_in(admin, known=True)
            opened = await asyncio.gather(*(self._open_shop(number, keeper) for number in range(shops)))
            for shop in opened:
                await office.post(f"/admin/shops/{shop.shop_id}/verify", account=admin)
            arrived = await asyncio.gather(*(self._arrive(number) for number in range(customers)))
        finally:
            await office.close()
        return Cast(shops=list(opened), customers=list(arrived))

    async def _arrive(self, number: int) -> Customer:
        api, account = await self._register(number, "customer")
        patient_s = self._settings.order_open_s + _WAIT_BEYOND_END_S
        return Customer(self._crowd, api, account, patient_s=patient_s)

    async def _open_shop(self, number: int, keeper: type[Shop]) -> Shop:
        api, account = await self._register(number, "shop_owner")
        rng = generator(self._seed, "shop", self._town, number)
        habits = Habits(
            makes=(MAKE,),
            radius_m=_RADIUS_M,
            polygon=False,
            over_socket=number % 2 == 0,
            quickness=1.0,
            markup=rng.uniform(0.85, 1.25),
        )
        latitude = self.place.latitude + number * _SPACING_DEGREES
        shown = {
            "name": f"Chaos parts {self._town}-{number}",
            "place": {"latitude": latitude, "longitude": self.place.longitude},
        }
        onboarding = await api.post("/shop-onboarding/start", {}, account)
        path = f"/shop-onboarding/{onboarding['id']}"
        for step, answers in enumerate(onboarding_steps(shown, NEW_YORK, habits, self._settings), start=1):
            await api.put(f"{path}/step/{step}", answers, account)
        completed = await api.post(f"{path}/complete", account=account)
        return keeper(self._crowd, api, account, str(completed["shopId"]), habits, rng)

    async def _register(self, number: int, role: str) -> tuple[ChaosApi, Account]:
        email = f"chaos-{role.replace('_', '-')}-{self._town}-{number}@example.com"
        account = Account(email, f"Chaos {role} {number}", role, self._settings.jwt_secret)
        api = ChaosApi(self._doors, self._crowd.watch)
        await api.sign_in(account, known=False)
        return api, account


async def post_orders(crowd: Crowd, cast: Cast, place: Place, rng: random.Random, rate_per_s: float) -> None:
    """Post orders at a steady rate until cancelled, whatever happens to those before."""
    started_s = time.monotonic()
    for number in count():
        # By the clock, not by pauses: a moment's delay must not lower the rate.
        await asyncio.sleep(max(0.0, started_s + number / rate_per_s - time.monotonic()))
        plan = draw_order(rng, place, number, len(cast.customers))
        crowd.spawn(cast.customers[plan.customer].place(plan))


def draw_order(rng: random.Random, place: Place, number: int, customers: int) -> OrderPlan:
    """An order of the town."""
    parts = rng.sample(PARTS, rng.randint(1, 3))
    return OrderPlan(
        at=0.0,
        customer=rng.randrange(customers),
        where=NEW_YORK.name,
        body={
            "vehicle": {"make": MAKE, "model": "Corolla", "year": 2015},
            "deliveryLocation": {
                "latitude": round(place.latitude + rng.uniform(-0.02, 0.02), 6),
                "longitude": round(place.longitude + rng.uniform(-0.02, 0.02), 6),
                "address": f"Chaos delivery {number}",
            },
            "parts": [{"name": part.name, "quantity": rng.choice(part.quantities)} for part in parts],
            "urgency": "normal",
            "paymentMethod": "cash_on_delivery",
        },
        ending=rng.choices(_ENDINGS, _ENDING_WEIGHTS)[0],
        patience_s=rng.uniform(*_PATIENCE_S),
        over_socket=rng.random() < 0.4,
    )
