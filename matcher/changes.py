"""Following a table: every committed change reaches this process, late commits included.

`updated_at > last seen` and sequences skip rows that commit late. A row carries the id of the
transaction that changed it (`changed_xid`); a poll asks for all ids at or above the oldest transaction
that was still running at the poll before. Rows may come twice, never not at all.
"""

import asyncio
from collections.abc import Callable, Sequence

import structlog

from matcher.db import CONNECTION_ERRORS, Pool, Row

_WATERMARK = "SELECT pg_snapshot_xmin(pg_current_snapshot())"

log = structlog.get_logger()


class ChangeFeed:
    """Polls `sql`, whose `$1` is a watermark: `… WHERE changed_xid >= $1`.

    `apply` is called with the rows and must ignore versions that it has.
    """

    def __init__(
        self, pool: Pool, sql: str, apply: Callable[[Sequence[Row]], None], *, poll_s: float
    ) -> None:
        self._pool = pool
        self._sql = sql
        self._apply = apply
        self._poll_s = poll_s
        self._watermark = 0

    async def start_here(self) -> None:
        """Follow from now on. Call it before the first full read, so that nothing falls between."""
        self._watermark = await self._pool.fetchval(_WATERMARK)

    async def refresh(self) -> int:
        """One poll; the number of rows applied."""
        async with self._pool.acquire() as connection:
            watermark = await connection.fetchval(_WATERMARK)
            rows = await connection.fetch(self._sql, self._watermark)
        if rows:
            self._apply(rows)
        self._watermark = watermark
        return len(rows)

    async def run(self) -> None:
        """Poll until cancelled. The watermark outlives every failure: the next poll catches up."""
        while True:
            try:
                await self.refresh()
            except CONNECTION_ERRORS as error:
                log.warning("change_feed_waits", error=repr(error))
            except Exception:  # a process that stops following would ask suspended shops for ever
                log.exception("change_feed_failed")
            await asyncio.sleep(self._poll_s)
