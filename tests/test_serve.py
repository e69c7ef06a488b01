"""The server around the app: what never reaches the app is refused in the contract's shape too."""

import asyncio
import json
import logging
import socket
from collections import Counter
from typing import Any

import pytest
import uvicorn
import uvloop
from uvicorn.server import ServerState
from websockets.frames import CloseCode as WsCode
from websockets.frames import Frame, Opcode
from websockets.http11 import Request

from matcher.http import PROBLEM_JSON
from matcher.realtime.close_codes import MAX_REASON_BYTES, CloseCode
from matcher.serve import ACCEPTS_PER_TURN, FrameParser, HttpProtocol, server_config
from matcher.settings import Settings


class Wire(asyncio.Transport):
    """What a protocol writes."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closed = False

    def write(self, data: Any) -> None:
        self.written += bytes(data)

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed


@pytest.fixture
async def http() -> HttpProtocol:
    config = uvicorn.Config("matcher.serve:application", factory=True, log_config=None)
    protocol = HttpProtocol(config, ServerState(), {}, asyncio.get_running_loop())
    protocol.connection_made(Wire())
    return protocol


def test_an_idle_connection_is_not_closed_under_a_load_balancers_hands() -> None:
    assert server_config(Settings()).timeout_keep_alive > 60


@pytest.mark.parametrize("sent", [b"nothing like HTTP\r\n\r\n", b"GET / HTTP/1.1\r\nno colon\r\n\r\n"])
async def test_what_is_no_http_is_answered_with_a_problem(http: HttpProtocol, sent: bytes) -> None:
    http.data_received(sent)
    wire = http.transport
    assert isinstance(wire, Wire)
    head, _, body = wire.written.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert f"content-type: {PROBLEM_JSON}".encode() in head
    assert f"content-length: {len(body)}".encode() in head
    assert json.loads(body)["code"] == "invalid_request"
    assert wire.closed


@pytest.fixture
def parser() -> FrameParser:
    """A server's side of an open WebSocket."""
    parser = FrameParser(max_size=100, logger=logging.getLogger("test"))
    key = "AAAAAAAAAAAAAAAAAAAAAA=="
    lines = ["GET / HTTP/1.1", "Host: localhost", "Connection: Upgrade", "Upgrade: websocket"]
    lines += [f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13", "", ""]
    parser.receive_data("\r\n".join(lines).encode())
    (request,) = parser.events_received()
    assert isinstance(request, Request)
    parser.send_response(parser.accept(request))
    parser.data_to_send()
    return parser


@pytest.mark.parametrize(
    "frame",
    [
        Frame(Opcode.TEXT, b"x" * 101).serialize(mask=True, extensions=[]),
        Frame(Opcode.TEXT, b"not masked").serialize(mask=False, extensions=[]),
        Frame(Opcode.CONT, b"continues nothing").serialize(mask=True, extensions=[]),
        b"\xff\xff\xff\xff",
    ],
    ids=["too large", "not masked", "continues nothing", "reserved bits"],
)
def test_a_frame_that_cannot_be_read_closes_with_4500(parser: FrameParser, frame: bytes) -> None:
    parser.receive_data(frame)
    assert parser.close_sent is not None
    assert parser.close_sent.code == CloseCode.BAD_FRAME
    assert parser.close_sent.reason.startswith("Bad frame: ")
    assert len(parser.close_sent.reason.encode()) <= MAX_REASON_BYTES


def test_text_that_is_not_utf_8_closes_with_4500(parser: FrameParser) -> None:
    parser.send_close(WsCode.INVALID_DATA)
    assert parser.close_sent is not None
    assert parser.close_sent.code == CloseCode.BAD_FRAME


@pytest.mark.parametrize(
    "code", [CloseCode.GOING_AWAY, CloseCode.TOO_SLOW, CloseCode.FORBIDDEN, WsCode.INTERNAL_ERROR]
)
def test_other_codes_stay_as_they_are(parser: FrameParser, code: int) -> None:
    parser.send_close(code, "as given")
    assert parser.close_sent is not None
    assert (parser.close_sent.code, parser.close_sent.reason) == (code, "as given")


async def most_accepted_in_a_turn(listeners: int) -> int:
    """Of 64 connections that wait, with so many listening sockets."""
    turn, accepted_in = 0, list[int]()

    class Note(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            accepted_in.append(turn)
            transport.close()

    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0), backlog=256) as listener:
        servers = [await loop.create_server(Note, sock=listener.dup()) for _ in range(listeners)]
        clients = [socket.create_connection(listener.getsockname()) for _ in range(64)]
        while len(accepted_in) < len(clients):
            turn += 1
            await asyncio.sleep(0)
        for client in clients:
            client.close()
        for server in servers:
            server.close()
            await server.wait_closed()
    return max(Counter(accepted_in).values())


def test_a_turn_of_the_loop_accepts_as_often_as_it_listens() -> None:
    """What `ACCEPTS_PER_TURN` relies on; should uvloop learn to accept more at once, it may go."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(most_accepted_in_a_turn(1)) == 1
        assert runner.run(most_accepted_in_a_turn(ACCEPTS_PER_TURN)) == ACCEPTS_PER_TURN
