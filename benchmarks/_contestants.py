"""Ways to find the nearest eligible shops: ours and its peers, all with make, area and status applied.

Each takes a list of questions and returns a list of answers [(id, distance_mm)]. The peers are given the same
help as ours where they can use it: whole tables by make, exact distances by the same formula, areas by the same
code, only as many candidates as needed.
"""

import asyncio
import math
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
import numpy as np
import redis
from _world import NOW_S, Question
from scipy.spatial import cKDTree

from matcher.geo.distance import Vector, distances_m, half_vector, half_vectors_mm, unit_vector, unit_vectors
from matcher.geo.index import Site, SiteIndex
from matcher.geo.service_area import PolygonArea, RadiusArea, reach_m
from matcher.geo.site import rule_of, serves
from matcher.geo.types import EARTH_RADIUS_M, Place

COUNT = 10
Answer = list[tuple[UUID, int]]

# Candidates that the peers ask for first: some are closed or do not serve the place.
_FIRST_GUESS = 16


class Ours:
    """The index."""

    def __init__(self, sites: Sequence[Site], **options: Any) -> None:
        self.index = SiteIndex.build(sites, **options)

    def answers(self, questions: Sequence[Question]) -> list[Any]:
        """Hits, as the index gives them."""
        nearest = self.index.nearest
        return [nearest(make, place, COUNT, now_s=NOW_S) for make, place in questions]


class Shops:
    """What the peers know of the shops of one make, by row."""

    def __init__(self, sites: list[Site]) -> None:
        self.ids = [site.id for site in sites]
        self.orders = [site.id.int for site in sites]
        self.points = [half_vector(site.place) for site in sites]
        self.rules = [rule_of(site.area) for site in sites]
        self.closed_until = [site.closed_until() for site in sites]
        self.units = unit_vectors(
            [site.place.latitude for site in sites], [site.place.longitude for site in sites]
        )
        self.reach_m = max(reach_m(site.area, site.place) for site in sites)

    def eligible(self, rows: Sequence[int], place: Place, point: Vector) -> list[tuple[int, int, int]]:
        """(distance_mm, id as a number, row) of the rows that are open and serve the place, in order."""
        found = []
        for row in rows:
            if self.closed_until[row] <= NOW_S:
                distance_mm = half_vectors_mm(self.points[row], point)
                if serves(self.rules[row], place, distance_mm):
                    found.append((distance_mm, self.orders[row], row))
        found.sort()
        return found

    def named(self, found: list[tuple[int, int, int]]) -> Answer:
        """The answer with ids."""
        return [(self.ids[row], distance_mm) for distance_mm, _, row in found[:COUNT]]


def by_make(sites: Sequence[Site]) -> dict[str, Shops]:
    """The shops of each make."""
    groups: dict[str, list[Site]] = defaultdict(list)
    for site in sites:
        for make in site.tags:
            groups[make].append(site)
    return {make: Shops(group) for make, group in groups.items()}


class EveryShop:
    """Looks at every shop: slow, and right."""

    def __init__(self, shops: dict[str, Shops]) -> None:
        self.shops = shops

    def answers(self, questions: Sequence[Question]) -> list[Answer]:
        """The exact answers."""
        return [self._answer(make, place) for make, place in questions]

    def _answer(self, make: str, place: Place) -> Answer:
        shops = self.shops[make]
        distances = distances_m(shops.units, unit_vector(place))
        rows = np.flatnonzero(distances <= shops.reach_m)
        return shops.named(shops.eligible(rows.tolist(), place, half_vector(place)))


