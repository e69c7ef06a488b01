"""The short form of raced acceptances: one winner or none, at a price that was shown, and one story for everyone."""

import asyncio

import pytest
from rich.console import Console

from matcher.chaos import races
from matcher.chaos.ground import prepare_ground

SHORT, LONG = 600, 100_000


@pytest.mark.timeout(7_200)
def test_raced_acceptances_have_one_winner_or_none(full: bool) -> None:
    count = LONG if full else SHORT
    with prepare_ground(races.ORDER_OPEN_S) as ground:
        report = asyncio.run(races.run(count, 1, ground, Console(quiet=True)))
    assert report.violations == []
    assert report.acceptances == count
    assert report.won < report.races
    # The races were races: most losers were under way at the same time as their winner.
    assert report.lost_while_overlapping > report.races
    # … and everything that may come between did.
    assert report.races_meanwhile.keys() == {"nothing", "edit", "withdraw", "cancel", "expire"}
    assert {"already_accepted", "order_cancelled", "order_expired"} <= report.refused_with.keys()
