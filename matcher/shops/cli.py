"""`matcher shops import`: reads a table of shops, shows progress, writes a report of the rows it refused."""

import asyncio
import csv
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TextIO

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from matcher.db import create_pool
from matcher.geo.types import MAX_RADIUS_M
from matcher.runtime import database_url
from matcher.settings import Settings
from matcher.shops.import_rows import KINDS, MAX_CHARS, ImportOptions, RowError
from matcher.shops.importing import ImportSummary, import_shops, shipped_shops_path

# A batch of 2,000 rows takes a fraction of a second; a minute means that something else holds the table.
STATEMENT_TIMEOUT_S = 60.0
SHOWN_ERRORS = 5

_EXAMPLE = {
    "source": "my-list",
    "shop_id": "17",
    "name": "Nile Parts",
    "kind": "car_parts",
    "makes": "Toyota;Hyundai",
    "lat": "30.0444",
    "lon": "31.2357",
    "cc": "EG",
    "city": "Cairo",
    "hours": "Sa-Th 09:00-18:00",
    "phone": "+20 2 2795 0000",
    "currency": "EGP",
    "time_zone": "Africa/Cairo",
    "radius_m": "15000",
}


@click.group("shops")
def shops() -> None:
    """Import shops."""


@shops.command("import")
@click.argument("file", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--shipped", is_flag=True, help="Import the real shops that ship with the project.")
@click.option("--template", is_flag=True, help="Print a file to start from, with every column, and stop.")
@click.option(
    "--kind",
    "kinds",
    multiple=True,
    type=click.Choice([*KINDS, "all"]),
    default=("car_parts",),
    show_default=True,
    help="Kinds of shops to import; may be repeated.",
)
@click.option("--radius-m", type=click.FloatRange(1, MAX_RADIUS_M), default=20_000, show_default=True)
@click.option("--generate-makes", "makes_seed", type=int, metavar="SEED", help="Assign plausible makes.")
@click.option("--dry-run", is_flag=True, help="Check and count everything, keep nothing.")
@click.option(
    "--report", type=click.Path(dir_okay=False, writable=True, path_type=Path), help="Refused rows, CSV."
)
def import_command(
    file: Path | None,
    shipped: bool,
    template: bool,
    kinds: tuple[str, ...],
    radius_m: float,
    makes_seed: int | None,
    dry_run: bool,
    report: Path | None,
) -> int:
    """Import FILE (.csv or .csv.gz) as unclaimed shops. Importing it again updates what has changed.

    Exit status 1 when rows were refused; all others are imported all the same.
    """
    if template:
        write_template(sys.stdout)
        return 0
    if (file is None) == (not shipped):
        raise click.UsageError("Name a FILE, or --shipped.")
    options = ImportOptions(
        kinds=frozenset() if "all" in kinds else frozenset(kinds),
        radius_m=radius_m,
        makes_seed=makes_seed,
        dry_run=dry_run,
    )
    summary = asyncio.run(_import(file or shipped_shops_path(), options, report))
    _show(summary, options, report)
    return 1 if summary.refused else 0


def write_template(out: TextIO) -> None:
    """A header with every column and one example row."""
    writer = csv.DictWriter(out, list(MAX_CHARS), restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerow(_EXAMPLE)


async def _import(path: Path, options: ImportOptions, report: Path | None) -> ImportSummary:
    url = database_url(Settings.from_env())
    with ExitStack() as stack:
        refuse = _Refusals(
            stack.enter_context(report.open("w", newline="", encoding="utf-8")) if report else None
        )
        bar = stack.enter_context(
            Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                TaskProgressColumn(),
                TextColumn("{task.fields[rows]:,} rows, {task.fields[rate]:,.0f}/s"),
                TimeRemainingColumn(),
                console=Console(stderr=True),
            )
        )
        task = bar.add_task(path.name, total=1.0, rows=0, rate=0.0)

        def advance(summary: ImportSummary, fraction: float) -> None:
            bar.update(task, completed=fraction, rows=summary.rows, rate=summary.rows_per_s)

        async with await create_pool(url, max_size=1, statement_timeout_s=STATEMENT_TIMEOUT_S) as pool:
            return await import_shops(pool, path, options, on_error=refuse, progress=advance)


class _Refusals:
    """Writes every refused row to the report, and the first few to stderr."""

    def __init__(self, report: TextIO | None) -> None:
        self._writer = csv.writer(report) if report else None
        self._shown = 0
        if self._writer:
            self._writer.writerow(("line", "column", "value", "reason"))

    def __call__(self, error: RowError) -> None:
        if self._writer:
            self._writer.writerow((error.line, error.column, error.value, error.reason))
        elif self._shown < SHOWN_ERRORS:
            self._shown += 1
            click.echo(f"line {error.line}, {error.column}: {error.reason} ({error.value!r})", err=True)


def _show(summary: ImportSummary, options: ImportOptions, report: Path | None) -> None:
    table = Table(box=None, show_header=False, title="Dry run: nothing was kept" if options.dry_run else None)
    for name, count in (
        ("rows read", summary.rows),
        ("of other kinds", summary.other_kinds),
        ("inserted", summary.inserted),
        ("updated", summary.updated),
        ("unchanged", summary.unchanged),
        ("claimed, left alone", summary.claimed),
        ("refused", summary.refused),
    ):
        table.add_row(name, f"{count:,}")
    table.add_row("time", f"{summary.seconds:.1f} s ({summary.rows_per_s:,.0f} rows/s)")
    if summary.refused:
        table.add_row("", f"refused rows: {report}" if report else "--report FILE lists the refused rows")
    Console().print(table)
