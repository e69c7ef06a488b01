"""What all actors of the story share: the record, the pace, and how they start work and bear refusals.

Owns: the actors' background tasks. Must not decide what an actor does.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Coroutine
from typing import Any, NamedTuple, TypeVar

from matcher.demo.client import Refused, Unreachable
from matcher.demo.draws import Pace
from matcher.demo.journal import Journal

T = TypeVar("T")

NEWS_KEPT = 100

# What may happen to anybody who comes a moment too late: the order or the quote has moved on meanwhile.
TOO_LATE = frozenset(
    {
        "order_expired",
        "order_cancelled",
        "already_accepted",
        "order_state",
        "quote_withdrawn",
        "quote_expired",
        "quote_rejected",
        "quote_changed",
    }
)


class News(NamedTuple):
    """One line of the story. `at_s` counts from the first order; `style` is rich's."""

    at_s: float
    text: str
    style: str


class Scene:
    """The stage of one run."""

    def __init__(self, journal: Journal, pace: Pace, group: asyncio.TaskGroup) -> None:
        """`group` runs what actors do beside listening; a failure there ends the story."""
        self.journal = journal
        self.pace = pace
        self.news: deque[News] = deque(maxlen=NEWS_KEPT)
        self.sockets = 0
        self._group = group
        self._work: set[asyncio.Task[None]] = set()
        self._is_over = False
        self._started_s = time.perf_counter()

    @property
    def elapsed_s(self) -> float:
        """Real seconds since the story began."""
        return time.perf_counter() - self._started_s

    def begin(self) -> None:
        """Time counts from here."""
        self._started_s = time.perf_counter()

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Do `work` beside everything else, unless the curtain has fallen."""
        if self._is_over:
            return work.close()
        task = self._group.create_task(work)
        self._work.add(task)
        task.add_done_callback(self._work.discard)
        return None

    async def fall_curtain(self) -> None:
        """Nobody starts anything any more, and what waits for its moment is dropped."""
        self._is_over = True
        left = list(self._work)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    def tell(self, text: str, style: str = "") -> None:
        """Add a line to the story."""
        self.news.append(News(self.elapsed_s, text, style))

    async def pause(self, story_s: float) -> None:
        """Let so much time of the story pass."""
        await asyncio.sleep(self.pace.real_s(story_s))

    async def attempt(self, call: Awaitable[T]) -> T | None:
        """The call's answer; None when it came too late. Every other refusal is a surprise, which fails the run."""
        try:
            return await call
        except Refused as refusal:
            if refusal.reason in TOO_LATE:
                self.journal.counts[f"too late: {refusal.reason}"] += 1
            else:
                self.journal.record_surprise(refusal.detail)
        except Unreachable as failure:
            self.journal.record_surprise(failure.detail)
        return None
