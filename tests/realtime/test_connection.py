"""One socket's behaviour, over a real server and a real client."""

import asyncio
from typing import Any

import pytest

from matcher.realtime.memory_log import MemoryLog
from tests.realtime.conftest import StartProcess
from tests.realtime.model_client import ModelClient
from tests.realtime.world import Account, Client, Identities, Store, eventually, open_client, open_socket


async def test_a_first_connect_gets_a_snapshot_of_its_recipient(
    start: StartProcess, store: Store, account: Account
) -> None:
    store.change(account.user, "a", text="mine")
    store.change(account.shop, "b", text="the shop's")
    process = await start()

    async with open_client(process, account) as client:
        assert (client.model.mode, client.model.recipient) == ("snapshot", account.user)
        assert list(client.model.held) == [("order", "a")]
        assert client.socket.subprotocol == "clutch.v1"
    async with open_client(process, account, shop=True) as client:
        assert client.model.recipient == account.shop
        assert list(client.model.held) == [("order", "b")]


async def test_events_reach_the_sockets_of_their_recipient_only(
    start: StartProcess, store: Store, memory_log: MemoryLog, identities: Identities, account: Account
) -> None:
    process, other = await start(), identities.sign_in(Account())
    async with open_client(process, account) as mine, open_client(process, other) as theirs:
        await memory_log.append([store.change(other.user, "x"), store.change(account.user, "y", text="é")])

        await mine.until(lambda model: model.events)
        await theirs.until(lambda model: model.events)

    assert mine.model.held[("order", "y")] == {"id": "y", "version": 1, "closed": False, "text": "é"}
    assert list(theirs.model.held) == [("order", "x")]
    (event,) = mine.model.events
    assert (event["event"], event["entity"], event["version"]) == ("order-status-update", "order", 1)
    assert event["id"] == "y.1"


async def test_a_cursor_resumes_without_a_snapshot(
    start: StartProcess, store: Store, memory_log: MemoryLog, account: Account
) -> None:
    process = await start()
    async with open_client(process, account) as client:
        await memory_log.append([store.change(account.user, "a")])
        await client.until(lambda model: model.events)
        model = client.model
    # Two in one entry with the one that is had, and one in an entry of its own.
    await memory_log.append([store.change(account.user, "b"), store.change(account.user, "c")])
    await memory_log.append([store.change(account.user, "a", closed=True)])

    async with open_client(process, account, model=model) as client:
        assert client.model.mode == "resumed"
        await client.until(lambda model: len(model.events) == 4)

    assert [event["id"] for event in model.events] == ["a.1", "b.1", "c.1", "a.2"]
    assert store.reads == 1


async def test_a_cursor_inside_an_entry_resumes_in_the_middle(
    start: StartProcess, store: Store, memory_log: MemoryLog, account: Account
) -> None:
    process, model = await start(), ModelClient()
    async with open_client(process, account, model=model) as client:
        await memory_log.append([store.change(account.user, name) for name in "abc"])
        await client.until(lambda model: len(model.events) == 3)
    model.cursor = model.events[1]["cursor"]

    async with open_client(process, account, model=model) as client:
        await client.until(lambda model: len(model.events) == 4)

    assert model.events[3]["id"] == "c.1"


async def test_who_is_cut_off_while_resuming_asks_for_the_same_again(
    start: StartProcess, store: Store, memory_log: MemoryLog, account: Account
) -> None:
    process = await start()
    async with open_client(process, account) as client:
        model = client.model
    before = model.cursor
    await memory_log.append([store.change(account.user, "a")])

    async with open_client(process, account, model=model):
        pass  # `connected` was read, the event was not

    assert model.cursor == before


@pytest.mark.parametrize("cursor", ["", "nonsense", "x" * 200, "AG1lbW9yeQAAAAAAAAAAAAAAAAAAAAAAAAAA.0"])
async def test_a_foreign_cursor_is_answered_with_a_snapshot(
    start: StartProcess, account: Account, cursor: str
) -> None:
    process, model = await start(), ModelClient()
    model.cursor = cursor

    async with open_client(process, account, model=model):
        assert model.mode == "snapshot"


