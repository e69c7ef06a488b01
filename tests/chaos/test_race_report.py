"""What a race's answers may not add up to."""

from collections import Counter

import pytest
from rich.console import Console

from matcher.chaos.laws import EVENTS
from matcher.chaos.race_report import RULES, Meanwhile, Outcome, RaceSum, Try, find_violations, render
from matcher.demo.verdict import Verdict


def outcome(
    winners: tuple[int, ...], meanwhile: Meanwhile = "nothing", *, disturbed: bool = False
) -> Outcome:
    """Three sessions accept at once, on the quotes a, b, a."""
    tries = [
        Try(quote={"id": quote}, won=number in winners, sent_at_s=number, answered_at_s=number + 1.5)
        for number, quote in enumerate("aba")
    ]
    return Outcome(meanwhile=meanwhile, tries=tries, disturbed=disturbed)


@pytest.mark.parametrize(
    "fine",
    [
        outcome((0,)),
        outcome((), "cancel", disturbed=True),
        outcome((), "expire"),
        outcome((1,), "edit", disturbed=True),  # of the other quote
        outcome((0,), "edit"),  # the edit came too late
        outcome((0,), "cancel", disturbed=True),  # cancelled after it was accepted
    ],
)
def test_what_may_happen(fine: Outcome) -> None:
    assert find_violations(fine) == []


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (outcome((0, 1)), "2 acceptances of one order"),
        (outcome(()), "nobody won"),
        (outcome((2,), "edit", disturbed=True), "at a version that its edit had ended"),
        (outcome((0,), "withdraw", disturbed=True), "at a version that its withdraw had ended"),
    ],
)
def test_what_must_not_happen(wrong: Outcome, message: str) -> None:
    assert any(message in found for found in find_violations(wrong))


def test_only_losers_that_were_under_way_with_the_winner_overlap() -> None:
    assert outcome((0,)).overlapping == 1  # the second began before the first was answered, the third after
    assert outcome((1,)).overlapping == 2
    assert outcome(()).overlapping == 0


def test_rounds_are_summed_and_any_violation_fails() -> None:
    total = RaceSum()
    total.add_outcomes([outcome((0,)), outcome((), "expire")])
    verdict = Verdict()
    verdict.expect(True, "")
    counts = Counter({"too late: already_accepted": 2, "orders": 2})
    total.add_round({EVENTS: verdict}, counts)
    report = total.report(1.0)
    assert report.passed
    assert (report.races, report.acceptances, report.won, report.lost) == (2, 6, 1, 5)
    assert report.refused_with == {"already_accepted": 2}
    console = Console(width=80)
    with console.capture() as capture:
        console.print(render(report))
    assert "one winner or none" in capture.get()
    total.add_outcomes([outcome((0, 1))])
    failed = total.report(2.0)
    assert not failed.passed
    assert failed.violations[0].startswith(RULES)
