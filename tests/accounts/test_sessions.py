from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from matcher.accounts.sessions import Session, Step, decide
from matcher.ids import uuid7

START = datetime(2026, 3, 1, tzinfo=UTC)
GRACE = timedelta(seconds=30)
LIFE = timedelta(days=30)


def session(**changed: object) -> Session:
    fields: dict[str, object] = {
        "id": uuid7(),
        "user_id": uuid7(),
        "epoch": 1,
        "generation": 5,
        "advanced_at": START,
        "expires_at": START + LIFE,
        "revoked_at": None,
    }
    return Session(**(fields | changed))  # type: ignore[arg-type]  # a test's shorthand


@pytest.mark.parametrize(
    ("generation", "after", "step"),
    [
        (5, timedelta(0), Step.ADVANCE),
        (5, LIFE - timedelta(microseconds=1), Step.ADVANCE),
        (5, LIFE, Step.REFUSE),
        (4, GRACE - timedelta(microseconds=1), Step.REPEAT),
        (4, GRACE, Step.REVOKE),
        (3, timedelta(0), Step.REVOKE),
        (0, timedelta(0), Step.REVOKE),
        (6, timedelta(0), Step.REVOKE),  # never issued: only a copy of our key could have made it
        (3, LIFE, Step.REFUSE),
    ],
)
def test_what_a_generation_may_do_at_a_moment(generation: int, after: timedelta, step: Step) -> None:
    assert decide(session(), generation, START + after, epoch=1, grace=GRACE) is step


@pytest.mark.parametrize("generation", [3, 4, 5])
def test_an_ended_session_changes_no_more(generation: int) -> None:
    revoked = session(revoked_at=START)
    assert decide(revoked, generation, START, epoch=1, grace=GRACE) is Step.REFUSE
    assert decide(session(), generation, START, epoch=2, grace=GRACE) is Step.REFUSE


class TwoHolders(RuleBasedStateMachine):
    """An honest client whose replies may be lost, and a thief who copies its token at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.now = START
        self.session = session(generation=0)
        self.honest = 0  # the generation of the token that the client holds
        self.stolen: int | None = None
        self.thief_refreshed = False
        self.honest_waited_too_long = False

    def refresh(self, generation: int) -> int | None:
        step = decide(self.session, generation, self.now, epoch=1, grace=GRACE)
        if step is Step.ADVANCE:
            self.session = session(
                generation=generation + 1, advanced_at=self.now, expires_at=self.now + LIFE
            )
        elif step is Step.REVOKE:
            self.session = session(generation=self.session.generation, revoked_at=self.now)
        return generation + 1 if step in (Step.ADVANCE, Step.REPEAT) else None

    @rule(seconds=st.sampled_from([1, 10, 29, 30, 31, 900]))
    def wait(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @rule(lost=st.booleans())
    def client_refreshes(self, lost: bool) -> None:
        behind = self.session.generation - self.honest
        late = behind and self.now >= self.session.advanced_at + GRACE
        self.honest_waited_too_long |= bool(late)
        alive = self.session.revoked_at is None
        issued = self.refresh(self.honest)
        if not self.thief_refreshed and not self.honest_waited_too_long:
            assert issued is not None, "an honest client that repeats in time is never shut out"
        if behind >= 2 and alive:
            assert self.session.revoked_at is not None, "a token two behind tells that someone else refreshes"
        if issued is not None and not lost:
            self.honest = issued

    @rule()
    def thief_copies(self) -> None:
        self.stolen = self.honest

    @precondition(lambda self: self.stolen is not None)
    @rule()
    def thief_refreshes(self) -> None:
        assert self.stolen is not None
        alive = self.session.revoked_at is None
        self.thief_refreshed = True
        late = self.stolen != self.session.generation and self.now >= self.session.advanced_at + GRACE
        issued = self.refresh(self.stolen)
        if late and alive:
            assert self.session.revoked_at is not None, "an old token used late ends the session for both"
        if issued is not None:
            self.stolen = issued

    @invariant()
    def nobody_is_ahead_of_the_session(self) -> None:
        assert self.honest <= self.session.generation
        assert self.stolen is None or self.stolen <= self.session.generation


TestTwoHolders = TwoHolders.TestCase
