"""The report: 80 columns, spreads, every law, and a verdict that one violation turns."""

import pytest
from rich.console import Console

from matcher.chaos.laws import EVENTS, LAWS
from matcher.chaos.report import Report, Spread, make_report, render
from matcher.chaos.watch import Kill, Watch
from matcher.demo.verdict import Verdict


def report(*, lost: int = 0) -> Report:
    watch = Watch()
    for number, seconds in enumerate((3.0, 1.0, 2.0, 300.25)):
        kill = Kill(component="postgres", at_s=float(number), request_s=seconds)
        watch.record_kill(kill)
        watch.faults["kill redis, last second lost"] += 1
    watch.record_kill(Kill(component="worker", at_s=9.0, by_expiry=True, event_s=123.45))
    watch.record_failure("a", "ConnectError")
    verdicts = {law: Verdict() for law in LAWS}
    verdicts[EVENTS].add([f"shop {'0' * 60} was never told" for _ in range(lost)], 1_234_567)
    return make_report(watch, verdicts, {"orders acknowledged": 1_234_567}, seconds=1800, load="6 orders/s")


def printed(shown: Report, width: int) -> str:
    console = Console(width=width)
    with console.capture() as capture:
        console.print(render(shown))
    return capture.get()


def test_a_spread_has_least_median_and_most() -> None:
    assert Spread.of([3.0, 1.0, 2.0]) == Spread(3, 1.0, 2.0, 3.0)
    assert Spread.of([]) is None
    assert report().recovery["postgres"].request == Spread(4, 1.0, 2.5, 300.25)


@pytest.mark.parametrize("lost", [0, 30])
def test_it_fits_80_columns_and_names_every_law(lost: int) -> None:
    lines = printed(report(lost=lost), width=200).splitlines()
    tables = lines[: next(i for i, line in enumerate(lines) if "VIOLATIONS" in line)] if lost else lines
    assert max(len(line.rstrip()) for line in tables) <= 80
    assert all(any(line.startswith(law) for line in lines) for law in LAWS)


def test_one_violation_fails_the_run() -> None:
    assert report().passed
    failed = report(lost=1)
    assert not failed.passed
    assert failed.violations == [f"{EVENTS}: shop {'0' * 60} was never told"]
    assert next(law for law in failed.laws if law.name == EVENTS).violations == 1


def test_many_violations_are_cut_for_people_but_not_for_machines() -> None:
    many = report(lost=30)
    assert "and 10 more" in printed(many, width=80)
    assert len(many.violations) == 30
