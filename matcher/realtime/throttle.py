"""A token bucket that remembers debt: pure, the time is passed in."""

from enum import Enum, auto

FLOOD_BURSTS = 5  # so many bursts of refused requests in a row are no accident but a loop


class Verdict(Enum):
    """What becomes of a request."""

    ALLOW = auto()
    REFUSE = auto()  # answer 429
    FLOOD = auto()  # end the socket


class Throttle:
    """`rate_per_s` sustained, `burst` at once. Refused requests count, so that a loop ends in FLOOD."""

    __slots__ = ("_at_s", "_burst", "_rate_per_s", "_tokens")

    def __init__(self, rate_per_s: float, burst: float, now_s: float) -> None:
        self._rate_per_s = rate_per_s
        self._burst = burst
        self._tokens = burst
        self._at_s = now_s

    def take(self, now_s: float) -> Verdict:
        """Count one request at `now_s` (any monotonic clock)."""
        elapsed_s = max(0.0, now_s - self._at_s)
        self._at_s = now_s
        self._tokens = min(self._burst, self._tokens + elapsed_s * self._rate_per_s) - 1.0
        if self._tokens >= 0.0:
            return Verdict.ALLOW
        # Below zero only refusals are paid for; a client that waits gets out of debt at the same rate.
        return Verdict.REFUSE if self._tokens >= -FLOOD_BURSTS * self._burst else Verdict.FLOOD

    @property
    def retry_after_s(self) -> float:
        """How long until the next request is allowed."""
        return max(0.0, (1.0 - self._tokens) / self._rate_per_s)
