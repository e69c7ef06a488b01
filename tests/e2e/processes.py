"""Processes of the service that a test starts: each is found by its own log and ended by its own id."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import httpx

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 40.0
MATCHER = Path(sys.executable).with_name("matcher")


@dataclass
class Child:
    """One running `matcher …`; `url` is where an API process listens."""

    process: subprocess.Popen[bytes]
    log: Path
    url: str = ""

    def output(self) -> str:
        """Everything that it has printed."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def wait_for_output(self, pattern: str) -> re.Match[str]:
        """The first match of a pattern in what it prints; fails when the process ends without it."""
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline_s:
            ended = self.process.poll() is not None
            if found := re.search(pattern, self.output()):
                return found
            assert not ended, f"ended with {self.process.returncode}: {self.output()[-2000:]}"
            time.sleep(0.02)
        raise AssertionError(f"no {pattern!r} in: {self.output()[-2000:]}")

    def stop(self) -> int:
        """SIGTERM, as an operator stops it; its exit status."""
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(STOP_TIMEOUT_S)

    def kill(self) -> None:
        """SIGKILL: no goodbye."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(STOP_TIMEOUT_S)


@dataclass
class Service:
    """The service over one database and one Redis prefix: as many processes as a test wants."""

    environment: dict[str, str]
    folder: Path
    children: list[Child] = field(default_factory=list)

    def serve(self, *arguments: str, accept: str = "ready", **settings: object) -> Child:
        """Start an API process on a free port of loopback and wait until it is ready, or what `accept` names."""
        child = self._start(["serve", "--port", "0", *arguments], settings)
        child.url = child.wait_for_output(r"Listening on (http://\S+) ")[1]
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while True:
            with contextlib.suppress(httpx.TransportError):
                answer = httpx.get(f"{child.url}/api/v1/ready", trust_env=False, timeout=10)
                if answer.status_code == 200 and answer.json()["status"] == accept:
                    return child
            assert time.monotonic() < deadline_s, f"not ready: {child.output()[-2000:]}"
            assert child.process.poll() is None, child.output()[-2000:]
            time.sleep(0.05)

    def worker(self, **settings: object) -> Child:
        """Start a worker and wait until it works."""
        child = self._start(["worker"], settings)
        child.wait_for_output("worker_started")
        return child

    def run(
        self, *arguments: str, timeout_s: float = 60, **settings: object
    ) -> "subprocess.CompletedProcess[str]":
        """Run a command to its end."""
        return subprocess.run(
            [MATCHER, *arguments],
            env=self._environment(settings),
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )

    def stop(self) -> None:
        """End what still runs."""
        for child in self.children:
            if child.process.poll() is None:
                child.process.terminate()
        for child in self.children:
            try:
                child.process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                child.kill()

    def _start(self, arguments: list[str], settings: dict[str, object]) -> Child:
        log = self.folder / f"{len(self.children)}-{arguments[0]}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [MATCHER, *arguments],
                env=self._environment(settings),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.children.append(Child(process, log))
        return self.children[-1]

    def _environment(self, settings: dict[str, object]) -> dict[str, str]:
        outside = {name: value for name, value in os.environ.items() if not name.startswith("MATCHER_")}
        given = {f"MATCHER_{name.upper()}": str(value) for name, value in settings.items()}
        return outside | self.environment | given
