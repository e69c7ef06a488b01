"""The order of faults: each once, then by shares; only those asked for."""

from collections import Counter
from typing import Any, cast

import pytest

from matcher.chaos.faults import SHARES, Faults
from matcher.demo.draws import generator


def faults(seed: int, *only: str) -> Faults:
    nothing = cast("Any", None)  # drawing touches nothing
    return Faults(nothing, nothing, nothing, nothing, dict, generator(seed, "faults"), only)


@pytest.mark.parametrize("seed", range(20))
def test_the_first_round_has_each_once_and_the_next_its_shares(seed: int) -> None:
    drawn = faults(seed)
    had_each, first = [], []
    for _ in SHARES:
        had_each.append(drawn.had_each)
        first.append(drawn.draw())
    assert sorted(first) == sorted(SHARES)
    assert had_each == [False] * len(SHARES)
    assert drawn.had_each
    assert Counter(drawn.draw() for _ in range(sum(SHARES.values()))) == Counter(SHARES)
    assert drawn.had_each


def test_only_what_was_asked_for_is_drawn() -> None:
    drawn = faults(1, "kill redis", "kill postgres")
    assert {drawn.draw() for _ in range(40)} == {"kill redis", "kill postgres"}
