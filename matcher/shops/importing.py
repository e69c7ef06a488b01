"""Importing shops from a table: batches by COPY, idempotent by (source, shop_id), never touching a claimed shop.

Owns the pace and the counts; the rows' form is `import_rows.py`. Memory is bounded by the batch.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib import resources
from pathlib import Path
from time import perf_counter

import msgspec

from matcher.db import Connection, Pool, Row, load_queries
from matcher.shops.import_rows import (
    ImportedShop,
    ImportOptions,
    RowError,
    RowRefused,
    TableFile,
    parse_row,
)

SQL = load_queries("matcher.shops", "import.sql")
# An error names enough of a value to find it, not a page of it.
SHOWN_CHARS = 80

OnError = Callable[[RowError], None]
Rows = Iterable[tuple[int, Mapping[str, str]]]


class ImportSummary(msgspec.Struct):
    """What an import did, or with `dry_run` would do."""

    rows: int = 0
    other_kinds: int = 0  # not asked for
    refused: int = 0  # each told to `on_error`
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    claimed: int = 0  # belong to somebody by now: left alone
    seconds: float = 0.0

    @property
    def rows_per_s(self) -> float:
        """Rows read per second."""
        return self.rows / self.seconds if self.seconds else 0.0


def shipped_shops_path() -> Path:
    """The real shops that ship with the project (see the README beside the file)."""
    return Path(str(resources.files("matcher.shops") / "data" / "shops.csv.gz"))


async def import_shops(
    pool: Pool,
    source: Path | Rows,
    options: ImportOptions | None = None,
    *,
    on_error: OnError | None = None,
    progress: Callable[[ImportSummary, float], None] | None = None,
) -> ImportSummary:
    """Import a `.csv`/`.csv.gz` file, or rows as (line, fields by column).

    `progress` is called after each batch with the counts so far and the share of the file that is read (0 for
    rows). Raises ImportFailed for a file that is no such table; batches before the failure stay.
    """
    options = options or ImportOptions()
    if isinstance(source, Path):
        with TableFile(source) as table:
            tell = (lambda summary: progress(summary, table.fraction)) if progress else None
            return await _import(pool, table.rows(), options, on_error, tell)
    tell = (lambda summary: progress(summary, 0.0)) if progress else None
    return await _import(pool, source, options, on_error, tell)


async def _import(
    pool: Pool,
    rows: Rows,
    options: ImportOptions,
    on_error: OnError | None,
    tell: Callable[[ImportSummary], None] | None,
) -> ImportSummary:
    started_s = perf_counter()
    summary = ImportSummary()
    batches = _batches(iter(rows), options, summary, on_error or (lambda _: None))
    async with pool.acquire() as connection:
        await connection.execute(SQL["create_batch"])
        batch = await asyncio.to_thread(next, batches, None)
        while batch is not None:
            # The next batch is read while PostgreSQL writes this one; neither is left running when one fails.
            reading = asyncio.create_task(asyncio.to_thread(next, batches, None))
            try:
                await _write(connection, batch, options, summary)
            finally:
                batch = await reading
            summary.seconds = perf_counter() - started_s
            if tell:
                tell(summary)
    summary.seconds = perf_counter() - started_s
    return summary


def _batches(
    rows: Iterator[tuple[int, Mapping[str, str]]],
    options: ImportOptions,
    summary: ImportSummary,
    on_error: OnError,
) -> Iterator[list[ImportedShop]]:
    batch: dict[tuple[str, str], ImportedShop] = {}
    for line, row in rows:
        summary.rows += 1
        try:
            shop = parse_row(row, options)
            if shop is None:
                summary.other_kinds += 1
                continue
            key = shop.source, shop.source_ref
            if key in batch:
                # One statement can write a row once. Repetitions further apart: the later row counts.
                raise RowRefused("shop_id", "a row shortly before has the same source and shop_id")
        except RowRefused as error:
            summary.refused += 1
            value = row.get(error.column, "").encode("utf-8", "replace").decode()
            on_error(RowError(line, error.column, value[:SHOWN_CHARS], error.reason))
            continue
        batch[key] = shop
        if len(batch) >= options.batch_rows:
            yield list(batch.values())
            batch = {}
    if batch:
        yield list(batch.values())


async def _write(
    connection: Connection, batch: list[ImportedShop], options: ImportOptions, summary: ImportSummary
) -> None:
    transaction = connection.transaction()
    await transaction.start()
    try:
        await connection.copy_records_to_table(
            "import_batch", records=batch, columns=list(ImportedShop._fields)
        )
        await connection.execute(SQL["analyze_batch"])
        await connection.execute(SQL["plan_by_index"])
        claimed = await connection.fetchval(SQL["count_claimed"])
        written = await connection.fetch(SQL["write_batch"])
        await _write_makes(connection, batch, written)
    except BaseException:
        await transaction.rollback()
        raise
    await (transaction.rollback() if options.dry_run else transaction.commit())
    inserted = sum(row["inserted"] for row in written)
    summary.claimed += claimed
    summary.inserted += inserted
    summary.updated += len(written) - inserted
    summary.unchanged += len(batch) - claimed - len(written)


async def _write_makes(connection: Connection, batch: list[ImportedShop], written: list[Row]) -> None:
    """The makes of the shops that were written, where the file states them; their rows are locked."""
    makes = {(shop.source, shop.source_ref): shop.makes for shop in batch}
    stated = {row["id"]: found for row in written if (found := makes[row["source"], row["source_ref"]])}
    await connection.execute(SQL["remove_makes"], list(stated))
    pairs = [(shop_id, make) for shop_id, found in stated.items() for make in found]
    await connection.copy_records_to_table("shop_makes", records=pairs, columns=["shop_id", "make"])
