"""`matcher stack` as people and scripts meet it."""

import json
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest

from matcher import cli
from matcher.stack import Stack


@pytest.fixture
def stack(make_stack: Callable[..., Stack], monkeypatch: pytest.MonkeyPatch) -> Stack:
    """The stack that the commands find, of a checkout of its own."""
    made = make_stack()
    monkeypatch.setattr(Stack, "for_checkout", classmethod(lambda _: made))
    return made


def test_a_stack_is_started_shown_stopped_and_deleted(
    stack: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    def status() -> dict[str, object]:
        assert cli.run(["stack", "status", "--json"]) == 0
        answer: dict[str, object] = json.loads(capsys.readouterr().out)
        return answer

    stopped = {"running": False, "databaseUrl": None, "redisUrl": None, "dataDir": str(stack.home.path)}
    assert status() == stopped
    assert not stack.home.path.exists()  # asking leaves no trace

    assert cli.run(["stack", "up"]) == 0
    password = urlsplit(stack.status().database_url or "").password
    assert password
    assert password not in capsys.readouterr().out
    assert status() == {
        "running": True,
        "databaseUrl": stack.status().database_url,
        "redisUrl": stack.status().redis_url,
        "dataDir": str(stack.home.path),
    }

    assert cli.run(["stack", "down"]) == 0
    assert "does not run" in capsys.readouterr().out
    assert status() == stopped

    assert cli.run(["stack", "reset", "--yes"]) == 0
    assert not stack.home.postgres.exists()


def test_reset_deletes_nothing_without_a_yes(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    stack.home.make()
    stack.home.redis.mkdir()
    assert cli.run(["stack", "reset"]) == 1
    assert stack.home.redis.exists()
    assert "Delete all data" in capsys.readouterr().out
