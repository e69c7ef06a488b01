"""`matcher demo`: its options, and how the run's outcome becomes an exit status."""

import asyncio
import signal

import click
from rich.console import Console

from matcher.demo import story
from matcher.demo.processes import ChildDied
from matcher.demo.stage import Stage, set_stage
from matcher.errors import MatcherError


@click.command("demo")
@click.option("--once", is_flag=True, help="End after the summary instead of staying up.")
@click.option(
    "--orders", default=120, show_default=True, type=click.IntRange(1, 4_000), help="Orders to submit."
)
@click.option("--shops", default=60, show_default=True, type=click.IntRange(1, 400), help="Shops to claim.")
@click.option(
    "--minutes",
    default=0.5,
    show_default=True,
    type=click.FloatRange(0.05, 120),
    help="Real minutes in which the orders come.",
)
@click.option(
    "--speed",
    default=240.0,
    show_default=True,
    type=click.FloatRange(1, 720),
    help="How much faster than life people act and orders expire (240: two hours in 30 s).",
)
@click.option("--seed", default=1, show_default=True, help="Draws orders, vehicles, habits and delays.")
@click.option(
    "--port", default=0, type=click.IntRange(0, 65_535), help="Of the first API process; 0: a free one."
)
def demo(once: bool, orders: int, shops: int, minutes: float, speed: float, seed: int, port: int) -> int:
    """Watch real shops receive orders and answer them, then check all of it from outside.

    Uses DATABASE_URL and REDIS_URL when both are set, else the embedded stack, which is left running
    (`matcher stack down` stops it). The status is 0 when everything that was told agrees with the database.
    """
    console = Console(highlight=False)
    stage = set_stage(console, speed=speed, port=port)
    options = story.Options(once=once, orders=orders, shops=shops, minutes=minutes, speed=speed, seed=seed)
    agreed = asyncio.run(_until_stopped(options, stage, console))
    if not stage.settings.database_url:
        console.print("PostgreSQL and Redis keep running; `matcher stack down` stops them.", style="dim")
    return 0 if agreed else 1


async def _until_stopped(options: story.Options, stage: Stage, console: Console) -> bool:
    task = asyncio.current_task()
    assert task is not None, "a coroutine that asyncio.run runs is a task"
    # Ctrl-C cancels through asyncio.run; a polite `kill` ends the run in the same way.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        return await story.run(options, stage, console)
    except asyncio.CancelledError:
        raise click.Abort from None
    except ChildDied as death:
        if death.log_tail:
            click.echo(f"{death.log_tail}\n(the end of its log)", err=True)
        raise
    except ExceptionGroup as failures:
        raise _first_of(failures) from failures


def _first_of(failures: ExceptionGroup[Exception]) -> Exception:
    """The failure to report: an expected one, if there is any."""
    leaves = list(_leaves(failures))
    return next((leaf for leaf in leaves if isinstance(leaf, MatcherError)), leaves[0])


def _leaves(group: ExceptionGroup[Exception]) -> list[Exception]:
    found: list[Exception] = []
    for failure in group.exceptions:
        found += _leaves(failure) if isinstance(failure, ExceptionGroup) else [failure]
    return found
