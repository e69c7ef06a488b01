"""Worlds of sites for the tests of geo, and the plain way to answer a question, to compare with.

A question is (tag, place, count); an answer a list of (id, distance_mm).
"""

import csv
import gzip
import itertools
import math
import random
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from importlib import resources
from uuid import UUID

import h3
import numpy as np
import pytest

from matcher.geo.distance import distance_mm, distances_m, unit_vector, unit_vectors
from matcher.geo.index import Hit, Site, SiteIndex
from matcher.geo.service_area import Area, PolygonArea, RadiusArea, covers, parse_service_area
from matcher.geo.types import EARTH_RADIUS_M, Place

NOW_S = 1_000.0
Answer = list[tuple[UUID, int]]

# No area that the generator makes reaches a thousand kilometres.
NEVER_SERVED_COSINE = math.cos(1_000_000 / EARTH_RADIUS_M)


def plain(hits: list[Hit]) -> Answer:
    """Hits as plain values."""
    return [(hit.id, hit.distance_mm) for hit in hits]


@dataclass
class BruteForce:
    """All sites, looked at one by one: nothing clever, so nothing to get wrong."""

    sites: dict[UUID, Site] = field(default_factory=dict)
    _by_tag: dict[str, set[UUID]] = field(default_factory=dict)
    _units: dict[str, tuple[list[UUID], np.ndarray]] = field(default_factory=dict)

    def put(self, site: Site) -> None:
        old = self.sites.get(site.id)
        if old is not None and (old.place, old.tags) == (site.place, site.tags):
            self.sites[site.id] = site
            return
        self.remove(site.id)
        self.sites[site.id] = site
        for tag in site.tags:
            self._by_tag.setdefault(tag, set()).add(site.id)
            self._units.pop(tag, None)

    def remove(self, site_id: UUID) -> None:
        site = self.sites.pop(site_id, None)
        if site is not None:
            for tag in site.tags:
                self._by_tag[tag].remove(site_id)
                self._units.pop(tag, None)

    def nearest(
        self,
        tag: str,
        place: Place,
        count: int,
        now_s: float = NOW_S,
        exclude: Collection[UUID] = (),
        beyond_area: bool = False,
    ) -> Answer:
        if tag not in self._units:
            ids = list(self._by_tag.get(tag, ()))
            places = [self.sites[site_id].place for site_id in ids]
            units = unit_vectors([p.latitude for p in places], [p.longitude for p in places])
            self._units[tag] = ids, units
        ids, units = self._units[tag]
        unit = unit_vector(place)
        # Leaves out only what is far beyond everybody's reach.
        near = np.flatnonzero(units @ np.array(unit) >= (-2.0 if beyond_area else NEVER_SERVED_COSINE))
        distances = distances_m(units[near], unit)
        found: list[tuple[int, bytes, UUID]] = []
        for rank in np.argsort(distances).tolist():
            n = near[rank]
            site = self.sites[ids[n]]
            # Read on until distances differ by more than rounding can explain.
            if len(found) >= count and distances[rank] * 1000 > found[count - 1][0] + 2:
                break
            mm = distance_mm(site.place, place)
            served = site.ships_beyond_area if beyond_area else covers(site.area, site.place, place, mm)
            if site.closed_until() <= now_s and site.id not in exclude and served:
                found.append((mm, site.id.bytes, site.id))
        return [(site_id, mm) for mm, _, site_id in sorted(found)[:count]]


def _wrapped(latitude: float, longitude: float) -> Place:
    """The place after walking over a pole or the antimeridian."""
    if latitude > 90:
        latitude, longitude = 180 - latitude, longitude + 180
    elif latitude < -90:
        latitude, longitude = -180 - latitude, longitude + 180
    return Place(latitude=latitude, longitude=(longitude + 180) % 360 - 180)


