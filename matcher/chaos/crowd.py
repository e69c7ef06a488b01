"""What all people of the load share: the record, their work in flight, and how they bear refusals.

Owns: the people's background tasks. Must not decide what anybody does.
"""

import asyncio
import time
from collections.abc import Awaitable, Coroutine
from typing import Any, TypeVar

from matcher.chaos.watch import Watch
from matcher.demo.client import Refused, Unreachable
from matcher.demo.journal import Journal
from matcher.demo.scene import TOO_LATE

T = TypeVar("T")


class Crowd:
    """See the module. `group` runs the work; a failure there ends the run."""

    def __init__(self, journal: Journal, watch: Watch, group: asyncio.TaskGroup) -> None:
        self.journal = journal
        self.watch = watch
        self._group = group
        self._work: set[asyncio.Task[None]] = set()

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Do `work` beside everything else."""
        task = self._group.create_task(work)
        self._work.add(task)
        task.add_done_callback(self._work.discard)

    async def finish(self, timeout_s: float) -> None:
        """Wait for all work, what it starts included. What is not done by then is a finding, and dropped."""
        deadline_s = time.monotonic() + timeout_s
        while self._work and (left_s := deadline_s - time.monotonic()) > 0:
            await asyncio.wait(self._work, timeout=left_s)
        left = list(self._work)
        if left:
            self.journal.record_surprise(f"{len(left)} pieces of work had no answer in {timeout_s:.0f} s")
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    async def attempt(self, call: Awaitable[T]) -> T | None:
        """The call's answer; None when it came too late. Any other refusal, or none at all, is a finding."""
        try:
            return await call
        except Refused as refusal:
            if refusal.reason in TOO_LATE:
                self.journal.counts[f"too late: {refusal.reason}"] += 1
            else:
                self.journal.record_surprise(refusal.detail)
        except Unreachable as failure:
            self.journal.record_surprise(f"never answered: {failure.detail}")
        return None
