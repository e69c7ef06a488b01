"""A change feed sees every committed change, those that commit late included."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from matcher.changes import ChangeFeed
from matcher.core import running
from matcher.db import Pool
from matcher.ids import uuid7

FOLLOW = "SELECT id, name FROM users WHERE changed_xid >= $1"
INSERT = "INSERT INTO users (id, name, role) VALUES ($1, $2, 'customer')"


class Follower:
    def __init__(self, pool: Pool) -> None:
        self.names: set[str] = set()
        self.feed = ChangeFeed(pool, FOLLOW, self.apply, poll_s=0.01)

    def apply(self, rows: Sequence[Any]) -> None:
        self.names |= {row["name"] for row in rows}


@pytest.fixture
async def follower(pool: Pool) -> Follower:
    follower = Follower(pool)
    await follower.feed.start_here()
    return follower


async def test_changes_after_the_start_are_seen(pool: Pool, follower: Follower) -> None:
    await pool.execute(INSERT, uuid7(), "new")
    await follower.feed.refresh()
    assert follower.names == {"new"}


async def test_an_update_is_a_change(pool: Pool, follower: Follower) -> None:
    identity = uuid7()
    await pool.execute(INSERT, identity, "old")
    await follower.feed.refresh()
    await pool.execute("UPDATE users SET name = 'newer' WHERE id = $1", identity)
    await follower.feed.refresh()
    assert follower.names == {"old", "newer"}


async def test_a_transaction_that_commits_late_is_not_skipped(pool: Pool, follower: Follower) -> None:
    async with pool.acquire() as slow:
        transaction = slow.transaction()
        await transaction.start()
        await slow.execute(INSERT, uuid7(), "early but late")
        await pool.execute(INSERT, uuid7(), "quick")
        await follower.feed.refresh()
        await follower.feed.refresh()
        assert follower.names == {"quick"}
        await transaction.commit()
    await follower.feed.refresh()
    assert follower.names == {"quick", "early but late"}


async def test_what_is_old_is_not_read_again(pool: Pool, follower: Follower) -> None:
    await pool.execute(INSERT, uuid7(), "once")
    assert await follower.feed.refresh() == 1
    # The watermark covers it for as long as any transaction of the whole server is as old, another test's too.
    async with asyncio.timeout(30):
        while await follower.feed.refresh():  # noqa: ASYNC110  other tests' transactions have no event here
            await asyncio.sleep(0.01)


async def test_following_outlives_a_lost_connection(pool: Pool, follower: Follower) -> None:
    seen = asyncio.Event()
    follower.feed._apply = lambda _: seen.set()
    async with running(follower.feed.run()):
        await pool.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        await pool.execute(INSERT, uuid7(), "after")
        await asyncio.wait_for(seen.wait(), timeout=5)
