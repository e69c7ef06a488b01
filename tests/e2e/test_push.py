"""Who is pushed to: the shop without a socket, and not the one whose socket acknowledged."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.e2e.api import Account, Api, order_body
from tests.e2e.conftest import Market, known
from tests.e2e.processes import Service
from tests.e2e.sockets import having, open_socket
from tests.notifications.browser import Browser
from tests.notifications.push_service import SUBJECT, PushService, open_push_service

PUSHED_WITHIN_S = 30.0


@pytest.fixture
async def push_service() -> AsyncIterator[PushService]:
    async with open_push_service() as service:
        yield service


@pytest.fixture
def pushing(service: Service, push_service: PushService, tmp_path: Path) -> dict[str, Any]:
    """Settings of processes that push to browsers, with an event log of their own: workers must be alike."""
    key = tmp_path / "vapid.pem"
    key.write_bytes(push_service.vapid.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return {
        "vapid_key_file": key,
        "vapid_subject": SUBJECT,
        "push_allow_private": "on",
        "push_after_s": 3,
        "redis_prefix": f"{service.environment['MATCHER_REDIS_PREFIX']}push:",
    }


async def register(api: Api, push_service: PushService, account: Account) -> Browser:
    browser, subscription = push_service.subscribe()
    body = {"platform": "webpush", "subscription": json.loads(subscription)}
    await api.do("POST", "/notifications/devices", body, account)
    return browser


async def feed_begun(database_url: str) -> None:
    """What happened before the feed's first turn is told from the rows, whoever has acknowledged it."""
    connection = await asyncpg.connect(database_url)
    try:
        async with asyncio.timeout(PUSHED_WITHIN_S):
            while not await connection.fetchval("SELECT count(*) FROM push_cursors WHERE generation > 0"):  # noqa: ASYNC110  another process
                await asyncio.sleep(0.05)
    finally:
        await connection.close()


async def test_the_shop_without_a_socket_is_pushed_to_and_the_one_that_acknowledged_is_not(
    service: Service, market: Market, push_service: PushService, pushing: dict[str, Any]
) -> None:
    api = Api(service.serve(**pushing).url)
    worker = service.worker(**pushing)
    await feed_begun(service.environment["DATABASE_URL"])
    here, away, _ = market.shops
    async with api.http, open_socket(api, here, shop=True) as socket:
        await known(market.town, market.shops, api)
        browsers = {shop.shop_id: await register(api, push_service, shop) for shop in (here, away)}
        customer = await api.register()
        order = await api.do("POST", "/auto-parts-orders", order_body(market.town), customer)
        frame = await socket.event_frame("new-parts-order", having(orderId=order["id"]))
        await socket.send({"type": "ack", "cursor": frame["cursor"]})
        async with asyncio.timeout(PUSHED_WITHIN_S):
            while not browsers[away.shop_id].received:  # noqa: ASYNC110  the service is other processes
                await asyncio.sleep(0.05)
    assert worker.stop() == 0
    [push] = browsers[away.shop_id].received
    expected = {"type": "new-parts-order", "orderId": order["id"], "shopId": away.shop_id}
    assert json.loads(push)["data"] == expected
    assert browsers[here.shop_id].received == []
