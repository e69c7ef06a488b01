"""The rule of refresh tokens, pure: what a token of some generation may do to its session at some moment.

A session is a chain of generations, each a refresh token. The newest one advances the chain. Its immediate
predecessor may repeat for a while: a reply that was lost on its way is no theft, and the repeat gets the
very token that the lost reply carried. Anything older, or a later repeat, means that two parties hold the
chain, and ends it (RFC 9700 section 4.14.2).
"""

from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

import msgspec


class Session(msgspec.Struct, frozen=True):
    """A session as stored. `generation` is that of its newest refresh token, first issued at `advanced_at`."""

    id: UUID
    user_id: UUID
    epoch: int
    generation: int
    advanced_at: datetime
    expires_at: datetime
    revoked_at: datetime | None


class Step(StrEnum):
    """What a refresh does."""

    ADVANCE = "advance"
    REPEAT = "repeat"
    REVOKE = "revoke"
    REFUSE = "refuse"  # ended already; nothing changes


def decide(session: Session, generation: int, now: datetime, *, epoch: int, grace: timedelta) -> Step:
    """What a refresh token of `generation` does at `now`; `epoch` is its account's session epoch."""
    if session.revoked_at is not None or session.epoch != epoch or now >= session.expires_at:
        return Step.REFUSE
    if generation == session.generation:
        return Step.ADVANCE
    if generation == session.generation - 1 and now < session.advanced_at + grace:
        return Step.REPEAT
    return Step.REVOKE
