"""Imports on real PostGIS: idempotent, only changed unclaimed rows, per-row errors, dry run, the shipped file."""

import asyncio
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from matcher.db import Pool
from matcher.errors import MatcherError
from matcher.shops.errors import ImportFailed
from matcher.shops.import_rows import ImportOptions, RowError
from matcher.shops.importing import ImportSummary, import_shops, shipped_shops_path

ROW = {"source": "list", "shop_id": "1", "kind": "car_parts", "lat": "30.0444", "lon": "31.2357"}
FULL_ROW = ROW | {
    "name": "Nile Parts",
    "name_en": "",
    "chain": "Nile",
    "makes": "Toyota; vw",
    "cc": "EG",
    "extract": "egypt",
    "state": "",
    "city": "Cairo",
    "hours": "Sa-Th 09:00-18:00",
    "address": "",
    "phone": "+20 2 2795 0000",
    "email": "a@nile.test",
    "currency": "EGP",
    "time_zone": "",
    "radius_m": "15000",
}


def rows(*given: Mapping[str, str]) -> Iterator[tuple[int, Mapping[str, str]]]:
    return enumerate(given, 2)


def counts(summary: ImportSummary) -> tuple[int, int, int, int, int]:
    """(inserted, updated, unchanged, claimed, refused)"""
    return summary.inserted, summary.updated, summary.unchanged, summary.claimed, summary.refused


async def _shops(pool: Pool) -> list[Any]:
    return await pool.fetch(
        "SELECT s.*, ST_Y(place::geometry) AS latitude,"
        " ARRAY(SELECT make FROM shop_makes WHERE shop_id = s.id ORDER BY make) AS makes"
        " FROM shops s ORDER BY source_ref"
    )


async def test_a_row_becomes_an_unclaimed_shop(pool: Pool) -> None:
    assert counts(await import_shops(pool, rows(FULL_ROW))) == (1, 0, 0, 0, 0)
    (shop,) = await _shops(pool)
    assert (shop["status"], shop["source"], shop["source_ref"]) == ("unclaimed", "list", "1")
    assert (shop["name"], shop["chain"], shop["makes"]) == ("Nile Parts", "Nile", ["toyota", "volkswagen"])
    assert (shop["address"], shop["country"], shop["time_zone"]) == ("Cairo", "EG", "Africa/Cairo")
    assert shop["opening_hours"]["fri"] == []
    assert shop["opening_hours"]["sat"] == [["09:00", "18:00"]]
    assert shop["delivery_radius_m"] == 15_000
    assert shop["service_reach_m"] >= 15_000
    assert shop["latitude"] == 30.0444
    assert hex(shop["h3_r8"]).startswith("0x88")
    assert not shop["makes_generated"]


async def test_a_repeated_import_changes_nothing(pool: Pool) -> None:
    await import_shops(pool, rows(FULL_ROW, ROW | {"shop_id": "2"}))
    before = await _shops(pool)
    assert counts(await import_shops(pool, rows(FULL_ROW, ROW | {"shop_id": "2"}))) == (0, 0, 2, 0, 0)
    assert await _shops(pool) == before


@pytest.mark.parametrize(
    "change",
    [
        {"name": "Other"},
        {"chain": ""},
        {"lat": "30.0445"},
        {"kind": "tyres"},
        {"makes": "Toyota"},
        {"makes": "Toyota;VW;BMW"},
        {"hours": ""},
        {"phone": ""},
        {"email": ""},
        {"city": "Giza"},
        {"cc": "SD"},
        {"radius_m": "1"},
        {"currency": "USD"},
        {"time_zone": "UTC"},
    ],
)
async def test_only_what_changed_is_written(pool: Pool, change: dict[str, str]) -> None:
    every = ImportOptions(kinds=frozenset())
    await import_shops(pool, rows(FULL_ROW, ROW | {"shop_id": "2"}), every)
    before = await _shops(pool)
    changed = rows(FULL_ROW | change, ROW | {"shop_id": "2"})
    assert counts(await import_shops(pool, changed, every)) == (0, 1, 1, 0, 0)
    after = await _shops(pool)
    assert [shop["version"] for shop in after] == [2, 1]
    assert after[0]["id"] == before[0]["id"]
    assert counts(await import_shops(pool, rows(FULL_ROW | change), every)) == (0, 0, 1, 0, 0)
    # And back: the shop is as it was.
    await import_shops(pool, rows(FULL_ROW), every)
    strip = {"version", "updated_at", "changed_xid"}
    back = (await _shops(pool))[0]
    assert {k: v for k, v in back.items() if k not in strip} == {
        k: v for k, v in before[0].items() if k not in strip
    }


