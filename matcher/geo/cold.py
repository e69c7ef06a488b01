"""Cold search: the exact nearest eligible sites of one tag, from rows sorted by H3 cell.

Owns `SiteTable`. A search reads the ring of cells around the place at one resolution; what it finds is exact up
to the distance that the ring is sure to reach, else it goes coarser. It ends at the largest reach of any site
in the table, so that a place which nobody serves does not cost a scan of everybody. Must not know tags.
"""

import math
from collections.abc import Collection, Iterator
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from matcher.geo import cells
from matcher.geo.distance import Floats, Vector, half_vector, half_vectors_mm
from matcher.geo.site import Roster, serves
from matcher.geo.types import EARTH_RADIUS_M, Place

Ints: TypeAlias = NDArray[np.int64]

# An eligible site as (distance_mm, id as a number, slot): tuples compare as answers are ordered, since numbers
# of ids order as their bytes do.
Found: TypeAlias = tuple[int, int, int]

# Sites are kept by their cell at this resolution (average edge 29 m) and searched at coarser ones.
FINE = 11
_SEARCH = range(FINE)
EVERYTHING = -1

_OFFSETS = [cells.descendant_offsets(r, FINE) for r in _SEARCH]
_SURE_M = [cells.sure_radius_m(r) for r in _SEARCH]
# A fine cell & these, then | those: the least and greatest ids of its ancestors' descendants.
_DIGITS = [cells.digits_mask(r, FINE) for r in _SEARCH]
_ANCESTOR_AND = np.array([~digits for digits in _DIGITS] + [-1] * FINE, dtype=np.int64)
_ANCESTOR_OR = np.array([0] * FINE + _DIGITS, dtype=np.int64)

# A circle of the sure radius has 0.46 of a cell's area, so a cell with 3 sites for each one wanted is likely
# to be enough at once.
_SITES_PER_WANTED = 3

# Rounding of a dot product of unit vectors, with room to spare.
_SLACK = 2e-15
# The cosine of a distance changes by at most its sine times this for two millimetres.
_TWO_MM = 0.002 / EARTH_RADIUS_M

# A table this small is quicker scanned than searched.
_SCAN_MAX = 512

# Changes since the last sort are scanned by every search; sorting costs a millisecond per ten thousand rows.
_OVERLAY_MAX = 512

# Columns of a row: unit vector, gate (the least cosine of a distance at which the site may serve), slot. In one
# array, so that a search gathers them by one copy; a slot is far below 2^53, exact as a float.
_UNIT = slice(0, 3)
_GATE, _SLOT, _COLUMNS = 3, 4, 5
# No cosine passes this gate ...
_DEAD = 3.0
# ... and every cosine this one.
UNBOUNDED = -3.0


def gate_of(reach_m: float) -> float:
    """The least cosine of the distance at which a site with this reach may serve a place."""
    angle = reach_m / EARTH_RADIUS_M
    return math.cos(angle) - _SLACK if angle < math.pi else UNBOUNDED


class Candidates:
    """Rows around a place and the cosines of their distances from it."""

    __slots__ = ("_rows", "cosine", "gate")

    def __init__(self, rows: Floats, point: Vector) -> None:
        self._rows = rows
        x, y, z = point
        self.cosine: Floats = rows @ np.array((x + x, y + y, z + z, 0.0, 0.0))
        self.gate: Floats = rows[:, _GATE]

    def nearest_first(self, gate: Floats, batch: int) -> Iterator[tuple[float, int]]:
        """(cosine, slot) of the rows whose cosine passes the gate, nearest first, sorted a batch at a time."""
        index = np.flatnonzero(self.cosine >= gate)
        far_first = self.cosine[index]
        while batch < len(index):
            rest = len(index) - batch
            parted = np.argpartition(far_first, rest)
            yield from self._sorted(index[parted[rest:]])
            index, far_first = index[parted[:rest]], far_first[parted[:rest]]
            batch *= 4
        yield from self._sorted(index)

    def _sorted(self, index: Ints) -> Iterator[tuple[float, int]]:
        cosine = self.cosine[index]
        order = np.argsort(cosine)[::-1]
        slots = self._rows[index[order], _SLOT].astype(np.int64)
        return zip(cosine[order].tolist(), slots.tolist(), strict=True)


