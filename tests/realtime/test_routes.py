import asyncio
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus
from websockets.typing import Origin, Subprotocol

from matcher.realtime.routes import origin_allowed
from tests.realtime.conftest import StartProcess
from tests.realtime.model_client import ModelClient
from tests.realtime.world import Account, Client, open_socket

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