async def test_a_claimed_shop_is_never_touched(world: Any) -> None:
    await import_shops(world.pool, rows(FULL_ROW))
    imported = await world.pool.fetchval("SELECT id FROM shops")
    owner, admin = await world.person(), await world.person("admin")
    await owner.open_shop(imported)
    for status in ("pending_verification", "active"):
        before = await _shops(world.pool)
        assert before[0]["status"] == status
        summary = await import_shops(world.pool, rows(FULL_ROW | {"name": "Overwritten", "makes": "BMW"}))
        assert counts(summary) == (0, 0, 0, 1, 0)
        assert await _shops(world.pool) == before
        if status == "pending_verification":
            await admin.do("POST", f"/admin/shops/{imported}/verify")


async def test_a_file_that_says_no_makes_leaves_those_that_are_known(pool: Pool) -> None:
    await import_shops(pool, rows(FULL_ROW))
    summary = await import_shops(pool, rows(FULL_ROW | {"makes": ""}))
    assert counts(summary) == (0, 0, 1, 0, 0)
    assert (await _shops(pool))[0]["makes"] == ["toyota", "volkswagen"]


async def test_makes_are_generated_from_a_seed_and_marked(pool: Pool) -> None:
    seeded = ImportOptions(makes_seed=7)
    await import_shops(pool, rows(ROW, FULL_ROW | {"shop_id": "2"}), seeded)
    unknown, known = await _shops(pool)
    assert unknown["makes"]
    assert (unknown["makes_generated"], known["makes_generated"]) == (True, False)
    assert counts(await import_shops(pool, rows(ROW), seeded)) == (0, 0, 1, 0, 0)
    assert counts(await import_shops(pool, rows(ROW))) == (0, 0, 1, 0, 0)
    assert (await _shops(pool))[0]["makes_generated"] is True
    await import_shops(pool, rows(ROW | {"makes": "BMW"}))
    shop = (await _shops(pool))[0]
    assert (shop["makes"], shop["makes_generated"]) == (["bmw"], False)


async def test_a_dry_run_counts_and_keeps_nothing(pool: Pool) -> None:
    await import_shops(pool, rows(FULL_ROW))
    before = await _shops(pool)
    dry = ImportOptions(dry_run=True)
    changed = rows(FULL_ROW | {"name": "x"}, ROW | {"shop_id": "2"})
    assert counts(await import_shops(pool, changed, dry)) == (1, 1, 0, 0, 0)
    assert await _shops(pool) == before


async def test_only_the_kinds_asked_for_are_taken(pool: Pool) -> None:
    table = [ROW, ROW | {"shop_id": "2", "kind": "tyres"}, ROW | {"shop_id": "3", "kind": "car_dealer"}]
    summary = await import_shops(pool, rows(*table))
    assert (summary.rows, summary.other_kinds, summary.inserted) == (3, 2, 1)
    chosen = ImportOptions(kinds=frozenset({"tyres", "car_parts"}))
    assert counts(await import_shops(pool, rows(*table), chosen)) == (1, 0, 1, 0, 0)


async def test_refused_rows_are_told_and_the_others_imported(pool: Pool) -> None:
    errors: list[RowError] = []
    table = [
        ROW,
        ROW | {"shop_id": "2", "lat": "91"},
        ROW | {"shop_id": "3", "makes": "Toyotta"},
        ROW | {"shop_id": "4"},
        ROW | {"shop_id": "4"},
        {},
    ]
    summary = await import_shops(pool, rows(*table), on_error=errors.append)
    assert counts(summary) == (2, 0, 0, 0, 4)
    assert [(error.line, error.column) for error in errors] == [
        (3, "lat"),
        (4, "makes"),
        (6, "shop_id"),
        (7, ""),
    ]


