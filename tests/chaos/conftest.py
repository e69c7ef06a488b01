"""The harness' own tests. Those that let mutants sin take minutes: they belong to the full form."""

from tests.conftest import FULL

collect_ignore = [] if FULL else ["test_mutants.py"]
