from functools import partial

import pytest
from websockets.exceptions import ConnectionClosedError

from matcher.realtime import connection
from matcher.realtime.cursor import Cursor
from matcher.realtime.hub import Hub
from matcher.realtime.memory_log import MemoryLog
from matcher.realtime.server_protocol import WireProtocol
from tests.realtime.conftest import StartProcess
from tests.realtime.world import Account, Store, eventually, open_client


def grown(hub: Hub, recipient: str, before: Cursor) -> bool:
    return hub.cursor_of(recipient) > before


@pytest.mark.parametrize("ws", [WireProtocol, "websockets-sansio"])
@pytest.mark.parametrize("size", [0, 1, 100_000, 300_000])
async def test_frames_of_every_length_arrive_whole_with_and_without_the_wire(
    start: StartProcess, store: Store, memory_log: MemoryLog, account: Account, ws: type | str, size: int
) -> None:
    process = await start(ws=ws)
    async with open_client(process, account) as client:
        await memory_log.append([store.change(account.user, "a", text="é" * size)])
        await client.until(lambda model: model.events)

        assert client.model.held["order", "a"]["text"] == "é" * size


async def test_the_length_of_a_frame_is_written_right_at_every_boundary(
    start: StartProcess, account: Account
) -> None:
    process = await start()
    async with open_client(process, account) as client:
        (served,) = process.service._connections
        for size in (125, 126, 127, 65_535, 65_536):
            served._writer.put(b"x" * size)
            assert await client.socket.recv() == "x" * size


async def test_a_client_that_takes_nothing_is_dropped_with_its_buffer(
    start: StartProcess,
    store: Store,
    memory_log: MemoryLog,
    account: Account,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection, "CLOSE_TIMEOUT_S", 0.05)
    process = await start(socket_buffer_bytes=100_000)
    async with open_client(process, account) as client:
        client.socket.transport.pause_reading()
        for _ in range(200):  # 20 MB: more than the kernel's buffers take
            before = process.hub.cursor_of(account.user)
            await memory_log.append([store.change(account.user, "a", text="x" * 100_000)])
            await eventually(partial(grown, process.hub, account.user, before))
            if account.user not in process.hub._by_recipient:
                break
        await eventually(lambda: not process.service._connections)
        client.socket.transport.resume_reading()

        with pytest.raises(ConnectionClosedError) as ended:
            await client.until(lambda _: False)
        assert ended.value.rcvd is None


async def test_a_half_open_socket_is_found_by_its_silence_and_an_idle_one_is_kept(
    start: StartProcess, account: Account
) -> None:
    process = await start(heartbeat_s=0.1)
    async with open_client(process, account) as silent, open_client(process, account) as idle:
        assert len(process.service._connections) == 2
        silent.socket.transport.pause_reading()  # pings are not even read, as behind a dead link
        await eventually(lambda: len(process.service._connections) == 1)
        assert (await idle.request("echo"))["status"] == 201
