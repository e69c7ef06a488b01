"""Options and exit statuses of `matcher chaos`, without a run."""

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import pytest

from matcher import cli
from matcher.chaos import cli as chaos_cli
from matcher.chaos import races, run
from matcher.chaos.laws import LAWS, STUCK
from matcher.chaos.race_report import RaceSum
from matcher.chaos.report import Report, make_report
from matcher.chaos.watch import Watch
from matcher.demo.verdict import Verdict


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[run.Options]:
    """What runs were asked for; nothing is started."""
    options: list[run.Options] = []

    @contextlib.contextmanager
    def ground(order_open_s: int) -> Iterator[int]:
        yield order_open_s

    async def pretend(asked: run.Options, ground: int, console: Any) -> Report:
        assert ground == asked.order_open_s
        options.append(asked)
        verdicts = {law: Verdict() for law in LAWS}
        verdicts[STUCK].expect(asked.seed == 1, "stuck")
        return make_report(Watch(), verdicts, {}, seconds=1.0, load="none")

    async def pretend_races(count: int, seed: int, ground: int, console: Any) -> Any:
        assert (count, seed, ground) == (40, 3, races.ORDER_OPEN_S)
        return RaceSum().report(1.0)

    monkeypatch.setattr(chaos_cli, "prepare_ground", ground)
    monkeypatch.setattr(run, "run", pretend)
    monkeypatch.setattr(races, "run", pretend_races)
    return options


def test_it_runs_five_minutes_unless_told_otherwise(asked: list[run.Options]) -> None:
    assert cli.run(["chaos"]) == 0
    assert cli.run(["chaos", "--kills", "200"]) == 0
    assert cli.run(["chaos", "--minutes", "2", "--kills", "9", "--only", "kill api"]) == 0
    assert [(options.minutes, options.kills) for options in asked] == [(5.0, None), (120.0, 200), (2.0, 9)]
    assert asked[-1].only == ("kill api",)


def test_a_violation_is_status_1(asked: list[run.Options], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["chaos", "--seed", "2"]) == 1
    assert "1 VIOLATIONS" in capsys.readouterr().out


def test_json_is_alone_on_stdout(asked: list[run.Options], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["chaos", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["passed"] is True
    assert cli.run(["chaos", "races", "--count", "40", "--seed", "3", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["acceptances"] == 0


def test_unknown_faults_are_wrong_usage(asked: list[run.Options]) -> None:
    assert cli.run(["chaos", "--only", "kill everybody"]) == 2
    assert asked == []
