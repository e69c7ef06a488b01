"""The table of background work, each entry run once on real servers."""

from datetime import timedelta

from matcher.core import open_core
from matcher.db import Pool
from matcher.ids import uuid7
from matcher.settings import Settings
from matcher.tasks import SWEEP_BATCH, periodic_tasks


async def test_every_task_runs_on_an_empty_database_and_fits_the_clock(
    pool: Pool, settings: Settings
) -> None:
    async with open_core(settings) as core:
        tasks = periodic_tasks(core)
        assert len({task.name for task in tasks}) == len(tasks)
        for task in tasks:
            assert 60 % task.every_s == 0 or (task.every_s % 60 == 0 and 3_600 % task.every_s == 0)
            await task.run()


async def test_the_outbox_is_swept_until_it_is_empty(pool: Pool, settings: Settings) -> None:
    rows = [(uuid7(), [uuid7()]) for _ in range(SWEEP_BATCH + 3)]
    await pool.executemany(
        "INSERT INTO outbox (id, topic, entity_ids, versions, created_at)"
        " VALUES ($1, 'order', $2, '{1}', now() - interval '1 minute')",
        rows,
    )
    async with open_core(settings) as core:
        sweep = next(task for task in periodic_tasks(core) if task.name == "sweep-outbox")
        await sweep.run()
    assert await pool.fetchval("SELECT count(*) FROM outbox") == 0


async def test_idempotency_keys_are_kept_for_their_time(pool: Pool, settings: Settings) -> None:
    insert = (
        "INSERT INTO idempotency_keys (account_id, scope, key, fingerprint, created_at)"
        " VALUES ($1, 'x', $2, '', now() - $3::interval)"
    )
    keep = timedelta(seconds=settings.idempotency_keep_s)
    await pool.execute(insert, uuid7(), "old", keep + timedelta(minutes=1))
    await pool.execute(insert, uuid7(), "young", keep - timedelta(minutes=1))
    async with open_core(settings) as core:
        await next(task for task in periodic_tasks(core) if task.name == "delete-old-keys").run()
    assert [row["key"] for row in await pool.fetch("SELECT key FROM idempotency_keys")] == ["young"]
