"""`matcher` whose publishers are held up now and then, so that events overtake each other. Allowed: versions decide."""

import asyncio
import random
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from matcher import cli
from matcher.events import Event
from matcher.transactions import Publisher

LATE_S = 0.6

prompt = Publisher._publish
late: set[asyncio.Task[Any]] = set()


async def publish(self: Publisher, taken: list[tuple[Sequence[UUID], Sequence[Event]]]) -> None:
    async def later() -> None:
        await asyncio.sleep(random.uniform(0.0, LATE_S))
        await prompt(self, taken)

    task = asyncio.create_task(later())
    late.add(task)
    task.add_done_callback(late.discard)


Publisher._publish = publish  # type: ignore[method-assign]  # see above

if __name__ == "__main__":
    cli.main()
