"""The proof at the end, from outside: wait until nothing moves any more, then gather what `laws` compares.

Owns: waiting and gathering. Must not write anything.
"""

import asyncio
import contextlib
import time
from collections.abc import Sequence
from uuid import UUID

import msgspec

from matcher.chaos.crowd import Crowd
from matcher.chaos.laws import EVENTS, ROLLING, STUCK, Books, Told, Verdicts, judge
from matcher.chaos.people import Person
from matcher.chaos.watch import Watch
from matcher.db import Pool, load_queries, snapshot
from matcher.demo.check import settle
from matcher.demo.client import Refused, Unreachable
from matcher.demo.live_socket import fresh_snapshot
from matcher.demo.model import Model
from matcher.demo.verdict import Stored

SQL = load_queries("matcher.chaos")
GRACE_S = 10.0  # so long after its end an order may still be open: the worker looks every second
_ANSWERED_TIMEOUT_S = 90.0
_CONNECTED_TIMEOUT_S = 20.0
_POLL_S = 0.25


class Unsettled(msgspec.Struct, frozen=True):
    """What the service still has to do."""

    stuck: int
    open: int
    outbox: int


async def come_to_rest(crowd: Crowd, people: Sequence[Person], pool: Pool, order_open_s: float) -> Unsettled:
    """Wait until everything asked is answered, every order is over and the outbox is empty; bounded."""
    await crowd.finish(_ANSWERED_TIMEOUT_S)
    deadline_s = time.monotonic() + order_open_s + GRACE_S
    while True:
        row = await pool.fetchrow(SQL["unsettled"], GRACE_S)
        assert row is not None, "an aggregate has a row"
        left = Unsettled(stuck=row["stuck"], open=row["open"], outbox=row["outbox"])
        if not (left.open or left.outbox) or time.monotonic() > deadline_s:
            break
        await asyncio.sleep(_POLL_S)
    # Nothing changes any more: who is connected at some moment from here on receives all that is missing.
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_CONNECTED_TIMEOUT_S):
            for person in people:
                await person.socket.connected.wait()
    await settle(crowd.journal)
    return left


async def prove(
    crowd: Crowd, watch: Watch, people: Sequence[Person], pool: Pool, left: Unsettled
) -> Verdicts:
    """A verdict for each law."""
    told, missing = [], []
    for person in people:
        try:
            fresh = await fresh_snapshot(person.api, person.account, person.model.recipient, person.shop_id)
        except (Refused, Unreachable) as failure:
            fresh = Model(person.model.recipient)
            missing.append(f"{person.model.recipient} has no snapshot: {failure.detail}")
        told.append(Told(model=person.model, fresh=fresh, snapshot_at_s=person.snapshot_at_s))
    users = [UUID(person.account.user_id) for person in people]
    async with snapshot(pool) as connection:
        stored = Stored(
            orders=[dict(row) for row in await connection.fetch(SQL["orders"], users)],
            dispatches=[dict(row) for row in await connection.fetch(SQL["dispatches"], users)],
            quotes=[dict(row) for row in await connection.fetch(SQL["quotes"], users)],
        )
    verdicts = judge(crowd.journal, Books.of(stored), told)
    verdicts[EVENTS].add(missing, len(people))
    stuck = [f"{left.stuck} orders are open {GRACE_S:.0f} s after their end"] if left.stuck else []
    waiting = [f"{left.outbox} rows wait in the outbox"] if left.outbox else []
    verdicts[STUCK].add([*stuck, *waiting], len(stored.orders))
    verdicts[ROLLING].add(watch.rolling_failures, watch.faults["rolling restart"])
    return verdicts
