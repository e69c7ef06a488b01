"""What the harness notes while it runs: failed attempts, and how soon after a kill somebody is served again.

Owns: the record. Must not do input or output; moments are Unix seconds, handed in.
"""

from collections import Counter, defaultdict

import msgspec


class Kill(msgspec.Struct, kw_only=True):
    """One kill, and when it was over for the clients."""

    component: str
    at_s: float
    origin: str | None = None  # only this process's answers count: it is the one that was killed
    listeners: frozenset[str] | None = None  # only their events count: their sockets were cut
    by_expiry: bool = False  # only news of an expiry counts: that is a worker's doing
    request_s: float | None = None  # until the first request sent after the kill was acknowledged
    event_s: float | None = None  # until the first event of after the kill was received

    @property
    def is_over(self) -> bool:
        """Whether requests are answered and events arrive again."""
        return self.event_s is not None and (self.request_s is not None or not self.asks_requests)

    @property
    def asks_requests(self) -> bool:
        """Whether its requests' recovery means anything: a worker answers none."""
        return not self.by_expiry


class Watch:
    """The record of one run."""

    def __init__(self) -> None:
        self.kills: list[Kill] = []
        self.faults: Counter[str] = Counter()  # of each name, kills and others
        self.failures: Counter[str] = Counter()  # attempts that were repeated, by what went wrong
        self.answers = 0
        self.rolling_failures: list[str] = []  # attempts that failed while the service was rolled over
        self.rolling = False
        self._open: dict[str, list[Kill]] = defaultdict(list)

    def record_kill(self, kill: Kill) -> None:
        """Something was killed just now."""
        self.kills.append(kill)
        # Of each component only the latest is waited for: what was not over by then stays unknown.
        self._open[kill.component] = [kill]

    def record_failure(self, origin: str, what: str, after_s: float = 0.0) -> None:
        """An attempt had no answer, or one that is worth repeating, so long after it was sent."""
        self.failures[what] += 1
        if self.rolling:
            self.rolling_failures.append(f"{what} at {origin} after {after_s:.2f} s")

    def record_answer(self, origin: str, sent_at_s: float, now_s: float) -> None:
        """A request that writes was acknowledged."""
        self.answers += 1
        for kill in self._waiting():
            is_news = kill.request_s is None and kill.asks_requests and sent_at_s >= kill.at_s
            if is_news and kill.origin in (None, origin):
                kill.request_s = now_s - kill.at_s

    def record_event(self, recipient: str, happened_at_s: float, *, expired: bool, now_s: float) -> None:
        """A client received an event."""
        for kill in self._waiting():
            if kill.event_s is not None or happened_at_s < kill.at_s or (kill.by_expiry and not expired):
                continue
            if kill.listeners is None or recipient in kill.listeners:
                kill.event_s = now_s - kill.at_s

    def _waiting(self) -> list[Kill]:
        return [kill for kills in self._open.values() for kill in kills]