async def test_what_happens_while_the_snapshot_is_read_comes_after_it_once(
    start: StartProcess, store: Store, memory_log: MemoryLog, account: Account
) -> None:
    process = await start()
    in_snapshot = store.change(account.user, "a", text="committed, logged late")
    store.may_read.clear()
    async with open_client(process, account, wait=False) as client:
        await asyncio.wait_for(store.reading.wait(), 10)
        await memory_log.append([in_snapshot])
        await memory_log.append([store.change(account.user, "b", text="committed later")])
        await process_has_read(process.hub.cursor_of, account.user, memory_log)
        store.may_read.set()
        await client.until(lambda model: model.events)

        assert set(client.model.held) == {("order", "a"), ("order", "b")}
        assert [event["id"] for event in client.model.events] == ["b.1"]


async def process_has_read(cursor_of: Any, recipient: str, log: MemoryLog) -> None:
    newest = await log.reader(0).open()
    await eventually(lambda: cursor_of(recipient).position > newest)


async def test_a_large_snapshot_comes_in_parts(start: StartProcess, store: Store, account: Account) -> None:
    for i in range(1_000):
        store.change(account.user, f"o{i}", text="x" * 400)
    process = await start(snapshot_part_items=100, socket_buffer_bytes=100_000)

    async with open_client(process, account) as client:
        assert len(client.model.held) == 1_000


async def test_a_missed_past_larger_than_the_writer_is_replayed(
    start: StartProcess, store: Store, memory_log: MemoryLog, account: Account
) -> None:
    process = await start(socket_buffer_bytes=50_000)
    async with open_client(process, account) as client:
        model = client.model
    for i in range(100):
        await memory_log.append([store.change(account.user, f"o{i}", text="x" * 5_000)])
    await process_has_read(process.hub.cursor_of, account.user, memory_log)

    async with open_client(process, account, model=model) as client:
        await client.until(lambda model: len(model.events) == 100)
        assert model.mode == "resumed"


async def test_a_late_event_cannot_bring_a_closed_entity_back_even_for_a_fresh_client(
    start: StartProcess, store: Store, memory_log: MemoryLog, account: Account
) -> None:
    process = await start()
    late = store.change(account.user, "a")
    await memory_log.append([store.change(account.user, "a", closed=True)])

    async with open_client(process, account) as client:
        assert client.model.held == {}
        await memory_log.append([late])
        await memory_log.append([store.change(account.user, "b")])
        await client.until(lambda model: model.events)

        assert list(client.model.held) == [("order", "b")]


async def test_a_client_that_does_not_read_is_cut_and_resumes(
    start: StartProcess, store: Store, memory_log: MemoryLog, account: Account
) -> None:
    process = await start(socket_buffer_bytes=100_000)
    async with open_client(process, account) as client:
        client.socket.transport.pause_reading()
        count = 0
        while account.user in process.hub._by_recipient and count < 200:  # 20 MB: more than the kernel takes
            await memory_log.append([store.change(account.user, f"o{count}", text="x" * 100_000)])
            await process_has_read(process.hub.cursor_of, account.user, memory_log)
            count += 1
        client.socket.transport.resume_reading()

        assert (await client.closed())[0] == 4001
        assert len(client.model.events) < count

    async with open_client(process, account, model=client.model) as client:
        await client.until(lambda model: len(model.held) == count)
        assert client.model.mode == "resumed"


async def test_requests_are_answered_with_the_reply_or_a_problem(
    start: StartProcess, account: Account
) -> None:
    process = await start()
    async with open_client(process, account) as client:
        assert await client.request("echo", {"a": 1}) | {"ref": ""} == {
            "type": "reply",
            "ref": "",
            "status": 201,
            "data": {"a": 1},
        }
        unknown = await client.request("fly")
        assert (unknown["status"], unknown["data"]["code"]) == (404, "unknown_method")
        refused = await client.request("refuse")
        assert (refused["status"], refused["data"]["retryAfterS"]) == (400, 3)
        crashed = await client.request("fail")
        assert (crashed["status"], crashed["data"]["code"]) == (500, "internal_error")
        assert "ZeroDivision" not in str(crashed)


