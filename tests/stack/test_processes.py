"""Files that hold secrets, ports, and telling processes apart."""

import os
import socket
import stat
from pathlib import Path

import pytest

from matcher.stack.processes import (
    LOOPBACK,
    PORT_RANGE,
    Account,
    choose_port,
    memory_share_mb,
    port_is_free,
    processes_in,
    tail,
    write_private,
)

OWN = Account(os.geteuid(), os.getegid())


def test_private_files_are_replaced_whole_and_never_readable_by_others(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("old")
    path.chmod(0o644)
    write_private(path, "new", OWN)
    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_planted_link_does_not_lead_a_private_file_astray(tmp_path: Path) -> None:
    victim, path = tmp_path / "victim", tmp_path / "secret"
    victim.write_text("untouched")
    path.symlink_to(victim)
    write_private(path, "new", OWN)
    assert victim.read_text() == "untouched"
    assert not path.is_symlink()


def test_a_chosen_port_is_free_and_a_taken_one_is_not() -> None:
    port = choose_port()
    assert port in PORT_RANGE
    assert port_is_free(port)
    with socket.create_server((LOOPBACK, port)):
        assert not port_is_free(port)


def test_no_port_left_is_an_expected_failure() -> None:
    with pytest.raises(OSError, match="no free loopback port"):
        choose_port(frozenset(PORT_RANGE))


def test_a_process_with_the_name_but_in_another_folder_is_a_stranger(tmp_path: Path) -> None:
    name = Path("/proc/self/comm").read_text().strip()
    assert os.getpid() in processes_in(Path.cwd(), name, OWN)
    assert processes_in(tmp_path, name, OWN) == []
    assert processes_in(tmp_path / "missing", name, OWN) == []
    assert os.getpid() not in processes_in(Path.cwd(), "redis-server", OWN)


def test_a_share_of_memory_stays_within_its_bounds() -> None:
    assert memory_share_mb(8, least=10**9, most=10**10) == 10**9
    assert memory_share_mb(1, least=1, most=2) == 2


def test_the_end_of_a_log_is_shown_and_a_missing_log_is_empty(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("".join(f"{number}\n" for number in range(100)))
    assert tail(log, lines=2) == "98\n99"
    assert tail(tmp_path / "none") == ""
