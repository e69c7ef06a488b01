"""One socket: carries out what the protocol decides, and knows who the client is and for how long.

What the client is shown is `feed.py`'s; frames wait in `writer.py`.
"""

import asyncio
import math
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any
from uuid import UUID

import structlog

from matcher import metrics
from matcher.clock import utc_now, wire_time
from matcher.db import CONNECTION_ERRORS
from matcher.errors import MatcherError, TooManyRequests, Unauthorized
from matcher.events import shop_recipient, user_recipient
from matcher.http import translate
from matcher.realtime.buffer import Delivery
from matcher.realtime.close_codes import Close, CloseCode
from matcher.realtime.cursor import Cursor, parse_cursor
from matcher.realtime.endings import (
    BAD_TOKEN,
    BUSY,
    EXPIRED,
    FLOOD,
    NO_TOKEN,
    NOT_YOURS,
    OTHER_ACCOUNT,
    SILENT,
    SLOW,
    TOO_MANY,
)
from matcher.realtime.feed import Feed
from matcher.realtime.frames import heartbeat_frame, reply_frame
from matcher.realtime.ports import RecipientKind, Session
from matcher.realtime.protocol import Ack, Connect, Protocol, Refresh, Refuse, Request
from matcher.realtime.server_protocol import Wire
from matcher.realtime.writer import Writer
from matcher.serialization import encode
from matcher.throttling import TokenBucket, Verdict
from matcher.transactions import IdempotentCall

if TYPE_CHECKING:
    from matcher.realtime.service import RealtimeService

READY_WAIT_S = 5.0  # a process that starts reads the log back in about a second
TIMER_MAX_S = 30 * 86_400.0  # what every event loop's timers take; such a socket may well reconnect once
CLOSE_TIMEOUT_S = 5.0  # for the close frame to leave; a client that takes nothing must not hold us longer

log = structlog.get_logger()


