"""The guide names tests that exist, and the mutants that there are."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs/delivery-guarantees.md"
PATH = re.compile(r"`((?:matcher|tests)/[\w./]+)`")


def test_every_path_named_in_the_guide_exists() -> None:
    named = set(PATH.findall(GUIDE.read_text("utf-8")))
    assert len(named) > 15, "the pattern finds the paths"
    assert sorted(path for path in named if not (ROOT / path).exists()) == []


def test_every_promise_names_a_test() -> None:
    promises = GUIDE.read_text("utf-8").split("## What is promised")[1].split("##")[0]
    rows = [line for line in promises.splitlines() if line.startswith("| ")][1:]
    assert len(rows) > 8
    assert all("`tests/" in row.split("|")[3] for row in rows)


def test_the_guide_lists_every_mutant() -> None:
    text = GUIDE.read_text("utf-8")
    mutants = {path.stem for path in (ROOT / "tests/chaos/mutants").glob("*.py")}
    assert mutants == set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE))
