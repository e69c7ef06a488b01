"""A small world around real time: a store that plays the database, API processes, and clients over real sockets."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import pytest
import uvicorn
from litestar import Litestar
from litestar.datastructures import State
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from matcher.errors import InvalidRequest, Unauthorized
from matcher.events import Event, Target, members, shop_recipient, user_recipient
from matcher.realtime.errors import UnknownMethod
from matcher.realtime.hub import Hub
from matcher.realtime.log import EventLog
from matcher.realtime.ports import RecipientKind, Session, Snapshot
from matcher.realtime.protocol import SUBPROTOCOL
from matcher.realtime.routes import ROUTES
from matcher.realtime.server_protocol import WireProtocol
from matcher.realtime.service import RealtimeService
from matcher.serialization import encode
from matcher.settings import Settings
from matcher.transactions import IdempotentCall, Reply
from tests.realtime.model_client import ModelClient

WAIT_S = 20.0  # for what happens at once on an idle machine


async def eventually(condition: Callable[[], Any]) -> None:
    """Wait for what another task is about to bring about."""
    async with asyncio.timeout(WAIT_S):
        while not condition():  # noqa: ASYNC110  conditions of many kinds, which nobody announces
            await asyncio.sleep(0.001)


class Store:
    """The truth: recipients' orders with versions. A change commits first and gives its event for later."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[str, dict[str, Any]]] = {}
        self.reads = 0
        self.reading = asyncio.Event()
        self.may_read = asyncio.Event()
        self.may_read.set()
        self.failing = False

    def change(self, recipient: str, order_id: str, *, closed: bool = False, text: str = "") -> Event:
        orders = self.rows.setdefault(recipient, {})
        version = orders.get(order_id, {"version": 0})["version"] + 1
        orders[order_id] = data = {"id": order_id, "version": version, "closed": closed, "text": text}
        shared, own = {k: data[k] for k in ("id", "version")}, {k: data[k] for k in ("closed", "text")}
        target = Target(recipient, f"{order_id}.{version}", members(own))
        return Event("order-status-update", "order", version, "now", members(shared), (target,))

    async def snapshot(self, kind: RecipientKind, recipient_id: UUID) -> Snapshot:
        """The rows at the moment of the call; the answer may take its time (`may_read`)."""
        self.reads += 1
        if self.failing:
            raise ConnectionRefusedError
        orders = self.open_orders(f"{kind}:{recipient_id}")
        self.reading.set()
        await self.may_read.wait()
        return Snapshot(
            {"orders": [encode(data) for data in orders.values()]},
            {order_id: data["version"] for order_id, data in orders.items()},
        )

    def open_orders(self, recipient: str) -> dict[str, dict[str, Any]]:
        return {i: data for i, data in self.rows.get(recipient, {}).items() if not data["closed"]}


@dataclass
class Account:
    """Somebody with tokens, perhaps working for a shop."""

    id: UUID = field(default_factory=uuid4)
    shop_id: UUID = field(default_factory=uuid4)
    token: str = field(default_factory=lambda: f"token-{uuid4()}")

    @property
    def user(self) -> str:
        return user_recipient(self.id)

    @property
    def shop(self) -> str:
        return shop_recipient(self.shop_id)


class Identities:
    """Tokens that are known here; whatever else is forged."""

    def __init__(self) -> None:
        self.sessions: dict[str, Session] = {}

    def sign_in(self, account: Account, *, token: str | None = None, lasts_s: float = 900.0) -> Account:
        shops = {account.shop_id: "shop_owner"}
        self.sessions[token or account.token] = Session(account.id, shops, time.time() + lasts_s, account)
        return account

    async def authenticate(self, token: str, shop_id: UUID | None) -> Session:
        if token not in self.sessions:
            raise Unauthorized
        return self.sessions[token]


