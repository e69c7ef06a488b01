"""Every committed change of a shop reaches every process's directory, and only eligible shops are named."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from matcher.db import Pool
from matcher.geo.types import Place
from matcher.shops.directory import ShopDirectory, ShopSummary

CAIRO = Place(latitude=30.0444, longitude=31.2357)
NOW_S = datetime(2026, 6, 1, 12, tzinfo=UTC).timestamp()


def _ids(directory: ShopDirectory, make: str = "toyota", **kwargs: Any) -> list[UUID]:
    found = directory.nearest(make, CAIRO, 10, now_s=kwargs.pop("now_s", NOW_S), **kwargs)
    return [candidate.shop_id for candidate in found]


async def _loaded(pool: Pool) -> ShopDirectory:
    directory = ShopDirectory(pool)
    await directory.load()
    return directory


async def _set(connection: Any, shop_id: UUID, change: str, *args: Any) -> None:
    await connection.execute(
        f"UPDATE shops SET {change}, version = version + 1 WHERE id = $1", shop_id, *args
    )


async def test_load_reads_the_shops_that_may_be_asked(pool: Pool, insert_shop: Any) -> None:
    assert not ShopDirectory(pool).loaded
    near = await insert_shop(status="active", latitude=30.05)
    far = await insert_shop(status="active", latitude=30.10)
    await insert_shop(status="active", makes=["bmw"])
    await insert_shop(status="active", latitude=31.0)
    await insert_shop(status="unclaimed")
    suspended = await insert_shop(status="suspended")
    directory = await _loaded(pool)
    assert directory.loaded
    assert len(directory) == 5
    assert _ids(directory) == [near, far]
    assert _ids(directory, exclude=[near]) == [far]
    summary = directory.get(suspended)
    assert summary is not None
    assert summary.status == "suspended"


async def test_a_candidate_says_what_orders_it(pool: Pool, insert_shop: Any) -> None:
    shop_id = await insert_shop(status="active", latitude=30.05)
    await _set(
        pool,
        shop_id,
        "rating = 4.5, reply_rate = 0.9, time_zone = 'Africa/Cairo',"
        ' opening_hours = \'{"mon": [["09:00", "15:30"]]}\'',
    )
    directory = await _loaded(pool)
    # 12:00 UTC on a Monday in June is 15:00 in Cairo.
    (candidate,) = directory.nearest("toyota", CAIRO, 10, now_s=NOW_S)
    assert (candidate.name, candidate.rating, candidate.reply_rate) == ("Imported", 4.5, 0.9)
    assert candidate.distance_mm == pytest.approx(622_700, abs=500)
    assert candidate.open_now is True
    (later,) = directory.nearest("toyota", CAIRO, 10, now_s=NOW_S + 3600)
    assert later.open_now is False


async def test_distances_are_those_of_postgis(pool: Pool, insert_shop: Any) -> None:
    for step in range(1, 9):
        await insert_shop(status="active", latitude=30.0444 + step / 100, longitude=31.2357 - step / 90)
    directory = await _loaded(pool)
    rows = await pool.fetch(
        "SELECT id, round(ST_Distance(place, ST_MakePoint(31.2357, 30.0444)::geography, false) * 1000)::bigint AS mm"
        " FROM shops ORDER BY 2, 1"
    )
    found = directory.nearest("toyota", CAIRO, 10, now_s=NOW_S)
    assert [(c.shop_id, c.distance_mm) for c in found] == [
        (r["id"], r["mm"]) for r in rows if r["mm"] <= 20e6
    ]


async def test_a_change_reaches_another_process_after_its_refresh(world: Any) -> None:
    other = await _loaded(world.pool)
    seen: list[ShopSummary] = []
    other.on_change(seen.append)
    owner, shop_id = await world.active_shop()
    admin = await world.person("admin")
    await other.refresh()
    assert _ids(other) == [UUID(shop_id)]

    await owner.do("PATCH", f"/shops/{shop_id}", {"supportedBrands": ["BMW"]})
    await other.refresh()
    assert (_ids(other), _ids(other, "bmw")) == ([], [UUID(shop_id)])

    await owner.do("PATCH", f"/shops/{shop_id}", {"latitude": 40.7, "longitude": -74.0})
    await other.refresh()
    assert _ids(other, "bmw") == []
    await owner.do("PATCH", f"/shops/{shop_id}", {"shipsBeyondArea": True})
    await other.refresh()
    assert _ids(other, "bmw", beyond_area=True) == [UUID(shop_id)]

    await admin.do("POST", f"/admin/shops/{shop_id}/suspend", {"reason": "x"})
    await other.refresh()
    assert _ids(other, "bmw", beyond_area=True) == []
    assert [summary.status for summary in seen] == ["active", "active", "active", "active", "suspended"]


async def test_a_pause_ends_by_itself(world: Any) -> None:
    owner, shop_id = await world.active_shop()
    until = datetime.now(UTC) + timedelta(hours=1)
    await owner.do("PATCH", f"/shops/{shop_id}", {"pausedUntil": until.isoformat()})
    await world.directory.refresh()
    assert _ids(world.directory, now_s=until.timestamp() - 1) == []
    assert _ids(world.directory, now_s=until.timestamp()) == [UUID(shop_id)]
    assert (await owner.do("GET", f"/shops/{shop_id}"))["status"] == "active"


async def test_a_polygon_decides_who_serves_a_place(world: Any) -> None:
    owner, shop_id = await world.active_shop()
    west_of_cairo = {"type": "Polygon", "coordinates": [[[30, 29], [31, 29], [31, 31], [30, 31], [30, 29]]]}
    await owner.do("PATCH", f"/shops/{shop_id}", {"serviceArea": west_of_cairo})
    await world.directory.refresh()
    fresh = await _loaded(world.pool)
    for directory in (world.directory, fresh):
        assert _ids(directory) == []
        west = Place(latitude=30.0, longitude=30.9)
        assert len(directory.nearest("toyota", west, 1, now_s=NOW_S)) == 1


async def test_a_change_that_commits_late_is_not_skipped(pool: Pool, insert_shop: Any) -> None:
    early, late = await insert_shop(status="active"), await insert_shop(status="active")
    directory = await _loaded(pool)
    async with pool.acquire() as slow:
        transaction = slow.transaction()
        await transaction.start()
        await _set(slow, late, "status = 'suspended'")
        await _set(pool, early, "status = 'suspended'")
        await directory.refresh()
        assert _ids(directory) == [late]
        # Polls in between must not move the watermark past the transaction that still runs.
        await directory.refresh()
        await transaction.commit()
    await directory.refresh()
    assert _ids(directory) == []


async def test_a_change_during_the_load_is_not_lost(pool: Pool, insert_shop: Any) -> None:
    shop_id = await insert_shop(status="active")
    directory = ShopDirectory(pool)
    async with pool.acquire() as slow:
        transaction = slow.transaction()
        await transaction.start()
        await _set(slow, shop_id, "status = 'suspended'")
        await directory.load()
        assert _ids(directory) == [shop_id]
        await transaction.commit()
    await directory.refresh()
    assert _ids(directory) == []


async def test_a_row_that_is_known_is_not_applied_again(pool: Pool, insert_shop: Any) -> None:
    shop_id = await insert_shop(status="active")
    directory = await _loaded(pool)
    seen: list[ShopSummary] = []
    directory.on_change(seen.append)
    async with pool.acquire() as holder, holder.transaction():
        await holder.execute("SELECT pg_current_xact_id()")  # keeps the watermark where it is
        await _set(pool, shop_id, "name = 'New'")
        assert await directory.refresh() == 1
        assert await directory.refresh() == 1
    assert [summary.name for summary in seen] == ["New"]


async def test_run_follows_until_it_is_cancelled(pool: Pool, insert_shop: Any) -> None:
    directory = ShopDirectory(pool, poll_s=0.01)
    await directory.load()
    arrived = asyncio.Event()
    directory.on_change(lambda _: arrived.set())
    task = asyncio.create_task(directory.run())
    await insert_shop(status="active")
    await asyncio.wait_for(arrived.wait(), timeout=5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(_ids(directory)) == 1
