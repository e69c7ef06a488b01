"""The index, looking at every site, and PostGIS give the same ids in the same order while shops change."""

import random
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from matcher.db import Pool
from matcher.geo import cells
from matcher.geo.distance import distance_m
from matcher.geo.index import Site, SiteIndex
from matcher.geo.service_area import PolygonArea, RadiusArea, reach_m
from matcher.geo.types import Place

ORACLE = (Path(__file__).parent / "oracle.sql").read_text()
NOW_S = 1_000.0
COUNT = 10
MAKES = [f"make-{n}" for n in range(40)]

INSERT = """
WITH new AS (
    SELECT * FROM unnest(
        $1::uuid[], $2::text[], $3::float8[], $4::float8[], $5::float8[], $6::bytea[], $7::float8[], $8::bool[],
        $9::timestamptz[], $10::bigint[], $11::bigint[]
    ) AS t (id, status, latitude, longitude, radius_m, area, reach_m, ships, paused_until, h3_r5, h3_r8)
)
INSERT INTO shops (
    id, status, name, place, h3_r5, h3_r8, delivery_radius_m, service_area, service_reach_m, ships_beyond_area,
    paused_until
)
SELECT
    id, status, 'shop', ST_SetSRID(ST_MakePoint(longitude, latitude), 4326)::geography, h3_r5, h3_r8, radius_m,
    ST_GeomFromEWKB(area), reach_m, ships, paused_until
FROM new
"""


async def _write(pool: Pool, sites: Iterable[Site]) -> None:
    """Replace the rows of these sites."""
    sites = list(sites)
    ids = [site.id for site in sites]
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("DELETE FROM shops WHERE id = ANY($1)", ids)
        columns: list[list[Any]] = [list(column) for column in zip(*map(_row, sites), strict=True)]
        await connection.execute(INSERT, *columns)
        await connection.execute(
            "INSERT INTO shop_makes (shop_id, make) SELECT * FROM unnest($1::uuid[], $2::text[])",
            [site.id for site in sites for _ in site.tags],
            [tag for site in sites for tag in site.tags],
        )


def _row(site: Site) -> tuple[Any, ...]:
    paused = None if site.paused_until is None else datetime.fromtimestamp(site.paused_until, UTC)
    return (
        site.id,
        "active" if site.enabled else "suspended",
        site.place.latitude,
        site.place.longitude,
        site.area.radius_m if isinstance(site.area, RadiusArea) else None,
        site.area.to_wkb() if isinstance(site.area, PolygonArea) else None,
        reach_m(site.area, site.place),
        site.ships_beyond_area,
        paused,
        cells.cell_of(site.place, 5),
        cells.cell_of(site.place, 8),
    )


async def _oracle(pool: Pool, questions: list[tuple[str, Place]]) -> list[list[tuple[UUID, int]]]:
    rows = await pool.fetch(
        ORACLE,
        [make for make, _ in questions],
        [place.latitude for _, place in questions],
        [place.longitude for _, place in questions],
        COUNT,
        datetime.fromtimestamp(NOW_S, UTC),
    )
    answers: list[list[tuple[UUID, int]]] = [[] for _ in questions]
    for question, shop_id, distance_mm in rows:
        answers[question - 1].append((UUID(bytes=shop_id.bytes), distance_mm))
    return answers


def _on_the_edge(rng: random.Random, site: Site) -> Place:
    """A corner of the site's polygon, a place on its edge, or for a radius the site's own place."""
    if isinstance(site.area, RadiusArea):
        return site.place
    (west, south), (east, _) = site.area.geometry.geoms[0].exterior.coords[:2]
    return Place(latitude=south, longitude=rng.choice((west, east, (west + east) / 2)))


@pytest.mark.timeout(600)  # the database looks at millions of shops
async def test_index_brute_force_and_postgis_agree(
    pool: Pool,
    brute_force: Any,
    generator_of: Any,
    shipped_places: list[Place],
    odd_places: dict[str, Place],
) -> None:
    shipped = generator_of(21, shipped_places, 0.05, tags=MAKES)
    odd = generator_of(22, list(odd_places.values()), 0.3, tags=MAKES)
    twins = shipped_places[:200]
    sites = [
        *(shipped.site(place=place) for place in [*shipped_places, *twins, *twins]),
        *odd.sites(3_000),
    ]
    rng = random.Random(23)
    await _write(pool, sites)
    await pool.execute("ANALYZE shops, shop_makes")
    for site in sites:
        brute_force.put(site)
    index = SiteIndex.build(sites)
    asked = 0
    # The same neighbourhoods in each round, so that later rounds are answered by hot cells.
    places = [
        *(shipped.place() for _ in range(450)),
        *(odd.place() for _ in range(350)),
        *odd_places.values(),
    ]
    questions = [(rng.choice(MAKES), place) for place in places]
    for _ in range(11):
        edges = [_on_the_edge(rng, rng.choice(sites)) for _ in range(200)]
        batch = questions + [(rng.choice(MAKES), place) for place in edges]
        said = await _oracle(pool, batch)
        for (make, place), by_postgis in zip(batch, said, strict=True):
            by_index = [(h.id, h.distance_mm) for h in index.nearest(make, place, COUNT, now_s=NOW_S)]
            assert by_index == brute_force.nearest(make, place, COUNT)
            assert [site_id for site_id, _ in by_index] == [site_id for site_id, _ in by_postgis]
            # PostGIS rounds to ten nanometres first, which may tip a millimetre.
            assert all(abs(a[1] - b[1]) <= 1 for a, b in zip(by_index, by_postgis, strict=True))
        asked += len(batch)
        changed = [shipped.change(brute_force.sites[site.id]) for site in rng.sample(sites, 400)]
        await _write(pool, changed)
        for site in changed:
            index.upsert(site)
            brute_force.put(site)
    assert asked >= 10_000
    assert index.stats().hot_hits > 3_000


async def test_postgis_measures_on_the_same_sphere(pool: Pool) -> None:
    rng = random.Random(24)
    pairs = []
    for _ in range(5_000):
        a = Place(latitude=rng.uniform(-90, 90), longitude=rng.uniform(-180, 180))
        near = 10 ** rng.uniform(-7, 2)
        latitude = max(-90.0, min(90.0, a.latitude + rng.gauss(0, near)))
        pairs.append((a, Place(latitude=latitude, longitude=a.longitude + rng.gauss(0, near))))
    rows = await pool.fetch(
        "SELECT ST_Distance(ST_MakePoint(b, a)::geography, ST_MakePoint(d, c)::geography, false)"
        " FROM unnest($1::float8[], $2::float8[], $3::float8[], $4::float8[]) AS t (a, b, c, d)",
        *([getattr(pair[n], field) for pair in pairs] for n in (0, 1) for field in ("latitude", "longitude")),
    )
    for (a, b), (metres,) in zip(pairs, rows, strict=True):
        assert distance_m(a, b) == pytest.approx(metres, abs=3e-8)
