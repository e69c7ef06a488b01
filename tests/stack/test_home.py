"""Where a checkout's stack lives, and who may hold its lock."""

from pathlib import Path

import pytest

from matcher.stack.errors import LockBusy
from matcher.stack.home import ROOT_HOMES, Home, Memory


def test_root_keeps_data_outside_the_checkout_under_a_name_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    homes = {Home.of(tmp_path / name).path for name in ("a", "b", "a/../b")}
    assert len(homes) == 2
    assert {home.parent for home in homes} == {ROOT_HOMES}


def test_a_person_keeps_data_in_the_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert Home.of(tmp_path).path == tmp_path / ".local" / "stack"


def test_what_is_remembered_is_recalled_and_forgotten(tmp_path: Path) -> None:
    home = Home(tmp_path / "home", None)
    home.make()
    assert home.recall() is None
    memory = Memory.fresh()
    home.remember(memory)
    assert home.recall() == memory
    home.forget()
    assert home.recall() is None


def test_two_fresh_memories_share_no_secret_and_no_port() -> None:
    memory = Memory.fresh()
    assert memory.postgres_port != memory.redis_port
    assert len({memory.postgres_password, memory.redis_password, Memory.fresh().redis_password}) == 3


def test_the_lock_has_one_holder_and_waiting_for_it_is_bounded(tmp_path: Path) -> None:
    home = Home(tmp_path, None)
    with home.locked(), pytest.raises(LockBusy, match="Another command"), home.locked(timeout_s=0):
        pytest.fail("two held the lock")
    with home.locked(timeout_s=0):
        pass


def test_the_pointer_tells_where_the_data_is(tmp_path: Path) -> None:
    home = Home(tmp_path / "far", tmp_path / "checkout/.local/stack-data")
    (tmp_path / "checkout").mkdir()
    home.make()
    assert home.pointer
    assert home.pointer.read_text() == f"{tmp_path / 'far'}\n"
