"""`matcher worker`: runs the background tasks through arq; the only file that knows arq.

Several workers share the work: each tick of a task runs on one of them. While Redis is away nothing
runs, and nothing needs to: requests decide by the clock themselves, and the first tick after catches up.
"""

import asyncio
import os
import signal
from typing import Any

import click
import structlog
from arq.connections import RedisSettings
from arq.cron import CronJob, cron
from arq.worker import Worker
from prometheus_client import start_http_server

from matcher import metrics
from matcher.core import Core, open_core
from matcher.pushing import open_pushing
from matcher.redis import REDIS_ERRORS
from matcher.runtime import configure_logging
from matcher.settings import Settings
from matcher.tasks import Task, periodic_tasks, push_tasks

POLL_S = 0.2  # adds to the lateness of every task
JOB_TIMEOUT_S = 120
REDIS_RETRY_S = 1.0

log = structlog.get_logger()


@click.command()
def worker() -> None:
    """Run the background jobs until SIGTERM or Ctrl-C."""
    settings = Settings.from_env()
    configure_logging(settings, f"worker-{os.getpid()}")
    if settings.worker_metrics_port:
        start_http_server(settings.worker_metrics_port, addr=settings.host)
    asyncio.run(run_worker(settings))


async def run_worker(settings: Settings, stopping: asyncio.Event | None = None) -> None:
    """Work until `stopping` is set or the process is told to end; running jobs finish."""
    stopping = stopping or _stop_on_signals()
    async with open_core(settings) as core, open_pushing(core) as pushing:
        tasks = [*periodic_tasks(core), *push_tasks(pushing)]
        log.info("worker_started", tasks=[task.name for task in tasks])
        while not stopping.is_set():
            await _run_until_redis_fails(core, tasks, stopping)


async def _run_until_redis_fails(core: Core, tasks: list[Task], stopping: asyncio.Event) -> None:
    arq = Worker(
        cron_jobs=[_cron_job(core.settings.redis_prefix, task) for task in tasks],
        queue_name=f"{core.settings.redis_prefix}tasks",
        redis_settings=RedisSettings.from_dsn(core.redis_url),
        handle_signals=False,
        poll_delay=POLL_S,
        job_timeout=JOB_TIMEOUT_S,
        keep_result=0,
        retry_jobs=False,
        log_results=False,
    )
    running = asyncio.create_task(arq.async_run())
    stopped = asyncio.create_task(stopping.wait())
    try:
        await asyncio.wait([running, stopped], return_when=asyncio.FIRST_COMPLETED)
        if running.done() and not stopping.is_set():
            await running
    except REDIS_ERRORS as error:
        log.warning("worker_waits_for_redis", error=repr(error))
        await asyncio.sleep(REDIS_RETRY_S)
    finally:
        stopped.cancel()
        await _close(arq, running)


async def _close(arq: Worker, running: "asyncio.Task[None]") -> None:
    arq.allow_pick_jobs = False
    await asyncio.gather(*arq.tasks.values(), return_exceptions=True)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    try:
        # Not arq's own close(): it calls what redis-py has deprecated, and deletes a health key that nobody reads.
        if arq._pool is not None:
            await arq.pool.aclose(close_connection_pool=True)
    except REDIS_ERRORS as error:
        log.warning("worker_closed_without_redis", error=repr(error))


def _cron_job(prefix: str, task: Task) -> CronJob:
    # arq names a tick's job after the task: the prefix keeps services that share a Redis apart.
    name = f"{prefix}{task.name}"
    run = _measured(task)
    if task.every_s < 60:
        return cron(run, name=name, second=set(range(0, 60, task.every_s)), timeout=JOB_TIMEOUT_S)
    return cron(run, name=name, minute=set(range(0, 60, task.every_s // 60)), timeout=JOB_TIMEOUT_S)


def _measured(task: Task) -> Any:
    turn = asyncio.Lock()

    async def run(_: dict[Any, Any]) -> None:
        if turn.locked():  # the tick before still works; it will find what this one would
            metrics.JOBS.labels(task.name, "skipped").inc()
            return
        async with turn:
            with metrics.JOB_SECONDS.labels(task.name).time():
                try:
                    await task.run()
                except Exception as error:
                    metrics.JOBS.labels(task.name, "failed").inc()
                    log.error("job_failed", job=task.name, error=repr(error), exc_info=error)
                else:
                    metrics.JOBS.labels(task.name, "done").inc()

    return run


def _stop_on_signals() -> asyncio.Event:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    return stopping
