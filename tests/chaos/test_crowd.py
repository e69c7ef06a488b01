"""The people's work: waited for with what it starts, bounded; refusals that are explained, and others."""

import asyncio
from typing import Any

import pytest

from matcher.chaos.crowd import Crowd
from matcher.chaos.watch import Watch
from matcher.demo.client import Refused, Unreachable
from matcher.demo.journal import Journal


async def refuse(error: Exception) -> Any:
    raise error


async def test_work_that_work_starts_is_waited_for() -> None:
    done: list[str] = []
    async with asyncio.TaskGroup() as group:
        crowd = Crowd(Journal(), Watch(), group)

        async def second() -> None:
            await asyncio.sleep(0)
            done.append("second")

        async def first() -> None:
            await asyncio.sleep(0)
            crowd.spawn(second())

        crowd.spawn(first())
        await crowd.finish(10)
    assert done == ["second"]
    assert crowd.journal.surprises == []


async def test_work_without_an_answer_is_a_finding_and_ends() -> None:
    async with asyncio.TaskGroup() as group:
        crowd = Crowd(Journal(), Watch(), group)
        crowd.spawn(asyncio.Event().wait())  # type: ignore[arg-type]  # its value is not looked at
        await crowd.finish(0.01)
    assert crowd.journal.surprises == ["1 pieces of work had no answer in 0 s"]


@pytest.mark.parametrize(
    ("error", "surprise"),
    [
        (Refused("POST /x", {"status": 409, "code": "order_expired"}), None),
        (Refused("POST /x", {"status": 422, "code": "unknown_make"}), "422 unknown_make"),
        (Unreachable("POST /x: gone"), "never answered: POST /x: gone"),
    ],
)
async def test_only_coming_too_late_is_explained(error: Exception, surprise: str | None) -> None:
    async with asyncio.TaskGroup() as group:
        crowd = Crowd(Journal(), Watch(), group)
        assert await crowd.attempt(refuse(error)) is None
        assert await crowd.attempt(asyncio.sleep(0, "answer")) == "answer"
    assert len(crowd.journal.surprises) == (surprise is not None)
    assert surprise is None or surprise in crowd.journal.surprises[0]
