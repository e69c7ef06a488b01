"""The private Redis: started and stopped.

Owns: one directory. Must not touch another server. Its content may be lost at any time: the truth is PostgreSQL's.
"""

import contextlib
import os
import shutil
import signal
import socket
import time
from pathlib import Path

from matcher.stack.errors import ForeignServer, NotInstalled, StartFailed
from matcher.stack.processes import (
    LOOPBACK,
    SERVER_ENVIRONMENT,
    Account,
    is_serving,
    kill_processes,
    memory_share_mb,
    processes_in,
    stop_process,
    tail,
)

_LOG_LIMIT_BYTES = 10 * 2**20


class RedisServer:
    """The Redis of one stack, in `directory`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @property
    def account(self) -> Account:
        """Who runs the server: never root."""
        return Account.for_server("redis")

    @property
    def _log(self) -> Path:
        return self.directory / "redis.log"

    def pid(self) -> int | None:
        """The process that serves the directory now, None when there is none."""
        try:
            pid = int((self.directory / "redis.pid").read_text(encoding="ascii"))
        except (OSError, ValueError):
            return None
        return pid if is_serving(pid, self.directory, "redis-server", self.account) else None

    def start(self, port: int, password: str) -> None:
        """Start the server on `port` and wait until it answers. Raises StartFailed, NotInstalled, ForeignServer."""
        program = shutil.which("redis-server", path=SERVER_ENVIRONMENT["PATH"])
        if program is None:
            raise NotInstalled("Redis is not installed; run scripts/bootstrap.")
        if not self.directory.exists():
            self.account.make_directory(self.directory)
        if serving := processes_in(self.directory, "redis-server", self.account):
            raise ForeignServer(
                f"Redis processes {serving} of an earlier start still serve {self.directory}; end them first."
            )
        self._rotate_log()
        self.account.write_private(self.directory / "redis.conf", _settings(port, password))
        result = self.account.run([program, "redis.conf"], cwd=self.directory)
        if result.returncode != 0:
            raise StartFailed(f"Redis did not start: {(result.stdout + result.stderr).strip()}")
        self._wait_until_ready(port, password)

    def stop(self, timeout_s: float = 60) -> None:
        """Stop the server if it runs, after it has written its log to disk. Raises StopFailed."""
        if pid := self.pid():
            stop_process(
                pid, self.directory, "redis-server", self.account, how=signal.SIGTERM, timeout_s=timeout_s
            )

    def kill(self) -> int:
        """Kill the server; how many processes. What was not on disk yet is lost. Raises StopFailed."""
        return kill_processes(self.directory, "redis-server", self.account)

    def cut_log(self, size_bytes: int) -> int:
        """Cut so much off the end of the dead server's log, as a power cut may; how much there was to cut."""
        logs = sorted((self.directory / "appendonlydir").glob("*.incr.aof"))
        if not logs:
            return 0
        before = logs[-1].stat().st_size
        os.truncate(logs[-1], max(0, before - size_bytes))
        return min(size_bytes, before)

    def _wait_until_ready(self, port: int, password: str, timeout_s: float = 60) -> None:
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if not processes_in(self.directory, "redis-server", self.account):
                raise StartFailed(f"Redis ended while starting:\n{tail(self._log)}")
            if self.pid() and answers(port, password):
                return
            time.sleep(0.02)
        raise StartFailed(f"Redis did not answer within {timeout_s:.0f} s:\n{tail(self._log)}")

    def _rotate_log(self) -> None:
        # Redis does not rotate its log, and writes little: once per start is enough.
        with contextlib.suppress(FileNotFoundError):
            if self._log.stat().st_size > _LOG_LIMIT_BYTES:
                self._log.replace(self._log.with_suffix(".log.1"))


def answers(port: int, password: str) -> bool:
    """Whether Redis takes the password and is past loading its data."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=2) as connection:
            connection.sendall(f"AUTH {password}\r\nPING\r\n".encode())
            received = b""
            while received.count(b"\r\n") < 2 and (chunk := connection.recv(256)):
                received += chunk
    except OSError:
        return False
    return received == b"+OK\r\n+PONG\r\n"


def _settings(port: int, password: str) -> str:
    # Paths are relative to the server's directory, which is its working directory.
    memory_mb = memory_share_mb(8, least=128, most=1024)
    return f"""\
bind {LOOPBACK}
port {port}
requirepass {password}
daemonize yes
pidfile redis.pid
logfile redis.log
dir .
appendonly yes
appendfsync everysec
save ""
maxmemory {memory_mb}mb
maxmemory-policy noeviction
"""
