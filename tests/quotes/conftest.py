"""A pool whose clock the test turns, and the quote service on it."""

from collections.abc import AsyncIterator

import pytest

from matcher.db import Pool, create_pool
from tests.quotes.factories import Clock, Quoting, make_quoting


@pytest.fixture
def clock() -> Clock:
    """The database's time on the connections of `clocked_pool`."""
    return Clock()


@pytest.fixture
async def clocked_pool(database_url: str, clean_database: None, clock: Clock) -> AsyncIterator[Pool]:
    """A pool of the empty database, where time is what `clock` says."""
    pool = await create_pool(database_url, min_size=0, max_size=10, setup=clock.setup)
    yield pool
    await pool.close()


@pytest.fixture
def quoting(clocked_pool: Pool) -> Quoting:
    """The quote service at the test's time."""
    return make_quoting(clocked_pool)
