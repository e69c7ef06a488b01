"""Admission in front of an app whose requests take as long as the test wants."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from litestar import Litestar, get

from matcher.admission import RETRY_AFTER_S, Admission
from matcher.http import RequestContext
from matcher.settings import Settings
from tests.e2e.api import problem


class Slow:
    """A service with two places, and two in line; `open` lets everybody finish."""

    def __init__(self, patience_s: float = 60.0) -> None:
        self.open = asyncio.Event()
        self.begun = 0

        @get("/slow")
        async def slow() -> None:
            self.begun += 1
            await self.open.wait()

        @get("/health")
        async def health() -> None: ...

        settings = Settings(requests_at_once=2, requests_waiting_max=2, admission_patience_s=patience_s)
        self.admission = Admission(Litestar([slow, health]), settings, exempt=["/health"])
        app: Any = RequestContext(self.admission)
        self.client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test")

    @property
    def books(self) -> tuple[int, int]:
        gate = self.admission._gate
        return gate.running, gate.waiting

    async def ask(self, number: int) -> list["asyncio.Task[httpx.Response]"]:
        """So many requests that have come as far as they can."""
        tasks = [asyncio.create_task(self.client.get("/slow")) for _ in range(number)]
        for _ in range(50):
            await asyncio.sleep(0)
        return tasks


@pytest.fixture
async def slow() -> AsyncIterator[Slow]:
    slow = Slow()
    async with slow.client:
        yield slow


async def test_a_busy_process_answers_503_at_once_and_recovers_by_itself(slow: Slow) -> None:
    tasks = await slow.ask(6)
    assert (slow.begun, slow.books) == (2, (2, 2))
    refused = [task.result() for task in tasks if task.done()]
    assert len(refused) == 2
    for answer in refused:
        problem(answer, 503, "overloaded")
        assert RETRY_AFTER_S[0] <= int(answer.headers["retry-after"]) <= RETRY_AFTER_S[1]

    slow.open.set()
    answers = await asyncio.gather(*tasks)
    assert sorted(answer.status_code for answer in answers) == [200] * 4 + [503] * 2
    assert slow.books == (0, 0)
    assert (await slow.client.get("/slow")).status_code == 200


async def test_health_is_asked_while_everything_is_full(slow: Slow) -> None:
    tasks = await slow.ask(5)
    assert (await slow.client.get("/health")).status_code == 200
    slow.open.set()
    await asyncio.gather(*tasks)


async def test_who_waits_in_vain_is_told_so(slow: Slow) -> None:
    impatient = Slow(patience_s=0.01)
    async with impatient.client:
        tasks = await impatient.ask(3)
        answer = await tasks[2]
        problem(answer, 503, "overloaded")
        assert impatient.books == (2, 0)
        impatient.open.set()
        await asyncio.gather(*tasks)
        assert impatient.books == (0, 0)


async def test_a_request_that_is_cancelled_gives_its_place_back(slow: Slow) -> None:
    tasks = await slow.ask(4)
    tasks[2].cancel()  # in line
    tasks[0].cancel()  # running: the other one in line takes its turn
    await asyncio.wait([tasks[0], tasks[2]])
    for _ in range(50):
        await asyncio.sleep(0)
    assert (slow.begun, slow.books) == (3, (2, 0))
    slow.open.set()
    await asyncio.gather(tasks[1], tasks[3])
    assert slow.books == (0, 0)


async def test_a_turn_that_came_as_its_request_was_cancelled_goes_to_the_next(slow: Slow) -> None:
    tasks = await slow.ask(4)
    slow.admission._leave(asyncio.get_running_loop().time())  # the third one's turn, before it runs again
    tasks[2].cancel()
    await asyncio.wait([tasks[2]])
    for _ in range(50):
        await asyncio.sleep(0)
    assert slow.begun == 3, "the fourth runs"
    assert slow.books == (2, 0)
    slow.open.set()
    await asyncio.gather(tasks[0], tasks[1], tasks[3])


async def test_a_request_that_fails_gives_its_place_back() -> None:
    async def broken(*_: Any) -> None:
        raise ZeroDivisionError

    admission = Admission(broken, Settings(requests_at_once=1))
    scope: Any = {"type": "http", "path": "/"}
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            await admission(scope, None, None)  # type: ignore[arg-type]  # never used