@dataclass
class Generator:
    """Sites and places around given centres, from one seed."""

    seed: int
    centres: list[Place]
    spread_deg: float
    tags: list[str] = field(default_factory=lambda: [f"make-{n}" for n in range(20)])
    radii_m: tuple[float, ...] = (3_000, 15_000, 60_000, 200_000)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)

    def place(self) -> Place:
        centre = self.random.choice(self.centres)
        latitude = centre.latitude + self.random.gauss(0, self.spread_deg)
        longitude = centre.longitude + self.random.gauss(0, self.spread_deg)
        if abs(centre.latitude) > 85:
            longitude = self.random.uniform(-180, 180)
        # Six decimals, as shops have: so that some lie at one place.
        return _wrapped(round(latitude, 6), round(longitude, 6))

    def area(self, place: Place) -> Area:
        if self.random.random() < 0.85:
            return RadiusArea(self.random.choice(self.radii_m))
        size = self.random.choice((0.05, 0.3, 1.0))
        west, east = max(-180.0, place.longitude - size), min(180.0, place.longitude + size)
        south, north = max(-90.0, place.latitude - size), min(90.0, place.latitude + size)
        middle = (west + east) / 2
        ring = [
            [west, south],
            [east, south],
            [east, north],
            [middle, place.latitude],
            [west, north],
            [west, south],
        ]
        if north - place.latitude < 1e-6:  # at the pole itself the notch would have no depth
            ring.pop(3)
        return parse_service_area({"type": "Polygon", "coordinates": [ring]})

    def site(self, site_id: UUID | None = None, place: Place | None = None) -> Site:
        place = place or self.place()
        return Site(
            id=site_id or UUID(int=self.random.getrandbits(128)),
            place=place,
            tags=frozenset(self.random.sample(self.tags, 4)),
            area=self.area(place),
            enabled=self.random.random() < 0.95,
            ships_beyond_area=self.random.random() < 0.05,
            paused_until=self.random.choice((None,) * 8 + (NOW_S - 10, NOW_S + 10)),
        )

    def sites(self, count: int) -> list[Site]:
        return [self.site() for _ in range(count)]

    def change(self, site: Site) -> Site:
        """The same site after one of the things that happen to sites."""
        kind = self.random.randrange(5)
        fresh = self.site(site.id, site.place)
        changed = {
            0: Site(site.id, site.place, site.tags, site.area, not site.enabled),
            1: Site(site.id, site.place, site.tags, site.area, site.enabled, False, fresh.paused_until),
            2: self.site(site.id),
            3: Site(site.id, site.place, site.tags, fresh.area, site.enabled, site.ships_beyond_area),
            4: Site(site.id, site.place, fresh.tags, site.area, site.enabled, fresh.ships_beyond_area),
        }
        return changed[kind]


def check_storm(generator: Generator, sites: Iterable[Site], questions: int, places: int) -> SiteIndex:
    """Ask about the same places again and again while sites change, and compare every answer."""
    rng = generator.random
    brute = BruteForce()
    for site in sites:
        brute.put(site)
    index = SiteIndex.build(brute.sites.values())
    ids = list(brute.sites)
    asked = [(rng.choice(generator.tags), generator.place()) for _ in range(places)]
    for step in range(questions):
        if step % 8 == 7:
            changed = brute.sites.get(site_id := rng.choice(ids))
            if changed is None:
                changed = generator.site(site_id)
            elif rng.random() < 0.1:
                index.remove(site_id)
                brute.remove(site_id)
                continue
            else:
                changed = generator.change(changed)
            index.upsert(changed)
            brute.put(changed)
        tag, place = rng.choice(asked)
        if rng.random() < 0.5:  # elsewhere in the neighbourhood, so that regions are asked at many places
            place = _wrapped(place.latitude + rng.gauss(0, 0.001), place.longitude + rng.gauss(0, 0.001))
        now_s = NOW_S + rng.choice((0, 0, 0, -20, 20))
        assert plain(index.nearest(tag, place, 10, now_s=now_s)) == brute.nearest(tag, place, 10, now_s)
    assert len(index) == len(brute.sites)
    return index


@pytest.fixture(scope="session")
def storm() -> Callable[..., SiteIndex]:
    """check_storm, for test modules, which cannot import one another."""
    return check_storm


@pytest.fixture(scope="session")
def generator_of() -> type[Generator]:
    return Generator


@pytest.fixture
def brute_force() -> BruteForce:
    return BruteForce()


@pytest.fixture(scope="session")
def shipped_places() -> list[Place]:
    """Where the shops that the project ships with are."""
    packed = resources.files("matcher.shops").joinpath("data/shops.csv.gz").read_bytes()
    rows = csv.DictReader(gzip.decompress(packed).decode().splitlines())
    return [Place(latitude=float(row["lat"]), longitude=float(row["lon"])) for row in rows]


@pytest.fixture(scope="session")
def pentagons() -> list[Place]:
    """The centres of the twelve pentagons, which are the same at every resolution."""
    centres = [h3.cell_to_latlng(cell) for cell in h3.get_pentagons(0)]
    return [Place(latitude=latitude, longitude=longitude) for latitude, longitude in centres]


@pytest.fixture(scope="session")
def odd_places(pentagons: list[Place]) -> dict[str, Place]:
    """Places where maps, cells and longitudes misbehave, by name."""
    named = {f"pentagon-{n}": place for n, place in enumerate(pentagons)}
    corners = itertools.product((90.0, -90.0, 0.0, 52.3), (0.0, 180.0, -180.0, -74.0))
    return named | {f"{latitude},{longitude}": Place(latitude, longitude) for latitude, longitude in corners}


@pytest.fixture(scope="session")
def square() -> Callable[[float, float, float], PolygonArea]:
    """A square of `half` degrees to each side of a longitude and latitude."""

    def made(longitude: float, latitude: float, half: float) -> PolygonArea:
        west, east, south, north = longitude - half, longitude + half, latitude - half, latitude + half
        ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
        return parse_service_area({"type": "Polygon", "coordinates": [ring]})

    return made
