"""What happens when a process, a person or a shop goes away."""

import asyncio
import os
import signal
from collections.abc import Sequence
from functools import partial
from typing import Any

import asyncpg

from tests.e2e.api import Account, Api, Town, eventually, order_body, quote_body
from tests.e2e.conftest import Market, known
from tests.e2e.processes import Child, Service
from tests.e2e.sockets import having, open_socket

GOING_AWAY, TOKEN_EXPIRED, UNAUTHORIZED, FORBIDDEN = 4000, 4002, 4501, 4502


async def test_a_suspended_shop_is_cut_off_and_asked_no_more(
    a: Api, b: Api, admin: Account, market: Market, working: Child
) -> None:
    bad, good, _ = market.shops
    customer = await b.register()
    async with open_socket(a, bad, shop=True) as seller, open_socket(b, customer) as buyer:
        order = await b.do("POST", "/auto-parts-orders", order_body(market.town), customer)
        quote = await a.do("POST", "/shop-quotes/provide-quote", quote_body(order), bad)
        await b.do("POST", f"/admin/shops/{bad.shop_id}/suspend", {"reason": "complaints"}, admin)
        assert await seller.close_code() == FORBIDDEN
        # The worker ends what was open.
        assert (await buyer.event("quote-rejected"))["id"] == quote["id"]
    for api in (a, b):
        await eventually(partial(api.near, market.town), lambda found: bad.shop_id not in found, within_s=1.0)
        order = await api.do("POST", "/auto-parts-orders", order_body(market.town), customer)
        assert order["dispatch"]["shopsNotified"] == 2
    explained = await b.do("GET", f"/auto-parts-orders/{order['id']}/dispatches", who=customer)
    assert explained["items"][0]["shopId"] == good.shop_id
    refusal = await a.call("POST", "/shop-quotes/provide-quote", quote_body(order), bad)
    assert refusal.status_code in {403, 404}

    await a.do("POST", f"/admin/shops/{bad.shop_id}/reactivate", None, admin)
    await known(market.town, market.shops, a, b)


async def test_logout_ends_the_sockets_of_the_session_on_every_process(a: Api, b: Api) -> None:
    account = await a.register()
    other = await b.login(account.email)
    async with open_socket(b, account) as ended, open_socket(b, other) as stays:
        await a.do("POST", "/auth/logout", None, account)
        assert await ended.close_code() == UNAUTHORIZED
        await b.refused(401, "invalid_token", "GET", "/auth/me", who=account)
        status, reply = await stays.request("cancel-order", {"orderId": account.user_id})
        assert (status, reply["code"]) == (404, "not_found")


async def test_a_removed_member_loses_the_shops_socket_and_role(a: Api, b: Api, market: Market) -> None:
    owner, member = market.shops[0], await a.register()
    member.shop_id = owner.shop_id
    hired = {"email": member.email, "role": "cashier"}
    await a.do("POST", f"/shops/{owner.shop_id}/staff", hired, owner)
    async with open_socket(b, member, shop=True) as socket:
        await a.do("DELETE", f"/shops/{owner.shop_id}/staff/{member.user_id}", None, owner)
        assert await socket.close_code() == FORBIDDEN
    refusal = await eventually(
        lambda: b.call("GET", "/shop-quotes/inbox", who=member), lambda r: r.status_code != 200, within_s=1.0
    )
    assert refusal.status_code == 403


async def test_sigterm_sends_sockets_away_answers_what_runs_and_exits_with_0(
    a: Api, service: Service, market: Market
) -> None:
    child = service.serve()
    leaving = Api(child.url)
    customers = [await a.register() for _ in range(2)]
    async with leaving.http, open_socket(leaving, market.shops[0], shop=True) as socket:
        await known(market.town, market.shops, leaving)
        # Twenty orders are under way when the process is told to stop.
        orders = [
            asyncio.create_task(leaving.call("POST", "/auto-parts-orders", order_body(market.town), customer))
            for customer in customers
            for _ in range(10)
        ]
        await eventually(lambda: _any_done(orders))
        child.process.send_signal(signal.SIGTERM)
        answers = await asyncio.gather(*orders, return_exceptions=True)
        assert await socket.close_code() == GOING_AWAY
        stopped = await asyncio.to_thread(child.process.wait, 30)
    assert stopped == 0, child.output()
    assert "Traceback" not in child.output()
    acknowledged = {
        answer.json()["id"]
        for answer in answers
        if not isinstance(answer, BaseException) and answer.status_code == 201
    }
    listed = [await a.do("GET", f"/auto-parts-orders/user/{c.user_id}?limit=200", who=c) for c in customers]
    assert acknowledged <= {item["id"] for page in listed for item in page["items"]}
    assert len(acknowledged) == 20


async def _any_done(tasks: Sequence[asyncio.Task[Any]]) -> bool:
    return any(task.done() for task in tasks)


async def test_a_killed_process_loses_no_acknowledged_order_and_the_worker_tells_of_it(
    a: Api, service: Service, admin: Account, working: Child, database_url: str
) -> None:
    town = Town.new()
    shop = await a.open_shop(admin, town.north(500))
    child = service.serve(limits="off")
    dying = Api(child.url)
    customer = await a.register()
    acknowledged: list[str] = []

    async def submit() -> None:
        for _ in range(20):
            answer = await dying.do("POST", "/auto-parts-orders", order_body(town), customer)
            acknowledged.append(answer["id"])
            if len(acknowledged) == 40:
                os.kill(child.process.pid, signal.SIGKILL)

    async with dying.http, open_socket(a, shop, shop=True) as seller:
        await known(town, [shop], a, dying)
        await asyncio.gather(*(submit() for _ in range(8)), return_exceptions=True)
        assert await asyncio.to_thread(child.process.wait, 10) == -signal.SIGKILL
        assert len(acknowledged) >= 40
        connection = await asyncpg.connect(database_url)
        try:
            rows = await connection.fetch(
                "SELECT id::text FROM orders WHERE user_id = $1 AND status = 'submitted'", customer.user_id
            )
            assert set(acknowledged) <= {row["id"] for row in rows}
            # What it could not announce any more, the worker does.
            for row in rows:
                await seller.event("new-parts-order", having(orderId=row["id"]))
            await eventually(
                lambda: connection.fetchval("SELECT count(*) FROM outbox"), lambda count: count == 0
            )
        finally:
            await connection.close()


async def test_a_stopped_worker_exits_with_0(service: Service) -> None:
    worker = service.worker()
    assert await asyncio.to_thread(worker.stop) == 0
    assert "Traceback" not in worker.output()
