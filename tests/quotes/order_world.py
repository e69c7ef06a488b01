"""The order side on real PostgreSQL: shops in the directory, a submission queue, sweeps, and what they publish."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from matcher.accounts.access import Caller
from matcher.db import Pool
from matcher.events import Event
from matcher.geo.types import Place
from matcher.ids import uuid7
from matcher.quotes import events
from matcher.quotes.order_changes import OrderChanges
from matcher.quotes.order_schemas import DeliveryLocation, OrderCreate, PartRequest, Vehicle
from matcher.quotes.order_service import OrderService
from matcher.quotes.quote_service import QuoteService
from matcher.quotes.submission import SubmissionQueue
from matcher.quotes.submission_rows import NewOrder
from matcher.quotes.sweeps import Sweeps
from matcher.quotes.waves import WavePlanner
from matcher.settings import Settings
from matcher.shops.directory import ShopDirectory
from matcher.shops.uploads import UploadService
from matcher.transactions import IdempotentCall, Publisher, Transactions
from tests.quotes.factories import CONTACT, Clock

HOME = Place(latitude=30.0444, longitude=31.2357)
STEP = 0.001  # degrees of latitude: about 111 m
ADDRESS = "17 Secret Street, third door"
RENDERERS = {events.TOPIC: events.render_changes}
SCOPE = "POST /api/v1/auto-parts-orders"


class World:
    """Everything that belongs to the order side, on one pool and one clock."""

    def __init__(self, pool: Pool, settings: Settings, clock: Clock) -> None:
        self.pool, self.settings, self.clock = pool, settings, clock
        self.published: list[Event] = []
        self.publisher = Publisher(pool, self.append, queue_max=settings.publish_queue_max)
        self.transactions = Transactions(
            pool, self.publisher, RENDERERS, idempotency_wait_s=settings.idempotency_wait_s
        )
        self.directory = ShopDirectory(pool)
        self.planner = WavePlanner(self.directory, settings)
        self.queue = SubmissionQueue(pool, self.publisher, settings)
        self.orders = OrderService(
            self.transactions,
            self.queue,
            self.planner,
            self.directory,
            UploadService(self.transactions),
            settings,
            now=lambda: clock.now,
        )
        self.changes = OrderChanges(self.transactions, settings)
        self.sweeps = Sweeps(self.transactions, self.planner, settings)
        self.quotes = QuoteService(
            self.transactions,
            settings,
            shop_name=self._shop_name,
            contact_of=self._contact,
            uploads=UploadService(self.transactions),
        )

    async def append(self, batch: Sequence[Event]) -> None:
        """The event log of the test."""
        self.published.extend(batch)

    async def _shop_name(self, _: Any, shop_id: UUID) -> str | None:
        shop = self.directory.get(shop_id)
        return shop.name if shop and shop.status == "active" else None

    async def _contact(self, *_: Any) -> dict[str, Any]:
        return CONTACT

    async def take_events(self) -> list[Event]:
        """What was committed since the last call, as it would be published."""
        await self.publisher.drain()
        taken, self.published[:] = list(self.published), []
        return taken

    async def add_shops(self, count: int, first: int = 1, **changes: Any) -> list[UUID]:
        """Shops `first`, `first` + 1, … steps north of HOME, nearest first, known to the directory."""
        ids = [await insert_shop(self.pool, steps=first + n, **changes) for n in range(count)]
        await self.directory.load()
        return ids

    async def submit(self, customer: Caller | None = None, **changes: Any) -> dict[str, Any]:
        """An order through the service; its view."""
        reply = await self.orders.create(customer or new_customer(), order_body(**changes), None)
        view: dict[str, Any] = msgspec.json.decode(reply.body)
        return view

    async def asked(self, order_id: Any) -> list[UUID]:
        """The shops of an order's dispatches, by wave and rank."""
        rows = await self.pool.fetch(
            "SELECT shop_id FROM dispatches WHERE order_id = $1 ORDER BY wave, rank", UUID(str(order_id))
        )
        return [row["shop_id"] for row in rows]

    async def order(self, order_id: Any) -> Any:
        """The order's row."""
        return await self.pool.fetchrow("SELECT * FROM orders WHERE id = $1", UUID(str(order_id)))


