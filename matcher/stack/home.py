"""Where a checkout's stack lives and what it remembers: folders, ports, secrets, the start lock.

Owns: the layout on disk. Must not start or stop anything.
"""

import contextlib
import fcntl
import hashlib
import os
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from matcher.stack.errors import DamagedState, LockBusy
from matcher.stack.processes import choose_port, write_private

# Servers that root starts run as unprivileged accounts, which often cannot enter the checkout (/root is 0700).
ROOT_HOMES = Path("/var/lib/matcher")


class Memory(msgspec.Struct, rename="camel"):
    """What outlives a stop: ports and passwords."""

    postgres_port: int
    redis_port: int
    postgres_password: str
    redis_password: str

    @classmethod
    def fresh(cls) -> "Memory":
        """New passwords (256 bits) and free ports."""
        postgres_port = choose_port()
        redis_port = choose_port(frozenset({postgres_port}))
        return cls(postgres_port, redis_port, secrets.token_hex(32), secrets.token_hex(32))


@dataclass(frozen=True, slots=True)
class Home:
    """The folder that holds one checkout's servers. `pointer` in the checkout tells people where it is."""

    path: Path
    pointer: Path | None

    @classmethod
    def of(cls, checkout: Path) -> "Home":
        """The home of `checkout`: in its `.local/`; for root in /var/lib/matcher, named by the checkout's path."""
        checkout = checkout.resolve()
        if os.geteuid() != 0:
            return cls(checkout / ".local" / "stack", None)
        name = hashlib.sha256(os.fsencode(checkout)).hexdigest()[:16]
        return cls(ROOT_HOMES / name, checkout / ".local" / "stack-data")

    @property
    def postgres(self) -> Path:
        """PostgreSQL's data directory."""
        return self.path / "postgres"

    @property
    def redis(self) -> Path:
        """Redis' directory: configuration, append-only file, log."""
        return self.path / "redis"

    @property
    def _memory(self) -> Path:
        return self.path / "memory.json"

    def make(self) -> None:
        """Make the folder and its pointer. Raises OSError when the place cannot be written."""
        if self.path.parent == ROOT_HOMES:
            ROOT_HOMES.mkdir(mode=0o755, exist_ok=True)
        # Root's home is passed through, not listed, by the servers' accounts; a user's own is the user's alone.
        mode = 0o711 if self.pointer else 0o700
        self.path.mkdir(mode=mode, parents=True, exist_ok=True)
        self.path.chmod(mode)
        if self.pointer:
            # Only a courtesy to people: a read-only checkout works as well.
            with contextlib.suppress(OSError):
                self.pointer.parent.mkdir(exist_ok=True)
                self.pointer.write_text(f"{self.path}\n", encoding="utf-8")

    def recall(self) -> Memory | None:
        """What was remembered; None before the first start. Raises DamagedState."""
        try:
            return msgspec.json.decode(self._memory.read_bytes(), type=Memory)
        except FileNotFoundError:
            return None
        except msgspec.DecodeError as error:
            raise DamagedState(
                f"{self._memory} cannot be read ({error}); `matcher stack reset` starts anew (its data is lost)."
            ) from error

    def remember(self, memory: Memory) -> None:
        """Keep `memory` for the next start, readable by its owner alone."""
        write_private(self._memory, msgspec.json.encode(memory).decode())

    def forget(self) -> None:
        """Remove what was remembered."""
        self._memory.unlink(missing_ok=True)

    @contextlib.contextmanager
    def locked(self, timeout_s: float = 180) -> Iterator[None]:
        """Hold the stack's lock: one start, stop or reset at a time. Raises LockBusy after `timeout_s`."""
        with open(self.path / "lock", "a+", encoding="utf-8") as lock:
            deadline = time.monotonic() + timeout_s
            while True:
                try:
                    # The kernel drops the lock when its holder dies, so that no stale lock can remain.
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError as error:
                    if time.monotonic() > deadline:
                        raise LockBusy from error
                    time.sleep(0.05)
            yield
