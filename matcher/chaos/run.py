"""One run from the first process to the report.

Owns: the order of things. Must not hold any behaviour, fault or comparison.
"""

import asyncio
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
from rich.console import Console

from matcher.chaos.crowd import Crowd
from matcher.chaos.doors import Doors
from matcher.chaos.faults import Faults
from matcher.chaos.fleet import Fleet
from matcher.chaos.ground import Ground
from matcher.chaos.load import Assembly, Cast, post_orders
from matcher.chaos.proof import come_to_rest, prove
from matcher.chaos.report import Report, make_report
from matcher.chaos.watch import Watch
from matcher.db import create_pool
from matcher.demo.draws import generator
from matcher.demo.journal import Journal

API_PROCESSES = 2
WORKERS = 1
SHOPS = 6
CUSTOMERS = 16
_CALM_S = (0.3, 2.0)  # between two faults
_WARM_UP_S = 1.0


class Options(msgspec.Struct, frozen=True):
    """What the command line asked for.

    `kills` ends the run before `minutes` do, but not before each fault came once; None: only the time counts.
    """

    minutes: float
    kills: int | None
    rate_per_s: float
    order_open_s: int
    seed: int
    only: tuple[str, ...] = ()  # of faults.SHARES; none: all


def service_command() -> list[str]:
    """The `matcher` of the environment that this runs in."""
    return [str(Path(sys.executable).with_name("matcher"))]


async def run(
    options: Options, ground: Ground, console: Console, command: Sequence[str] | None = None
) -> Report:
    """Play the load, strike, and prove. `command` replaces `matcher` (mutants). Raises MatcherError, OSError."""
    started_s = time.monotonic()
    with Fleet(command or service_command(), ground.environment, ground.folder) as fleet:
        rng = generator(options.seed, "chaos")
        doors = Doors(generator(options.seed, "doors"))
        for _ in range(API_PROCESSES):
            doors.origins.append(fleet.start_api().origin)
        for _ in range(WORKERS):
            fleet.start_worker()
        await asyncio.gather(*(fleet.wait_ready(process) for process in fleet.apis))
        watch, journal = Watch(), Journal()
        async with (
            await create_pool(ground.database_url, min_size=0, max_size=2) as pool,
            asyncio.TaskGroup() as group,
        ):
            crowd = Crowd(journal, watch, group)
            assembly = Assembly(crowd, doors, ground.settings, seed=options.seed)
            cast = await assembly.gather(shops=SHOPS, customers=CUSTOMERS)
            over = asyncio.Event()
            roving = [
                group.create_task(person.socket.rove(generator(options.seed, "rove", number), watch, over))
                for number, person in enumerate(cast.people)
            ]
            await cast.wait_connected()
            posting = group.create_task(
                post_orders(
                    crowd, cast, assembly.place, generator(options.seed, "orders"), options.rate_per_s
                )
            )
            faults = Faults(ground, fleet, doors, watch, cast.socket_origins, rng, options.only)
            await _strike(options, faults, watch, console, started_s)
            posting.cancel()
            console.print("Quiet now: waiting until every order is over, then comparing everything …")
            left = await come_to_rest(crowd, cast.people, pool, options.order_open_s)
            verdicts = await prove(crowd, watch, cast.people, pool, left)
            over.set()
            await asyncio.gather(*roving)
            await cast.close()
    return make_report(
        watch,
        verdicts,
        _counts(journal, watch, cast),
        seconds=time.monotonic() - started_s,
        load=f"{options.rate_per_s:g} orders/s",
    )


async def _strike(options: Options, faults: Faults, watch: Watch, console: Console, started_s: float) -> None:
    rng = generator(options.seed, "calm")
    await asyncio.sleep(_WARM_UP_S)
    ends_s = started_s + options.minutes * 60
    while time.monotonic() < ends_s:
        if options.kills is not None and faults.had_each and len(watch.kills) >= options.kills:
            break
        fault = faults.draw()
        began_s = time.monotonic()
        await faults.strike(fault)
        console.print(
            f"{time.monotonic() - started_s:5.0f} s  {fault}: all well again after "
            f"{time.monotonic() - began_s:.1f} s",
            style="dim",
        )
        await asyncio.sleep(rng.uniform(*_CALM_S))


def _counts(journal: Journal, watch: Watch, cast: Cast) -> dict[str, int]:
    statuses = journal.count_orders()
    return {
        "orders acknowledged": len(journal.orders),
        "quotes acknowledged": len(journal.quotes),
        "accepted": journal.counts["accepted"],
        "delivered": journal.counts["delivered"],
        "cancelled by their customer": journal.counts["cancelled"],
        "expired, as told": statuses["expired"],
        "requests acknowledged": watch.answers,
        "frames received": journal.frames,
        "snapshots received": sum(person.snapshots for person in cast.people),
    }