@asynccontextmanager
async def open_world(pool: Pool, settings: Settings, clock: Clock) -> AsyncIterator[World]:
    """A world whose queue writes; `take_events` publishes."""
    world = World(pool, settings, clock)
    await world.directory.load()
    async with world.queue:
        yield world


async def insert_shop(
    pool: Pool,
    *,
    steps: int = 1,
    makes: Sequence[str] = ("toyota",),
    status: str = "active",
    radius_m: float = 50_000,
    beyond: bool = False,
    paused_until: datetime | None = None,
) -> UUID:
    """A shop `steps` north of HOME."""
    shop_id = uuid7()
    await pool.execute(
        "INSERT INTO shops (id, status, name, place, h3_r5, h3_r8, delivery_radius_m, service_reach_m,"
        " ships_beyond_area, paused_until) VALUES ($1, $2, $3, ST_SetSRID(ST_MakePoint($4, $5), 4326)::geography,"
        " 0, 0, $6, $6, $7, $8)",
        *(shop_id, status, f"Shop {steps}", HOME.longitude, HOME.latitude + steps * STEP),
        *(radius_m, beyond, paused_until),
    )
    await pool.executemany(
        "INSERT INTO shop_makes (shop_id, make) VALUES ($1, $2)", [(shop_id, make) for make in makes]
    )
    return shop_id


def new_customer() -> Caller:
    return Caller(uuid7(), "customer")


def staff_of(shop_id: UUID, role: str = "cashier") -> Caller:
    return Caller(uuid7(), "customer", {shop_id: role}, shop_id)


def order_body(**changes: Any) -> OrderCreate:
    """A valid order; `make`, `year` and `vin` go to the vehicle."""
    vehicle: dict[str, Any] = {"make": "Toyota", "model": "Corolla", "year": 2018}
    vehicle |= {name: changes.pop(name) for name in ("make", "year", "vin") if name in changes}
    fields: dict[str, Any] = {
        "vehicle": Vehicle(**vehicle),
        "delivery_location": DeliveryLocation(
            latitude=HOME.latitude, longitude=HOME.longitude, address=ADDRESS
        ),
        "parts": [PartRequest(name="Front brake pads", quantity=1), PartRequest(name="Filter", quantity=2)],
    }
    return OrderCreate(**fields | changes)


def new_order(
    world: World,
    customer: Caller | None = None,
    *,
    key: str | None = None,
    payload: bytes = b"1",
    **changes: Any,
) -> NewOrder:
    """An order as the service hands it to the queue."""
    caller = customer or new_customer()
    fields: dict[str, Any] = {
        "id": uuid7(),
        "user_id": caller.user_id,
        "urgency": "normal",
        "priority": "normal",
        "payment_method": "cash_on_delivery",
        "currency": "USD",
        "make": "toyota",
        "latitude": HOME.latitude,
        "longitude": HOME.longitude,
        "vehicle": {"make": "Toyota", "model": "Corolla", "year": 2018},
        "delivery_location": {"latitude": HOME.latitude, "longitude": HOME.longitude, "address": ADDRESS},
        "parts": [{"lineId": str(uuid7()), "name": "Filter", "quantity": 1}],
        "candidates": world.planner.choose(changes.get("make", "toyota"), HOME),
        "empty_reason": "no_shop_in_range",
        "call": IdempotentCall.of(caller.user_id, SCOPE, key, payload) if key else None,
    }
    return NewOrder(**fields | changes)


async def outcomes_of(*work: Any) -> list[Any]:
    """Replies and errors of calls that run at once."""
    return list(await asyncio.gather(*work, return_exceptions=True))
