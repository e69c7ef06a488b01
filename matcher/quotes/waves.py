"""Waves: choosing whom to ask, and asking them. Wave 1 is the submission; each further one widens.

Waves 1 to `settings.waves` ask the nearest shops whose service area covers the place; the one after that
asks shops that ship beyond their area. An order that nobody was asked for goes through all of them at
once and then tries again at each interval: a shop may open meanwhile.
"""

from collections.abc import Collection
from datetime import datetime, timedelta
from uuid import UUID

from matcher import metrics
from matcher.clock import unix_s
from matcher.db import Connection, load_queries
from matcher.geo.types import Place
from matcher.quotes.lifecycle import priority
from matcher.quotes.locking import LockedOrder
from matcher.quotes.matching import RankedShop, RecentLoad, rank
from matcher.quotes.ports import Directory
from matcher.serialization import encode
from matcher.settings import Settings

INSERT_WAVE = load_queries("matcher.quotes", "submission.sql")["insert_wave"]
SQL = load_queries("matcher.quotes")

NO_SHOP_FOR_MAKE = "no_shop_for_make"
NO_SHOP_IN_RANGE = "no_shop_in_range"


class WavePlanner:
    """Chooses the shops of a wave from this process's directory."""

    def __init__(self, directory: Directory, settings: Settings) -> None:
        self._directory = directory
        self._settings = settings
        self._load = RecentLoad()

    def choose(
        self, make: str, place: Place, *, wave: int = 1, exclude: Collection[UUID] = ()
    ) -> list[RankedShop]:
        """The nearest eligible shops for a wave, nearest first, with some to spare; scored."""
        now_s = unix_s()
        count = self._settings.wave_shops + self._settings.wave_spare_shops
        beyond = wave > self._settings.waves
        found = self._directory.nearest(make, place, count, now_s=now_s, exclude=exclude, beyond_area=beyond)
        ranked = rank(found, place, self._load, now_s)
        for shop in ranked[: self._settings.wave_shops]:
            self._load.add(shop.shop_id, now_s)
        return ranked

    def empty_reason(self, make: str) -> str:
        """Why nobody could be asked."""
        return NO_SHOP_IN_RANGE if self._directory.knows_make(make) else NO_SHOP_FOR_MAKE

    async def ask(
        self, connection: Connection, order: LockedOrder, make: str, shops: list[RankedShop], wave: int
    ) -> int:
        """Write a wave under the order's lock; the number of shops asked. `order.expires_at` must be set."""
        assert order.expires_at is not None
        asked = await connection.fetch(
            INSERT_WAVE,
            order.id,
            order.next_version,
            [shop.shop_id for shop in shops],
            [shop.distance_m for shop in shops],
            [shop.shown_distance_m for shop in shops],
            [shop.score for shop in shops],
            [encode(shop.reasons) for shop in shops],
            wave,
            self._settings.wave_shops,
            order.now,
        )
        now_priority = priority(order.urgency, order.parts_count, order.expires_at, order.now)
        if now_priority != order.priority:
            # Shops asked before show the priority too: their views must not change without a version.
            await connection.execute(SQL["touch_open_dispatches"], order.id, order.next_version)
        await connection.execute(
            SQL["record_wave"],
            order.id,
            wave,
            self.next_wave_at(wave, bool(asked), order.now),
            len(asked),
            max((row["distance_m"] for row in asked), default=None),
            self.empty_reason(make),
            now_priority,
            order.next_version,
            order.now,
        )
        metrics.DISPATCHES.labels(str(wave)).inc(len(asked))
        return len(asked)

    def next_wave_at(self, wave: int, anyone: bool, now: datetime) -> datetime:
        """When to widen next: at once after a wave that found nobody, else after the interval."""
        if not anyone and wave <= self._settings.waves:
            return now
        return now + timedelta(seconds=self._settings.wave_interval_s)
