"""The short form of the proof: each fault once under load, and nothing acknowledged is lost. On a stack of its own."""

import asyncio
from pathlib import Path

import pytest
from rich.console import Console

from matcher.chaos.faults import SHARES
from matcher.chaos.ground import prepare_ground
from matcher.chaos.laws import LAWS
from matcher.chaos.run import Options, run
from matcher.stack import Stack


@pytest.mark.timeout(3_600)  # 200 kills in the full form; the short one takes a minute
def test_nothing_acknowledged_is_lost_whatever_is_killed(full: bool) -> None:
    options = Options(
        minutes=60.0, kills=200 if full else 5, rate_per_s=6.0, order_open_s=20 if full else 8, seed=1
    )
    with prepare_ground(options.order_open_s) as ground:
        report = asyncio.run(run(options, ground, Console(quiet=True)))
    assert report.violations == []
    assert {law.name: law.violations for law in report.laws} == dict.fromkeys(LAWS, 0)
    # … and it was a test: everything was struck, under load, and the clients noticed.
    assert report.faults.keys() == SHARES.keys()
    assert all(recovery.kills and recovery.event for recovery in report.recovery.values())
    assert report.counts["accepted"] > 10
    assert report.counts["expired, as told"] > 0
    assert report.counts["snapshots received"] > len(report.recovery)
    assert report.repeated_attempts
    compared = {law.name: law.compared for law in report.laws}
    assert all(compared.values())


def test_the_ground_is_removed_with_all_that_lay_on_it() -> None:
    with prepare_ground(order_open_s=8) as ground:
        home = ground.stack.home.path
        assert ground.stack.status().running
        assert ground.stack.home.path != Stack.for_checkout().home.path
        assert "MATCHER_TEST_FULL" not in ground.environment or ground.environment["MATCHER_TEST_FULL"]
    assert not Path(ground.folder).exists()
    assert not home.exists()
