"""Without DATABASE_URL the commands serve the embedded stack, and start it where it does not run."""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from matcher import cli
from matcher.stack import Stack
from tests.backup.conftest import Home
from tests.stack.conftest import make_stack

__all__ = ["make_stack"]  # a fixture


@pytest.fixture
def stack(make_stack: Callable[..., Stack], monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    """The stack that the commands find, of a checkout of its own."""
    made = make_stack()
    monkeypatch.setattr(Stack, "for_checkout", classmethod(lambda _: made))
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.delenv("REDIS_URL", raising=False)
    before = signal.getsignal(signal.SIGTERM)
    yield made
    signal.signal(signal.SIGTERM, before)


def test_the_embedded_stack_is_saved_and_comes_back_after_a_reset(stack: Stack, tmp_path: Path) -> None:
    path = str(tmp_path / "b")
    assert cli.run(["migrate"]) == 0
    home = Home(stack.status().database_url or "")
    home.execute("INSERT INTO users (id, name, role) VALUES (gen_random_uuid(), 'somebody', 'customer')")
    assert cli.run(["backup", path]) == 0
    assert cli.run(["stack", "reset", "--yes"]) == 0
    assert cli.run(["restore", path, "--yes", "--drop-old"]) == 0
    home = Home(stack.status().database_url or "")
    assert home.value("SELECT name FROM users") == "somebody"
    assert home.siblings() == []