class Requests:
    """`echo` answers its data, `fail` crashes, `refuse` refuses, `wait` takes until `may_answer`."""

    def __init__(self) -> None:
        self.calls: list[IdempotentCall | None] = []
        self.callers: list[Any] = []
        self.waiting = asyncio.Event()
        self.may_answer = asyncio.Event()

    async def dispatch(self, method: str, caller: Any, data: Any, call: IdempotentCall | None) -> Reply:
        self.calls.append(call)
        self.callers.append(caller)
        match method:
            case "echo":
                return Reply(201, encode(data))
            case "fail":
                raise ZeroDivisionError
            case "refuse":
                raise InvalidRequest("no", retry_after_s=3)
            case "wait":
                self.waiting.set()
                await self.may_answer.wait()
                return Reply(200, b"null")
        raise UnknownMethod


@dataclass
class Process:
    """One API process: a server on a port of its own, with its hub."""

    service: RealtimeService
    requests: Requests
    port: int
    following: asyncio.Task[None]

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/realtime"

    @property
    def hub(self) -> Hub:
        return self.service.hub


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield  # pytest keeps its own


@contextlib.asynccontextmanager
async def start_process(
    log: EventLog,
    store: Store,
    identities: Identities,
    settings: Settings,
    *,
    ws: type[asyncio.Protocol] | str = WireProtocol,
) -> AsyncIterator[Process]:
    """An API process that follows the log."""
    hub = Hub(log, buffer_bytes=settings.log_buffer_bytes)
    requests = Requests()
    service = RealtimeService(hub, identities, store, requests, settings)
    app = Litestar(ROUTES, state=State({"realtime": service}), openapi_config=None)
    config = uvicorn.Config(
        app,
        port=0,
        ws=ws,
        ws_per_message_deflate=False,
        ws_max_size=1 << 20,
        ws_ping_interval=settings.heartbeat_s,
        ws_ping_timeout=settings.heartbeat_s,
        lifespan="off",
        log_config=None,
        timeout_graceful_shutdown=1,
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve())
    following = asyncio.create_task(service.run())
    await eventually(lambda: server.started)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield Process(service, requests, port, following)
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        server.should_exit = True
        await serving


class Client:
    """A client over a real socket that keeps a ModelClient."""

    def __init__(self, socket: ClientConnection, model: ModelClient) -> None:
        self.socket = socket
        self.model = model

    async def send(self, **frame: Any) -> None:
        await self.socket.send(json.dumps(frame))

    async def until(self, reached: Callable[[ModelClient], Any]) -> None:
        """Take frames until the model satisfies `reached`."""
        async with asyncio.timeout(WAIT_S):
            while not reached(self.model):
                self.model.take(await self.socket.recv())

    async def request(self, method: str, data: Any = None, **more: Any) -> dict[str, Any]:
        ref = str(uuid4())
        await self.send(type="request", ref=ref, method=method, data=data, **more)
        await self.until(lambda model: ref in model.replies)
        return self.model.replies[ref]

    async def closed(self) -> tuple[int, str]:
        """Take frames until the server closes; its code and reason."""
        with pytest.raises(ConnectionClosed) as ended:
            await self.until(lambda _: False)
        assert ended.value.rcvd is not None, "the server ended the socket without a close frame"
        return ended.value.rcvd.code, ended.value.rcvd.reason


@contextlib.asynccontextmanager
async def open_socket(process: Process, **options: Any) -> AsyncIterator[ClientConnection]:
    """A socket after its handshake, without a connect frame."""
    options = {"subprotocols": [Subprotocol(SUBPROTOCOL)]} | options
    async with connect(
        process.url, proxy=None, compression=None, close_timeout=1, ping_interval=None, **options
    ) as socket:
        yield socket


@contextlib.asynccontextmanager
async def open_client(
    process: Process,
    account: Account,
    *,
    model: ModelClient | None = None,
    shop: bool = False,
    wait: bool = True,
) -> AsyncIterator[Client]:
    """A connected client; with a `model` that has a cursor it asks to resume."""
    async with open_socket(process) as socket:
        client = Client(socket, model or ModelClient())
        frame: dict[str, Any] = {"type": "connect", "token": account.token, "cursor": client.model.cursor}
        client.model.mode, client.model.complete = None, False
        await client.send(**frame, **({"shopId": str(account.shop_id)} if shop else {}))
        if wait:
            await client.until(lambda held: held.complete)
        yield client
