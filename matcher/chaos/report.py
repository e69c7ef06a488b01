"""The report: kills and recovery times per component, what was compared, the verdict.

Owns: the arithmetic and the tables (80 columns). Must not measure or check anything itself.
"""

import statistics
from collections.abc import Mapping, Sequence

import msgspec
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from matcher.chaos.laws import LAWS, Verdicts
from matcher.chaos.watch import Kill, Watch

_VIOLATIONS_SHOWN = 20
COMPONENTS = ("api", "worker", "redis", "postgres")


class Spread(msgspec.Struct, frozen=True, rename="camel"):
    """How long something took, over several times. Seconds."""

    count: int
    min_s: float
    median_s: float
    max_s: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread | None":
        """None of nothing."""
        if not values:
            return None
        return cls(len(values), min(values), statistics.median(values), max(values))

    def __str__(self) -> str:
        return f"{self.min_s:.2f} / {self.median_s:.2f} / {self.max_s:.2f}"


class Recovery(msgspec.Struct, frozen=True, rename="camel"):
    """One component's kills, and what came first afterwards."""

    kills: int
    request: Spread | None
    event: Spread | None

    @classmethod
    def of(cls, kills: Sequence[Kill]) -> "Recovery":
        """Of one component."""
        return cls(
            kills=len(kills),
            request=Spread.of([kill.request_s for kill in kills if kill.request_s is not None]),
            event=Spread.of([kill.event_s for kill in kills if kill.event_s is not None]),
        )


class Law(msgspec.Struct, frozen=True, rename="camel"):
    """One promise."""

    name: str
    violations: int
    compared: int


class Report(msgspec.Struct, frozen=True, rename="camel"):
    """A run's outcome; `--json` prints it."""

    passed: bool
    seconds: float
    load: str
    kills: int
    faults: dict[str, int]
    recovery: dict[str, Recovery]
    counts: dict[str, int]
    repeated_attempts: dict[str, int]
    laws: list[Law]
    violations: list[str]


def make_report(
    watch: Watch, verdicts: Verdicts, counts: dict[str, int], *, seconds: float, load: str
) -> Report:
    """Sum a run up."""
    by_component = {
        component: Recovery.of([kill for kill in watch.kills if kill.component == component])
        for component in COMPONENTS
    }
    return Report(
        passed=not any(verdict.mismatches for verdict in verdicts.values()),
        seconds=round(seconds, 1),
        load=load,
        kills=len(watch.kills),
        faults=dict(sorted(watch.faults.items())),
        recovery=by_component,
        counts=counts,
        repeated_attempts=dict(watch.failures.most_common()),
        laws=[Law(law, len(verdicts[law].mismatches), verdicts[law].compared) for law in LAWS],
        violations=[f"{law}: {found}" for law in LAWS for found in verdicts[law].mismatches],
    )


def render(report: Report) -> RenderableType:
    """The report for people."""
    return Group(
        _recoveries(report),
        Text(),
        pairs_table("what happened", _happened(report)),
        Text(),
        laws_table(report.laws),
        end_text(report.violations, "Nothing acknowledged was lost."),
    )


def _recoveries(report: Report) -> Table:
    title = f"{report.kills} kills in {report.seconds:.0f} s under {report.load}"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    table.add_column("killed with SIGKILL")
    table.add_column("kills", justify="right")
    table.add_column("to the next answer, s", justify="right")
    table.add_column("to the next event, s", justify="right")
    table.add_row("", "", "min / median / max", "min / median / max", style="dim")
    for component, recovery in report.recovery.items():
        request, event = recovery.request or "–", recovery.event or "–"
        table.add_row(component, str(recovery.kills), str(request), str(event))
    return table


def _happened(report: Report) -> dict[str, int]:
    others = {name: count for name, count in report.faults.items() if not name.startswith("kill ")}
    lost = {name: count for name, count in report.faults.items() if "," in name}
    return report.counts | {"attempts repeated": sum(report.repeated_attempts.values())} | others | lost


def pairs_table(title: str, values: Mapping[str, int]) -> Table:
    """Names and numbers."""
    table = Table(title, "", box=None, pad_edge=False)
    table.columns[1].justify = "right"
    for name, value in values.items():
        table.add_row(name, f"{value:,}")
    return table


def laws_table(laws: Sequence[Law]) -> Table:
    """Each promise, how often it was broken, and in how many cases that was looked for."""
    table = Table("must never happen", "found", "compared", box=None, pad_edge=False)
    table.columns[1].justify = table.columns[2].justify = "right"
    for law in laws:
        style = "bold red" if law.violations else ""
        table.add_row(law.name, f"{law.violations:,}", f"{law.compared:,}", style=style)
    return table


def end_text(violations: Sequence[str], otherwise: str) -> Text:
    """The verdict: the violations, `otherwise` when there are none."""
    if not violations:
        return Text(f"\n{otherwise}", "bold green")
    shown = [f"  {violation}" for violation in violations[:_VIOLATIONS_SHOWN]]
    if len(violations) > _VIOLATIONS_SHOWN:
        shown.append(f"  … and {len(violations) - _VIOLATIONS_SHOWN:,} more (--json lists all)")
    return Text("\n".join(["", f"{len(violations):,} VIOLATIONS:", *shown]), "bold red")
