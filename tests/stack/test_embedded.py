"""The whole life of a stack: started, found, moved to other ports, stopped, deleted."""

import os
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest
import redis

from matcher.stack import Stack
from matcher.stack.embedded import StackStatus
from matcher.stack.errors import DamagedState, WrongMajorVersion
from matcher.stack.processes import LOOPBACK, processes_in

# A unix socket's path may have 107 bytes; spaces and quotes are what shells and configuration files stumble over.
LONG_NAME = "/".join(['a rather long folder\'s $name with "quotes"'] * 5)


@pytest.fixture(scope="module")
def stack(make_stack: Callable[..., Stack]) -> Stack:
    """A stack in a checkout with a long and awkward path; each test starts it as it needs."""
    made = make_stack(LONG_NAME)
    assert len(str(made.home.pointer or made.home.path)) > 200
    return made


@pytest.fixture
def running(stack: Stack) -> StackStatus:
    """The stack, up."""
    return stack.up()


@pytest.fixture
def occupant() -> Iterator[Callable[[int], None]]:
    """A function that listens on a loopback port until the test ends."""
    sockets: list[socket.socket] = []

    def occupy(port: int) -> None:
        sockets.append(socket.create_server((LOOPBACK, port)))

    yield occupy
    for taken in sockets:
        taken.close()


def ports(status: StackStatus) -> tuple[int | None, int | None]:
    assert status.database_url
    assert status.redis_url
    return urlsplit(status.database_url).port, urlsplit(status.redis_url).port


def pids(stack: Stack) -> tuple[int | None, int | None]:
    return stack.postgres.pid(), stack.redis.pid()


async def test_up_gives_a_database_with_postgis_and_a_redis_that_refuses_to_forget(
    running: StackStatus,
) -> None:
    assert running.running
    assert running.database_url
    connection = await asyncpg.connect(running.database_url)
    assert "POSTGIS=" in await connection.fetchval("SELECT postgis_full_version()")
    rows = await connection.fetch("SELECT name, setting FROM pg_settings")
    await connection.close()
    settings = {row["name"]: row["setting"] for row in rows}
    assert settings["fsync"] == settings["synchronous_commit"] == "on"
    assert settings["listen_addresses"] == LOOPBACK
    assert settings["unix_socket_directories"] == ""
    with redis.Redis.from_url(running.redis_url or "", decode_responses=True) as client:
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        assert client.config_get("append*")["appendfsync"] == "everysec"


def test_up_again_keeps_servers_ports_and_passwords(stack: Stack, running: StackStatus) -> None:
    before = pids(stack)
    assert stack.up() == running == stack.status()
    assert pids(stack) == before


async def test_a_client_without_the_password_is_refused(running: StackStatus) -> None:
    assert running.database_url
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(running.database_url, password="guess")
    with (
        redis.Redis(host=LOOPBACK, port=ports(running)[1] or 0) as client,
        pytest.raises(redis.AuthenticationError),
    ):
        client.ping()


def test_secrets_are_in_private_files_only_and_in_no_command_line(stack: Stack, running: StackStatus) -> None:
    secrets = [urlsplit(running.database_url or "").password, urlsplit(running.redis_url or "").password]
    holders = [
        path
        for path in stack.home.path.rglob("*")
        if path.is_file() and any(s and s.encode() in path.read_bytes() for s in secrets)
    ]
    assert {path.name for path in holders} == {"memory.json", "redis.conf"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in holders} == {0o600}
    command_lines = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline")]
    assert not any(s and s.encode() in line for s in secrets for line in command_lines)


def test_no_server_runs_as_root(stack: Stack, running: StackStatus) -> None:
    owners = {Path(f"/proc/{pid}").stat().st_uid for pid in pids(stack)}
    assert 0 not in owners
    assert all(
        stat.S_IMODE(folder.stat().st_mode) == 0o700 for folder in (stack.home.postgres, stack.home.redis)
    )


def test_two_checkouts_run_side_by_side_and_down_stops_only_its_own(
    stack: Stack, running: StackStatus, make_stack: Callable[..., Stack]
) -> None:
    other = make_stack()
    theirs = other.up()
    assert set(ports(theirs)).isdisjoint(ports(running))
    assert not other.down().running
    assert pids(other) == (None, None)
    assert stack.status() == running


def test_two_starts_at_once_make_one_stack(stack: Stack) -> None:
    stack.down()
    answers: list[StackStatus] = []
    starts = [threading.Thread(target=lambda: answers.append(stack.up())) for _ in range(2)]
    for start in starts:
        start.start()
    for start in starts:
        start.join()
    assert len(answers) == 2
    assert answers[0] == answers[1] == stack.status()


