"""Who a bearer token speaks for, from this process's memory.

Owns the cache of accounts: read on a miss, dropped within a second of any change to their role, memberships,
status or sessions (the change feed follows `users`). Must not decide what a caller may do: `access.py` does.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Generic, TypeVar
from uuid import UUID

import msgspec

from matcher.accounts.access import Caller
from matcher.accounts.errors import InvalidToken
from matcher.accounts.repository import SQL
from matcher.accounts.tokens import OutsideClaims, OwnClaims, TokenSigner
from matcher.changes import ChangeFeed
from matcher.clock import unix_s
from matcher.db import Pool, Row
from matcher.ids import uuid7
from matcher.settings import Settings

IDENTITIES_MAX = 20_000  # about 1 KB each; beyond, the least recently seen is read again
CLOCKS_APART_S = 60  # PostgreSQL's clock and ours, at the very most

K = TypeVar("K")
V = TypeVar("V")


class Identity(msgspec.Struct, frozen=True):
    """An active account as it stood at `version`."""

    user_id: UUID
    version: int
    role: str
    epoch: int
    shops: dict[UUID, str]
    ended: frozenset[UUID]  # revoked sessions whose access tokens may not have expired yet


class IdentityCache:
    """Implements `access.Identities`. Call `start` before the first request and keep `run` running.

    `on_change` hooks get the id of each account that changed, after the cache has let go of it: authenticate
    again to see what is left. They may be called for a change that does not matter, and twice for one.
    """

    def __init__(
        self,
        pool: Pool,
        settings: Settings,
        tokens: TokenSigner,
        *,
        now_s: Callable[[], float] = unix_s,
        size_max: int = IDENTITIES_MAX,
    ) -> None:
        self._pool = pool
        self._tokens = tokens
        self._now_s = now_s
        self._ended_window = timedelta(seconds=settings.access_token_s + CLOCKS_APART_S)
        # A signature once verified stays so; reading a token took 75 us, finding it here 4 (busy machine).
        self._claims: _Recent[bytes, OwnClaims | OutsideClaims] = _Recent(size_max)
        self._identities: _Recent[UUID, Identity] = _Recent(size_max)
        self._outside: _Recent[str, UUID] = _Recent(size_max)
        self._changes = 0
        self.on_change: list[Callable[[UUID], None]] = []
        self.feed = ChangeFeed(pool, SQL["changed_users"], self._apply, poll_s=settings.shop_poll_s)

    async def start(self) -> None:
        """Begin to follow changes."""
        await self.feed.start_here()

    async def run(self) -> None:
        """Follow changes until cancelled."""
        await self.feed.run()

    async def authenticate(self, token: str, *, fresh: bool = False) -> Caller:
        """The caller that a bearer token speaks for. `fresh` reads the account anew.

        Raises TokenExpired, or InvalidToken when the token is forged or its session has ended.
        """
        claims = self._claims_of(token)
        if isinstance(claims, OutsideClaims):
            identity = await self._of_outside(claims, fresh)
            return Caller(identity.user_id, identity.role, identity.shops, token_expires_s=claims.expires_s)
        identity = await self._of_own(claims, fresh)
        return Caller(
            identity.user_id,
            identity.role,
            identity.shops,
            session_id=claims.session_id,
            token_expires_s=claims.expires_s,
        )

    def forget(self, user_id: UUID) -> None:
        """Read this account anew at its next request: call it after committing a change of it."""
        self._changes += 1
        self._identities.drop(user_id)

    def _claims_of(self, token: str) -> OwnClaims | OutsideClaims:
        now_s = self._now_s()
        digest = hashlib.sha256(token.encode(errors="surrogatepass")).digest()
        claims = self._claims.find(digest)
        if claims is None or now_s >= claims.expires_s:
            claims = self._tokens.read_access(token, now_s)
            self._claims.keep(digest, claims)
        return claims

    async def _of_own(self, claims: OwnClaims, fresh: bool) -> Identity:
        identity = None if fresh else self._identities.find(claims.user_id)
        # A token of a later epoch than we know was issued after a change that has not reached us yet.
        if identity is None or identity.epoch < claims.epoch:
            identity = await self._read(claims.user_id)
        if identity is None or identity.epoch != claims.epoch or claims.session_id in identity.ended:
            raise InvalidToken
        return identity

    async def _of_outside(self, claims: OutsideClaims, fresh: bool) -> Identity:
        user_id = self._outside.find(claims.subject)
        identity = self._identities.find(user_id) if user_id and not fresh else None
        if identity is not None:
            return identity
        # Found again each time that the account is not in memory: it may have been deleted meanwhile.
        user_id = await self._pool.fetchval(SQL["find_outside_user"], claims.subject)
        if user_id is None:
            await self._pool.execute(SQL["insert_outside_user"], uuid7(), claims.subject, claims.name)
            user_id = await self._pool.fetchval(SQL["find_outside_user"], claims.subject)
        identity = await self._read(user_id) if user_id else None
        if identity is None:
            raise InvalidToken
        self._outside.keep(claims.subject, identity.user_id)
        return identity

    async def _read(self, user_id: UUID) -> Identity | None:
        changes = self._changes
        row = await self._pool.fetchrow(SQL["find_identity"], user_id, self._ended_window)
        if row is None:
            self._identities.drop(user_id)
            return None
        identity = Identity(
            user_id=user_id,
            version=row["version"],
            role=row["role"],
            epoch=row["session_epoch"],
            shops={UUID(shop_id): role for shop_id, role in (row["shops"] or {}).items()},
            ended=frozenset(row["ended"]),
        )
        # A change told while we read may be newer than what we read: use it this once, do not keep it.
        if changes == self._changes:
            self._identities.keep(user_id, identity)
        return identity

    def _apply(self, rows: Sequence[Row]) -> None:
        self._changes += 1
        for row in rows:
            known = self._identities.find(row["id"])
            if known is not None and known.version < row["version"]:
                self._identities.drop(row["id"])
        for row in rows:
            for hook in self.on_change:
                hook(row["id"])


class _Recent(Generic[K, V]):
    """The `size_max` most recently used values."""

    def __init__(self, size_max: int) -> None:
        self._values: OrderedDict[K, V] = OrderedDict()
        self._size_max = size_max

    def find(self, key: K) -> V | None:
        value = self._values.get(key)
        if value is not None:
            self._values.move_to_end(key)
        return value

    def keep(self, key: K, value: V) -> None:
        self._values[key] = value
        self._values.move_to_end(key)
        if len(self._values) > self._size_max:
            self._values.popitem(last=False)

    def drop(self, key: K) -> None:
        self._values.pop(key, None)
