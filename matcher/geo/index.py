"""The index: exact nearest eligible sites by tag, kept up to date one site at a time.

Owns `SiteIndex`, which joins the roster, the cold tables and the hot cells of each tag. Single-threaded (one
event loop); takes no locks and reads no clock.
"""

import math
from collections import defaultdict
from collections.abc import Collection, Iterable
from uuid import UUID

import msgspec
import numpy as np

from matcher.geo import cells
from matcher.geo.cold import FINE, SiteTable
from matcher.geo.hot import HotCells, HotPool
from matcher.geo.service_area import reach_m
from matcher.geo.site import Hit, Roster, Site
from matcher.geo.types import Place

__all__ = ["Hit", "IndexStats", "Site", "SiteIndex"]

# Hot cells of all tags together, about 4 KB each; 0 keeps none.
HOT_CAPACITY = 30_000


class IndexStats(msgspec.Struct, frozen=True):
    """What the index holds, and how many questions were answered how since it was built."""

    sites: int
    tags: int
    rows: int
    hot_cells: int
    hot_hits: int
    cold_searches: int


class _Tag:
    """What the index keeps for one tag."""

    __slots__ = ("beyond", "hot", "table")

    def __init__(self, roster: Roster, pool: HotPool) -> None:
        self.table = SiteTable(roster)
        # Only the sites that ship beyond their area, without a bound.
        self.beyond = SiteTable(roster, bounded=False)
        self.hot = HotCells(self.table, pool)