async def test_batches_add_up(pool: Pool) -> None:
    table = [ROW | {"shop_id": str(number), "lat": str(number / 10)} for number in range(25)]
    told: list[int] = []
    small = ImportOptions(batch_rows=10)
    summary = await import_shops(
        pool, rows(*table), small, progress=lambda so_far, _: told.append(so_far.inserted)
    )
    assert counts(summary) == (25, 0, 0, 0, 0)
    assert told == [10, 20, 25]


async def test_two_imports_at_once_agree(pool: Pool) -> None:
    table = [ROW | {"shop_id": str(number), "makes": "BMW;VW"} for number in range(300)]
    small = ImportOptions(batch_rows=50)
    summaries = await asyncio.gather(
        import_shops(pool, rows(*table), small), import_shops(pool, rows(*reversed(table)), small)
    )
    assert sum(summary.inserted for summary in summaries) == 300
    assert {tuple(shop["makes"]) for shop in await _shops(pool)} == {("bmw", "volkswagen")}


def _write(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


HEADER = "source,shop_id,kind,lat,lon"


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.csv", "", "empty"),
        ("a.csv", "source,shop_id\n", "missing: kind, lat, lon"),
        ("a.csv", f"{HEADER},colour\n", "not known: 'colour'"),
        ("a.csv", f"{HEADER},lat\n", "twice"),
        ("a.csv", f"{HEADER}\n" + "x" * 70_000, "longer than"),
        ("a.csv", f'{HEADER}\na,"' + "x\n" * 70_000, "cannot be read"),
        ("a.csv.gz", "not gzip", "cannot be read"),
    ],
)
async def test_what_is_no_such_table_is_refused(
    pool: Pool, tmp_path: Path, name: str, content: str, words: str
) -> None:
    with pytest.raises(ImportFailed, match=words):
        await import_shops(pool, _write(tmp_path / name, content))


async def test_a_file_is_read_with_the_lines_it_has(pool: Pool, tmp_path: Path) -> None:
    content = (
        f"\ufeff{HEADER},name\r\n"
        'a,1,car_parts,1,2,"two\r\nlines"\r\n'
        "\r\n"
        "a,2,car_parts,x,2,\r\n"
        "a,3,car_parts,1,2\r\n"
        'a,4,car_parts,1,2,"a ""quoted"" name, with comma"\r\n'
    ).encode() + b"a,5,car_parts,1,2,\xff\xfe\r\n"
    errors: list[RowError] = []
    summary = await import_shops(pool, _write(tmp_path / "a.csv", content), on_error=errors.append)
    assert [(error.line, error.column) for error in errors] == [(2, "name"), (5, "lat"), (6, ""), (8, "name")]
    assert summary.inserted == 1
    assert (await _shops(pool))[0]["name"] == 'a "quoted" name, with comma'


async def test_the_shipped_shops_import_whole_and_again_unchanged(pool: Pool) -> None:
    seen: list[float] = []
    options = ImportOptions(makes_seed=1)
    summary = await import_shops(
        pool, shipped_shops_path(), options, progress=lambda _, fraction: seen.append(fraction)
    )
    assert (summary.rows, summary.inserted, summary.refused) == (22_117, 8_590, 0)
    assert seen == sorted(seen)
    assert seen[-1] == 1.0
    assert counts(await import_shops(pool, shipped_shops_path(), options)) == (0, 0, 8_590, 0, 0)
    assert await pool.fetchval("SELECT count(*) FROM shops WHERE name = ''") == 0
    assert await pool.fetchval("SELECT count(DISTINCT time_zone) FROM shops") > 50


async def test_a_failing_batch_leaves_those_before_it(pool: Pool) -> None:
    def broken() -> Iterator[tuple[int, Mapping[str, str]]]:
        yield from rows(*[ROW | {"shop_id": str(number)} for number in range(20)])
        raise ImportFailed("the line broke")

    with pytest.raises(MatcherError, match="the line broke"):
        await import_shops(pool, broken(), ImportOptions(batch_rows=10))
    assert await pool.fetchval("SELECT count(*) FROM shops") == 20
