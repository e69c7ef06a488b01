"""The harness proves itself: a service that sins is convicted, one that is merely late is not. Full form only."""

import asyncio
import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from matcher.chaos.ground import prepare_ground
from matcher.chaos.laws import EVENTS, INVENTED
from matcher.chaos.report import Report
from matcher.chaos.run import Options, run
from matcher.demo.model import Key, Model, View

ROOT = Path(__file__).parents[2]
ORDER_OPEN_S = 6

pytestmark = pytest.mark.timeout(300)


def play(mutant: str, fault: str, *, kills: int | None, minutes: float) -> Report:
    options = Options(
        minutes=minutes, kills=kills, rate_per_s=6.0, order_open_s=ORDER_OPEN_S, seed=1, only=(fault,)
    )
    command = [sys.executable, "-m", f"tests.chaos.mutants.{mutant}"]
    with prepare_ground(ORDER_OPEN_S) as ground:
        environment: Mapping[str, str] = {**ground.environment, "PYTHONPATH": str(ROOT)}
        sinful = msgspec.structs.replace(ground, environment=environment)
        return asyncio.run(run(options, sinful, Console(quiet=True), command))


def found(report: Report) -> dict[str, int]:
    return {law.name: law.violations for law in report.laws}


def test_publishing_before_commit_is_found() -> None:
    report = play("publish_before_commit", "kill postgres", kills=4, minutes=5.0)
    assert not report.passed
    # Clients were told what a killed transaction then did not do.
    assert found(report)[INVENTED] > 0
    assert found(report)[EVENTS] > 0


def test_ignoring_versions_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def take(self: Model, key: Key, view: View) -> bool:
        self.held[key] = view
        return True

    monkeypatch.setattr(Model, "_take", take)
    report = play("versions_ignored", "pause api", kills=None, minutes=0.4)
    assert found(report)[EVENTS] > 0


def test_lateness_alone_is_no_sin() -> None:
    report = play("late_publisher", "pause api", kills=None, minutes=0.4)
    assert report.violations == []
