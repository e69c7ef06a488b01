"""Password hashes: argon2id (RFC 9106) in a bounded thread pool.

Owns the cost and how many hashes are computed at once. Must not know accounts.
"""

import asyncio
import secrets
import unicodedata
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError

from matcher.errors import Overloaded

# OWASP's password storage cheat sheet: 19 MiB, 2 passes, 1 lane. It bounds what a burst of sign-ins takes from a
# small machine; the counters of failures, not the cost alone, hold guessers back.
HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
WAITING_MAX = 64  # two seconds of work for two threads, and half of the places that all requests have

T = TypeVar("T")


class Passwords:
    """Hashes and verifies passwords off the event loop. Close it at shutdown."""

    def __init__(self, threads: int, hasher: PasswordHasher = HASHER) -> None:
        self._hasher = hasher
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="argon2")
        self._turns = asyncio.Semaphore(threads)
        self._waiting = 0
        # Verified when there is no account, so that the answer takes the same work.
        self._dummy = hasher.hash(secrets.token_urlsafe(16))

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """One of the `threads` places; Overloaded when too many wait.

        What is checked and counted inside a turn cannot be outrun by parallel guesses.
        """
        if self._waiting >= WAITING_MAX:
            raise Overloaded(retry_after_s=5)
        self._waiting += 1
        try:
            await self._turns.acquire()
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._turns.release()

    async def hash(self, password: str) -> str:
        """The encoded argon2id hash."""
        return await self._run(lambda: self._hasher.hash(_canonical(password)))

    async def verify(self, encoded: str | None, password: str) -> bool:
        """Whether the password fits; with None (no such account) False after the same work."""
        return await self._run(lambda: self._verify(encoded or self._dummy, password)) and encoded is not None

    def close(self) -> None:
        """Let the threads end."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _verify(self, encoded: str, password: str) -> bool:
        try:
            return self._hasher.verify(encoded, _canonical(password))
        except VerifyMismatchError:
            return False

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)


def _canonical(password: str) -> str:
    # One person's keyboards compose accents differently (RFC 8265 OpaqueString uses NFC as well).
    return unicodedata.normalize("NFC", password)
