"""The background work, as a table: what runs how often. The port to the queue that runs it.

`worker.py` hands the table to arq, which is in maintenance: another queue that can run a coroutine on a
schedule, once for all workers, replaces that one file. A task must be safe to run late, twice, or at
the same time as itself.
"""

from collections.abc import Awaitable, Callable
from datetime import timedelta

import msgspec

from matcher import audit, metrics
from matcher.accounts.repository import delete_stale
from matcher.core import RENDERERS, Core
from matcher.db import load_queries
from matcher.pushing import Pushing
from matcher.quotes.settling import expire_quotes
from matcher.quotes.sweeps import Sweeps
from matcher.transactions import sweep

SWEEP_BATCH = 500
DELETE_OLD_KEYS = load_queries("matcher", "transactions.sql")["delete_old_keys"]

Run = Callable[[], Awaitable[object]]


class Task(msgspec.Struct, frozen=True):
    """Something to do every so often. `every_s` divides a minute, or is a whole number of minutes."""

    name: str
    every_s: int
    run: Run


def periodic_tasks(core: Core) -> list[Task]:
    """Everything that runs on a schedule."""
    sweeps = Sweeps(core.transactions, core.planner, core.settings)

    async def sweep_outbox() -> None:
        swept = SWEEP_BATCH
        while swept == SWEEP_BATCH:
            swept = await sweep(
                core.pool,
                core.log.append,
                RENDERERS,
                older_than_s=core.settings.outbox_grace_s,
                limit=SWEEP_BATCH,
            )
            metrics.OUTBOX_SWEPT.inc(swept)

    async def delete_old_keys() -> None:
        await core.pool.execute(DELETE_OLD_KEYS, timedelta(seconds=core.settings.idempotency_keep_s))

    async def delete_old_events() -> None:
        await audit.delete_old(core.pool, timedelta(seconds=core.settings.audit_keep_s))

    async def delete_stale_sessions() -> None:
        settings = core.settings
        await delete_stale(
            core.pool,
            access_life=timedelta(seconds=settings.access_token_s),
            failures_window=timedelta(seconds=settings.login_window_s),
        )

    return [
        Task("expire-orders", 1, sweeps.expire_orders),
        Task("expire-quotes", 1, lambda: expire_quotes(core.transactions, SWEEP_BATCH)),
        Task("widen-orders", 1, sweeps.widen_orders),
        Task("sweep-outbox", 1, sweep_outbox),
        Task("revoke-closed-shops", 10, sweeps.revoke_closed_shops),
        Task("close-abandoned-orders", 60, sweeps.close_abandoned_orders),
        Task("close-old-drafts", 600, sweeps.close_old_drafts),
        Task("delete-old-keys", 600, delete_old_keys),
        Task("delete-old-events", 600, delete_old_events),
        Task("delete-stale-sessions", 600, delete_stale_sessions),
    ]


def push_tasks(pushing: Pushing) -> list[Task]:
    """Reaching people whose sockets did not acknowledge."""
    return [
        Task("follow-pushes", 1, pushing.feed.follow),
        Task("send-pushes", 1, pushing.sender.send_due),
        Task("delete-old-pushes", 600, pushing.delete_old),
    ]
