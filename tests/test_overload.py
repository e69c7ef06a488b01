from collections import OrderedDict, deque

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from matcher.overload import Gate, Ticket

AT_ONCE, WAITING_MAX, PATIENCE_S, TARGET_S = 2, 3, 1.0, 0.1


def make_gate(*, at_once: int = AT_ONCE, waiting_max: int = WAITING_MAX) -> Gate:
    return Gate(at_once=at_once, waiting_max=waiting_max, patience_s=PATIENCE_S, target_s=TARGET_S)


def busy_gate(now_s: float = 0.0) -> Gate:
    gate = make_gate()
    assert all(gate.enter(now_s) for _ in range(AT_ONCE))
    return gate


def place(gate: Gate, now_s: float) -> Ticket:
    assert not gate.enter(now_s)
    ticket = gate.queue(now_s)
    assert ticket is not None
    return ticket


def test_so_many_run_and_so_many_wait_and_no_more() -> None:
    gate = busy_gate()
    for _ in range(WAITING_MAX):
        place(gate, 0.0)
    assert not gate.enter(0.0)
    assert gate.queue(0.0) is None


def test_turns_come_in_the_order_of_arrival() -> None:
    gate = busy_gate()
    tickets = [place(gate, 0.0) for _ in range(3)]
    assert [gate.leave(0.5) for _ in range(5)] == [*tickets, None, None]
    assert gate.running == 0


def test_nobody_overtakes_the_line() -> None:
    gate = busy_gate()
    first = place(gate, 0.0)
    assert gate.leave(0.1) is first
    waiting = place(gate, 0.2)
    gate.give_up(waiting)
    assert gate.leave(0.3) is None
    assert gate.enter(0.3)


def test_who_waited_too_long_is_passed_over() -> None:
    gate = busy_gate()
    place(gate, 0.0)
    later = place(gate, 0.5)
    assert gate.leave(PATIENCE_S) is later


def test_a_burst_may_wait_and_a_standing_line_may_not() -> None:
    gate = busy_gate()
    assert place(gate, 0.0).deadline_s == PATIENCE_S
    assert place(gate, 0.9).deadline_s == 0.9 + PATIENCE_S
    assert place(gate, PATIENCE_S).deadline_s == PATIENCE_S + TARGET_S


def test_an_empty_line_brings_patience_back() -> None:
    gate = busy_gate()
    place(gate, 0.0)
    standing = place(gate, 5.0)
    assert standing.deadline_s == 5.0 + TARGET_S
    gate.give_up(standing)
    assert gate.leave(5.2) is None
    assert gate.enter(5.2)
    assert place(gate, 5.3).deadline_s == 5.3 + PATIENCE_S


SERVICE_S = 0.02


class Shop:
    """A simulated process: `at_once` places, each busy for `SERVICE_S` a request."""

    def __init__(self, at_once: int) -> None:
        self.gate = make_gate(at_once=at_once, waiting_max=10_000)
        self.ends: deque[float] = deque()  # of those who run, in order: all take the same time
        self.line: OrderedDict[Ticket, float] = OrderedDict()
        self.waits: list[tuple[float, float]] = []  # of those let in: (arrived, waited)
        self.refused: list[float] = []

    def arrive(self, now_s: float) -> None:
        self.pass_time(now_s)
        if self.gate.enter(now_s):
            self.begin(now_s, now_s)
            return
        ticket = self.gate.queue(now_s)
        assert ticket is not None
        self.line[ticket] = now_s

    def begin(self, arrived_s: float, now_s: float) -> None:
        self.waits.append((arrived_s, now_s - arrived_s))
        self.ends.append(now_s + SERVICE_S)

    def pass_time(self, now_s: float) -> None:
        while self.ends and self.ends[0] <= now_s:
            ended_s = self.ends.popleft()
            self.refuse_late(ended_s)
            ticket = self.gate.leave(ended_s)
            if ticket is not None:
                self.begin(self.line.pop(ticket), ended_s)
        self.refuse_late(now_s)

    def refuse_late(self, now_s: float) -> None:
        for ticket in [ticket for ticket in self.line if ticket.deadline_s <= now_s]:
            self.gate.give_up(ticket)
            self.refused.append(self.line.pop(ticket))


@settings(max_examples=20)
@given(st.floats(1.5, 6.0), st.integers(1, 4))
def test_overload_is_shed_without_long_waits_or_idle_places_and_passes(load: float, at_once: int) -> None:
    shop, now_s = Shop(at_once), 0.0
    while now_s < 12.0:  # eight seconds of too much, then half of what can be served
        now_s += SERVICE_S / at_once / (load if now_s < 8.0 else 0.5)
        shop.arrive(now_s)

    assert shop.refused, "more came than can be served"
    settled = [wait for arrived, wait in shop.waits if 4.0 < arrived < 8.0]
    assert max(wait for _, wait in shop.waits) <= PATIENCE_S
    assert max(settled) <= TARGET_S, "a standing line is as short as the target"
    assert len(settled) >= 0.9 * 4.0 * at_once / SERVICE_S, "turning away costs no throughput"
    assert not [arrived for arrived in shop.refused if arrived > 8.5], "it recovers by itself"


class GateMachine(RuleBasedStateMachine):
    """Any order of arrivals, ends and departures keeps the books."""

    def __init__(self) -> None:
        super().__init__()
        self.gate, self.now_s, self.running = make_gate(), 0.0, 0
        self.line: list[Ticket] = []

    @rule(gap_s=st.floats(0.0, 2.0))
    def time_passes(self, gap_s: float) -> None:
        self.now_s += gap_s

    @rule()
    def arrive(self) -> None:
        if self.gate.enter(self.now_s):
            assert not self.line
            self.running += 1
        elif (ticket := self.gate.queue(self.now_s)) is not None:
            self.line.append(ticket)
        else:
            assert len(self.line) == WAITING_MAX

    @precondition(lambda self: self.running)
    @rule()
    def end(self) -> None:
        ticket = self.gate.leave(self.now_s)
        if ticket is None:
            self.running -= 1
            assert all(t.deadline_s <= self.now_s for t in self.line)
            self.line.clear()
        else:
            at = self.line.index(ticket)
            assert all(t.deadline_s <= self.now_s for t in self.line[:at])
            del self.line[: at + 1]

    @precondition(lambda self: self.line)
    @rule(data=st.data())
    def give_up(self, data: st.DataObject) -> None:
        ticket = data.draw(st.sampled_from(self.line))
        self.line.remove(ticket)
        self.gate.give_up(ticket)

    @invariant()
    def the_books_agree(self) -> None:
        assert (self.gate.running, self.gate.waiting) == (self.running, len(self.line))
        assert self.running <= AT_ONCE
        assert not self.line or self.running == AT_ONCE, "nobody waits while there is room"


TestGate = GateMachine.TestCase
