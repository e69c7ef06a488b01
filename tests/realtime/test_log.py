"""One contract for both logs; Redis' own ways to lose entries after it."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matcher.events import Event, Target
from matcher.realtime.cursor import Position
from matcher.realtime.log import (
    ENTRY_BYTES,
    Entry,
    EventLog,
    LogReader,
    LogReset,
    decode_entry,
    partition_of,
    split_events,
)
from matcher.realtime.memory_log import MemoryLog
from matcher.realtime.redis_log import RedisLog
from matcher.redis import RedisClient, create_redis

AGES_S = 3600.0


def event(version: int, *recipients: str, size: int = 0) -> Event:
    targets = tuple(Target(r, f"e.{version}", b"") for r in recipients or ("user:1",))
    return Event("order-status-update", "order", version, "now", b'"x":"%b"' % (b"x" * size), targets)


@dataclass
class World:
    log: EventLog
    reader: LogReader
    empty: Callable[[], Awaitable[None]]
    trim_to: Callable[[int], Awaitable[EventLog]]

    async def versions_after(self, position: Position) -> list[int]:
        return [e.version for entry in await self.read(position) for e in entry.events]

    async def read(self, after: Position) -> list[Entry]:
        return await self.reader.read(after, block_s=1.0)


@pytest.fixture(params=["memory", "redis"])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        if request.param == "memory":
            memory = MemoryLog()

            async def empty() -> None:
                memory.empty()

            async def trim_to(entries: int) -> EventLog:
                memory._entries_max = entries
                return memory

            yield World(memory, memory.reader(0), empty, trim_to)
            return
        url, prefix = request.getfixturevalue("redis_url"), request.getfixturevalue("redis_prefix")
        redis_log, client = RedisLog(url, prefix), create_redis(url)
        reader = redis_log.reader(0)
        for closing in (redis_log.close, reader.close, client.aclose):
            stack.push_async_callback(closing)

        async def delete() -> None:
            await client.delete(f"{prefix}log:{{0}}")

        async def trim_redis_to(entries: int) -> EventLog:
            await client.xtrim(f"{prefix}log:{{0}}", maxlen=entries, approximate=False)
            return redis_log

        yield World(redis_log, reader, delete, trim_redis_to)


async def test_what_is_appended_is_read_in_order_without_gaps(world: World) -> None:
    start = await world.reader.open()
    for version in range(1, 4):
        await world.log.append([event(version), event(version + 10)])

    entries = await world.read(start)

    assert [e.version for entry in entries for e in entry.events] == [1, 11, 2, 12, 3, 13]
    assert [entry.position.sequence for entry in entries] == [start.sequence + i for i in (1, 2, 3)]
    assert {entry.position.generation for entry in entries} == {start.generation}
    assert abs(entries[0].at_s - time.time()) < 60


async def test_events_come_back_as_they_went_in(world: World) -> None:
    start = await world.reader.open()
    original = Event(
        "n",
        "quote",
        7,
        "at",
        '"ü":1'.encode(),
        (Target("shop:1", "q.7", b'"own":2'), Target("user:2", "q.7", b"")),
    )
    await world.log.append([original])

    (entry,) = await world.read(start)

    assert list(entry.events) == [original]


async def test_a_waiting_reader_gets_what_comes(world: World) -> None:
    start = await world.reader.open()
    reading = asyncio.create_task(world.reader.read(start, block_s=30.0))
    await asyncio.sleep(0)
    await world.log.append([event(1)])

    assert [entry.position for entry in await reading] == [start.next]


async def test_a_quiet_log_gives_nothing(world: World) -> None:
    start = await world.reader.open()

    assert await world.reader.read(start, block_s=0.01) == []


async def test_an_emptied_log_resets_an_idle_reader(world: World) -> None:
    start = await world.reader.open()
    await world.log.append([event(1)])
    (entry,) = await world.read(start)
    await world.empty()

    with pytest.raises(LogReset):
        await world.reader.read(entry.position, block_s=0.01)


async def test_an_emptied_log_resets_its_reader_even_when_it_has_grown_again(world: World) -> None:
    position = await world.reader.open()
    await world.log.append([event(1)])
    (entry,) = await world.read(position)
    await world.empty()
    for version in range(2, 6):
        await world.log.append([event(version)])

    with pytest.raises(LogReset):
        await world.read(entry.position)


async def test_numbers_never_repeat_after_the_log_was_emptied(world: World) -> None:
    before = await world.reader.open()
    await world.empty()
    await world.log.append([event(1)])

    after = await world.reader.open()

    assert after.generation > before.generation


async def test_a_reset_reader_opens_at_the_newest_and_goes_on(world: World) -> None:
    position = await world.reader.open()
    await world.empty()
    with pytest.raises(LogReset):
        await world.reader.read(position, block_s=0.01)

    position = await world.reader.open()
    await world.log.append([event(5)])

    assert await world.versions_after(position) == [5]


async def test_a_reader_that_fell_behind_the_oldest_entry_is_reset(world: World) -> None:
    start = await world.reader.open()
    for version in range(1, 6):
        await world.log.append([event(version)])
    trimmed = await world.trim_to(2)
    await trimmed.append([event(6)])

    with pytest.raises(LogReset):
        await world.read(start)


async def test_reading_back_gives_the_newest_that_fit_oldest_first(world: World) -> None:
    await world.reader.open()
    for version in range(1, 251):
        await world.log.append([event(version, size=100)])
    newest = await world.reader.open()

    entries = await world.reader.read_back(newest, bytes_max=10**9, since_s=0.0)
    assert [e.version for entry in entries for e in entry.events] == list(range(1, 251))
    assert entries[-1].position == newest

    few = await world.reader.read_back(newest, bytes_max=5 * entries[-1].size_bytes, since_s=0.0)
    assert [e.version for entry in few for e in entry.events] == [246, 247, 248, 249, 250]

    assert await world.reader.read_back(newest, bytes_max=10**9, since_s=time.time() + AGES_S) == []


async def test_an_append_of_nothing_writes_nothing(world: World) -> None:
    start = await world.reader.open()
    await world.log.append([])

    assert await world.reader.open() == start


# What only Redis does.


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[RedisClient]:
    client = create_redis(redis_url)
    yield client
    await client.aclose()


@pytest.fixture
async def redis_log(redis_url: str, redis_prefix: str) -> AsyncIterator[RedisLog]:
    log = RedisLog(redis_url, redis_prefix)
    yield log
    await log.close()


@pytest.fixture
async def reader(redis_log: RedisLog) -> AsyncIterator[LogReader]:
    reader = redis_log.reader(0)
    yield reader
    await reader.close()


async def test_the_epoch_is_the_run_of_redis(client: RedisClient, reader: LogReader) -> None:
    await reader.open()

    info = await client.info("server")
    assert reader.epoch == bytes.fromhex(info["run_id"])[:8]


async def test_a_restarted_redis_resets_the_reader(reader: LogReader, redis_log: RedisLog) -> None:
    position = await reader.open()
    reader.epoch = b"the past"  # type: ignore[misc]  # as if the last connection had met another run
    await redis_log.append([event(1)])

    with pytest.raises(LogReset):
        await reader.read(position, block_s=1.0)


async def test_a_lost_generation_key_does_not_interrupt_the_numbers(
    client: RedisClient, redis_prefix: str, redis_log: RedisLog, reader: LogReader
) -> None:
    position = await reader.open()
    await client.delete(f"{redis_prefix}log:{{0}}:generation")
    await redis_log.append([event(1)])

    assert [e.position for e in await reader.read(position, block_s=1.0)] == [position.next]


async def test_a_lost_redis_begins_a_new_generation(
    client: RedisClient, redis_prefix: str, redis_log: RedisLog, reader: LogReader
) -> None:
    before = await reader.open()
    await client.delete(f"{redis_prefix}log:{{0}}:generation", f"{redis_prefix}log:{{0}}")
    await redis_log.append([event(1)])

    assert (await reader.open()).generation > before.generation


async def test_a_log_that_went_back_does_not_reuse_its_numbers(
    client: RedisClient, redis_prefix: str, redis_log: RedisLog, reader: LogReader
) -> None:
    await reader.open()
    for version in range(1, 4):
        await redis_log.append([event(version)])
    seen = await reader.open()
    # A restored backup: the stream as it was two entries ago, under the same run and generation.
    await client.delete(f"{redis_prefix}log:{{0}}")
    old = f"{seen.generation}-{seen.sequence - 2}"
    await client.xadd(f"{redis_prefix}log:{{0}}", {"d": b""}, id=old)

    with pytest.raises(LogReset):
        await reader.read(seen, block_s=0.01)
    fresh = await reader.open()
    other = redis_log.reader(0)
    assert fresh.generation > seen.generation
    assert await other.open() == fresh
    await other.close()


async def test_an_entry_that_cannot_be_read_is_a_loss(
    client: RedisClient, redis_prefix: str, reader: LogReader
) -> None:
    position = await reader.open()
    await client.xadd(f"{redis_prefix}log:{{0}}", {"d": b"\xc1"}, id=f"{position.generation}-*")

    with pytest.raises(LogReset):
        await reader.read(position, block_s=1.0)
    newest = await reader.open()
    assert await reader.read_back(newest, bytes_max=10**9, since_s=0.0) == []


async def test_the_number_of_entries_is_bounded(
    client: RedisClient, redis_url: str, redis_prefix: str
) -> None:
    log = RedisLog(redis_url, redis_prefix, entries_max=100)
    for version in range(500):
        await log.append([event(version)])
    await log.close()

    # MAXLEN ~ trims whole nodes of 100 entries.
    assert await client.xlen(f"{redis_prefix}log:{{0}}") <= 200


async def test_partitions_hold_each_recipient_in_one_place(redis_url: str, redis_prefix: str) -> None:
    log = RedisLog(redis_url, redis_prefix, partitions=3)
    readers = [log.reader(partition) for partition in range(3)]
    starts = [await reader.open() for reader in readers]
    recipients = [f"shop:{i}" for i in range(20)]
    await log.append([event(1, *recipients)])

    found: dict[str, int] = {}
    for partition, (reader, start) in enumerate(zip(readers, starts, strict=True)):
        for entry in await reader.read(start, block_s=1.0):
            found |= {t.recipient: partition for e in entry.events for t in e.targets}
        await reader.close()
    await log.close()

    assert found == {recipient: partition_of(recipient, 3) for recipient in recipients}
    assert set(found.values()) == {0, 1, 2}


events = st.lists(
    st.builds(
        lambda version, recipients, size: event(version, *recipients, size=size),
        st.integers(0, 9),
        st.lists(st.sampled_from([f"shop:{i}" for i in range(9)]), unique=True, max_size=5),
        st.sampled_from([0, 1_000, ENTRY_BYTES]),
    ),
    max_size=20,
)


@given(events, st.integers(1, 4))
def test_splitting_keeps_every_delivery_once_and_in_order(batch: list[Event], partitions: int) -> None:
    deliveries: dict[str, list[tuple[str, int]]] = {}
    for one in batch:
        for target in one.targets:
            deliveries.setdefault(target.recipient, []).append((target.id, one.version))

    split: dict[str, list[tuple[str, int]]] = {}
    for partition, piece in split_events(batch, partitions):
        assert sum(len(one.shared) for one in piece[:-1]) <= ENTRY_BYTES
        for one in piece:
            for target in one.targets:
                assert partition_of(target.recipient, partitions) == partition
                split.setdefault(target.recipient, []).append((target.id, one.version))

    assert split == deliveries


def test_a_payload_of_another_version_is_refused() -> None:
    with pytest.raises(LogReset):
        decode_entry(Position(1, 1), b"not msgpack")
