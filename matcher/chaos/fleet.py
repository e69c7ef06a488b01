"""The service's processes: started, killed, paused and rolled over, each by its own handle.

Owns: child processes and their logs. Must not signal anything that it did not start.
"""

import asyncio
import contextlib
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

import httpx
import msgspec

from matcher.errors import MatcherError
from matcher.stack.processes import LOOPBACK, choose_port, tail

_READY_TIMEOUT_S = 60.0
_STOP_TIMEOUT_S = 30.0  # longer than the service's own drain time
_POLL_S = 0.05
_LOG_LINES = 20


class NotRecovered(MatcherError):
    """A process or server of the run did not come back in time."""

    code = "chaos_not_recovered"
    title = "Not recovered"


class Process(msgspec.Struct, eq=False):
    """A running process of the service; `origin` is where an API process listens, "" for a worker."""

    name: str
    popen: subprocess.Popen[bytes]
    log: Path
    origin: str = ""


class Fleet:
    """API processes and workers that live as long as the `with` block."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], logs: Path) -> None:
        """`command` stands for `matcher`: what is started with `serve …` and `worker`."""
        self._command = list(command)
        self._environment = dict(environment)
        self._logs = logs
        self._started = 0
        self.apis: list[Process] = []
        self.workers: list[Process] = []

    def __enter__(self) -> "Fleet":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        processes = [*self.apis, *self.workers]
        for process in processes:
            process.popen.send_signal(signal.SIGCONT)
            process.popen.terminate()
        deadline_s = time.monotonic() + _STOP_TIMEOUT_S
        for process in processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.popen.wait(max(0.0, deadline_s - time.monotonic()))
            process.popen.kill()
            process.popen.wait()

    def start_api(self, port: int = 0) -> Process:
        """An API process on `port`, or on a free one; not ready yet."""
        port = port or choose_port()
        process = self._start("api", ["serve", "--host", LOOPBACK, "--port", str(port), "--workers", "1"])
        process.origin = f"http://{LOOPBACK}:{port}"
        self.apis.append(process)
        return process

    def start_worker(self) -> Process:
        """A worker."""
        process = self._start("worker", ["worker"])
        self.workers.append(process)
        return process

    def kill(self, process: Process) -> None:
        """SIGKILL, and wait for its end."""
        process.popen.kill()
        process.popen.wait()
        self._forget(process)

    def restart(self, process: Process) -> Process:
        """Start a killed process again, at the same address."""
        if process.origin:
            return self.start_api(int(process.origin.rpartition(":")[2]))
        return self.start_worker()

    async def stop(self, process: Process) -> int:
        """SIGTERM, as an operator stops it; its exit status. Raises NotRecovered when it stays."""
        process.popen.terminate()
        self._forget(process)
        try:
            return await asyncio.to_thread(process.popen.wait, _STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.popen.kill()
            process.popen.wait()
            raise NotRecovered(f"{process.name} did not drain within {_STOP_TIMEOUT_S:.0f} s.") from None

    async def wait_ready(self, process: Process, *, accept: frozenset[str] = frozenset({"ready"})) -> None:
        """Wait until an API process says that it is. Raises NotRecovered."""
        deadline_s = time.monotonic() + _READY_TIMEOUT_S
        async with httpx.AsyncClient(trust_env=False, timeout=10.0) as client:
            while True:
                with contextlib.suppress(httpx.TransportError):
                    answer = await client.get(f"{process.origin}/api/v1/ready")
                    if answer.json().get("status") in accept:
                        return
                self._check_alive(process)
                if time.monotonic() > deadline_s:
                    raise NotRecovered(f"{process.name} is not ready:\n{tail(process.log, _LOG_LINES)}")
                await asyncio.sleep(_POLL_S)

    def check_all_alive(self) -> None:
        """NotRecovered when a process ended by itself."""
        for process in [*self.apis, *self.workers]:
            self._check_alive(process)

    def _check_alive(self, process: Process) -> None:
        status = process.popen.poll()
        if status is not None:
            end = tail(process.log, _LOG_LINES)
            raise NotRecovered(f"{process.name} ended by itself with status {status}:\n{end}")

    def _start(self, kind: str, arguments: Sequence[str]) -> Process:
        self._started += 1
        name = f"{self._started:03}-{kind}"
        log = self._logs / f"{name}.log"
        with log.open("wb") as output:
            popen = subprocess.Popen(
                [*self._command, *arguments],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C reaches the harness alone
            )
        return Process(name, popen, log)

    def _forget(self, process: Process) -> None:
        for processes in (self.apis, self.workers):
            if process in processes:
                processes.remove(process)