class SiteIndex:
    """Sites by place, tag, area and opening, in memory."""

    def __init__(self, *, hot_capacity: int = HOT_CAPACITY) -> None:
        self._roster = Roster()
        self._pool = HotPool(hot_capacity)
        self._tags: dict[str, _Tag] = {}
        # By slot: the fine cell and the reach with which the site stands in its tables.
        self._cells: list[int] = []
        self._reaches_m: list[float] = []
        self._hot_hits = 0
        self._cold_searches = 0

    @classmethod
    def build(cls, sites: Iterable[Site], *, hot_capacity: int = HOT_CAPACITY) -> "SiteIndex":
        """An index of many sites at once: about a second for 100,000. Of two with one id the last counts."""
        index = cls(hot_capacity=hot_capacity)
        slots: dict[str, list[int]] = defaultdict(list)
        beyond: dict[str, list[int]] = defaultdict(list)
        for site in {site.id: site for site in sites}.values():
            slot = index._enrol(site)
            for tag in site.tags:
                slots[tag].append(slot)
                if site.ships_beyond_area:
                    beyond[tag].append(slot)
        cell = np.array(index._cells, dtype=np.int64)
        unit = np.array(index._roster.points).reshape(-1, 3) * 2.0
        reach = np.array(index._reaches_m)
        for tag, members in slots.items():
            tables = index._tags[tag] = _Tag(index._roster, index._pool)
            rows = np.array(members, dtype=np.int64)
            tables.table.fill(cell[rows], unit[rows], reach[rows], rows)
            rows = np.array(beyond[tag], dtype=np.int64)
            tables.beyond.fill(cell[rows], unit[rows], reach[rows], rows)
        return index

    def __len__(self) -> int:
        return len(self._roster)

    def get(self, site_id: UUID) -> Site | None:
        """The site with this id, as it was last given."""
        return self._roster.get(site_id)

    def knows_tag(self, tag: str) -> bool:
        """Whether any site has the tag, open or not."""
        tables = self._tags.get(tag)
        return tables is not None and tables.table.live > 0

    def upsert(self, site: Site) -> None:
        """Add a site or replace the one with its id. Opening and closing a site is the cheap case."""
        slot = self._roster.slots.get(site.id)
        if slot is not None:
            old = self._roster.site(slot)
            if _stands_as(old, site):
                self._reopen(slot, old, site)
                return
            self._leave(slot)
        self._enter(self._enrol(site))

    def remove(self, site_id: UUID) -> None:
        """Remove a site; one that is not there is no error."""
        slot = self._roster.slots.get(site_id)
        if slot is not None:
            self._leave(slot)

    def nearest(
        self,
        tag: str,
        place: Place,
        count: int,
        *,
        now_s: float,
        exclude: Collection[UUID] = (),
        beyond_area: bool = False,
    ) -> list[Hit]:
        """The `count` (>= 1) nearest eligible sites, or all if they are fewer, by (distance_mm, id).

        Eligible: has the tag, enabled, not paused at `now_s`, not excluded, and serving the place; with
        `beyond_area`, shipping beyond its area instead, at whatever distance.
        """
        tables = self._tags.get(tag)
        if tables is None:
            return []
        if not exclude and not beyond_area:
            hits = tables.hot.find(place, count, now_s)
            if hits is not None:
                self._hot_hits += 1
                return hits
        hits = self._search(tables, place, count, now_s, exclude, beyond_area)
        if not exclude and not beyond_area and self._pool.capacity:
            last_m = hits[-1].distance_mm / 1000 if len(hits) == count else math.inf
            tables.hot.learn(place, count, now_s, last_m)
        return hits

    def stats(self) -> IndexStats:
        """Sizes and counters."""
        return IndexStats(
            sites=len(self),
            tags=sum(tables.table.live > 0 for tables in self._tags.values()),
            rows=sum(tables.table.live for tables in self._tags.values()),
            hot_cells=len(self._pool),
            hot_hits=self._hot_hits,
            cold_searches=self._cold_searches,
        )

    def _search(
        self,
        tables: _Tag,
        place: Place,
        count: int,
        now_s: float,
        exclude: Collection[UUID],
        beyond_area: bool,
    ) -> list[Hit]:
        self._cold_searches += 1
        roster = self._roster
        slots = (roster.slots.get(site_id) for site_id in exclude)
        excluded = frozenset(slot for slot in slots if slot is not None)
        if beyond_area:
            found = tables.beyond.nearest(place, count, now_s, excluded)
        else:
            found = tables.table.nearest(place, count, now_s, excluded)
        return [Hit(roster.site(slot).id, distance_mm) for distance_mm, _order, slot in found]

    def _enrol(self, site: Site) -> int:
        """Give a site its slot; it stands in no table yet."""
        slot = self._roster.add(site)
        if slot == len(self._cells):
            self._cells.append(0)
            self._reaches_m.append(0.0)
        self._cells[slot] = cells.cell_of(site.place, FINE)
        known_m = site.reach_m
        self._reaches_m[slot] = reach_m(site.area, site.place) if known_m is None else known_m
        return slot

    def _enter(self, slot: int) -> None:
        site, point = self._roster.site(slot), self._roster.points[slot]
        cell, reach = self._cells[slot], self._reaches_m[slot]
        for tag in site.tags:
            tables = self._tags.get(tag)
            if tables is None:
                tables = self._tags[tag] = _Tag(self._roster, self._pool)
            tables.table.add(cell, point, reach, slot)
            tables.hot.drop(point, reach)
            if site.ships_beyond_area:
                tables.beyond.add(cell, point, reach, slot)

    def _leave(self, slot: int) -> None:
        site, cell = self._roster.site(slot), self._cells[slot]
        for tag in site.tags:
            tables = self._tags[tag]
            tables.table.remove(cell, slot)
            tables.hot.drop(self._roster.points[slot], self._reaches_m[slot])
            if site.ships_beyond_area:
                tables.beyond.remove(cell, slot)
        self._roster.remove(slot)

    def _reopen(self, slot: int, old: Site, site: Site) -> None:
        self._roster.replace(slot, site)
        if old.closed_until() != site.closed_until():
            for tag in site.tags:
                self._tags[tag].hot.version += 1


def _stands_as(old: Site, new: Site) -> bool:
    """Whether nothing changed but what is read live: enabled and paused_until."""
    return (
        old.place == new.place
        and old.tags == new.tags
        and old.ships_beyond_area == new.ships_beyond_area
        and old.area == new.area
    )
