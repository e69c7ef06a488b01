"""`matcher chaos`: its options, and how a run's outcome becomes an exit status."""

import asyncio
import contextlib
import signal
from collections.abc import Coroutine, Iterator
from typing import Any, TypeVar

import click
import msgspec
from rich.console import Console

from matcher.chaos import race_report, races, run
from matcher.chaos.faults import SHARES
from matcher.chaos.ground import Ground, prepare_ground
from matcher.chaos.report import render
from matcher.errors import MatcherError

T = TypeVar("T")


@click.group("chaos", invoke_without_command=True)
@click.option(
    "--minutes",
    type=click.FloatRange(0.1, 120),
    help="Time for faults; 5, or with --kills as long as they need.",
)
@click.option("--kills", type=click.IntRange(1, 2_000), help="End after so many kills (200: the full form).")
@click.option(
    "--rate", default=6.0, show_default=True, type=click.FloatRange(0.5, 50), help="Orders a second."
)
@click.option(
    "--order-open",
    default=20,
    show_default=True,
    type=click.IntRange(5, 600),
    help="Seconds until an order expires.",
)
@click.option(
    "--only", multiple=True, type=click.Choice(list(SHARES)), help="Only this fault; may be repeated."
)
@click.option("--seed", default=1, show_default=True, help="Draws load and faults.")
@click.option("--json", "as_json", is_flag=True, help="The report as one JSON object.")
@click.pass_context
def chaos(
    ctx: click.Context,
    minutes: float | None,
    kills: int | None,
    rate: float,
    order_open: int,
    only: tuple[str, ...],
    seed: int,
    as_json: bool,
) -> int | None:
    """Kill the service's processes and servers under load, and prove that nothing acknowledged was lost.

    Everything runs on a private stack in a temporary folder, on loopback, and is removed afterwards. The status is
    1 when anything was lost, made up, accepted twice or stuck.
    """
    if ctx.invoked_subcommand is not None:
        return None
    options = run.Options(
        minutes=minutes or (120.0 if kills else 5.0),
        kills=kills,
        rate_per_s=rate,
        order_open_s=order_open,
        seed=seed,
        only=only,
    )
    console = _console(as_json)
    with _terminable(), _ground(console, order_open) as ground:
        report = _play(run.run(options, ground, console))
    if as_json:
        click.echo(msgspec.json.encode(report))
    else:
        console.print()
        console.print(render(report))
    return 0 if report.passed else 1


@chaos.command("races")
@click.option(
    "--count", default=2_000, show_default=True, type=click.IntRange(1, 1_000_000), help="Raced acceptances."
)
@click.option("--seed", default=1, show_default=True, help="Draws the races.")
@click.option("--json", "as_json", is_flag=True, help="The report as one JSON object.")
def race(count: int, seed: int, as_json: bool) -> int:
    """Race acceptances over two API processes, against edits, withdrawals, cancellations and expiry.

    The status is 1 unless each order ended with exactly one winner or none, at a price that its customer was
    shown, and everyone was told the same.
    """
    console = _console(as_json)
    with _terminable(), _ground(console, races.ORDER_OPEN_S) as ground:
        report = _play(races.run(count, seed, ground, console))
    if as_json:
        click.echo(msgspec.json.encode(report))
    else:
        console.print()
        console.print(race_report.render(report))
    return 0 if report.passed else 1


@contextlib.contextmanager
def _ground(console: Console, order_open_s: int) -> Iterator[Ground]:
    with contextlib.ExitStack() as stack:
        with console.status("Starting a private PostgreSQL and Redis …"):
            ground = stack.enter_context(prepare_ground(order_open_s))
        yield ground


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """A polite `kill` ends a run as Ctrl-C does: everything is stopped and removed."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except KeyboardInterrupt:
        raise click.Abort from None
    finally:
        signal.signal(signal.SIGTERM, before)


def _console(as_json: bool) -> Console:
    return Console(highlight=False, stderr=as_json)


def _play(playing: Coroutine[Any, Any, T]) -> T:
    try:
        return asyncio.run(playing)
    except ExceptionGroup as failures:
        expected, _ = failures.split(MatcherError)
        raise _first_leaf(expected or failures) from failures


def _first_leaf(group: ExceptionGroup[Exception]) -> Exception:
    first = group.exceptions[0]
    return _first_leaf(first) if isinstance(first, ExceptionGroup) else first