async def test_an_idempotency_key_makes_a_repeatable_call(start: StartProcess, account: Account) -> None:
    process = await start()
    async with open_client(process, account, shop=True) as client:
        for data in ({"a": 1}, {"a": 1}, {"a": 2}):
            await client.request("echo", data, idempotencyKey="k")
        await client.request("echo")
    async with open_client(process, account) as client:
        await client.request("echo", {"a": 1}, idempotencyKey="k")

    first, same, other, none, person = process.requests.calls
    assert first is not None
    assert first == same
    assert (first.account_id, first.scope, first.key) == (account.id, "WS echo", "k")
    assert other is not None
    assert other.fingerprint != first.fingerprint
    assert none is None
    assert person is not None
    assert person.fingerprint != first.fingerprint
    assert process.requests.callers == [account] * 5


async def test_too_many_requests_are_refused_and_a_flood_ends_the_socket(
    start: StartProcess, account: Account
) -> None:
    process = await start(socket_requests_per_s=0.5)  # a burst of one
    async with open_client(process, account) as client:
        assert (await client.request("echo"))["status"] == 201
        refused = await client.request("echo")
        assert (refused["status"], refused["data"]["code"]) == (429, "rate_limited")
        for i in range(20):
            await client.send(type="request", ref=str(i), method="echo")

        assert (await client.closed())[0] == 4003


async def test_without_limits_nothing_is_throttled(start: StartProcess, account: Account) -> None:
    process = await start(socket_requests_per_s=0.001, sockets_per_account=1, limits=False)
    async with open_client(process, account) as one, open_client(process, account) as two:
        for client in (one, two, one, two):
            assert (await client.request("echo"))["status"] == 201


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ({"type": "connect", "token": "forged"}, 4501),
        ({"type": "connect"}, 4501),
        ({"type": "request", "ref": "1", "method": "echo"}, 4500),
        ({"type": "connect", "token": "t", "extra": 1}, 4500),
    ],
)
async def test_a_bad_beginning_is_told(start: StartProcess, frame: dict[str, Any], code: int) -> None:
    process = await start()
    async with open_socket(process) as socket:
        client = Client(socket, ModelClient())
        await client.send(**frame)

        assert (await client.closed())[0] == code


async def test_binary_and_oversized_frames_end_the_socket(start: StartProcess, account: Account) -> None:
    process = await start()
    for frame in (b"{}", "x" * 70_000):
        async with open_client(process, account) as client:
            await client.socket.send(frame)

            assert (await client.closed())[0] == 4500


async def test_a_shop_of_others_is_forbidden(start: StartProcess, account: Account) -> None:
    process = await start()
    async with open_socket(process) as socket:
        client = Client(socket, ModelClient())
        await client.send(type="connect", token=account.token, shopId=str(account.id))

        assert (await client.closed())[0] == 4502


async def test_a_bearer_header_serves_instead_of_a_token(start: StartProcess, account: Account) -> None:
    process = await start()
    header = {"Authorization": f"Bearer {account.token}"}
    async with open_socket(process, additional_headers=header) as socket:
        client = Client(socket, ModelClient())
        await client.send(type="connect")
        await client.until(lambda model: model.complete)

        assert client.model.recipient == account.user


async def test_a_silent_socket_is_closed(start: StartProcess) -> None:
    process = await start(socket_connect_s=0.05)
    async with open_socket(process) as socket:
        assert (await Client(socket, ModelClient()).closed())[0] == 4003


async def test_the_token_ends_the_socket_unless_it_is_refreshed(
    start: StartProcess, identities: Identities, account: Account
) -> None:
    process = await start()
    identities.sign_in(account, lasts_s=0.2)
    async with open_client(process, account) as client:
        assert (await client.closed())[0] == 4002

    identities.sign_in(account, lasts_s=0.5)
    identities.sign_in(account, token="newer")
    async with open_client(process, account) as client:
        await client.send(type="refresh", token="newer")
        assert (await client.request("echo"))["status"] == 201
        await asyncio.sleep(0.6)  # the real timer is what this is about
        assert (await client.request("echo"))["status"] == 201


async def test_a_refresh_must_be_of_the_same_account(
    start: StartProcess, identities: Identities, account: Account
) -> None:
    process, other = await start(), identities.sign_in(Account())
    async with open_client(process, account) as client:
        await client.send(type="refresh", token=other.token)

        assert (await client.closed())[0] == 4501