def test_ports_that_a_stranger_took_are_chosen_anew(
    stack: Stack, running: StackStatus, occupant: Callable[[int], None]
) -> None:
    before = ports(running)
    stack.down()
    for port in before:
        assert port
        occupant(port)
    moved = stack.up()
    assert moved.running
    assert set(ports(moved)).isdisjoint(before)
    assert stack.status() == moved


async def test_data_survives_down_and_up(stack: Stack, running: StackStatus) -> None:
    connection = await asyncpg.connect(running.database_url)
    await connection.execute("CREATE TABLE IF NOT EXISTS kept (id int); INSERT INTO kept VALUES (1)")
    await connection.close()
    with redis.Redis.from_url(running.redis_url or "") as client:
        client.set("kept", "1")
    assert not stack.down().running
    assert stack.status() == stack.down()
    again = stack.up()
    connection = await asyncpg.connect(again.database_url)
    assert await connection.fetchval("SELECT count(*) FROM kept") == 1
    await connection.close()
    with redis.Redis.from_url(again.redis_url or "") as client:
        assert client.get("kept") == b"1"


def test_stale_pid_files_that_name_a_living_stranger_are_overcome(stack: Stack, running: StackStatus) -> None:
    postmaster, redis_pid = pids(stack)
    assert postmaster
    assert redis_pid
    os.kill(postmaster, signal.SIGKILL)
    os.kill(redis_pid, signal.SIGKILL)
    pid_file = stack.home.postgres / "postmaster.pid"
    stranger = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        # After a reboot the remembered id may belong to anybody.
        for path in (pid_file, stack.home.redis / "redis.pid"):
            lines = path.read_text().splitlines()
            path.write_text("\n".join([str(stranger.pid), *lines[1:]]) + "\n")
        assert not stack.status().running
        assert stack.up().running
        assert stranger.poll() is None
        assert not stack.down().running
        assert stranger.poll() is None
    finally:
        stranger.communicate(b"\n")


async def test_killed_servers_come_back_with_what_was_on_disk(stack: Stack, running: StackStatus) -> None:
    stack.up()
    connection = await asyncpg.connect(running.database_url)
    await connection.execute("CREATE TABLE committed (id int); INSERT INTO committed VALUES (1)")
    await connection.close()
    with redis.Redis.from_url(running.redis_url or "") as client:
        client.set("first", "1")
        client.set("second", "2")
    assert stack.postgres.kill() > 1  # its children as well
    assert stack.redis.kill() == 1
    assert pids(stack) == (None, None)
    assert stack.redis.cut_log(3) == 3
    assert stack.up() == running
    connection = await asyncpg.connect(running.database_url)
    assert await connection.fetchval("SELECT count(*) FROM committed") == 1
    await connection.close()
    with redis.Redis.from_url(running.redis_url or "") as client:
        assert client.mget("first", "second") == [b"1", None]


def test_a_process_is_ours_by_name_and_directory(stack: Stack, running: StackStatus) -> None:
    account = stack.postgres.account
    found = processes_in(stack.home.postgres, "postgres", account)
    assert stack.postgres.pid() in found
    assert processes_in(stack.home.redis, "postgres", account) == []
    assert processes_in(stack.home.postgres, "redis-server", account) == []


def test_data_of_another_major_version_is_refused_with_the_way_out(stack: Stack) -> None:
    stack.down()
    record = stack.home.postgres / "PG_VERSION"
    real = record.read_text()
    try:
        record.write_text("9\n")
        with pytest.raises(WrongMajorVersion, match=r"PostgreSQL 9, .*postgresql-9-postgis-3.*stack reset"):
            stack.up()
    finally:
        record.write_text(real)
    assert stack.up().running


def test_an_interrupted_first_start_is_begun_anew(make_stack: Callable[..., Stack]) -> None:
    stack = make_stack()
    stack.home.make()
    half = stack.home.path / "postgres.new"
    stack.postgres.account.make_directory(half)
    (half / "PG_VERSION").write_text("15\n")
    assert stack.up().running


def test_lost_memory_is_reported_and_reset_starts_anew(stack: Stack, running: StackStatus) -> None:
    memory = stack.home.path / "memory.json"
    stack.down()
    memory.write_text("{")
    with pytest.raises(DamagedState, match="stack reset"):
        stack.up()
    memory.unlink()
    with pytest.raises(DamagedState, match="stack reset"):
        stack.up()
    stack.reset()
    assert not stack.home.postgres.exists()
    assert stack.up().database_url != running.database_url
