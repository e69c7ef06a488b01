"""Stacks of throw-away checkouts, removed with all their data."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from matcher.stack import Stack


@pytest.fixture(scope="module")
def make_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Stack]]:
    """A function that makes the (not yet started) stack of a new checkout folder called as asked."""
    stacks: list[Stack] = []

    def make(name: str = "checkout", usr: Path = Path("/usr")) -> Stack:
        checkout = tmp_path_factory.mktemp("stack") / name
        checkout.mkdir(parents=True)
        stacks.append(Stack(checkout, usr))
        return stacks[-1]

    yield make
    for stack in stacks:
        stack.reset()
        shutil.rmtree(stack.home.path, ignore_errors=True)
