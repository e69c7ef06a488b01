"""Rate limits of routes, by account and by client address (docs/adr/0053).

Each route is in a class (`opt={"limit": Limit.ORDERS}`, none: `Limit.REQUESTS`) whose rate is a setting. Two guards
charge it: the address before anybody is authenticated, the account afterwards. Owns this process's buckets; must not
wait, nor ask another server: a limit never makes an order fail because something is away.
"""

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from enum import StrEnum
from typing import Any
from uuid import UUID

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from matcher import metrics
from matcher.addresses import subscriber_of
from matcher.errors import TooManyRequests
from matcher.http import add_headers
from matcher.settings import Settings
from matcher.throttling import TokenBucket

# About 400 bytes each. Who wants a fresh burst by being forgotten must come from so many other addresses first.
BUCKETS_MAX = 20_000


class Limit(StrEnum):
    """Classes of routes; the setting `limit_<value>_per_min` is the rate of each."""

    REGISTERS = "registers"
    LOGINS = "logins"
    ORDERS = "orders"
    QUOTES = "quotes"
    UPLOADS = "uploads"
    REQUESTS = "requests"  # everything else
    NONE = "none"  # what operators' machines ask


# Nobody has signed in on these routes: the rate is an address's own.
_BY_ADDRESS_ALONE = frozenset({Limit.REGISTERS, Limit.LOGINS})

OnTrip = Callable[[Limit, UUID | None], None]


class Limits:
    """The buckets of one process. With `MATCHER_LIMITS=off` nothing is counted."""

    def __init__(
        self,
        settings: Settings,
        *,
        on_trip: OnTrip | None = None,
        now_s: Callable[[], float] = time.monotonic,
        buckets_max: int = BUCKETS_MAX,
    ) -> None:
        self._enabled = settings.limits
        self._per_min: dict[Limit, int] = {
            limit: getattr(settings, f"limit_{limit}_per_min") for limit in Limit if limit is not Limit.NONE
        }
        self._address_times = settings.limit_address_times
        self._on_trip = on_trip
        self._now_s = now_s
        self._buckets: OrderedDict[tuple[Limit, object], TokenBucket] = OrderedDict()
        self._buckets_max = buckets_max

    def charge_address(self, limit: Limit, host: str) -> dict[str, str]:
        """Count a request of a client address; the answer's `RateLimit-*` headers. Raises TooManyRequests."""
        times = 1 if limit in _BY_ADDRESS_ALONE else self._address_times
        return self._charge(limit, subscriber_of(host), times, None)

    def charge_account(self, limit: Limit, user_id: UUID) -> dict[str, str]:
        """Count a request of an account; the answer's `RateLimit-*` headers. Raises TooManyRequests."""
        return self._charge(limit, user_id, 1, user_id)

    def __len__(self) -> int:
        return len(self._buckets)

    def _charge(self, limit: Limit, key: object, times: int, account: UUID | None) -> dict[str, str]:
        if not self._enabled or limit is Limit.NONE:
            return {}
        per_min = self._per_min[limit] * times
        bucket, now_s = self._bucket((limit, key), per_min), self._now_s()
        if bucket.take(now_s):
            return _headers(per_min, bucket)
        metrics.RATE_LIMITED.labels(limit, "account" if account else "address").inc()
        if self._on_trip is not None:
            self._on_trip(limit, account)
        error = TooManyRequests(retry_after_s=max(1, math.ceil(bucket.wait_s)))
        error.headers = _headers(per_min, bucket)
        raise error

    def _bucket(self, key: tuple[Limit, object], per_min: int) -> TokenBucket:
        bucket = self._buckets.get(key)
        if bucket is None:
            # A minute's worth at once, if they like.
            bucket = self._buckets[key] = TokenBucket(per_min / 60, per_min, self._now_s())
            if len(self._buckets) > self._buckets_max:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(key)
        return bucket


def _headers(per_min: int, bucket: TokenBucket) -> dict[str, str]:
    # Names and meaning of draft-ietf-httpapi-ratelimit-headers-06, which clients in the field read.
    return {
        "RateLimit-Limit": str(per_min),
        "RateLimit-Remaining": str(bucket.remaining),
        "RateLimit-Reset": str(math.ceil(bucket.full_in_s)),
    }


async def limit_address(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """The guard before authentication: forged tokens and guesses are counted too."""
    limits: Limits = connection.app.state.limits
    host = connection.client.host if connection.client else "unknown"
    _tell(connection, limits.charge_address, handler, host)


async def limit_account(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """The guard after authentication; a no-op where nobody has signed in."""
    caller = connection.scope.get("user")
    if caller is not None:
        limits: Limits = connection.app.state.limits
        _tell(connection, limits.charge_account, handler, caller.user_id)


def _tell(
    connection: ASGIConnection[Any, Any, Any, Any],
    charge: Callable[[Limit, Any], dict[str, str]],
    handler: BaseRouteHandler,
    key: object,
) -> None:
    try:
        headers = charge(handler.opt.get("limit", Limit.REQUESTS), key)
    except TooManyRequests as reached:
        add_headers(connection.scope, reached.headers)
        raise
    add_headers(connection.scope, headers)
