"""What every benchmark reports: times per contestant, ratios between contestants of one run, and facts.

A ratio is taken within a round, in which all contestants work on the same questions one after the other, so that a
busy moment of the machine meets both; the table shows the least, the median and the greatest over the rounds.
"""

import json
import platform
from pathlib import Path
from statistics import median
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table


class Ratio(msgspec.Struct):
    """One contestant's time over another's, per round, and what is wanted of its median."""

    name: str
    rounds: list[float]
    wanted_at_most: float | None = None

    @property
    def met(self) -> bool | None:
        """Whether the median is as wanted; None if nothing is wanted."""
        return None if self.wanted_at_most is None else median(self.rounds) <= self.wanted_at_most


class Report:
    """Collects, prints and writes the numbers of one benchmark."""

    def __init__(self, title: str) -> None:
        self.title = title
        # Microseconds per question, by contestant, one number a round.
        self.times_us: dict[str, list[float]] = {}
        self.ratios: list[Ratio] = []
        self.facts: dict[str, Any] = {}

    def time(self, contestant: str, time_us: float) -> None:
        """One round of a contestant."""
        self.times_us.setdefault(contestant, []).append(time_us)

    def ratio(self, ours: str, peer: str, wanted_at_most: float | None = None) -> None:
        """The ratio of two contestants that took the same rounds."""
        rounds = [a / b for a, b in zip(self.times_us[ours], self.times_us[peer], strict=True)]
        self.ratios.append(Ratio(f"{ours} / {peer}", rounds, wanted_at_most))

    def fact(self, name: str, value: Any) -> None:
        """Something to know beside the times."""
        self.facts[name] = value

    def show(self) -> None:
        """Print everything."""
        console = Console()
        console.rule(self.title)
        times = Table("contestant", "min us", "median us", "max us")
        for name, values in self.times_us.items():
            times.add_row(name, *(f"{value:,.1f}" for value in (min(values), median(values), max(values))))
        ratios = Table("ratio", "min", "median", "max", "wanted", "met")
        for ratio in self.ratios:
            spread = (min(ratio.rounds), median(ratio.rounds), max(ratio.rounds))
            wanted = "" if ratio.wanted_at_most is None else f"<= {ratio.wanted_at_most:g}"
            met = {None: "", True: "[green]yes", False: "[red]no"}[ratio.met]
            ratios.add_row(ratio.name, *(f"{value:.3f}" for value in spread), wanted, met)
        facts = Table("fact", "value")
        for name, value in self.facts.items():
            facts.add_row(name, str(value))
        for table in (times, ratios, facts):
            console.print(table)

    def write(self, path: Path) -> None:
        """Write everything as JSON."""
        document = {
            "title": self.title,
            "machine": {"python": platform.python_version(), "processor": platform.machine()},
            "timesUs": self.times_us,
            "ratios": [msgspec.to_builtins(ratio) | {"met": ratio.met} for ratio in self.ratios],
            "facts": self.facts,
        }
        path.write_text(json.dumps(document, indent=2) + "\n")
