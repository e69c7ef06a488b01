"""The summary at the end: counts, percentiles, and the verdict of the check.

Owns: the arithmetic and the tables. Must not measure or check anything itself.
"""

import math
from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from matcher.demo.journal import Journal

PERCENTILES = (50, 95, 99)
LATENCIES = {
    "submit": "submit an order: request to 201",
    "submit to first shop": "… request to the first shop's frame",
    "quote to customer": "quote: request to the customer's frame",
    "accept": "accept a quote: request to 200",
    "expiry told": "expiry: expiresAt to the customer's frame",
}
_MISMATCHES_SHOWN = 20


def percentile(values: Sequence[float], percent: float) -> float:
    """The nearest-rank percentile: the least value that `percent` of the values do not exceed. ValueError if empty."""
    if not values:
        raise ValueError("no values have no percentile")
    rank = max(1, math.ceil(percent / 100 * len(values)))
    return sorted(values)[rank - 1]


def as_milliseconds(seconds: float) -> str:
    """A latency for people: "3.4 ms", "120 ms"."""
    milliseconds = seconds * 1000
    return f"{milliseconds:.1f} ms" if milliseconds < 10 else f"{milliseconds:,.0f} ms"


def latency_line(journal: Journal, name: str) -> str:
    """Median and p99 of one latency so far, in a few characters."""
    values = journal.latencies_s.get(name)
    if not values:
        return "–"
    return f"{as_milliseconds(percentile(values, 50))} / {as_milliseconds(percentile(values, 99))}"


def render(journal: Journal, shops: int, mismatches: Sequence[str], compared: int) -> RenderableType:
    """The whole summary. `compared` is how many facts the check compared."""
    return Group(
        _counts_table(journal, shops), Text(), _latency_table(journal), Text(), _verdict(mismatches, compared)
    )


def _counts_table(journal: Journal, shops: int) -> Table:
    statuses = journal.count_orders()
    counts = journal.counts
    table = Table("what happened", "", title="Summary", title_justify="left", box=None, pad_edge=False)
    table.columns[1].justify = "right"
    rows: dict[str, int | str] = {
        "shops claimed, verified and connected": shops,
        "orders acknowledged": counts["orders"],
        "… nobody in range": counts["no_shop_in_range"],
        "… nobody for the make": counts["no_shop_for_make"],
        "orders received by shops": counts["dispatches"],
        "quotes received by customers": counts["quotes"],
        "quotes edited / withdrawn / orders declined": "{} / {} / {}".format(
            counts["edited"], counts["withdrawn"], counts["declined"]
        ),
        "accepted": counts["accepted"],
        "… delivered": statuses["delivered"],
        "expired": statuses["expired"],
        "cancelled": statuses["cancelled"],
        "frames received": journal.frames,
    }
    for name, value in rows.items():
        table.add_row(name, f"{value:,}" if isinstance(value, int) else value)
    return table


def _latency_table(journal: Journal) -> Table:
    table = Table("latency", "n", *(f"p{percent}" for percent in PERCENTILES), box=None, pad_edge=False)
    for column in table.columns[1:]:
        column.justify = "right"
    for name, meaning in LATENCIES.items():
        values = journal.latencies_s.get(name, [])
        shown = [as_milliseconds(percentile(values, percent)) if values else "–" for percent in PERCENTILES]
        table.add_row(meaning, f"{len(values):,}", *shown)
    return table


def _verdict(mismatches: Sequence[str], compared: int) -> Text:
    if not mismatches:
        return Text(
            f"Checked from outside: {compared:,} facts compared with the database and fresh snapshots, all agree.",
            "bold green",
        )
    shown = [f"  {mismatch}" for mismatch in mismatches[:_MISMATCHES_SHOWN]]
    if len(mismatches) > _MISMATCHES_SHOWN:
        shown.append(f"  … and {len(mismatches) - _MISMATCHES_SHOWN} more")
    return Text("\n".join([f"{len(mismatches)} MISMATCHES among {compared:,} facts:", *shown]), "bold red")
