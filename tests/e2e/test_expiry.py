"""Orders whose time is over: their customers are told within 5 seconds, however many end together."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from tests.e2e.api import Account, Api, Json, Town, order_body, quote_body
from tests.e2e.conftest import Market, known
from tests.e2e.processes import Child, Service
from tests.e2e.sockets import Socket, having, open_socket

TOLD_WITHIN_S = 5.0
PER_CUSTOMER = 100


async def test_shop_and_customer_are_told_that_time_is_over(
    a: Api, service: Service, working: Child, market: Market
) -> None:
    customer, shop = await a.register(), market.shops[0]
    hasty = Api(service.serve(order_open_s=2).url)
    async with hasty.http, open_socket(a, shop, shop=True) as seller, open_socket(a, customer) as buyer:
        await known(market.town, market.shops, hasty)
        order = await hasty.do("POST", "/auto-parts-orders", order_body(market.town), customer)
        quote = await a.do("POST", "/shop-quotes/provide-quote", quote_body(order), shop)
        expired = await buyer.event_frame("order-status-update", having(status="expired"))
        assert seconds_late(order["expiresAt"]) < TOLD_WITHIN_S
        assert expired["data"]["dispatch"]["shopsNotified"] == 3
        await buyer.event("quote-expired")
        closed = await seller.event("dispatch-updated", having(status="closed"))
        assert closed["closedReason"] == "expired"
        accept = {"quoteId": quote["id"], "quoteVersion": quote["version"]}
        path = f"/auto-parts-orders/{order['id']}"
        await a.refused(409, "order_expired", "POST", f"{path}/accept-quote", accept, customer)
        await a.refused(409, "order_expired", "POST", f"{path}/extend", {"minutes": 5}, customer)
        await a.refused(409, "order_expired", "POST", "/shop-quotes/provide-quote", quote_body(order), shop)


@pytest.mark.timeout(300)
async def test_orders_that_expire_together_are_all_told_in_time(
    a: Api, admin: Account, service: Service, working: Child, database_url: str, full: bool
) -> None:
    count = 10_000 if full else 500
    town = Town.new()
    shops = [await a.open_shop(admin, town.north(500.0 + n)) for n in range(3)]
    unlimited = Api(service.serve(limits="off").url)
    async with unlimited.http, asyncio.TaskGroup() as group:
        await known(town, shops, unlimited)
        customers = [await a.register() for _ in range(count // PER_CUSTOMER)]
        slots = asyncio.Semaphore(50)

        async def submit(customer: Account) -> None:
            async with slots:
                await unlimited.do("POST", "/auto-parts-orders", order_body(town), customer)

        await asyncio.gather(*(submit(customer) for customer in customers for _ in range(PER_CUSTOMER)))
        expires_at = datetime.now(UTC) + timedelta(seconds=5 + count / 1_000)
        watches = [group.create_task(_watch(unlimited, customer, expires_at)) for customer in customers]
        await _expire_at(database_url, [customer.user_id for customer in customers], expires_at)
    late_s = sorted(late for watch in watches for late in watch.result())
    assert len(late_s) == count
    shown = {p: round(late_s[min(count - 1, count * p // 100)], 2) for p in (50, 99, 100)}
    assert late_s[0] >= 0
    assert late_s[-1] < TOLD_WITHIN_S, f"seconds after expiresAt, by percentile: {shown}"


async def _expire_at(database_url: str, user_ids: list[str], expires_at: datetime) -> None:
    """All these orders end at one moment, which no customer could arrange."""
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute(
            "UPDATE orders SET expires_at = $2 WHERE user_id = ANY($1::uuid[])", user_ids, expires_at
        )
    finally:
        await connection.close()


async def _watch(api: Api, customer: Account, expires_at: datetime) -> list[float]:
    """How late each order's end was told, in seconds after `expires_at`."""
    late: dict[str, float] = {}
    async with open_socket(api, customer) as socket:
        while len(late) < PER_CUSTOMER:
            frame = await _next(socket)
            if frame["type"] == "event" and frame["data"].get("status") == "expired":
                arrived = datetime.now(UTC)
                late.setdefault(frame["data"]["id"], (arrived - expires_at).total_seconds())
    return list(late.values())


async def _next(socket: Socket) -> Json:
    # Without the model: reading must not be what is measured.
    frame: Json = json.loads(await socket.connection.recv())
    return frame


def seconds_late(expires_at: str) -> float:
    """Now, in seconds after a wire time."""
    return (datetime.now(UTC) - datetime.fromisoformat(expires_at)).total_seconds()