class KdTree:
    """SciPy's cKDTree of unit vectors, one a make; asks for more until ten of them are eligible."""

    def __init__(self, shops: dict[str, Shops]) -> None:
        self.shops = shops
        self.trees = {make: cKDTree(group.units) for make, group in shops.items()}

    def answers(self, questions: Sequence[Question]) -> list[Answer]:
        """Exact, but for shops within a millimetre of one another."""
        return [self._answer(make, place) for make, place in questions]

    def _answer(self, make: str, place: Place) -> Answer:
        shops, tree = self.shops[make], self.trees[make]
        point = half_vector(place)
        x, y, z = point
        unit = (x + x, y + y, z + z)
        # The chord of the largest reach: beyond it nobody serves the place.
        bound = 2 * math.sin(shops.reach_m / EARTH_RADIUS_M / 2) if shops.reach_m < 1e7 else 2.1
        wanted = _FIRST_GUESS
        while True:
            wanted = min(wanted, tree.n)
            _, rows = tree.query(unit, wanted, distance_upper_bound=bound)
            near = [row for row in rows.tolist() if row < tree.n]
            found = shops.eligible(near, place, point)
            if len(found) >= COUNT or len(near) < wanted or wanted == tree.n:
                return shops.named(found)
            wanted *= 4


class KdTreeQuery:
    """cKDTree's query alone: its ten nearest of the make, closed or not, whatever their areas. No answer."""

    def __init__(self, tree: KdTree) -> None:
        self.trees = tree.trees

    def answers(self, questions: Sequence[Question]) -> list[Any]:
        """Rows of the nearest shops."""
        return [self.trees[make].query(unit_vector(place), COUNT) for make, place in questions]


class RedisGeo:
    """Redis GEOSEARCH, one sorted set a make; positions are rounded to 52 bits, so it is not exact."""

    def __init__(self, url: str, prefix: str, shops: dict[str, Shops], sites: Sequence[Site]) -> None:
        self.client = redis.Redis.from_url(url)
        self.shops, self.prefix = shops, prefix
        self.rows = {make: {i: n for n, i in enumerate(group.ids)} for make, group in shops.items()}
        pipeline = self.client.pipeline(transaction=False)
        for site in sites:
            # Redis knows no latitudes beyond 85.05 degrees.
            if abs(site.place.latitude) <= 85:
                for make in site.tags:
                    row = self.rows[make][site.id]
                    pipeline.geoadd(self._key(make), (site.place.longitude, site.place.latitude, str(row)))
            if len(pipeline) >= 10_000:
                pipeline.execute()
        pipeline.execute()

    def close(self) -> None:
        """Delete what was written."""
        self.client.delete(*(self._key(make) for make in self.shops))
        self.client.close()

    def _key(self, make: str) -> str:
        return f"{self.prefix}{make}"

    def answers(self, questions: Sequence[Question]) -> list[Answer]:
        """Answers among the candidates that Redis thinks nearest."""
        return [self._answer(make, place) for make, place in questions]

    def _answer(self, make: str, place: Place) -> Answer:
        shops, wanted = self.shops[make], _FIRST_GUESS
        while True:
            near: Any = self.client.geosearch(
                self._key(make),
                longitude=place.longitude,
                latitude=place.latitude,
                radius=shops.reach_m,
                unit="m",
                sort="ASC",
                count=wanted,
            )
            found = shops.eligible([int(row) for row in near], place, half_vector(place))
            if len(found) >= COUNT or len(near) < wanted:
                return shops.named(found)
            wanted *= 4


