"""Forgetting: deliveries that are over, and the devices of accounts that were deleted."""

from datetime import timedelta

from matcher.db import Pool
from matcher.notifications import delivery, reach


async def delete_old(pool: Pool, history: timedelta) -> None:
    """Delete deliveries that were made longer ago than `history` and wait no more."""
    await pool.execute(delivery.SQL["delete_old_deliveries"], history)
    await pool.execute(reach.SQL["delete_orphaned_devices"])
