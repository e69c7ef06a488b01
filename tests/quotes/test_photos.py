"""Who may open the photos of an order and of its quotes."""

from uuid import UUID

import msgspec
import orjson
import pytest

from matcher.accounts.access import Caller
from matcher.db import Pool
from matcher.errors import NotFound
from matcher.ids import uuid7
from matcher.quotes.photos import PhotoService
from tests.quotes.factories import Order, Quoting, insert_order, provide, shop_caller

ORDER_PHOTO, QUOTE_PHOTO, OTHER_PHOTO = UUID(int=1), UUID(int=2), UUID(int=3)


class Photo(msgspec.Struct, frozen=True):
    content_type: str
    content: bytes


class EveryPhoto:
    """Holds every file there could be: only the rule of who sees what is left to say no."""

    async def find(self, upload_id: UUID) -> Photo:
        return Photo("image/png", upload_id.bytes)


@pytest.fixture
async def order(clocked_pool: Pool, quoting: Quoting) -> Order:
    """An order with a photo, asked of two shops; the first has quoted with a photo of its own."""
    order = await insert_order(clocked_pool)
    await _add_photo(clocked_pool, "order_documents", "parts", "order_id", order.id, ORDER_PHOTO)
    quote = await provide(quoting, order)
    await _add_photo(clocked_pool, "quotes", "lines", "id", UUID(quote["id"]), QUOTE_PHOTO)
    return order


async def _add_photo(pool: Pool, table: str, column: str, key: str, row_id: UUID, photo: UUID) -> None:
    entries = await pool.fetchval(f"SELECT {column} FROM {table} WHERE {key} = $1", row_id)
    entries[0]["photoIds"] = [str(photo)]
    await pool.execute(f"UPDATE {table} SET {column} = $2 WHERE {key} = $1", row_id, orjson.dumps(entries))


async def _sees(pool: Pool, caller: Caller, order: Order, photo: UUID) -> bool:
    try:
        file = await PhotoService(pool, EveryPhoto()).read(caller, order.id, photo)
    except NotFound:
        return False
    assert file.content == photo.bytes
    return True


async def test_customer_and_admin_see_the_photos_of_order_and_quotes(
    clocked_pool: Pool, order: Order
) -> None:
    admin = Caller(uuid7(), "admin")
    for caller in (order.customer, admin):
        assert await _sees(clocked_pool, caller, order, ORDER_PHOTO)
        assert await _sees(clocked_pool, caller, order, QUOTE_PHOTO)
        assert not await _sees(clocked_pool, caller, order, OTHER_PHOTO)


async def test_asked_shops_see_the_orders_photos_and_their_own_only(clocked_pool: Pool, order: Order) -> None:
    quoting_shop, rival = order.shops[0], order.shops[1]
    assert await _sees(clocked_pool, quoting_shop, order, ORDER_PHOTO)
    assert await _sees(clocked_pool, quoting_shop, order, QUOTE_PHOTO)
    assert await _sees(clocked_pool, rival, order, ORDER_PHOTO)
    assert not await _sees(clocked_pool, rival, order, QUOTE_PHOTO)


async def test_strangers_see_nothing(clocked_pool: Pool, order: Order) -> None:
    for caller in (Caller(uuid7(), "customer"), shop_caller(uuid7(), "shop_owner")):
        assert not await _sees(clocked_pool, caller, order, ORDER_PHOTO)
        assert not await _sees(clocked_pool, caller, order, QUOTE_PHOTO)
