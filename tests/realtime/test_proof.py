"""The standing proof: old snapshot + events = fresh snapshot, whatever happens in between.

Commits, appends (late, doubled, swapped), connects, resumes on either of two processes, snapshots that
take their time and a log that is lost, in any order. The real log contract, hub and connections; the
socket and the database are objects.
"""

import asyncio
import dataclasses
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from matcher.events import Event
from matcher.realtime.hub import Hub
from matcher.realtime.memory_log import MemoryLog
from matcher.realtime.service import RealtimeService
from matcher.settings import Settings
from tests.realtime.model_client import ModelClient
from tests.realtime.world import Account, Identities, Requests, Store, eventually

CLIENTS = 2
SETTINGS = dataclasses.replace(Settings(), snapshot_part_items=2, sockets_per_account=100)

# Few of everything, so that a story of a hundred steps meets itself; `turns` of the event loop pass after each
# step, from none (the next step falls between two frames) to enough for everybody to be done.
steps = st.one_of(
    st.tuples(st.just("commit"), st.sampled_from("abcdefgh"), st.booleans()),
    st.tuples(st.just("append"), st.lists(st.integers(0, 5), min_size=1, max_size=3), st.booleans()),
    st.tuples(st.just("append"), st.just([0]), st.just(False)),
    st.tuples(st.just("connect"), st.integers(0, CLIENTS - 1), st.integers(0, 1)),
    st.tuples(st.just("connect"), st.just(0), st.just(0)),
    st.tuples(st.just("drop"), st.integers(0, CLIENTS - 1), st.booleans()),
    st.tuples(st.sampled_from(["hold snapshots", "let snapshots go", "let snapshots go"])),
    st.tuples(st.sampled_from(["lose the log", *["nothing"] * 9])),
)
turns = st.sampled_from([0, 1, 2, 3, 4, 6, 8, 12, 40])
stories = st.lists(st.tuples(steps, turns), min_size=20, max_size=100)


class FakeSocket:
    """The client's end: a queue of its frames, and a model that takes the server's."""

    def __init__(self, model: ModelClient) -> None:
        self.model = model
        self.frames: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.open = True

    def say(self, **frame: Any) -> None:
        self.frames.put_nowait({"type": "websocket.receive", "text": json.dumps(frame)})

    def hang_up(self) -> None:
        self.open = False
        self.frames.put_nowait({"type": "websocket.disconnect", "code": 1000})

    async def send(self, message: dict[str, Any]) -> None:
        await asyncio.sleep(0)
        if not self.open:
            raise ConnectionResetError
        assert message["type"] == "websocket.send", f"the server closed: {message}"
        self.model.take(message["text"])


class World:
    """Two processes, some clients, a store and a list of committed changes that are not logged yet."""

    def __init__(
        self, log: MemoryLog, services: list[RealtimeService], store: Store, account: Account
    ) -> None:
        self.log = log
        self.services = services
        self.store = store
        self.account = account
        self.unlogged: list[Event] = []
        self.sockets: list[FakeSocket | None] = [None] * CLIENTS
        self.models = [ModelClient() for _ in range(CLIENTS)]
        self.serving: list[asyncio.Task[None]] = []

    async def act(self, step: tuple[Any, ...]) -> None:
        match step:
            case ("commit", order_id, closed):
                self.unlogged.append(self.store.change(self.account.user, order_id, closed=closed))
            case ("append", indices, doubled) if self.unlogged:
                events = [self.unlogged[index % len(self.unlogged)] for index in indices]
                await self.log.append(events)
                if not doubled:
                    self.unlogged = [event for event in self.unlogged if event not in events]
            case ("connect", client, process):
                self.hang_up(client)
                self.connect(client, process)
            case ("drop", client, forget):
                self.hang_up(client)
                if forget:
                    self.models[client] = ModelClient()
            case ("hold snapshots",):
                self.store.may_read.clear()
            case ("let snapshots go",):
                self.store.may_read.set()
            case ("lose the log",):
                self.log.empty()
                # Who has not published before a loss leaves it to the sweeper, and that renders what is stored now.
                newest = self.store.rows.get(self.account.user, {})
                self.unlogged = [
                    event
                    for event in self.unlogged
                    if event.version == newest[event.targets[0].id.split(".")[0]]["version"]
                ]

    def connect(self, client: int, process: int) -> None:
        model = self.models[client]
        socket = self.sockets[client] = FakeSocket(model)
        model.complete = False
        serve = self.services[process].serve(socket.frames.get, socket.send, None)
        self.serving.append(asyncio.create_task(serve))
        socket.say(type="connect", token=self.account.token, cursor=model.cursor)

    def hang_up(self, client: int) -> None:
        socket, self.sockets[client] = self.sockets[client], None
        if socket is not None:
            socket.hang_up()

    async def settle(self) -> None:
        """Log what is left, and wait until nothing moves any more."""
        self.store.may_read.set()
        await self.log.append(self.unlogged)
        # An event of its own, last in the log: whoever has it has all before it.
        await eventually(lambda: all(model.complete for model in self.connected()))
        await self.log.append([self.store.change(self.account.user, "the last")])
        await eventually(lambda: all(("order", "the last") in model.held for model in self.connected()))
        await eventually(lambda: not any(self.is_busy(service) for service in self.services))

    def connected(self) -> list[ModelClient]:
        return [socket.model for socket in self.sockets if socket is not None]

    def is_busy(self, service: RealtimeService) -> bool:
        return any(
            not connection._feed.settled or connection._writer._task is not None
            for connection in service._connections
        )


async def end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def open_world() -> AsyncIterator[World]:
    log, store, identities = MemoryLog(), Store(), Identities()
    account = identities.sign_in(Account())
    async with AsyncExitStack() as stack:
        services = []
        for _ in range(2):
            hub = Hub(log, buffer_bytes=10**6)
            services.append(RealtimeService(hub, identities, store, Requests(), SETTINGS))
            following = asyncio.create_task(services[-1].run())
            stack.push_async_callback(end, following)
            await hub.wait_ready(10)
        world = World(log, services, store, account)
        try:
            yield world
        finally:
            for client in range(CLIENTS):
                world.hang_up(client)
            await asyncio.gather(*world.serving)


async def play(story: list[tuple[tuple[Any, ...], int]]) -> None:
    async with open_world() as world:
        for step, turns_after in story:
            await world.act(step)
            for _ in range(turns_after):
                await asyncio.sleep(0)
        await world.settle()
        expected = {("order", i): data for i, data in world.store.open_orders(world.account.user).items()}
        for model in world.connected():
            assert model.shown() == expected


@given(stories)
def test_old_snapshot_and_events_are_a_fresh_snapshot(story: list[tuple[tuple[Any, ...], int]]) -> None:
    asyncio.run(play(story))
