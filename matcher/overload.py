"""When a busy process lets a request in, lets it wait, or turns it away: pure, the time is passed in.

Owns the rule: so many run at once, others wait in line, and how long they may wait depends on whether the line is a
burst or stands. A line that was empty a moment ago drains by itself: waiting is right. One that has not been empty for
`patience_s` will not: whoever comes then waits `target_s` at most, so that those who are let in are answered soon
(CoDel, RFC 8289, as Facebook applies it to requests: Maurer, "Fail at Scale", ACM Queue 13(8), 2015). Once the line
has been empty, patience is back. Must not know what a request is.
"""

from collections import OrderedDict


class Ticket:
    """A request that is running, or in line until `deadline_s`."""

    __slots__ = ("deadline_s",)

    def __init__(self, deadline_s: float) -> None:
        self.deadline_s = deadline_s


class Gate:
    """See the module. Every request that was let in ends with `leave`."""

    def __init__(self, *, at_once: int, waiting_max: int, patience_s: float, target_s: float) -> None:
        self.running = 0
        self._at_once = at_once
        self._waiting_max = waiting_max
        self._patience_s = patience_s
        self._target_s = target_s
        self._line: OrderedDict[Ticket, None] = OrderedDict()
        self._empty_at_s = 0.0  # set by `enter`, before anybody waits

    @property
    def waiting(self) -> int:
        """Requests in line."""
        return len(self._line)

    def enter(self, now_s: float) -> bool:
        """Whether a request may run at once; else ask for a place in line."""
        if self._line:
            return False
        self._empty_at_s = now_s
        if self.running >= self._at_once:
            return False
        self.running += 1
        return True

    def queue(self, now_s: float) -> Ticket | None:
        """A place in line for a request that `enter` did not let in; None when the line is full."""
        if len(self._line) >= self._waiting_max:
            return None
        stands = now_s - self._empty_at_s >= self._patience_s
        ticket = Ticket(now_s + (self._target_s if stands else self._patience_s))
        self._line[ticket] = None
        return ticket

    def give_up(self, ticket: Ticket) -> None:
        """Leave the line: the deadline has passed, or the client has gone."""
        self._line.pop(ticket, None)

    def leave(self, now_s: float) -> Ticket | None:
        """A running request has ended; the ticket that runs in its place, if there is one in time."""
        while self._line:
            ticket, _ = self._line.popitem(last=False)
            if now_s < ticket.deadline_s:
                return ticket
        self._empty_at_s = now_s
        self.running -= 1
        return None