class PostGis:
    """PostGIS KNN over a composite GiST index on (make, place), prepared, one connection."""

    def __init__(self, server_url: str, database: str, sites: Sequence[Site], bound_m: float) -> None:
        self.runner = asyncio.Runner()
        self.server_url, self.database, self.bound_m = server_url, database, bound_m
        self.runner.run(self._fill(sites))

    async def _fill(self, sites: Sequence[Site]) -> None:
        server = await asyncpg.connect(self.server_url)
        await server.execute(f"CREATE DATABASE {self.database}")
        await server.close()
        self.connection = await asyncpg.connect(self.server_url, database=self.database)
        await self.connection.execute(_SCHEMA)
        for start in range(0, len(sites), 5_000):
            columns = zip(*map(_row, sites[start : start + 5_000]), strict=True)
            await self.connection.execute(_INSERT, *map(list, columns))
        await self.connection.execute(_INDEX)
        self.statement = await self.connection.prepare(_KNN)

    def load(self) -> SiteIndex:
        """An index from the rows of the database, as a fresh process builds it."""
        return SiteIndex.build(map(_site, self.runner.run(self.connection.fetch(_ALL))))

    def answers(self, questions: Sequence[Question]) -> list[Answer]:
        """Exact, but for shops within a millimetre of one another."""
        return self.runner.run(self._answers(questions))

    async def _answers(self, questions: Sequence[Question]) -> list[Answer]:
        now = datetime.fromtimestamp(NOW_S, UTC)
        return [
            [
                (UUID(bytes=shop_id.bytes), distance_mm)
                for shop_id, distance_mm in await self.statement.fetch(
                    make, place.latitude, place.longitude, now, self.bound_m, COUNT
                )
            ]
            for make, place in questions
        ]

    def close(self) -> None:
        """Drop the database."""
        self.runner.run(self._drop())
        self.runner.close()

    async def _drop(self) -> None:
        await self.connection.close()
        server = await asyncpg.connect(self.server_url)
        await server.execute(f"DROP DATABASE IF EXISTS {self.database} WITH (FORCE)")
        await server.close()


def _row(site: Site) -> tuple[Any, ...]:
    return (
        site.id,
        site.place.latitude,
        site.place.longitude,
        ";".join(site.tags),
        site.area.radius_m if isinstance(site.area, RadiusArea) else None,
        site.area.to_wkb() if isinstance(site.area, PolygonArea) else None,
        site.enabled,
        None if site.paused_until is None else datetime.fromtimestamp(site.paused_until, UTC),
    )


def _site(row: Any) -> Site:
    shop_id, latitude, longitude, makes, radius_m, area, enabled, paused_until = row
    return Site(
        id=UUID(bytes=shop_id.bytes),
        place=Place(latitude=latitude, longitude=longitude),
        tags=frozenset(makes),
        area=RadiusArea(radius_m) if area is None else PolygonArea.from_wkb(area),
        enabled=enabled,
        paused_until=None if paused_until is None else paused_until.timestamp(),
    )


_SCHEMA = """
CREATE EXTENSION postgis;
CREATE EXTENSION btree_gist;
CREATE TABLE pairs (
    make text NOT NULL,
    place geography(Point, 4326) NOT NULL,
    shop_id uuid NOT NULL,
    radius_m float8,
    area geometry(MultiPolygon, 4326),
    enabled bool NOT NULL,
    paused_until timestamptz
);
"""
_INSERT = """
INSERT INTO pairs
SELECT make, ST_SetSRID(ST_MakePoint(longitude, latitude), 4326)::geography, id, radius_m, ST_GeomFromEWKB(area),
    enabled, paused_until
FROM unnest($1::uuid[], $2::float8[], $3::float8[], $4::text[], $5::float8[], $6::bytea[], $7::bool[],
    $8::timestamptz[]) AS t (id, latitude, longitude, makes, radius_m, area, enabled, paused_until),
    unnest(string_to_array(makes, ';')) AS make
"""
_INDEX = """
CREATE INDEX ON pairs USING gist (make, place);
ANALYZE pairs;
"""
_ALL = """
SELECT shop_id, ST_Y(place::geometry), ST_X(place::geometry), array_agg(make), radius_m, ST_AsBinary(area), enabled,
    paused_until
FROM pairs
GROUP BY shop_id, place, radius_m, area, enabled, paused_until
"""
_KNN = """
SELECT shop_id, round(ST_Distance(place, q.point::geography, false) * 1000)::bigint
FROM pairs, (SELECT ST_SetSRID(ST_MakePoint($3::float8, $2::float8), 4326) AS point) AS q
WHERE make = $1
    AND enabled
    AND (paused_until IS NULL OR paused_until <= $4::timestamptz)
    AND ST_DWithin(place, q.point::geography, $5::float8, false)
    AND CASE
        WHEN area IS NULL THEN round(ST_Distance(place, q.point::geography, false) * 1000) <= radius_m * 1000
        ELSE ST_Covers(area, q.point)
    END
ORDER BY place <-> q.point::geography
LIMIT $6
"""
