"""The summary's arithmetic, and that nothing that disagrees goes unseen."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from matcher.demo.journal import Journal
from matcher.demo.summary import as_milliseconds, latency_line, percentile, render


def shown(journal: Journal, mismatches: list[str]) -> str:
    console = Console(file=io.StringIO(), width=100)
    console.print(render(journal, 60, mismatches, 1_234))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_percentiles_are_values_that_occurred() -> None:
    values = [5.0, 1.0, 3.0, 2.0, 4.0]
    assert percentile(values, 50) == 3.0
    assert percentile(values, 95) == 5.0
    assert percentile(values, 1) == 1.0
    assert percentile([7.0], 99) == 7.0


def test_no_values_have_no_percentile() -> None:
    with pytest.raises(ValueError, match="no percentile"):
        percentile([], 50)


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0.01, 100))
def test_at_least_so_many_percent_do_not_exceed_the_percentile(values: list[float], percent: float) -> None:
    result = percentile(values, percent)
    assert sum(value <= result for value in values) >= percent / 100 * len(values) - 1e-6
    assert result in values


def test_latencies_are_shown_as_people_read_them() -> None:
    assert as_milliseconds(0.00342) == "3.4 ms"
    assert as_milliseconds(0.1204) == "120 ms"
    assert as_milliseconds(2.0) == "2,000 ms"


def test_a_latency_without_values_is_a_dash() -> None:
    journal = Journal()
    assert latency_line(journal, "submit") == "–"
    journal.latencies_s["submit"] += [0.004, 0.002]
    assert latency_line(journal, "submit") == "2.0 ms / 4.0 ms"


def test_agreement_is_stated_with_the_number_of_facts() -> None:
    text = shown(Journal(), [])
    assert "1,234 facts" in text
    assert "all agree" in text


def test_mismatches_are_listed_and_counted() -> None:
    text = shown(Journal(), [f"fact {number}" for number in range(25)])
    assert "25 MISMATCHES" in text
    assert "fact 19" in text
    assert "fact 20" not in text
    assert "and 5 more" in text