async def test_an_ended_session_or_a_lost_role_ends_the_socket_at_its_next_request(
    start: StartProcess, identities: Identities, account: Account
) -> None:
    process = await start()
    async with open_client(process, account, shop=True) as client:
        account.shop_id, kept = account.id, account.shop_id
        identities.sign_in(account)
        await client.send(type="request", ref="1", method="echo")
        assert (await client.closed())[0] == 4502
        account.shop_id = kept
    identities.sign_in(account)
    async with open_client(process, account) as client:
        identities.sessions.clear()
        await client.send(type="request", ref="1", method="echo")
        assert (await client.closed())[0] == 4501


async def test_an_account_has_so_many_sockets(start: StartProcess, account: Account) -> None:
    process = await start(sockets_per_account=2)
    async with (
        open_client(process, account),
        open_client(process, account, shop=True),
        open_client(process, account, wait=False) as third,
    ):
        assert (await third.closed())[0] == 4503
    async with open_client(process, account) as again:
        assert again.model.mode == "snapshot"


async def test_heartbeats_come(start: StartProcess, account: Account) -> None:
    process = await start(heartbeat_s=0.05)
    async with open_client(process, account) as client:
        await client.until(lambda model: model.heartbeats >= 2)


async def test_an_ack_is_remembered_and_told(start: StartProcess, account: Account) -> None:
    process = await start()
    heard: list[object] = []
    process.service.on_ack.append(lambda *ack: heard.append(ack))
    async with open_client(process, account) as client:
        await client.send(type="ack", cursor=client.model.cursor)
        await client.send(type="ack", cursor="nonsense")
        await client.request("echo")

        (connection,) = process.service._connections
        assert str(connection.acknowledged) == client.model.cursor
        assert heard == [(account.user, account.id, connection.acknowledged)]


async def test_an_overloaded_or_absent_database_asks_to_come_back(
    start: StartProcess, store: Store, account: Account
) -> None:
    process = await start(snapshots_at_once=1, request_timeout_s=0.05)
    store.failing = True
    async with open_client(process, account, wait=False) as client:
        assert (await client.closed())[0] == 4003
    store.failing = False
    store.may_read.clear()
    async with open_client(process, account, wait=False):
        await asyncio.wait_for(store.reading.wait(), 10)
        async with open_client(process, account, wait=False) as second:
            assert (await second.closed())[0] == 4003


async def test_shutdown_answers_the_running_request_and_closes_with_4000(
    start: StartProcess, account: Account
) -> None:
    process = await start()
    async with open_client(process, account) as busy, open_client(process, account) as idle:
        await busy.send(type="request", ref="1", method="wait")
        await asyncio.wait_for(process.requests.waiting.wait(), 10)
        ending = asyncio.create_task(process.service.shutdown())
        assert (await idle.closed())[0] == 4000
        process.requests.may_answer.set()
        assert (await busy.closed())[0] == 4000
        assert busy.model.replies["1"]["status"] == 200
        await ending


async def test_shutdown_waits_no_longer_than_it_may(start: StartProcess, account: Account) -> None:
    process = await start(drain_s=0.1)
    async with open_client(process, account) as client:
        await client.send(type="request", ref="1", method="wait")
        await asyncio.wait_for(process.requests.waiting.wait(), 10)

        await asyncio.wait_for(process.service.shutdown(), 10)
        process.requests.may_answer.set()


async def test_a_changed_account_ends_the_sockets_that_it_no_longer_carries(
    start: StartProcess, identities: Identities, account: Account
) -> None:
    process = await start()
    async with open_client(process, account) as person, open_client(process, account, shop=True) as shop:
        process.service.recheck_user(account.id)
        assert (await shop.request("echo"))["status"] == 201

        identities.sign_in(Account(id=account.id, token=account.token))  # another shop is all that is left
        process.service.recheck_user(account.id)
        assert (await shop.closed())[0] == 4502
        assert (await person.request("echo"))["status"] == 201

        identities.sessions.clear()
        process.service.recheck_user(account.id)
        assert (await person.closed())[0] == 4501


async def test_the_server_may_begin_the_shutdown_several_times(start: StartProcess, account: Account) -> None:
    process = await start()
    async with open_client(process, account) as client:
        process.service.begin_shutdown()
        process.service.begin_shutdown()

        assert (await client.closed())[0] == 4000
