"""What raced acceptances must add up to: each race's rules, the sum of all, the report.

Pure. Must not race.
"""

from collections import Counter
from typing import Any, Literal

import msgspec
from rich.console import Group, RenderableType
from rich.text import Text

from matcher.chaos.laws import Verdicts
from matcher.chaos.report import Law, end_text, laws_table, pairs_table
from matcher.demo.verdict import Verdict

Meanwhile = Literal["nothing", "edit", "withdraw", "cancel", "expire"]
RULES = "two winners, or against the rules"


class Try(msgspec.Struct, frozen=True):
    """One acceptance of the quote as it was shown. Moments: `time.perf_counter()` seconds."""

    quote: dict[str, Any]
    won: bool
    sent_at_s: float
    answered_at_s: float


class Outcome(msgspec.Struct, frozen=True):
    """How one race ended. `disturbed`: the edit, withdrawal (of the first try's quote) or cancellation succeeded."""

    meanwhile: Meanwhile
    tries: list[Try]
    disturbed: bool

    @property
    def winners(self) -> list[Try]:
        """The acknowledged acceptances."""
        return [attempt for attempt in self.tries if attempt.won]

    @property
    def overlapping(self) -> int:
        """Lost acceptances that were under way at the same time as the winning one."""
        return sum(
            attempt.sent_at_s < winner.answered_at_s and winner.sent_at_s < attempt.answered_at_s
            for winner in self.winners
            for attempt in self.tries
            if not attempt.won
        )


class RaceReport(msgspec.Struct, frozen=True, rename="camel"):
    """What `matcher chaos races --json` prints."""

    passed: bool
    seconds: float
    acceptances: int
    races: int
    won: int
    lost: int
    lost_while_overlapping: int
    races_meanwhile: dict[str, int]
    refused_with: dict[str, int]
    laws: list[Law]
    violations: list[str]


def find_violations(outcome: Outcome) -> list[str]:
    """How one race's answers contradict each other."""
    winners = outcome.winners
    found = [f"{len(winners)} acceptances of one order were acknowledged"] if len(winners) > 1 else []
    first = outcome.tries[0].quote["id"]
    # Either the shop comes too late, or the version that the customer saw is gone.
    ended = outcome.disturbed and outcome.meanwhile in {"edit", "withdraw"}
    if ended and any(winner.quote["id"] == first for winner in winners):
        found.append(f"quote {first} was accepted at a version that its {outcome.meanwhile} had ended")
    if outcome.meanwhile == "nothing" and not winners:
        found.append(f"nobody won the race for quote {first}, which nothing disturbed")
    return found


class RaceSum:
    """All rounds together."""

    def __init__(self) -> None:
        self._outcomes: list[Outcome] = []
        self._codes: Counter[str] = Counter()
        self._laws: dict[str, Verdict] = {RULES: Verdict()}

    def add_outcomes(self, outcomes: list[Outcome]) -> None:
        """Judge races by their answers."""
        self._outcomes += outcomes
        for outcome in outcomes:
            self._laws[RULES].add(find_violations(outcome), 1)

    def add_round(self, verdicts: Verdicts, counts: Counter[str]) -> None:
        """A round's comparison with the database, and its refusals."""
        for law, verdict in verdicts.items():
            self._laws.setdefault(law, Verdict()).add(verdict.mismatches, verdict.compared)
        for name, number in counts.items():
            if name.startswith("too late: "):
                self._codes[name.removeprefix("too late: ")] += number

    def report(self, seconds: float) -> RaceReport:
        """The outcome of all."""
        laws = {law: verdict for law, verdict in self._laws.items() if verdict.compared}
        tries = sum(len(outcome.tries) for outcome in self._outcomes)
        won = sum(len(outcome.winners) for outcome in self._outcomes)
        return RaceReport(
            passed=not any(verdict.mismatches for verdict in laws.values()),
            seconds=round(seconds, 1),
            acceptances=tries,
            races=len(self._outcomes),
            won=won,
            lost=tries - won,
            lost_while_overlapping=sum(outcome.overlapping for outcome in self._outcomes),
            races_meanwhile=dict(Counter(outcome.meanwhile for outcome in self._outcomes).most_common()),
            refused_with=dict(self._codes.most_common()),
            laws=[Law(law, len(verdict.mismatches), verdict.compared) for law, verdict in laws.items()],
            violations=[f"{law}: {found}" for law, verdict in laws.items() for found in verdict.mismatches],
        )


def render(report: RaceReport) -> RenderableType:
    """The report for people."""
    raced = {
        "orders raced for": report.races,
        "acceptances": report.acceptances,
        "… won": report.won,
        "… lost": report.lost,
        "… lost while the winner's was under way": report.lost_while_overlapping,
    }
    meanwhile = {f"races, meanwhile: {name}": number for name, number in report.races_meanwhile.items()}
    refused = {f"refused: {code}": number for code, number in report.refused_with.items()}
    return Group(
        pairs_table(f"in {report.seconds:.0f} s over two API processes", raced | meanwhile | refused),
        Text(),
        laws_table(report.laws),
        end_text(report.violations, "Each order had one winner or none, and everyone was told the same."),
    )
