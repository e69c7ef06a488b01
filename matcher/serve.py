"""`matcher serve`: uvicorn around the app, with a shutdown that sends sockets away first.

uvicorn would close sockets with 1012 before the app's lifespan ends; clients are promised 4000.
"""

import logging
import os
import signal
import sys
import tempfile
from typing import Any

import click
import uvicorn
from litestar import Litestar
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.supervisors import Multiprocess
from websockets.frames import CloseCode as WsCode
from websockets.server import ServerProtocol

from matcher.app import create_app
from matcher.errors import InvalidRequest
from matcher.http import PROBLEM_JSON
from matcher.operations import MULTIPROCESS_VARIABLE
from matcher.realtime.close_codes import CloseCode, close
from matcher.realtime.protocol import MAX_FRAME_BYTES
from matcher.realtime.server_protocol import WireProtocol
from matcher.runtime import configure_logging, database_url
from matcher.serialization import encode
from matcher.settings import Settings

# uvloop accepts one connection of a listening socket in each turn of its loop. A busy process then accepts so slowly
# that clients wait in the kernel, where admission does not see them (docs/adr/0054): so it listens this many times.
ACCEPTS_PER_TURN = 16
# Longer than clients and load balancers (60 s, mostly) keep an idle connection: whoever closes first must not be us,
# or a request that is just being sent is reset. uvicorn's own 5 s are what many clients keep, to the second.
KEEP_ALIVE_S = 75


def application() -> Litestar:
    """The factory that uvicorn calls in each process."""
    settings = Settings.from_env()
    configure_logging(settings, f"api-{os.getpid()}")
    return create_app(settings)


class HttpProtocol(HttpToolsProtocol):
    """What is no HTTP never reaches the app; its refusal has the shape of all others."""

    def send_400_response(self, msg: str) -> None:
        """Answer with a problem document and close the connection."""
        body = encode(InvalidRequest("This is not a valid HTTP/1.1 request.").problem())
        head = (
            b"HTTP/1.1 400 Bad Request\r\ncontent-type: %b\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head % (PROBLEM_JSON.encode(), len(body)) + body)
        self.transport.close()


class FrameParser(ServerProtocol):
    """Closes with the contract's 4500 where WebSocket has codes of its own for frames that cannot be read."""

    def fail(self, code: int, reason: str = "") -> None:
        """End the socket for a frame that cannot be parsed."""
        super().fail(*_bad_frame(code, reason))

    def send_close(self, code: int | None = None, reason: str = "") -> None:
        """Close the socket; uvicorn comes here with text that is not UTF-8."""
        super().send_close(*_bad_frame(code, reason))


def _bad_frame(code: Any, reason: str) -> tuple[Any, str]:
    # Too large (1009), not UTF-8 (1007), malformed (1002): to the client, all are a bug of its own.
    if code not in {WsCode.PROTOCOL_ERROR, WsCode.INVALID_DATA, WsCode.MESSAGE_TOO_BIG}:
        return code, reason
    return close(CloseCode.BAD_FRAME, f"Bad frame: {reason or 'the text is not UTF-8'}")


class SocketProtocol(WireProtocol):
    """Leaves the goodbye to real time: open sockets are closed with 4000, running requests answered first."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.conn = FrameParser(max_size=self.config.ws_max_size, logger=logging.getLogger("uvicorn.error"))

    def shutdown(self) -> None:
        """uvicorn stops: it waits for the sockets' tasks, which end as real time closes them."""
        if self.handshake_complete and not self.close_sent:
            app: Any = self.config.loaded_app
            app.state.realtime.begin_shutdown()
        else:
            super().shutdown()


def server_config(settings: Settings) -> uvicorn.Config:
    """How uvicorn serves the app."""
    return uvicorn.Config(
        "matcher.serve:application",
        factory=True,
        host=settings.host,
        port=settings.port,
        workers=settings.workers,
        loop="uvloop",
        http=HttpProtocol,
        # Frames are small and often sent to many: compressing each costs 200 KB a socket and time.
        # SocketProtocol offers no compression.
        ws=SocketProtocol,
        ws_max_size=MAX_FRAME_BYTES,
        ws_ping_interval=settings.heartbeat_s,
        ws_ping_timeout=settings.heartbeat_s,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=int(settings.drain_s),
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        backlog=4096,
    )


@click.command()
@click.option("--host", help="Address to listen on (MATCHER_HOST).")
@click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on (MATCHER_PORT).")
@click.option("--workers", type=click.IntRange(1, 64), help="API processes (MATCHER_WORKERS).")
def serve(host: str | None, port: int | None, workers: int | None) -> None:
    """Run the HTTP and WebSocket service until SIGTERM or Ctrl-C."""
    given = {"MATCHER_HOST": host, "MATCHER_PORT": port, "MATCHER_WORKERS": workers}
    os.environ |= {name: str(value) for name, value in given.items() if value is not None}
    settings = Settings.from_env()
    database_url(settings)  # start the embedded stack once, before the processes race for it
    config = server_config(settings)
    listener = config.bind_socket()
    listeners = [listener, *(listener.dup() for _ in range(ACCEPTS_PER_TURN - 1))]
    shown = f"http://{settings.host}:{listener.getsockname()[1]}"
    click.echo(f"Listening on {shown} (API page {shown}/schema)", err=True)
    if settings.workers == 1:
        # When all is closed uvicorn raises the signal that ended it once more: then it shall mean "done".
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: sys.exit(0))
        server = uvicorn.Server(config)
        server.run(sockets=listeners)
        sys.exit(0 if server.started else 1)
    with tempfile.TemporaryDirectory(prefix="matcher-metrics-") as folder:
        # Inherited by the processes: /metrics of any of them then tells the sum of all.
        os.environ[MULTIPROCESS_VARIABLE] = folder
        Multiprocess(config, sockets=listeners).run()


@click.command()
def openapi() -> None:
    """Print the OpenAPI 3.1 document."""
    click.echo(openapi_document())


def openapi_document(app: Litestar | None = None) -> bytes:
    """The document as JSON."""
    schema: dict[str, Any] = (app or create_app()).openapi_schema.to_schema()
    return encode(schema)
