"""Hot cells: for places that are asked about again and again, the few sites that can matter there.

Owns `HotCells` (one a tag) and `HotPool` (the bound over all tags). An entry belongs to a region, the descendants
of an H3 cell; it holds every site that lies within a coverage radius B of the centre c and may serve some place
of the region. An answer for q is exact if its last distance is at most B - d(q, c): every site left out is
further. Otherwise, and where an entry would not pay, the caller searches cold.

Which members are open is read from the roster: an entry keeps the open ones apart until a site of the tag
opens or closes. A site that is added, removed, moved or given another area drops the entries it could be in.
"""

import math
from itertools import repeat
from math import asin, dist
from typing import NamedTuple
from uuid import UUID

import numpy as np
from h3.api.basic_int import latlng_to_cell

from matcher.geo import cells
from matcher.geo.cold import UNBOUNDED, Candidates, SiteTable, coarser, gate_of, resolution_for
from matcher.geo.distance import (
    MM_PER_HALF_RADIAN,
    Floats,
    Vector,
    half_vector,
    half_vectors_mm,
)
from matcher.geo.service_area import polygon_covers, polygon_covers_circle
from matcher.geo.site import Hit, Roster, Rule
from matcher.geo.types import EARTH_RADIUS_M, Place

# Regions have resolutions 6 to 9 (radii of 4.5, 1.7, 0.6 and 0.2 km).
_FINEST, _COARSEST = 9, 6
_RADIUS_M = {r: cells.descendants_radius_m(r) for r in range(_COARSEST, _FINEST + 1)}
# A region's radius is at most this part of the distance to the last of the sites that are wanted there, so that
# few members are held in vain: (1 + 2/12)^2 = 1.36 times as many as are wanted where sites lie evenly.
_REGION_PART = 12

# The resolution of regions is chosen for each cell at this resolution (radius about 27 km).
_DISTRICT_MASK = cells.digits_mask(4, _FINEST)

# An entry with more members would be no quicker than a cold search.
_MEMBERS_MAX = 64
# Members are at most this far, where `asin` of the half chord is good.
_FAR_MM = 10_000_000_000

# Notes about districts and first misses that one tag may hold before it starts afresh.
_NOTES_MAX = 8192

# The rule of a member that serves every place of its region.
_WHOLE = math.inf

# Room for rounding: of distances, and of the comparison that must find every entry that a change touches.
_MARGIN_M = 0.01
_TOUCH_M = 1.0


class Member(NamedTuple):
    """A site that may serve some place of a region; members compare by the site's id."""

    order: int
    slot: int
    rule: Rule


class HotEntry:
    """The members of one region, in the order of their ids, so that a stable sort by distance breaks ties."""

    __slots__ = (
        "centre",
        "coverage_m",
        "ids",
        "members",
        "partial",
        "points",
        "ranks",
        "rules",
        "safe_mm",
        "since",
        "until",
        "version",
    )

    def __init__(self, centre: Vector, coverage_m: float, safe_mm: float, members: list[Member]) -> None:
        self.centre = centre
        self.coverage_m = coverage_m
        # An answer whose last distance is at most this is exact; infinite if no site was left out.
        self.safe_mm = safe_mm
        self.members = sorted(members)
        self.version = -1
        self.since = self.until = 0.0
        self.points: list[Vector] = []
        self.ids: list[UUID] = []
        self.rules: list[Rule] = []
        self.ranks: list[int] = []
        self.partial = False

    def refresh(self, roster: Roster, version: int, now_s: float) -> None:
        """Take the members that are open now, and note for how long that holds if nobody changes."""
        self.points, self.ids, self.rules = [], [], []
        self.since, self.until = -math.inf, math.inf
        for _order, slot, rule in self.members:
            opens_s = roster.closed_until[slot]
            if opens_s <= now_s:
                self.since = max(self.since, opens_s)
                x, y, z = roster.points[slot]
                # New numbers, which lie side by side in memory: those of the roster lie all over it, and the hot
                # path would wait for each.
                self.points.append((x + 0.0, y + 0.0, z + 0.0))
                self.ids.append(roster.site(slot).id)
                self.rules.append(rule)
            else:
                self.until = min(self.until, opens_s)
        self.ranks = list(range(len(self.ids)))
        self.partial = any(rule != _WHOLE for rule in self.rules)
        self.version = version


