"""The house's one token bucket: pure, the time is passed in (any monotonic clock).

Owns the arithmetic of rates. Must not know what is counted: sockets, routes and handshakes each say so.
"""

from enum import Enum, auto

FLOOD_BURSTS = 5  # so many bursts of refused requests in a row are no accident but a loop


class Verdict(Enum):
    """What becomes of a request."""

    ALLOW = auto()
    REFUSE = auto()  # answer 429
    FLOOD = auto()  # end the socket


class TokenBucket:
    """`rate_per_s` sustained, `burst` at once."""

    __slots__ = ("_at_s", "_burst", "_rate_per_s", "_tokens")

    def __init__(self, rate_per_s: float, burst: float, now_s: float) -> None:
        self._rate_per_s = rate_per_s
        self._burst = burst
        self._tokens = burst
        self._at_s = now_s

    def take(self, now_s: float) -> bool:
        """Count one request if the rate allows it. Refusals cost nothing: `wait_s` stays true."""
        self._refill(now_s)
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True

    def charge(self, now_s: float) -> Verdict:
        """Count one request, refused or not, so that a loop of refused ones ends in FLOOD."""
        self._refill(now_s)
        self._tokens -= 1.0
        if self._tokens >= 0.0:
            return Verdict.ALLOW
        # Below zero only refusals are paid for; a client that waits gets out of debt at the same rate.
        return Verdict.REFUSE if self._tokens >= -FLOOD_BURSTS * self._burst else Verdict.FLOOD

    def reserve(self, now_s: float, wait_max_s: float) -> float | None:
        """Take the next place in the queue: how long until it comes, or None (nothing taken) beyond `wait_max_s`."""
        self._refill(now_s)
        wait_s = self.wait_s
        if wait_s > wait_max_s:
            return None
        self._tokens -= 1.0
        return wait_s

    @property
    def wait_s(self) -> float:
        """How long from the last count until the next request is allowed."""
        return max(0.0, (1.0 - self._tokens) / self._rate_per_s)

    @property
    def remaining(self) -> int:
        """Requests that would be allowed at once."""
        return max(0, int(self._tokens))

    @property
    def full_in_s(self) -> float:
        """How long from the last count until a whole burst is allowed again."""
        return (self._burst - self._tokens) / self._rate_per_s

    def _refill(self, now_s: float) -> None:
        elapsed_s = max(0.0, now_s - self._at_s)
        self._at_s = max(now_s, self._at_s)
        self._tokens = min(self._burst, self._tokens + elapsed_s * self._rate_per_s)
