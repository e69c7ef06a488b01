"""Pushes from end to end in one process: real PostgreSQL, Redis and orders, a browser's push service on loopback."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from matcher.core import Core, open_core
from matcher.db import Pool
from matcher.ids import uuid7
from matcher.notifications.acks import AckBook
from matcher.pushing import Pushing, open_pushing
from matcher.realtime.cursor import Cursor
from matcher.redis import create_redis
from matcher.settings import Settings
from matcher.tasks import push_tasks
from matcher.transactions import Transaction
from tests.notifications.browser import Browser
from tests.notifications.push_service import SUBJECT, PushService, open_push_service
from tests.quotes.factories import Order, insert_order, shop_caller


@pytest.fixture
async def service() -> AsyncIterator[PushService]:
    async with open_push_service() as service:
        yield service


@asynccontextmanager
async def open_worker(
    settings: Settings, service: PushService, folder: Path
) -> AsyncIterator[tuple[Core, Pushing]]:
    """A worker that pushes to browsers at once."""
    key = folder / "vapid.pem"
    key.write_bytes(service.vapid.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    pushing = replace(
        settings, vapid_key_file=str(key), vapid_subject=SUBJECT, push_allow_private=True, push_after_s=0.0
    )
    async with open_core(pushing) as core, open_pushing(core) as opened:
        await opened.feed.follow()
        yield core, opened


async def asked_shop(pool: Pool, service: PushService) -> tuple[Order, Browser]:
    """An order of now that asks a shop whose cashier has a browser."""
    caller = shop_caller(uuid7())
    await pool.execute(
        "INSERT INTO users (id, email, name, role) VALUES ($1, 'c@example.com', 'Cashier', 'customer')",
        caller.user_id,
    )
    await pool.execute(
        "INSERT INTO memberships (user_id, shop_id, role) VALUES ($1, $2, 'cashier')",
        *(caller.user_id, caller.shop_id),
    )
    browser, subscription = service.subscribe()
    await pool.execute(
        "INSERT INTO devices (id, user_id, platform, address, address_hash) VALUES ($1, $2, 'webpush', $3, 'x')",
        *(uuid7(), caller.user_id, subscription),
    )
    return await insert_order(pool, shops=[caller], now=datetime.now(UTC)), browser


async def announce(core: Core, order: Order) -> None:
    async def work(tx: Transaction) -> None:
        tx.changed("order", order.id, 1)

    await core.transactions.run(work)
    while core.publisher.waiting or await core.pool.fetchval("SELECT count(*) FROM outbox"):
        await core.publisher.drain()


async def run_tasks(pushing: Pushing) -> None:
    for task in push_tasks(pushing):
        await task.run()


def received(browser: Browser) -> list[Any]:
    return [json.loads(push) for push in browser.received]


async def test_an_order_reaches_the_browser_of_a_shop_without_a_socket(
    pool: Pool, settings: Settings, service: PushService, tmp_path: Path
) -> None:
    async with open_worker(settings, service, tmp_path) as (core, pushing):
        order, browser = await asked_shop(pool, service)
        await announce(core, order)
        await run_tasks(pushing)
        await run_tasks(pushing)
    [push] = received(browser)
    shop = order.shops[0]
    assert push["data"] == {"type": "new-parts-order", "orderId": str(order.id), "shopId": str(shop.shop_id)}
    [request] = service.requests
    assert 0 < int(request.headers["ttl"]) <= 7200
    assert request.headers["urgency"] == "high"


async def test_whoever_acknowledged_over_a_socket_is_not_disturbed(
    pool: Pool, settings: Settings, service: PushService, tmp_path: Path
) -> None:
    async with open_worker(settings, service, tmp_path) as (core, pushing):
        order, browser = await asked_shop(pool, service)
        await announce(core, order)
        reader = core.log.reader(0)
        position = await reader.open()
        cursor = Cursor(reader.epoch, 0, position.next, 0)
        await reader.close()
        redis = create_redis(core.redis_url)
        async with redis:
            book = AckBook(redis, settings.redis_prefix, "a")
            shop = order.shops[0]
            book.on_ack(f"shop:{shop.shop_id}", shop.user_id, cursor)
            await book.flush()
        await run_tasks(pushing)
    assert browser.received == []
    [row] = await pool.fetch("SELECT status, last_error FROM deliveries")
    assert tuple(row) == ("suppressed", "acknowledged over a socket")


async def test_what_an_emptied_redis_held_is_pushed_from_the_rows(
    pool: Pool, settings: Settings, service: PushService, tmp_path: Path
) -> None:
    async with open_worker(settings, service, tmp_path) as (core, pushing):
        order, browser = await asked_shop(pool, service)
        await announce(core, order)
        note = uuid7()
        await pool.execute(
            "INSERT INTO notifications (id, user_id, type, title, message) VALUES ($1, $2, 'news', 'News', 'Nine')",
            *(note, order.shops[0].user_id),
        )
        redis = create_redis(core.redis_url)
        async with redis:
            for key in [key async for key in redis.scan_iter(f"{settings.redis_prefix}*")]:
                await redis.delete(key)
        await run_tasks(pushing)
        await run_tasks(pushing)
    told = {push["data"]["type"]: push["data"] for push in received(browser)}
    assert len(browser.received) == 2
    assert told["new-parts-order"]["orderId"] == str(order.id)
    assert told["news"]["notificationId"] == str(note)


async def test_a_worker_without_channels_does_its_other_work(pool: Pool, settings: Settings) -> None:
    async with open_core(settings) as core, open_pushing(core) as pushing:
        await run_tasks(pushing)
        order = await insert_order(pool, now=datetime.now(UTC))
        await announce(core, order)
        await run_tasks(pushing)
    assert await pool.fetchval("SELECT count(*) FROM deliveries") == 0
