"""What the index holds (`Site`), what it answers (`Hit`), and the live state of all sites by slot.

Owns `Roster`: one row a site, shared by the tables of all tags. Must not know how sites are searched.
"""

import math
from typing import TypeAlias
from uuid import UUID

import msgspec
from shapely import MultiPolygon

from matcher.geo.distance import Vector, half_vector
from matcher.geo.service_area import Area, RadiusArea, polygon_covers
from matcher.geo.types import Place

# `closed_until` of a site that takes nothing, and of one that is simply open.
NEVER_OPENS = math.inf
ALWAYS_OPEN = -math.inf

# Whom a site serves, ready to be asked: those within so many millimetres, or in a geometry.
Rule: TypeAlias = float | MultiPolygon


class Site(msgspec.Struct, frozen=True, gc=False):
    """Something at a place that serves an area under some tags.

    `paused_until` is in unix seconds: the site is closed before it and open from it on. `reach_m` is what
    `service_area.reach_m` says of this area and place, for callers that have kept it; None: not known.
    """

    id: UUID
    place: Place
    tags: frozenset[str]
    area: Area
    enabled: bool = True
    ships_beyond_area: bool = False
    paused_until: float | None = None
    reach_m: float | None = None

    def closed_until(self) -> float:
        """The unix second from which the site is open, as far as is known."""
        if not self.enabled:
            return NEVER_OPENS
        return ALWAYS_OPEN if self.paused_until is None else self.paused_until


class Hit(msgspec.Struct, frozen=True, gc=False):
    """A site that is eligible, and its great-circle distance in whole millimetres."""

    id: UUID
    distance_mm: int


def rule_of(area: Area) -> Rule:
    """The rule that says what `covers` says of the area."""
    return area.radius_m * 1000.0 if isinstance(area, RadiusArea) else area.geometry


def serves(rule: Rule, place: Place, distance_mm: int) -> bool:
    """Whether a rule covers a place at this distance from its site."""
    if isinstance(rule, float):
        return distance_mm <= rule
    return polygon_covers(rule, place)


class Roster:
    """All sites by slot, in plain lists, which are quicker to read one by one than arrays.

    A slot stays a site's own until the site is removed; then it is given to the next.
    """

    def __init__(self) -> None:
        self.slots: dict[UUID, int] = {}
        self.sites: list[Site | None] = []
        # The id as a number, which orders as its bytes do.
        self.orders: list[int] = []
        self.points: list[Vector] = []
        self.rules: list[Rule] = []
        self.closed_until: list[float] = []
        self._free: list[int] = []

    def __len__(self) -> int:
        return len(self.slots)

    def get(self, site_id: UUID) -> Site | None:
        """The site with this id."""
        slot = self.slots.get(site_id)
        return None if slot is None else self.sites[slot]

    def site(self, slot: int) -> Site:
        """The site in a slot that is in use."""
        site = self.sites[slot]
        assert site is not None
        return site

    def add(self, site: Site) -> int:
        """Give a new site a slot."""
        if self._free:
            slot = self._free.pop()
        else:
            slot = len(self.sites)
            self.sites.append(None)
            self.orders.append(0)
            self.points.append((0.0, 0.0, 0.0))
            self.rules.append(0.0)
            self.closed_until.append(NEVER_OPENS)
        self.slots[site.id] = slot
        self.orders[slot] = site.id.int
        self.points[slot] = half_vector(site.place)
        self.rules[slot] = rule_of(site.area)
        self.replace(slot, site)
        return slot

    def replace(self, slot: int, site: Site) -> None:
        """Put a newer state of the same site, with the same place and area, in its slot."""
        self.sites[slot] = site
        self.closed_until[slot] = site.closed_until()

    def remove(self, slot: int) -> None:
        """Free a slot. No table may hold it any more."""
        del self.slots[self.site(slot).id]
        self.sites[slot] = None
        self.rules[slot] = 0.0
        self.closed_until[slot] = NEVER_OPENS
        self._free.append(slot)