class _Generation:
    """Entries by region, and where they are, to find those that a change touches."""

    def __init__(self) -> None:
        self.entries: dict[int, HotEntry] = {}
        self._keys: list[int] = []
        self._unit: Floats = np.empty((0, 3))
        self._gate: Floats = np.empty(0)

    def add(self, key: int, entry: HotEntry) -> None:
        row = len(self._keys)
        if row == len(self._gate):
            self._unit = np.resize(self._unit, (max(16, 2 * row), 3))
            self._gate = np.resize(self._gate, max(16, 2 * row))
        self._keys.append(key)
        self._unit[row] = [2.0 * x for x in entry.centre]
        self._gate[row] = gate_of(entry.coverage_m + _TOUCH_M)
        self.entries[key] = entry

    def drop(self, point: Vector, reach_m: float) -> None:
        """Forget the entries whose region a site at this point, with this reach, could matter to."""
        rows = len(self._keys)
        cosine = self._unit[:rows] @ np.array([2.0 * x for x in point])
        near = (cosine >= self._gate[:rows]) & (cosine >= gate_of(reach_m + _RADIUS_M[_COARSEST] + _TOUCH_M))
        for row in np.flatnonzero(near).tolist():
            self.entries.pop(self._keys[row], None)


class HotPool:
    """Bounds the entries of all tags together: two generations, the older forgotten when the younger is full.

    An entry that is used again moves to the younger, so what goes was not used for at least half the capacity.
    This keeps the order of use without writing anything on a hit.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.young = 0
        self.tags: list[HotCells] = []

    def count_one(self) -> None:
        """Make room for one more entry."""
        if self.young >= self.capacity // 2:
            self.young = 0
            for tag in self.tags:
                tag.age()
        self.young += 1

    def __len__(self) -> int:
        return sum(len(tag) for tag in self.tags)


class HotCells:
    """The hot entries of one tag."""

    def __init__(self, table: SiteTable, pool: HotPool) -> None:
        # Bumped by whoever opens or closes a site of this tag.
        self.version = 0
        self._table = table
        self._roster = table.roster
        self._pool = pool
        self._young, self._old = _Generation(), _Generation()
        # The young generation's: one step less on the hot path.
        self._entries = self._young.entries
        # District -> the bits that turn a finest cell into its region there.
        self._region_masks: dict[int, int] = {}
        # Regions that were asked about in vain: a place that is asked about once is not worth an entry.
        self._missed_once: set[int] = set()
        pool.tags.append(self)

    def __len__(self) -> int:
        return len(self._young.entries) + len(self._old.entries)

    def age(self) -> None:
        """Begin a new generation."""
        self._old, self._young = self._young, _Generation()
        self._entries = self._young.entries

    def find(self, place: Place, count: int, now_s: float) -> list[Hit] | None:
        """The `count` nearest eligible sites if the place's region is hot and says so for certain, else None.

        This is the hot path: some 5 us, spent in C as far as possible.
        """
        cell = latlng_to_cell(place.latitude, place.longitude, _FINEST)
        try:
            entry = self._entries[cell | self._region_masks[cell | _DISTRICT_MASK]]
        except KeyError:
            return None
        if entry.version != self.version or not entry.since <= now_s < entry.until:
            entry.refresh(self._roster, self.version, now_s)
        distances = [
            int(asin(chord) * MM_PER_HALF_RADIAN + 0.5)
            for chord in map(dist, repeat(half_vector(place)), entry.points)
        ]
        order = sorted(entry.ranks, key=distances.__getitem__)
        if entry.partial:
            # What `serves` says, without the cost of calling it.
            rules = entry.rules
            order = [
                n
                for n in order
                if (
                    distances[n] <= rule
                    if isinstance(rule := rules[n], float)
                    else polygon_covers(rule, place)
                )
            ]
        if len(order) < count:
            if entry.safe_mm != math.inf:
                return None
        elif distances[order[count - 1]] > entry.safe_mm:
            return None
        ids = entry.ids
        return [Hit(ids[n], distances[n]) for n in order[:count]]

    def learn(self, place: Place, count: int, now_s: float, last_m: float) -> None:
        """Note that a cold search answered; `last_m` is its last distance, infinite if it found fewer.

        The second miss in a region makes its entry; so does a miss where an entry could not answer.
        """
        cell = int(latlng_to_cell(place.latitude, place.longitude, _FINEST))
        district = cell | _DISTRICT_MASK
        if district not in self._region_masks:
            self._bound(self._region_masks)
            self._region_masks[district] = _region_mask(_region_resolution(last_m))
        region = cell | self._region_masks[district]
        aged = self._old.entries.pop(region, None)
        known = self._entries.get(region)
        if aged is not None:
            self._keep(region, aged)
        elif known is None and region not in self._missed_once:
            self._bound(self._missed_once)
            self._missed_once.add(region)
        elif known is None or known.safe_mm >= 0:
            self._missed_once.discard(region)
            self._make(cell, district, count, now_s)

    def drop(self, point: Vector, reach_m: float) -> None:
        """Forget the entries that a change of a site at this point, with this reach, could touch."""
        self._young.drop(point, reach_m)
        self._old.drop(point, reach_m)

    def _keep(self, region: int, entry: HotEntry) -> None:
        self._pool.count_one()
        self._young.add(region, entry)

    def _make(self, cell: int, district: int, count: int, now_s: float) -> None:
        mask = self._region_masks[district]
        resolution = _RESOLUTION_OF_MASK[mask]
        centre = cells.cell_centre(cells.ancestor(cell, resolution))
        entry, last_m = self._entry(centre, _RADIUS_M[resolution], count, now_s)
        finer = max(_region_resolution(last_m), resolution)
        if finer != resolution:
            # The first question of the district came from a sparser part of it.
            self._region_masks[district] = _region_mask(finer)
            return
        self._keep(cell | mask, entry)

    def _entry(self, centre: Place, radius_m: float, count: int, now_s: float) -> tuple[HotEntry, float]:
        """The entry of a region, and the distance to the last wanted of its sites that serve all of it."""
        point = half_vector(centre)
        resolution = self._table.first_resolution(centre, count)
        while True:
            rows, sure_m = self._table.around(centre, point, resolution)
            members, last_m = self._members(rows, centre, radius_m, count, now_s)
            coverage_m = last_m + 2 * radius_m + _MARGIN_M
            if members is None or coverage_m <= sure_m or sure_m >= self._table.reach_m + radius_m:
                break
            resolution = coarser(resolution) if last_m == math.inf else resolution_for(coverage_m)
        if members is None:
            # Nothing is held, so nothing is sure: whoever asks here is sent to the cold search.
            return HotEntry(point, math.inf, -1.0, []), last_m
        safe_mm = math.floor((coverage_m - radius_m) * 1000) if last_m < math.inf else math.inf
        return HotEntry(point, coverage_m, safe_mm, members), last_m

    def _members(
        self, rows: Candidates, centre: Place, radius_m: float, count: int, now_s: float
    ) -> tuple[list[Member] | None, float]:
        """Those of the rows that may serve some place of the region, up to its coverage, and the last distance.

        The last distance is that of the `count`-th open member that serves the whole region, or infinite. None
        if the members are too many or too far for an entry.
        """
        roster, point = self._roster, half_vector(centre)
        members: list[Member] = []
        least_cosine, last_m, whole = -math.inf, math.inf, 0
        for cosine, slot in rows.nearest_first(_widened(rows.gate, radius_m), 2 * count):
            if cosine < least_cosine:
                break
            distance_mm = half_vectors_mm(roster.points[slot], point)
            if len(members) == _MEMBERS_MAX or distance_mm > _FAR_MM:
                return None, last_m
            rule = _rule(roster.rules[slot], centre, distance_mm, radius_m)
            members.append(Member(roster.orders[slot], slot, rule))
            if rule == _WHOLE and roster.closed_until[slot] <= now_s:
                whole += 1
                if whole == count:
                    last_m = distance_mm / 1000
                    least_cosine = gate_of(last_m + 2 * radius_m + _MARGIN_M)
        return members, last_m

    @staticmethod
    def _bound(kept: dict[int, int] | set[int]) -> None:
        if len(kept) >= _NOTES_MAX:
            kept.clear()


def _rule(rule: Rule, centre: Place, distance_mm: int, radius_m: float) -> Rule:
    """The rule of a site in a region: _WHOLE if it serves all of it for certain."""
    if isinstance(rule, float):
        return _WHOLE if distance_mm + (radius_m + _MARGIN_M) * 1000 <= rule else rule
    return _WHOLE if polygon_covers_circle(rule, centre, radius_m) else rule


def _widened(gate: Floats, radius_m: float) -> Floats:
    """The gates of reaches that are `radius_m` longer: cos(a + b) = cos a cos b - sin a sin b."""
    cosine, sine = math.cos(radius_m / EARTH_RADIUS_M), math.sin(radius_m / EARTH_RADIUS_M)
    widened = gate * cosine - np.sqrt(np.maximum(0.0, 1.0 - gate * gate)) * sine
    # Past the antipode the cosine would rise again; the gates of dead rows stay above every cosine.
    return np.where(gate < -cosine, UNBOUNDED, widened)


def _region_resolution(last_m: float) -> int:
    """The coarsest resolution whose regions are small against the distance to the last site that is wanted."""
    fitting = (r for r in _RADIUS_M if _RADIUS_M[r] * _REGION_PART <= last_m)
    return next(fitting, _FINEST)


def _region_mask(resolution: int) -> int:
    return cells.digits_mask(resolution, _FINEST)


_RESOLUTION_OF_MASK = {_region_mask(r): r for r in _RADIUS_M}
