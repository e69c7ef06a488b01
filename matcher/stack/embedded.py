"""The stack of one checkout as a whole: up, down, status, reset.

Owns: the order of things and the lock around them. Must not know how each server works.
"""

import contextlib
import shutil
from pathlib import Path

import msgspec

from matcher.settings import repository_root
from matcher.stack.errors import DamagedState, StartFailed
from matcher.stack.home import Home, Memory
from matcher.stack.postgres import DATABASE, ROLE, Postgres
from matcher.stack.processes import LOOPBACK, choose_port, port_is_free
from matcher.stack.redis_server import RedisServer

_PORT_TRIES = 5  # a stranger may take a port between our check and the server's bind


class StackStatus(msgspec.Struct, frozen=True, rename="camel"):
    """How the stack is; the addresses hold the passwords, and are None while it does not run."""

    running: bool
    database_url: str | None
    redis_url: str | None
    data_dir: str


class Stack:
    """The embedded PostgreSQL and Redis of one checkout."""

    def __init__(self, checkout: Path, usr: Path = Path("/usr")) -> None:
        """`usr` is where PostgreSQL installations are looked for."""
        self.home = Home.of(checkout)
        self.postgres = Postgres(self.home.postgres, usr)
        self.redis = RedisServer(self.home.redis)

    @classmethod
    def for_checkout(cls) -> "Stack":
        """The stack of the checkout that this package lies in."""
        return cls(repository_root())

    def up(self) -> StackStatus:
        """Start what does not run, and return once both servers take work. Raises StackError, OSError."""
        self.home.make()
        with self.home.locked():
            memory = self.home.recall()
            if memory is None:
                if self.home.postgres.exists():
                    raise DamagedState(
                        f"{self.home.path} has data but lost its memory.json with the password; "
                        "`matcher stack reset` starts anew (the data is lost)."
                    )
                memory = Memory.fresh()
                self.home.remember(memory)
            if self.postgres.pid() is None:
                self._start_postgres(memory)
            if self.redis.pid() is None:
                self._start_redis(memory)
            self.postgres.prepare(memory.postgres_port, memory.postgres_password)
        return self._status(memory)

    def down(self) -> StackStatus:
        """Stop both servers, if they are ours and run. Raises StopFailed."""
        if self.home.path.exists():
            with self.home.locked():
                self._stop()
        return self.status()

    def reset(self) -> None:
        """Stop both servers and delete all that they keep. Raises StopFailed, OSError."""
        if not self.home.path.exists():
            return
        with self.home.locked():
            self._stop()
            for folder in (self.home.postgres, self.home.redis):
                if folder.exists():
                    shutil.rmtree(folder)
            self.home.forget()

    def status(self) -> StackStatus:
        """How the stack is, without changing anything."""
        memory = self.home.recall()
        running = memory is not None and self.postgres.pid() is not None and self.redis.pid() is not None
        return self._status(memory if running else None)

    def _status(self, memory: Memory | None) -> StackStatus:
        data_dir = str(self.home.path)
        if memory is None:
            return StackStatus(running=False, database_url=None, redis_url=None, data_dir=data_dir)
        return StackStatus(
            running=True,
            database_url=f"postgresql://{ROLE}:{memory.postgres_password}"
            f"@{LOOPBACK}:{memory.postgres_port}/{DATABASE}",
            redis_url=f"redis://:{memory.redis_password}@{LOOPBACK}:{memory.redis_port}/0",
            data_dir=data_dir,
        )

    def _start_postgres(self, memory: Memory) -> None:
        for _ in range(_PORT_TRIES):
            if not port_is_free(memory.postgres_port):
                memory.postgres_port = choose_port(avoid=frozenset({memory.redis_port}))
                self.home.remember(memory)
            try:
                return self.postgres.start(memory.postgres_port, memory.postgres_password)
            except StartFailed:
                if port_is_free(memory.postgres_port):
                    raise
        raise StartFailed("PostgreSQL found no free port; try again.")

    def _start_redis(self, memory: Memory) -> None:
        for _ in range(_PORT_TRIES):
            if not port_is_free(memory.redis_port):
                memory.redis_port = choose_port(avoid=frozenset({memory.postgres_port}))
                self.home.remember(memory)
            try:
                return self.redis.start(memory.redis_port, memory.redis_password)
            except StartFailed:
                if port_is_free(memory.redis_port):
                    raise
        raise StartFailed("Redis found no free port; try again.")

    def _stop(self) -> None:
        with contextlib.ExitStack() as both:
            # Registered, not called in turn: a server that does not stop must not keep the other one up.
            both.callback(self.postgres.stop)
            both.callback(self.redis.stop)
