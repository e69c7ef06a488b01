"""`ShopDirectory`: this process's copy of the shops that may be asked, and who of them is nearest.

Owns the copy and the geo index over it; PostgreSQL holds the truth, and the copy can be rebuilt at any time.
Unclaimed shops are not in it: nobody dispatches to them, and no shop ever becomes unclaimed again. Must not
write.
"""

import gc
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache
from time import perf_counter
from uuid import UUID

import msgspec
import structlog

from matcher import metrics
from matcher.changes import ChangeFeed
from matcher.db import Pool, Row
from matcher.geo.index import Site, SiteIndex
from matcher.geo.types import Place
from matcher.shops.hours import HoursException, OpeningHours, is_open
from matcher.shops.lifecycle import Status
from matcher.shops.repository import SQL, area_of

# Thousands of shops share a few hundred weeks of hours; each is read once.
_HOURS_CACHED = 10_000

log = structlog.get_logger()


class ShopSummary(msgspec.Struct, frozen=True, gc=False):
    """What the process knows of a shop. `makes` are slugs."""

    id: UUID
    version: int
    status: Status
    name: str
    kind: str
    place: Place
    makes: frozenset[str]
    time_zone: str
    currency: str | None
    rating: float | None
    reply_rate: float | None
    opening_hours: OpeningHours | None
    hours_exceptions: tuple[HoursException, ...]
    paused_until: datetime | None

    def open_at(self, moment: datetime) -> bool | None:
        """Whether the shop is open; None when its hours are not known."""
        return is_open(self.opening_hours, self.hours_exceptions, self.time_zone, moment)


class Candidate(msgspec.Struct, frozen=True):
    """An eligible shop and what orders it within a wave. `open_now` is None when its hours are not known."""

    shop_id: UUID
    distance_mm: int
    place: Place
    name: str
    rating: float | None
    reply_rate: float | None
    open_now: bool | None


Hook = Callable[[ShopSummary], None]


class ShopDirectory:
    """See the module. `load` once, then `run` (or `refresh`) follows every committed change."""

    def __init__(self, pool: Pool, *, poll_s: float = 0.25) -> None:
        self._pool = pool
        self._feed = ChangeFeed(pool, SQL["follow_directory"], self._apply, poll_s=poll_s)
        self._index = SiteIndex()
        self._shops: dict[UUID, ShopSummary] = {}
        self._hooks: list[Hook] = []
        self.loaded = False

    def __len__(self) -> int:
        return len(self._shops)

    async def load(self) -> None:
        """Read all shops. The feed starts before the read, so that nothing falls between."""
        started_s = perf_counter()
        await self._feed.start_here()
        with _no_collection():
            rows = await self._pool.fetch(SQL["load_directory"])
            self._shops = {row["id"]: _summary(row) for row in rows}
            self._index = SiteIndex.build(_site(self._shops[row["id"]], row) for row in rows)
        self.loaded = True
        metrics.INDEX_SITES.set(len(self._shops))
        log.info("shops_loaded", shops=len(rows), seconds=round(perf_counter() - started_s, 2))

    async def refresh(self) -> int:
        """Take over what was committed since; how many rows were read (some may be known)."""
        return await self._feed.refresh()

    async def run(self) -> None:
        """Follow until cancelled."""
        await self._feed.run()

    def on_change(self, hook: Hook) -> None:
        """Call `hook` with each changed shop, after the directory has it."""
        self._hooks.append(hook)

    def get(self, shop_id: UUID) -> ShopSummary | None:
        """The shop as it was last read; None for an unknown or an unclaimed one."""
        return self._shops.get(shop_id)

    def knows_make(self, make: str) -> bool:
        """Whether any shop has the make (a slug), whatever its status."""
        return self._index.knows_tag(make)

    def nearest(
        self,
        make: str,
        place: Place,
        count: int,
        *,
        now_s: float,
        exclude: Collection[UUID] = (),
        beyond_area: bool = False,
    ) -> list[Candidate]:
        """The `count` nearest eligible shops for a make (a slug) at unix time `now_s`, nearest first.

        Eligible: active, not paused, has the make, serves the place (with `beyond_area`: ships beyond its area),
        not in `exclude`. Closed shops are eligible: their hours only order them. No database read.
        """
        started_s = perf_counter()
        hits = self._index.nearest(make, place, count, now_s=now_s, exclude=exclude, beyond_area=beyond_area)
        metrics.MATCH_SECONDS.observe(perf_counter() - started_s)
        moment = datetime.fromtimestamp(now_s, UTC)
        return [_candidate(self._shops[hit.id], hit.distance_mm, moment) for hit in hits]

    def _apply(self, rows: Sequence[Row]) -> None:
        changed: list[ShopSummary] = []
        for row in rows:
            known = self._shops.get(row["id"])
            if known is not None and known.version >= row["version"]:
                continue
            shop = self._shops[row["id"]] = _summary(row)
            self._index.upsert(_site(shop, row))
            changed.append(shop)
        metrics.INDEX_CHANGES.inc(len(changed))
        metrics.INDEX_SITES.set(len(self._shops))
        for shop in changed:
            for hook in self._hooks:
                hook(shop)


@contextmanager
def _no_collection() -> Iterator[None]:
    # A million new objects of which none is garbage: looking for some takes half of the load's time (measured).
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _summary(row: Row) -> ShopSummary:
    hours, exceptions = row["opening_hours"], row["hours_exceptions"]
    return ShopSummary(
        id=row["id"],
        version=row["version"],
        status=row["status"],
        name=row["name"],
        kind=row["kind"],
        place=Place(latitude=row["latitude"], longitude=row["longitude"]),
        makes=frozenset(row["makes"] or ()),
        time_zone=row["time_zone"],
        currency=row["currency"],
        rating=row["rating"],
        reply_rate=row["reply_rate"],
        opening_hours=_hours(msgspec.json.encode(hours)) if hours else None,
        hours_exceptions=msgspec.convert(exceptions, tuple[HoursException, ...]) if exceptions else (),
        paused_until=row["paused_until"],
    )


@lru_cache(_HOURS_CACHED)
def _hours(text: bytes) -> OpeningHours:
    return msgspec.json.decode(text, type=OpeningHours)


def _site(shop: ShopSummary, row: Row) -> Site:
    return Site(
        id=shop.id,
        place=shop.place,
        tags=shop.makes,
        area=area_of(row),
        enabled=shop.status == "active",
        ships_beyond_area=row["ships_beyond_area"],
        paused_until=shop.paused_until.timestamp() if shop.paused_until else None,
        reach_m=row["service_reach_m"],
    )


def _candidate(shop: ShopSummary, distance_mm: int, moment: datetime) -> Candidate:
    return Candidate(
        shop_id=shop.id,
        distance_mm=distance_mm,
        place=shop.place,
        name=shop.name,
        rating=shop.rating,
        reply_rate=shop.reply_rate,
        open_now=shop.open_at(moment),
    )