class SiteTable:
    """The sites of one tag: rows sorted by cell, then rows added since the last sort."""

    def __init__(self, roster: Roster, *, bounded: bool = True) -> None:
        """Sites of a table that is not bounded serve every place, whatever their area."""
        self.roster = roster
        # Upper bound of the reach of all rows; grows at once, shrinks when rows are sorted.
        self.reach_m = 0.0
        self.live = 0
        self._bounded = bounded
        self._cell: Ints = np.empty(0, dtype=np.int64)
        self._rows: Floats = np.empty((0, _COLUMNS))
        self._sorted = 0
        self._end = 0

    def fill(self, cell: Ints, unit: Floats, reach_m: Floats, slot: Ints) -> None:
        """Take all rows at once."""
        angle = np.minimum(reach_m / EARTH_RADIUS_M, math.pi)
        gate = np.where((angle < math.pi) & self._bounded, np.cos(angle) - _SLACK, UNBOUNDED)
        self._sort(cell, np.column_stack((unit, gate, slot)))

    def add(self, cell: int, point: Vector, reach_m: float, slot: int) -> None:
        """Add one row. The caller removes an older row of the same slot first."""
        if self._end == len(self._cell):
            alive = self._rows[:, _GATE] != _DEAD
            self._sort(self._cell[alive], self._rows[alive])
        if not self._bounded:
            reach_m = math.inf
        x, y, z = point
        self._cell[self._end] = cell
        self._rows[self._end] = (x + x, y + y, z + z, gate_of(reach_m), slot)
        self._end += 1
        self.live += 1
        self.reach_m = max(self.reach_m, reach_m)

    def remove(self, cell: int, slot: int) -> None:
        """Remove the row of a slot; `cell` is the one that it was added with."""
        low, high = self._cell[: self._sorted].searchsorted((cell, cell + 1)).tolist()
        for start, end in ((low, high), (self._sorted, self._end)):
            rows = self._rows[start:end]
            here = (rows[:, _SLOT] == slot) & (rows[:, _GATE] != _DEAD)
            rows[here, _GATE] = _DEAD
            self.live -= int(here.sum())

    def _sort(self, cell: Ints, rows: Floats) -> None:
        order = np.argsort(cell, kind="stable")
        self._cell = np.concatenate((cell[order], np.zeros(_OVERLAY_MAX, dtype=np.int64)))
        self._rows = np.concatenate((rows[order], np.zeros((_OVERLAY_MAX, _COLUMNS))))
        self._sorted = self._end = self.live = len(order)
        least = float(np.min(rows[:, _GATE])) if len(rows) else 1.0
        # The gate's slack makes the way back up to half a metre too long, which a bound may be.
        self.reach_m = math.inf if least < -1.0 else math.acos(least) * EARTH_RADIUS_M + 1.0

    def nearest(self, place: Place, count: int, now_s: float, excluded: Collection[int]) -> list[Found]:
        """The `count` nearest sites that are open, serve the place and are not excluded; in order, exactly."""
        point = half_vector(place)
        resolution = self.first_resolution(place, count)
        while True:
            rows, sure_m = self.around(place, point, resolution)
            found = self._ranked(rows, place, point, count, now_s, excluded)
            if len(found) == count:
                needed_m = found[-1][0] / 1000 + 0.001
                if needed_m <= sure_m:
                    return found
                resolution = resolution_for(needed_m)
            elif sure_m >= self.reach_m:
                return found
            else:
                resolution = coarser(resolution)

    def first_resolution(self, place: Place, count: int) -> int:
        """The finest resolution at which the place's cell holds several times as many rows as are wanted."""
        if self._end <= _SCAN_MAX:
            return EVERYTHING
        # By ancestors of the fine cell, which are not quite the cells of the place: good enough for a guess.
        bounds = self._cell[: self._sorted].searchsorted(
            cells.cell_of(place, FINE) & _ANCESTOR_AND | _ANCESTOR_OR
        )
        enough = np.flatnonzero(bounds[FINE:] - bounds[:FINE] >= _SITES_PER_WANTED * count)
        return int(enough[-1]) if enough.size else 0

    def around(self, place: Place, point: Vector, resolution: int) -> tuple[Candidates, float]:
        """All rows within a distance of the place, and more; and that distance in metres."""
        if resolution == EVERYTHING:
            return Candidates(self._rows[: self._end], point), math.inf
        ring = cells.disk(place, resolution)
        low, high = _OFFSETS[resolution]
        keys = np.array([cell + low for cell in ring] + [cell + high for cell in ring])
        bounds = self._cell[: self._sorted].searchsorted(keys).tolist()
        spans = [self._rows[a:b] for a, b in zip(bounds, bounds[len(ring) :], strict=False) if a != b]
        spans.append(self._rows[self._sorted : self._end])
        return Candidates(np.concatenate(spans), point), _SURE_M[resolution]

    def _ranked(
        self,
        rows: Candidates,
        place: Place,
        point: Vector,
        count: int,
        now_s: float,
        excluded: Collection[int],
    ) -> list[Found]:
        """The `count` nearest of the rows that are eligible, by the exact distance."""
        closed_until, points = self.roster.closed_until, self.roster.points
        orders, rules = self.roster.orders, self.roster.rules
        found: list[Found] = []
        # Cosines order only roughly: read on until no later row can be nearer, or as near in millimetres.
        enough = UNBOUNDED
        for cosine, slot in rows.nearest_first(rows.gate, 2 * count + len(excluded)):
            if cosine < enough:
                break
            if closed_until[slot] > now_s or slot in excluded:
                continue
            distance_mm = half_vectors_mm(points[slot], point)
            if not self._bounded or serves(rules[slot], place, distance_mm):
                found.append((distance_mm, orders[slot], slot))
                if len(found) == count:
                    enough = cosine - certain_drop(cosine)
        found.sort()
        return found[:count]


def certain_drop(cosine: float) -> float:
    """By how much a cosine must be less for its distance to be more than a millimetre greater."""
    sine = math.sqrt(max(0.0, 1.0 - cosine * cosine))
    return 2 * _SLACK + _TWO_MM * (sine + _TWO_MM)


def resolution_for(distance_m: float) -> int:
    """The finest resolution whose ring is sure to reach this far, or all rows if none is."""
    for resolution in reversed(_SEARCH):
        if _SURE_M[resolution] >= distance_m:
            return resolution
    return EVERYTHING


def coarser(resolution: int) -> int:
    """The next resolution to try when a ring held too few."""
    # Two steps are 2.6^2 times as far: nearly empty rings are cheap, rounds are not.
    return max(EVERYTHING, resolution - 2)
