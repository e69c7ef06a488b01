"""Counting failed attempts, so that nobody can guess at leisure.

Owns the two counters, per account and per client address, in PostgreSQL: a lost Redis must not let a guesser
start again. Must not know what an attempt is.
"""

import hashlib
from collections.abc import Sequence
from datetime import timedelta

from matcher.accounts.errors import TooManyAttempts
from matcher.accounts.repository import SQL
from matcher.addresses import subscriber_of
from matcher.db import Connection, Pool
from matcher.settings import Settings


class Attempts:
    """Refuses after `login_failures_max` failures of a key within `login_window_s`; never with limits off.

    A key is counted whether or not an account stands behind it, so a refusal tells nothing either.
    """

    def __init__(self, pool: Pool, settings: Settings) -> None:
        self._pool = pool
        self._enabled = settings.limits
        self._max = settings.login_failures_max
        self._window = timedelta(seconds=settings.login_window_s)

    async def check(self, keys: Sequence[str]) -> None:
        """TooManyAttempts when one of the keys has used up its failures."""
        if self._enabled:
            wait_s = await self._pool.fetchval(SQL["find_failures"], keys, self._window, self._max)
            if wait_s is not None:
                raise TooManyAttempts(retry_after_s=max(1, wait_s))

    async def failed(self, connection: Connection, keys: Sequence[str]) -> None:
        """Count one failure of each key, in the caller's transaction."""
        if self._enabled:
            await connection.execute(SQL["count_failures"], keys, self._window)

    async def succeeded(self, account: str) -> None:
        """Start the account's count anew. The address keeps its own: it may be trying many accounts."""
        if self._enabled:
            await self._pool.execute(SQL["forget_failures"], account)


def account_key(email: str) -> str:
    """The counter of an account; hashed, because people mistype passwords into the email field."""
    return f"account:{hashlib.sha256(email.encode()).hexdigest()}"


def address_key(host: str) -> str:
    """The counter of a client address."""
    return f"address:{subscriber_of(host)}"
