import asyncio
import time
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus
from websockets.typing import Origin, Subprotocol

from matcher.realtime.routes import origin_allowed
from tests.realtime.conftest import StartProcess
from tests.realtime.model_client import ModelClient
from tests.realtime.world import Account, Client, eventually, open_client, open_socket

SITE = "https://app.example"


@pytest.mark.parametrize(
    ("origin", "host", "allowed", "verdict"),
    [
        (None, "api.example", (), True),
        (None, "api.example", (SITE,), True),
        (SITE, "api.example", (SITE,), True),
        ("https://evil.example", "api.example", (SITE,), False),
        ("http://app.example", "api.example", (SITE,), False),
        ("https://api.example", "api.example", (), True),
        ("http://localhost:8080", "localhost:8080", (), True),
        ("http://localhost:8081", "localhost:8080", (), False),
        ("https://evil.example", "api.example", (), False),
        ("null", "api.example", (), False),
        ("null", "", (), False),
        ("http://[", "api.example", (), False),
    ],
)
def test_origins(origin: str | None, host: str, allowed: tuple[str, ...], verdict: bool) -> None:
    assert origin_allowed(origin, host, allowed) is verdict


@pytest.mark.parametrize(
    ("options", "status", "code"),
    [
        ({"origin": Origin("https://evil.example")}, 403, "forbidden"),
        ({"subprotocols": [Subprotocol("other.v1")]}, 400, "invalid_request"),
    ],
)
async def test_a_refused_handshake_is_answered_with_a_problem(
    start: StartProcess, options: dict[str, Any], status: int, code: str
) -> None:
    process = await start()

    with pytest.raises(InvalidStatus) as refused:
        async with open_socket(process, **options):
            pass

    response = refused.value.response
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    assert f'"code":"{code}"'.encode() in (response.body or b"")


@pytest.mark.parametrize("subprotocols", [None, ["other.v1", "clutch.v1"]])
async def test_a_tool_without_subprotocols_and_a_client_with_several_are_served(
    start: StartProcess, account: Account, subprotocols: list[Subprotocol] | None
) -> None:
    process = await start()
    async with open_socket(process, subprotocols=subprotocols) as socket:
        client = Client(socket, ModelClient())
        await client.send(type="connect", token=account.token)
        await client.until(lambda model: model.complete)

        assert socket.subprotocol == ("clutch.v1" if subprotocols else None)


async def test_a_stopping_process_takes_no_sockets(start: StartProcess) -> None:
    process = await start()
    await asyncio.wait_for(process.service.shutdown(), 10)

    with pytest.raises(InvalidStatus) as refused:
        async with open_socket(process):
            pass

    assert refused.value.response.status_code == 503
    assert refused.value.response.headers["retry-after"] == "1"


async def test_a_storm_of_connects_is_spread_in_time_and_its_end_is_sent_away(
    start: StartProcess, account: Account
) -> None:
    process = await start(connects_per_s=10.0, connect_wait_s=0.25)  # a burst of one
    began_s = time.monotonic()

    async def connect() -> float | tuple[int, int]:
        try:
            async with open_socket(process):
                return time.monotonic() - began_s
        except InvalidStatus as refused:
            response = refused.response
            assert b'"code":"overloaded"' in (response.body or b"")
            return response.status_code, int(response.headers["retry-after"])

    outcomes = await asyncio.gather(*(connect() for _ in range(5)))

    refusals = [outcome for outcome in outcomes if isinstance(outcome, tuple)]
    moments = sorted(outcome for outcome in outcomes if isinstance(outcome, float))
    assert [status for status, _ in refusals] == [503, 503]
    assert all(1 <= after_s <= 2 for _, after_s in refusals)
    assert [moment >= 0.1 * n for n, moment in enumerate(moments)] == [True] * 3


async def test_a_client_that_goes_while_it_waits_leaves_nothing_behind(
    start: StartProcess, account: Account
) -> None:
    process = await start(connects_per_s=10.0, connect_wait_s=5.0)
    async with open_client(process, account) as client:
        gone = asyncio.create_task(open_socket(process).__aenter__())
        await asyncio.sleep(0.02)
        gone.cancel()
        await asyncio.wait([gone])
        async with open_client(process, account):
            await eventually(lambda: len(process.service._connections) == 2)
        assert (await client.request("echo"))["status"] == 201
