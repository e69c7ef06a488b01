import asyncio

from matcher.realtime.endings import SHOP_CLOSED
from matcher.realtime.memory_log import MemoryLog
from tests.realtime.conftest import StartProcess
from tests.realtime.world import Account, Store, eventually, open_client


async def test_a_client_that_leaves_during_its_snapshot_leaves_nothing_behind(
    start: StartProcess, store: Store, memory_log: MemoryLog, account: Account
) -> None:
    process = await start()
    async with open_client(process, account):
        store.reading.clear()
        store.may_read.clear()
        memory_log.empty()
        await asyncio.wait_for(store.reading.wait(), 10)
    await eventually(lambda: not process.service._connections)
    store.may_read.set()
    await asyncio.sleep(0.01)

    assert process.hub._by_recipient == {}
    assert process.hub._by_user == {}


async def test_events_between_a_loss_and_its_snapshot_come_at_once_but_cannot_be_resumed_from(
    start: StartProcess, store: Store, memory_log: MemoryLog, account: Account
) -> None:
    process = await start(snapshots_at_once=1)
    lost = store.change(account.user, "lost")
    async with open_client(process, account) as client:
        process.service._snapshot_turns = asyncio.Semaphore(0)
        memory_log.empty()
        await memory_log.append([store.change(account.user, "a")])
        before = process.hub.cursor_of(account.user)
        await eventually(lambda: process.hub.cursor_of(account.user) != before)
        await memory_log.append([store.change(account.user, "b")])
        await client.until(lambda model: model.events)
        model = client.model
    process.service._snapshot_turns = asyncio.Semaphore(1)

    async with open_client(process, account, model=model):
        assert model.mode == "snapshot"
        assert lost.targets[0].id == "lost.1"
        assert set(model.held) == {("order", "lost"), ("order", "a"), ("order", "b")}


async def test_a_closed_shop_ends_sockets_that_still_wait_for_their_snapshot(
    start: StartProcess, store: Store, account: Account
) -> None:
    process = await start(snapshots_at_once=1)
    process.service._snapshot_turns = asyncio.Semaphore(0)
    async with open_client(process, account, shop=True, wait=False) as client:
        await eventually(lambda: process.hub._by_user)
        process.service.close_shop(account.shop_id)

        assert (await client.closed())[0] == SHOP_CLOSED.code


async def test_a_client_that_lets_its_snapshot_lie_is_cut(
    start: StartProcess, store: Store, account: Account
) -> None:
    for i in range(400):
        store.change(account.user, f"o{i}", text="x" * 50_000)
    process = await start(request_timeout_s=0.1, socket_buffer_bytes=100_000)
    async with open_client(process, account, wait=False) as client:
        client.socket.transport.pause_reading()
        await eventually(lambda: process.service._connections)
        await eventually(lambda: not process.hub._by_user and store.reads)
        client.socket.transport.resume_reading()

        assert (await client.closed())[0] == 4001
