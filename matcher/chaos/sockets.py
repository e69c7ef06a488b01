"""A socket that never gives up: it moves between processes, and repeats requests with their key until answered.

Owns: moving and repeating. Frames, cursor and model are the demo's client's.
"""

import asyncio
import random
from typing import Any
from uuid import uuid4

from matcher.chaos.watch import Watch
from matcher.demo.client import Refused, Unreachable
from matcher.demo.live_socket import LiveSocket

_STAY_S = (4.0, 15.0)  # then it is opened anew, at any process, with its cursor
_REPEAT_AFTER_S = 0.3
_REQUEST_TRIES = 200
_SERVER_ERROR = 500
_TOO_MANY = 429


class RovingSocket(LiveSocket):
    """See the module."""

    async def rove(self, rng: random.Random, watch: Watch, over: asyncio.Event) -> None:
        """Stay connected, now here and now there, until it is `over`. Raises Refused when turned away for good."""
        # Not ended by cancelling: that would cut the closing handshake of a socket that is just moving.
        ending = asyncio.create_task(over.wait())
        while not over.is_set():
            staying = asyncio.create_task(self.run())
            try:
                await asyncio.wait(
                    {staying, ending}, timeout=rng.uniform(*_STAY_S), return_when=asyncio.FIRST_COMPLETED
                )
            finally:
                staying.cancel()
                (outcome,) = await asyncio.gather(staying, return_exceptions=True)
            if isinstance(outcome, Unreachable):
                watch.record_failure("socket", "socket unreachable")
            elif isinstance(outcome, Exception):
                raise outcome

    async def ask(self, method: str, data: dict[str, Any]) -> Any:
        """The reply's data, of the first attempt that has one. Raises Refused; Unreachable after minutes."""
        key = str(uuid4())
        for _ in range(_REQUEST_TRIES):
            try:
                return await self.request(method, data, key)
            except Unreachable:
                pass  # the lost socket is opened again, and the next attempt waits for that
            except Refused as refusal:
                passing = refusal.answered >= _SERVER_ERROR or refusal.answered == _TOO_MANY
                if not passing and refusal.reason != "idempotency_in_flight":
                    raise
            await asyncio.sleep(_REPEAT_AFTER_S)
        raise Unreachable(f"{method} over the socket was not answered in {_REQUEST_TRIES} attempts")