class Connection:
    """See the module. `run` serves an accepted socket to its end; everything else is called meanwhile."""

    # Set once the client has said who it is; the hub knows it from then on.
    user_id: UUID
    recipient: str
    _feed: Feed

    def __init__(
        self,
        service: "RealtimeService",
        receive: Callable[[], Awaitable[Any]],
        send: Callable[[Any], Awaitable[None]],
        header_token: str | None,
        wire: Wire | None,
    ) -> None:
        self._service = service
        self._receive = receive
        self._token = header_token
        self._protocol = Protocol()
        self._writer = Writer(send, bytes_max=service.settings.socket_buffer_bytes, wire=wire)
        self._loop = asyncio.get_running_loop()
        self._id = secrets.token_hex(6)
        self._shop_id: UUID | None = None
        self._session: Session | None = None
        self._task = asyncio.current_task()
        self._admitted = False
        self._dispatching = False
        self._ending: Close | None = None
        self._leaving: Close | None = None
        self._recheck_task: asyncio.Task[None] | None = None
        self._heartbeat_timer: asyncio.TimerHandle | None = None
        self._deadline = self._loop.call_later(service.settings.socket_connect_s, self.close, SILENT)
        rate_per_s = service.requests_per_s
        self._throttle = TokenBucket(rate_per_s, 2 * rate_per_s, self._loop.time())
        self.acknowledged: Cursor | None = None

    async def run(self) -> None:
        """Serve until either side ends the socket."""
        try:
            await self._read_frames()
        except asyncio.CancelledError:
            if self._ending is None:  # not `close`, but the server is cancelling this task
                raise
            if self._task is not None:
                self._task.uncancel()
        finally:
            self._forget()
        await self._writer.finish(CLOSE_TIMEOUT_S)

    # What the hub calls.

    def deliver(self, frame: bytes, delivery: Delivery) -> None:
        """An event of the log."""
        self._feed.deliver(frame, delivery)

    def reset(self, delay_s: float) -> None:
        """The log lost something: a fresh snapshot after `delay_s`."""
        self._feed.reset(delay_s)

    def close(self, ending: Close) -> None:
        """End the socket. The first reason counts."""
        if self._ending is not None:
            return
        self._ending = ending
        self._leave()
        metrics.SOCKETS_CLOSED.labels(str(int(ending.code))).inc()
        self._writer.close(ending, discard=ending.code is CloseCode.TOO_SLOW)
        # What `run` waits for need not come any more; only a request is left to finish its transaction.
        if self._task is not None and self._task is not asyncio.current_task() and not self._dispatching:
            self._task.cancel()

    def go_away(self, ending: Close) -> None:
        """End the socket; a request that is running is answered first."""
        if self._dispatching:
            self._leaving = ending
        else:
            self.close(ending)

    def speaks_for(self, user_id: UUID) -> bool:
        """Whether the client has signed in as this account."""
        return self._session is not None and self._session.user_id == user_id

    def recheck(self) -> None:
        """The account changed: end the socket if its token or its role no longer carries it."""
        if self._recheck_task is None or self._recheck_task.done():
            self._recheck_task = self._loop.create_task(self._recheck())

    async def _recheck(self) -> None:
        try:
            await self._authenticate()
        except Exception as error:  # noqa: BLE001  see _fail
            self._fail(error)

    # Frames of the client.

    async def _read_frames(self) -> None:
        while self._ending is None:
            message = await self._receive()
            if message["type"] != "websocket.receive":
                return
            text = message.get("text")
            action = self._protocol.receive(message.get("bytes") or b"" if text is None else text)
            try:
                await self._act(action)
            except Exception as error:  # noqa: BLE001  see _fail
                self._fail(error)
            if self._leaving is not None:
                self.close(self._leaving)

    async def _act(self, action: Any) -> None:
        match action:
            case Close():
                self.close(action)
            case Connect():
                await self._connect(action)
            case Request():
                await self._request(action)
            case Ack():
                self._acknowledge(action)
            case Refresh():
                await self._refresh(action)
            case Refuse(ref, error):
                self._reply_problem(ref, error)

    async def _connect(self, frame: Connect) -> None:
        self._deadline.cancel()
        self._token = frame.token or self._token
        self._shop_id = frame.shop_id
        session = await self._authenticate()
        if session is None:
            return
        self.user_id = session.user_id
        self.recipient = shop_recipient(self._shop_id) if self._shop_id else user_recipient(session.user_id)
        if not self._service.hub.admit(self, limit=self._service.sockets_per_account):
            self.close(TOO_MANY)
            return
        self._admitted = True
        metrics.SOCKETS.labels(self.kind).inc()
        self._adopt(session)
        self._feed = Feed(self._service, self, self._writer, self._fail)
        await self._service.hub.wait_ready(READY_WAIT_S)
        await self._feed.start(parse_cursor(frame.cursor) if frame.cursor else None)
        self._heartbeat_timer = self._loop.call_later(self._service.settings.heartbeat_s, self._heartbeat)

    async def _refresh(self, frame: Refresh) -> None:
        if self._throttle.charge(self._loop.time()) is Verdict.FLOOD:
            self.close(FLOOD)
            return
        before, self._token = self._session, frame.token
        session = await self._authenticate()
        if session is None:
            return
        if before is not None and session.user_id != before.user_id:
            self.close(OTHER_ACCOUNT)
            return
        self._adopt(session)

    def _acknowledge(self, frame: Ack) -> None:
        cursor = parse_cursor(frame.cursor)
        if cursor is not None:
            self.acknowledged = cursor
            for listener in self._service.on_ack:
                listener(self.recipient, self.user_id, cursor)

    async def _request(self, request: Request) -> None:
        match self._throttle.charge(self._loop.time()):
            case Verdict.FLOOD:
                self.close(FLOOD)
            case Verdict.REFUSE:
                wait_s = math.ceil(self._throttle.wait_s)
                self._reply_problem(request.ref, TooManyRequests(retry_after_s=wait_s))
            case Verdict.ALLOW:
                # Asked again at each request: roles and suspensions take effect as they do over HTTP.
                session = await self._authenticate()
                if session is not None:
                    await self._dispatch(request, session)

    async def _dispatch(self, request: Request, session: Session) -> None:
        call: IdempotentCall | None = None
        if request.idempotency_key is not None:
            # As over HTTP, the same key for another shop is another request.
            payload = (self._shop_id.bytes if self._shop_id else b"") + request.payload
            call = IdempotentCall.of(
                session.user_id, f"WS {request.method}", request.idempotency_key, payload
            )
        self._dispatching = True
        try:
            reply = await self._service.requests.dispatch(request.method, session.caller, request.data, call)
        except Exception as error:
            translated = translate(error)
            if translated.status >= 500 and not isinstance(error, MatcherError):
                log.error("socket_request_failed", socket=self._id, error=repr(error), exc_info=error)
            self._reply_problem(request.ref, translated)
        else:
            self._put(reply_frame(request.ref, reply.status, reply.body))
        finally:
            self._dispatching = False

    def _reply_problem(self, ref: str, error: MatcherError) -> None:
        problem = error.problem(f"{self._id}:{ref}")
        if error.retry_after_s is not None:
            problem["retryAfterS"] = error.retry_after_s  # a header over HTTP
        self._put(reply_frame(ref, error.status, encode(problem)))

    # Who the client is.

    async def _authenticate(self) -> Session | None:
        """The session of the token in use; None when the socket was closed instead."""
        if self._token is None:
            self.close(NO_TOKEN)
            return None
        try:
            session = await self._service.identities.authenticate(self._token, self._shop_id)
        except Unauthorized:
            expired = self._session is not None and self._session.expires_at_s <= time.time()
            self.close(EXPIRED if expired else BAD_TOKEN)
        else:
            if self._shop_id is None or self._shop_id in session.shops:
                return session
            self.close(NOT_YOURS)
        return None

    def _adopt(self, session: Session) -> None:
        """End the socket when the token does, unless a newer one comes first."""
        self._session = session
        self._deadline.cancel()
        lasts_s = min(max(0.0, session.expires_at_s - time.time()), TIMER_MAX_S)
        self._deadline = self._loop.call_later(lasts_s, self.close, EXPIRED)

    # The rest.

    def _put(self, frame: bytes) -> None:
        if not self._writer.put(frame):
            self.close(SLOW)

    def _heartbeat(self) -> None:
        self._put(heartbeat_frame(wire_time(utc_now())))
        self._heartbeat_timer = self._loop.call_later(self._service.settings.heartbeat_s, self._heartbeat)

    def _fail(self, error: Exception) -> None:
        """A crash is logged and told, never silent; the client comes back and begins with a snapshot."""
        if isinstance(error, (MatcherError, *CONNECTION_ERRORS)):
            log.warning("socket_failed", socket=self._id, error=repr(error))
        else:
            log.error("socket_failed", socket=self._id, error=repr(error), exc_info=error)
        self.close(BUSY)

    def _leave(self) -> None:
        if self._admitted:
            self._admitted = False
            self._service.hub.leave(self)
            self._feed.stop()
            metrics.SOCKETS.labels(self.kind).dec()

    def _forget(self) -> None:
        self._leave()
        self._deadline.cancel()
        if self._heartbeat_timer is not None:
            self._heartbeat_timer.cancel()
        if self._recheck_task is not None:
            self._recheck_task.cancel()

    @property
    def kind(self) -> RecipientKind:
        """What the recipient is."""
        return "shop" if self._shop_id else "user"

    @property
    def recipient_id(self) -> UUID:
        """Whose events come here."""
        return self._shop_id or self.user_id
