"""The way to the service for clients that do not give up: any process, the same key, until answered.

Owns: which origins are in use (what a load balancer knows) and repeating. Must not know what is asked.
"""

import random
import time

import httpx
import msgspec

from matcher.chaos.watch import Watch
from matcher.demo.client import Api

# With pauses of up to 1.6 s: two minutes. What is not answered by then is a finding.
_ATTEMPTS = 80
_IN_FLIGHT = "idempotency_in_flight"
_SERVER_ERROR = 500
_TOO_MANY = 429


class Doors:
    """The origins of the API processes; a client takes any of them."""

    def __init__(self, rng: random.Random) -> None:
        self.origins: list[str] = []
        self._rng = rng

    def pick(self) -> str:
        """An origin; nobody tells clients that a process is dead."""
        return self._rng.choice(self.origins)

    def replace(self, old: str, new: str) -> None:
        """New requests go to another process; the old one finishes what it has."""
        self.origins[self.origins.index(old)] = new


class ChaosApi(Api):
    """One person's way to the service. `socket_origin`: where its socket was last opened."""

    def __init__(self, doors: Doors, watch: Watch) -> None:
        super().__init__("", attempts=_ATTEMPTS)
        self.socket_origin = ""
        self._doors = doors
        self._watch = watch

    @property
    def origin(self) -> str:
        """Another one at each attempt."""
        return self._doors.pick()

    @property
    def socket_url(self) -> str:
        """Where the next socket is opened."""
        self.socket_origin = self._doors.pick()
        return Api(self.socket_origin).socket_url

    async def send(self, client: httpx.AsyncClient, request: httpx.Request) -> httpx.Response:
        """One attempt, noted."""
        origin = f"{request.url.scheme}://{request.url.netloc.decode()}"
        sent_at_s = time.time()
        try:
            response = await super().send(client, request)
        except httpx.TransportError as error:
            self._watch.record_failure(origin, type(error).__name__, time.time() - sent_at_s)
            raise
        if self.may_pass(response):
            what = f"{response.status_code} {_code(response)}"
            self._watch.record_failure(origin, what, time.time() - sent_at_s)
        elif response.is_success and request.method != "GET":
            self._watch.record_answer(origin, sent_at_s, time.time())
        return response

    def may_pass(self, response: httpx.Response) -> bool:
        """Whatever is not the service's last word."""
        status = response.status_code
        return status >= _SERVER_ERROR or status == _TOO_MANY or _code(response) == _IN_FLIGHT


def _code(response: httpx.Response) -> str:
    if response.is_success:
        return ""
    try:
        return str(msgspec.json.decode(response.content)["code"])
    except (msgspec.DecodeError, KeyError, TypeError):
        return "no problem document"
