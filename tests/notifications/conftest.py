from collections.abc import AsyncIterator

import pytest

from matcher.settings import Settings
from tests.notifications.world import World, open_world


@pytest.fixture
async def world(database_url: str, clean_database: None, settings: Settings) -> AsyncIterator[World]:
    async with open_world(database_url, settings) as world:
        yield world
