"""What actors share: refusals that come of being late, and those that fail the run; the curtain."""

import asyncio

import pytest

from matcher.demo.client import Refused, Unreachable
from matcher.demo.draws import Pace
from matcher.demo.journal import Journal
from matcher.demo.scene import NEWS_KEPT, Scene


async def refuse(code: str) -> dict[str, str]:
    raise Refused("POST /x", {"code": code, "status": 409, "detail": "No."})


async def test_being_late_is_part_of_the_story() -> None:
    async with asyncio.TaskGroup() as group:
        scene = Scene(Journal(), Pace(240.0), group)
    assert await scene.attempt(refuse("order_expired")) is None
    assert scene.journal.surprises == []
    assert scene.journal.counts["too late: order_expired"] == 1


@pytest.mark.parametrize("code", ["internal_error", "not_found", "quote_exists"])
async def test_other_refusals_fail_the_run(code: str) -> None:
    async with asyncio.TaskGroup() as group:
        scene = Scene(Journal(), Pace(240.0), group)
    assert await scene.attempt(refuse(code)) is None
    assert len(scene.journal.surprises) == 1
    assert code in scene.journal.surprises[0]


async def test_a_service_that_does_not_answer_fails_the_run() -> None:
    async def vanish() -> None:
        raise Unreachable("gone")

    async with asyncio.TaskGroup() as group:
        scene = Scene(Journal(), Pace(240.0), group)
    await scene.attempt(vanish())
    assert scene.journal.surprises == ["gone"]


async def test_the_curtain_ends_what_waits_and_lets_nothing_start() -> None:
    ran: list[str] = []

    async def wait() -> None:
        await asyncio.Event().wait()

    async def late() -> None:
        ran.append("late")

    async with asyncio.TaskGroup() as group:
        scene = Scene(Journal(), Pace(240.0), group)
        scene.spawn(wait())
        await asyncio.sleep(0)
        await scene.fall_curtain()
        scene.spawn(late())
    assert ran == []


async def test_the_news_are_bounded() -> None:
    async with asyncio.TaskGroup() as group:
        scene = Scene(Journal(), Pace(240.0), group)
    for number in range(NEWS_KEPT + 5):
        scene.tell(str(number))
    assert len(scene.news) == NEWS_KEPT
    assert scene.news[0].text == "5"
