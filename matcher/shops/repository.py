"""SQL of shops, onboardings and uploads. Must not decide anything: services do."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from matcher.db import Connection, Pool, Row, load_queries
from matcher.geo.service_area import Area, PolygonArea, RadiusArea
from matcher.geo.types import Place
from matcher.shops.hours import HoursException, OpeningHours
from matcher.shops.shop import Pricing, Shop, h3_cells

SQL = load_queries("matcher.shops")


def area_of(row: Row) -> Area:
    """The service area of a row with `delivery_radius_m` and `area_wkb`."""
    if row["area_wkb"] is None:
        return RadiusArea(row["delivery_radius_m"])
    return PolygonArea.from_wkb(row["area_wkb"])


def shop_of(row: Row) -> Shop:
    """A row of `shop_columns` as a value."""
    hours, exceptions = row["opening_hours"], row["hours_exceptions"]
    return Shop(
        id=row["id"],
        source=row["source"],
        source_ref=row["source_ref"],
        owner_id=row["owner_id"],
        status=row["status"],
        kind=row["kind"],
        name=row["name"],
        chain=row["chain"],
        registration_number=row["registration_number"],
        tax_id=row["tax_id"],
        phone=row["phone"],
        email=row["email"],
        place=Place(latitude=row["latitude"], longitude=row["longitude"]),
        address=row["address"],
        country=row["country"],
        time_zone=row["time_zone"],
        opening_hours=hours and msgspec.convert(hours, OpeningHours),
        hours_exceptions=msgspec.convert(exceptions or (), tuple[HoursException, ...]),
        area=area_of(row),
        ships_beyond_area=row["ships_beyond_area"],
        paused_until=row["paused_until"],
        inventory_mode=row["inventory_mode"],
        currency=row["currency"],
        pricing=msgspec.convert(row["pricing"] or {}, Pricing),
        document_ids=tuple(row["document_ids"]),
        makes=tuple(row["makes"]),
        makes_generated=row["makes_generated"],
        rating=row["rating"],
        reply_rate=row["reply_rate"],
        review_reason=row["review_reason"],
        reviewed_by=row["reviewed_by"],
        version=row["version"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


async def now(connection: Connection) -> datetime:
    """The one clock of all SQL."""
    moment: datetime = await connection.fetchval(SQL["now"])
    return moment


async def find_shop(connection: "Connection | Pool", shop_id: UUID) -> Shop | None:
    """The shop with this id."""
    row = await connection.fetchrow(SQL["find_shop"], shop_id)
    return None if row is None else shop_of(row)


async def lock_shop(connection: Connection, shop_id: UUID) -> Shop | None:
    """The shop with this id, locked until the transaction ends."""
    # Locked first and read afterwards: the row's makes are another table, read as of the statement's start.
    if await connection.fetchval(SQL["lock_shop"], shop_id) is None:
        return None
    return await find_shop(connection, shop_id)


async def save_shop(connection: Connection, shop: Shop) -> Shop:
    """Write a new shop, or the next version of one that is locked; as it stands afterwards.

    The makes change only together with the row, whose version and transaction id tell other processes.
    """
    coarse, fine = h3_cells(shop.place)
    radius_m = shop.area.radius_m if isinstance(shop.area, RadiusArea) else None
    polygons = shop.area.to_wkb() if isinstance(shop.area, PolygonArea) else None
    await connection.execute(
        SQL["save_shop"],
        shop.id,
        shop.source,
        shop.source_ref,
        shop.owner_id,
        shop.status,
        shop.kind,
        shop.name,
        shop.chain,
        shop.registration_number,
        shop.tax_id,
        shop.phone,
        shop.email,
        shop.place.longitude,
        shop.place.latitude,
        coarse,
        fine,
        shop.address,
        shop.country,
        shop.time_zone,
        _json(shop.opening_hours),
        _json(shop.hours_exceptions or None),
        radius_m,
        polygons,
        shop.service_reach_m,
        shop.ships_beyond_area,
        shop.paused_until,
        shop.inventory_mode,
        shop.currency,
        _json(shop.pricing),
        shop.document_ids,
        shop.makes_generated,
        shop.review_reason,
        shop.reviewed_by,
    )
    await connection.execute(SQL["remove_makes"], shop.id, shop.makes)
    await connection.execute(SQL["add_makes"], shop.id, shop.makes)
    saved = await find_shop(connection, shop.id)
    assert saved is not None, "it has just been written"
    return saved


def _json(value: Any) -> bytes | None:
    return None if value is None else msgspec.json.encode(value)


async def list_shops(pool: Pool, status: str | None, after: UUID | None, limit: int) -> list[Shop]:
    """Up to `limit` shops of a status (None: any) in order of id, after an id."""
    return [shop_of(row) for row in await pool.fetch(SQL["list_shops"], status, after, limit)]


async def list_near_unclaimed(
    pool: Pool, place: Place, make: str | None, limit: int
) -> list[tuple[Shop, float]]:
    """The nearest unclaimed shops and their great-circle distance in metres."""
    rows = await pool.fetch(SQL["list_near_unclaimed"], place.longitude, place.latitude, make, limit)
    return [(shop_of(row), row["distance_m"]) for row in rows]


async def insert_onboarding(
    connection: Connection, onboarding_id: UUID, user_id: UUID, claim_shop_id: UUID | None
) -> Row:
    """Start an onboarding."""
    return _some(await connection.fetchrow(SQL["insert_onboarding"], onboarding_id, user_id, claim_shop_id))


async def count_open_onboardings(connection: Connection, user_id: UUID) -> int:
    """The account's onboardings in progress; locks the account's row, so that a count stays true."""
    await connection.execute(SQL["lock_user"], user_id)
    count: int = await connection.fetchval(SQL["count_open_onboardings"], user_id)
    return count


async def find_onboarding(connection: "Connection | Pool", onboarding_id: UUID, user_id: UUID) -> Row | None:
    """The onboarding, if it is the user's."""
    return await connection.fetchrow(SQL["find_onboarding"], onboarding_id, user_id)


