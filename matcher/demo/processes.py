"""The service's processes that the demo starts: their logs, their readiness, their end.

Owns: starting and stopping children by process id. Must not know what they serve.
"""

import asyncio
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

import msgspec

from matcher.errors import MatcherError
from matcher.stack.processes import tail

_POLL_S = 0.2
STOP_TIMEOUT_S = 25.0  # longer than the service's own drain time, then it is killed
_LOG_LINES = 15


class ChildDied(MatcherError):
    """A process of the service ended by itself."""

    code = "demo_child_died"
    title = "Process died"

    def __init__(self, name: str, status: int, log_tail: str) -> None:
        """`log_tail`: the last lines that it wrote, for people."""
        self.log_tail = log_tail
        super().__init__(f"{name} ended by itself with status {status}.")


class _Child(msgspec.Struct):
    name: str
    process: subprocess.Popen[bytes]
    log: Path


class Children:
    """Processes that live as long as the `with` block; none survives it, whatever ended it."""

    def __init__(
        self, program: str, environment: Mapping[str, str], stop_timeout_s: float = STOP_TIMEOUT_S
    ) -> None:
        """`program` is the path of what is started; `stop_timeout_s` passes between the polite signal and the kill."""
        self._program = program
        self._environment = dict(environment)
        self._stop_timeout_s = stop_timeout_s
        self._children: list[_Child] = []
        self._logs = tempfile.TemporaryDirectory(prefix="matcher-demo-")

    def __enter__(self) -> "Children":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            for child in self._children:
                if child.process.poll() is None:
                    child.process.terminate()
            deadline_s = time.monotonic() + self._stop_timeout_s
            for child in self._children:
                _wait(child.process, deadline_s - time.monotonic())
        finally:
            # Reached also when a second Ctrl-C ends the waiting.
            for child in self._children:
                if child.process.poll() is None:
                    child.process.kill()
                    child.process.wait()
            self._logs.cleanup()

    def start(self, name: str, arguments: Sequence[str]) -> None:
        """Start the program with these arguments; its output goes to a log of that name."""
        log = Path(self._logs.name) / f"{name}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [self._program, *arguments],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                # Ctrl-C in the terminal reaches the demo alone, which stops its children in order.
                start_new_session=True,
            )
        self._children.append(_Child(name, process, log))

    async def watch(self) -> None:
        """Runs until a child ends by itself, which raises ChildDied with the tail of its log."""
        while True:
            for child in self._children:
                status = child.process.poll()
                if status is not None:
                    raise ChildDied(child.name, status, tail(child.log, _LOG_LINES))
            await asyncio.sleep(_POLL_S)


def _wait(process: subprocess.Popen[bytes], timeout_s: float) -> None:
    try:
        process.wait(max(0.0, timeout_s))
    except subprocess.TimeoutExpired:
        return
