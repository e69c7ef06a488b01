"""Admission of HTTP requests: a busy process answers 503 before its answers become slow (docs/adr/0054).

Owns the waiting itself; when one waits and for how long is `overload.py`. Must not look at requests beyond their path.
"""

import asyncio
import random
from collections.abc import Callable, Collection

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Receive, Scope, Send

from matcher import metrics
from matcher.errors import Overloaded
from matcher.http import PROBLEM_JSON, request_id
from matcher.overload import Gate, Ticket
from matcher.serialization import encode
from matcher.settings import Settings

# Those who are turned away shall not come back together.
RETRY_AFTER_S = (1, 3)


class Admission:
    """ASGI middleware. `exempt` paths (health, metrics) are always let in; sockets have an admission of their own."""

    def __init__(self, app: ASGIApp, settings: Settings, exempt: Collection[str] = ()) -> None:
        self.app = app
        self._exempt = frozenset(exempt)
        self._gate = Gate(
            at_once=settings.requests_at_once,
            waiting_max=settings.requests_waiting_max,
            patience_s=settings.admission_patience_s,
            target_s=settings.admission_target_s,
        )
        self._turns: dict[Ticket, asyncio.Future[bool]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != ScopeType.HTTP or scope["path"] in self._exempt:
            await self.app(scope, receive, send)
            return
        now_s = asyncio.get_running_loop().time
        if not self._gate.enter(now_s()) and not await self._wait(now_s):
            await _refuse(scope, send)
            return
        try:
            await self.app(scope, receive, send)
        finally:
            self._leave(now_s())

    async def _wait(self, now_s: Callable[[], float]) -> bool:
        """Whether the request's turn came in time."""
        arrived_s = now_s()
        ticket = self._gate.queue(arrived_s)
        if ticket is None:
            metrics.REQUESTS_SHED.labels("line_full").inc()
            return False
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[bool] = loop.create_future()
        self._turns[ticket] = turn
        timer = loop.call_at(ticket.deadline_s, _settle, turn, False)
        metrics.REQUESTS_WAITING.set(self._gate.waiting)
        try:
            admitted: bool = await turn
        except asyncio.CancelledError:
            if not turn.cancelled() and turn.result():
                self._leave(now_s())  # the turn came, but nobody is left to take it
            raise
        finally:
            timer.cancel()
            self._gate.give_up(ticket)
            del self._turns[ticket]
            metrics.REQUESTS_WAITING.set(self._gate.waiting)
        metrics.ADMISSION_SECONDS.observe(now_s() - arrived_s)
        if not admitted:
            metrics.REQUESTS_SHED.labels("waited").inc()
        return admitted

    def _leave(self, now_s: float) -> None:
        # One that has given up at this very moment does not take its turn: the next one does.
        while (ticket := self._gate.leave(now_s)) is not None and not _settle(self._turns[ticket], True):
            pass


def _settle(turn: "asyncio.Future[bool]", admitted: bool) -> bool:
    if turn.done():
        return False
    turn.set_result(admitted)
    return True


async def _refuse(scope: Scope, send: Send) -> None:
    error = Overloaded(retry_after_s=random.randint(*RETRY_AFTER_S))  # noqa: S311  jitter
    body = encode(error.problem(request_id(scope)))
    headers = [
        (b"content-type", PROBLEM_JSON.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"retry-after", str(error.retry_after_s).encode()),
    ]
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
