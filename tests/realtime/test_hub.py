"""The hub with sockets that are plain objects."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from uuid import UUID, uuid4

import pytest

from matcher.events import Event, Target
from matcher.realtime.buffer import Delivery
from matcher.realtime.close_codes import Close
from matcher.realtime.cursor import NOWHERE
from matcher.realtime.endings import BUSY
from matcher.realtime.hub import Hub
from matcher.realtime.memory_log import MemoryLog

WAIT_S = 10.0


@dataclass(eq=False)
class Socket:
    recipient: str
    hub: Hub
    user_id: UUID = field(default_factory=uuid4)
    got: list[str] = field(default_factory=list)
    endings: list[Close] = field(default_factory=list)
    resets: int = 0
    slow: bool = False
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    def deliver(self, frame: bytes, delivery: Delivery) -> None:
        self.got.append(delivery.target.id)
        self.arrived.set()
        if self.slow:
            self.close(BUSY)

    def reset(self, delay_s: float) -> None:
        self.resets += 1
        self.arrived.set()

    def close(self, ending: Close) -> None:
        self.endings.append(ending)
        self.hub.leave(self)


def event(name: str, version: int, *recipients: str) -> Event:
    return Event(
        "n", "order", version, "now", b"", tuple(Target(r, f"{name}.{version}", b"") for r in recipients)
    )


@pytest.fixture
def log() -> MemoryLog:
    return MemoryLog(partitions=2)


@pytest.fixture
async def hub(log: MemoryLog) -> AsyncIterator[Hub]:
    hub = Hub(log, buffer_bytes=10**6)
    running = asyncio.create_task(hub.run())
    await hub.wait_ready(WAIT_S)
    yield hub
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


def join(hub: Hub, recipient: str, user_id: UUID | None = None) -> Socket:
    socket = Socket(recipient, hub, user_id or uuid4())
    assert hub.admit(socket, limit=None)
    hub.subscribe(socket)
    return socket


async def arrival(socket: Socket) -> None:
    await asyncio.wait_for(socket.arrived.wait(), WAIT_S)
    socket.arrived.clear()


async def test_a_hub_is_ready_and_healthy_once_it_has_read_the_log(hub: Hub) -> None:
    assert hub.ready
    assert hub.healthy
    assert hub.cursor_of("user:1") != NOWHERE


async def test_before_that_its_cursor_is_nowhere(log: MemoryLog) -> None:
    hub = Hub(log, buffer_bytes=10**6)
    await hub.wait_ready(0.01)

    assert not hub.ready
    assert hub.cursor_of("user:1") == NOWHERE


async def test_every_socket_of_a_recipient_gets_an_event_in_whatever_partition(
    hub: Hub, log: MemoryLog
) -> None:
    sockets = [join(hub, recipient) for recipient in ("user:1", "user:1", "shop:2", "shop:3")]
    await log.append([event("a", 1, "user:1", "shop:2"), event("b", 1, "shop:3", "shop:4")])
    for socket in sockets:
        await arrival(socket)

    assert [socket.got for socket in sockets] == [["a.1"], ["a.1"], ["a.1"], ["b.1"]]


async def test_one_slow_socket_leaves_and_the_others_are_served(hub: Hub, log: MemoryLog) -> None:
    slow, quick = join(hub, "user:1"), join(hub, "user:1")
    slow.slow = True
    await log.append([event("a", 1, "user:1")])
    await log.append([event("b", 1, "user:1")])
    while len(quick.got) < 2:
        await arrival(quick)

    assert (slow.got, slow.endings) == (["a.1"], [BUSY])


async def test_a_failure_of_ours_costs_a_snapshot_and_not_the_process(hub: Hub, log: MemoryLog) -> None:
    class Broken(Socket):
        def deliver(self, frame: bytes, delivery: Delivery) -> None:
            self.hub.leave(self)
            raise RuntimeError("a mistake of ours")

    broken = Broken("user:1", hub)
    assert hub.admit(broken, limit=None)
    hub.subscribe(broken)
    other = join(hub, "user:1")
    await log.append([event("a", 1, "user:1")])
    while other.resets == 0:
        await arrival(other)
    await log.append([event("a", 2, "user:1")])
    while "a.2" not in other.got:
        await arrival(other)

    assert hub.healthy


async def test_sockets_are_counted_per_account(hub: Hub) -> None:
    user_id = uuid4()
    first = join(hub, "user:1", user_id)
    second = Socket("shop:1", hub, user_id)

    assert not hub.admit(second, limit=1)
    hub.leave(first)
    assert hub.admit(second, limit=1)


async def test_closing_by_recipient_ends_the_sockets_of_all_its_people(hub: Hub) -> None:
    user_id = uuid4()
    mine, shop, colleague = join(hub, "user:1", user_id), join(hub, "shop:1", user_id), join(hub, "shop:1")

    assert hub.close_recipient("shop:1", BUSY) == 2
    assert (mine.endings, shop.endings, colleague.endings) == ([], [BUSY], [BUSY])
    assert hub.close_recipient("shop:1", BUSY) == 0


async def test_a_loss_resets_every_socket_and_old_cursors(hub: Hub, log: MemoryLog) -> None:
    sockets = [join(hub, f"user:{i}") for i in range(6)]
    before = hub.cursor_of("user:0")
    log.empty()
    for socket in sockets:
        await arrival(socket)

    assert [socket.resets for socket in sockets] == [1] * 6
    buffer = hub.buffer_of("user:0")
    assert buffer is not None
    assert not buffer.covers(before)
    await log.append([event("a", 1, "user:0")])
    await arrival(sockets[0])
    assert sockets[0].got == ["a.1"]


async def test_sockets_that_came_before_the_hub_was_ready_are_reset(log: MemoryLog) -> None:
    hub = Hub(log, buffer_bytes=10**6)
    early = join(hub, "user:1")
    running = asyncio.create_task(hub.run())
    await arrival(early)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)

    assert early.resets == 1


async def test_a_new_process_reads_the_log_back(hub: Hub, log: MemoryLog) -> None:
    start = hub.cursor_of("user:1")
    await log.append([event("a", 1, "user:1")])
    await log.append([event("a", 2, "user:1")])

    other = Hub(log, buffer_bytes=10**6)
    running = asyncio.create_task(other.run())
    await other.wait_ready(WAIT_S)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)

    buffer = other.buffer_of("user:1")
    assert buffer is not None
    assert buffer.covers(start)
    assert [delivery.target.id for delivery in buffer.after(start, "user:1")] == ["a.1", "a.2"]
