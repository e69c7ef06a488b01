import contextlib
import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from matcher.realtime.memory_log import MemoryLog
from matcher.realtime.server_protocol import WireProtocol
from matcher.settings import Settings
from tests.realtime.world import Account, Identities, Process, Store, start_process

StartProcess = Callable[..., Awaitable[Process]]


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def identities() -> Identities:
    return Identities()


@pytest.fixture
def account(identities: Identities) -> Account:
    return identities.sign_in(Account())


@pytest.fixture
def memory_log() -> MemoryLog:
    return MemoryLog()


@pytest.fixture
async def start(store: Store, identities: Identities, memory_log: MemoryLog) -> AsyncIterator[StartProcess]:
    """Start API processes: `await start(setting=…)`, over the memory log unless `log` is given."""
    async with contextlib.AsyncExitStack() as stack:

        async def start_one(**options: Any) -> Process:
            log, ready_s = options.pop("log", memory_log), options.pop("ready_s", 10.0)
            ws = options.pop("ws", WireProtocol)
            settings = dataclasses.replace(Settings(), **options)
            process = await stack.enter_async_context(start_process(log, store, identities, settings, ws=ws))
            await process.hub.wait_ready(ready_s)
            return process

        yield start_one