async def lock_onboarding(connection: Connection, onboarding_id: UUID, user_id: UUID) -> Row | None:
    """The onboarding, if it is the user's, locked until the transaction ends."""
    return await connection.fetchrow(SQL["lock_onboarding"], onboarding_id, user_id)


async def save_onboarding(
    connection: Connection,
    onboarding_id: UUID,
    *,
    status: str,
    current_step: int,
    completed_steps: Sequence[int],
    steps: dict[str, Any],
    shop_id: UUID | None,
) -> Row:
    """Write the next version of an onboarding that is locked."""
    return _some(
        await connection.fetchrow(
            SQL["save_onboarding"],
            onboarding_id,
            status,
            current_step,
            completed_steps,
            msgspec.json.encode(steps),
            shop_id,
        )
    )


async def fail_other_claims(connection: Connection, shop_id: UUID) -> None:
    """End every onboarding in progress that claims a shop which is somebody's now."""
    await connection.execute(SQL["fail_other_claims"], shop_id)


async def insert_upload(
    connection: Connection, upload_id: UUID, owner_id: UUID, content_type: str, digest: bytes, content: bytes
) -> None:
    """Keep a file."""
    await connection.execute(SQL["insert_upload"], upload_id, owner_id, content_type, digest, content)


async def count_uploads(connection: Connection, owner_id: UUID) -> int:
    """The account's files; locks the account's row, so that a count stays true."""
    await connection.execute(SQL["lock_user"], owner_id)
    count: int = await connection.fetchval(SQL["count_uploads"], owner_id)
    return count


async def find_upload(pool: Pool, upload_id: UUID, owner_id: UUID | None) -> Row | None:
    """A file's `content_type` and `content`; with `owner_id`, only if it is that account's."""
    return await pool.fetchrow(SQL["find_upload"], upload_id, owner_id)


async def list_own_uploads(
    connection: Connection, upload_ids: Sequence[UUID], owner_id: UUID
) -> frozenset[UUID]:
    """Those of the ids that are files of the account."""
    rows = await connection.fetch(SQL["list_own_uploads"], upload_ids, owner_id)
    return frozenset(row["id"] for row in rows)


def _some(row: Row | None) -> Row:
    assert row is not None, "the statement returns its row"
    return row
