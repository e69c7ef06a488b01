"""ARCHITECTURE.md tells the truth about where things are."""

import re

from matcher.settings import repository_root

PATH = re.compile(r"\b((?:matcher|docs|tests|migrations|benchmarks|scripts)/[\w./-]*\w/?)")


def test_every_path_named_in_the_architecture_exists() -> None:
    text = (repository_root() / "ARCHITECTURE.md").read_text("utf-8")
    named = set(PATH.findall(text))
    assert len(named) > 30, "the pattern finds the paths"
    missing = sorted(path for path in named if not (repository_root() / path).exists())
    assert not missing
