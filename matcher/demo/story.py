"""One run from the first process to the verdict.

Owns: the order of things. Must not hold any actor's behaviour, nor render anything but progress lines.
"""

import asyncio
import contextlib
import time
from collections.abc import Coroutine, Sequence
from typing import Any

import msgspec
from rich.console import Console

from matcher.db import Pool, create_pool, load_queries
from matcher.demo import summary, view
from matcher.demo.cast import Cast, ClaimedShop
from matcher.demo.check import Recipient, check, settle
from matcher.demo.client import Account, Api, Refused, Unreachable
from matcher.demo.customer_bot import CustomerBot
from matcher.demo.draws import OrderPlan, Pace, plan_orders
from matcher.demo.journal import Journal
from matcher.demo.processes import Children
from matcher.demo.scene import Scene
from matcher.demo.shop_bot import ShopBot
from matcher.demo.stage import Stage
from matcher.demo.verdict import Verdict
from matcher.errors import MatcherError

_READY_TIMEOUT_S = 90.0
_CONNECT_TIMEOUT_S = 60.0
# After an order's last moment: 5 s to be told that it expired, the delivery of one accepted last, and some air.
_EPILOGUE_S = 15.0
_EPILOGUE_STORY_S = 2_400.0
_DEATH_NOTICED_S = 1.0
_POLL_S = 0.25
_LOCK = 4_216_077_350  # any number that nobody else locks
SQL = load_queries("matcher.demo")


class AlreadyRuns(MatcherError):
    """Another `matcher demo` plays on this database; wait for its end, or end it with Ctrl-C."""

    code = "demo_already_runs"
    title = "Demo already runs"


class Options(msgspec.Struct, frozen=True):
    """What the command line asked for."""

    once: bool
    orders: int
    shops: int
    minutes: float
    speed: float
    seed: int


async def run(options: Options, stage: Stage, console: Console) -> bool:
    """Play the story; whether everything agreed. Raises MatcherError when it cannot be played."""
    async with await create_pool(stage.database_url, max_size=2) as pool, pool.acquire() as guard:
        if not await guard.fetchval(SQL["try_lock"], _LOCK):
            raise AlreadyRuns
        return await _run_alone(options, stage, pool, console)


async def _run_alone(options: Options, stage: Stage, pool: Pool, console: Console) -> bool:
    with Children(stage.program, stage.environment) as children:
        for name, arguments in stage.processes:
            children.start(name, arguments)
        verdict = await _while_alive(children, _tell(options, stage, pool, console))
        if not options.once:
            console.print(f"\nThe service stays up: [bold]{stage.origins[0]}/schema[/bold] . Ctrl-C ends it.")
            with contextlib.suppress(asyncio.CancelledError):  # this Ctrl-C is how a success ends
                await children.watch()
        return not verdict.mismatches


async def _while_alive(children: Children, telling: Coroutine[Any, Any, Verdict]) -> Verdict:
    """The story's verdict, unless a process of the service dies before: ChildDied."""
    playing = asyncio.create_task(telling)
    watching = asyncio.create_task(children.watch())
    try:
        await asyncio.wait({playing, watching}, return_when=asyncio.FIRST_COMPLETED)
        if playing.done() and playing.exception() is not None:
            # A dying process fails requests a moment before its end is noticed, and explains them better.
            await asyncio.wait({watching}, timeout=_DEATH_NOTICED_S)
        if watching.done():
            watching.result()
        return playing.result()
    finally:
        await _cancel(playing, watching)


async def _tell(options: Options, stage: Stage, pool: Pool, console: Console) -> Verdict:
    apis = [Api(origin) for origin in stage.origins]
    try:
        await asyncio.gather(*(_wait_until_ready(api) for api in apis))
        return await _play(options, stage, apis, pool, console)
    finally:
        for api in apis:
            await api.close()


async def _wait_until_ready(api: Api) -> None:
    deadline_s = time.monotonic() + _READY_TIMEOUT_S
    while True:
        try:
            await api.get("/ready")
        except (Refused, Unreachable) as error:
            if time.monotonic() > deadline_s:
                raise Unreachable(f"{api.origin} is not ready: {error.detail}") from error
            await asyncio.sleep(0.25)
        else:
            return


async def _play(options: Options, stage: Stage, apis: Sequence[Api], pool: Pool, console: Console) -> Verdict:
    shops, customers = await _assemble(options, stage, apis[0], console)
    plans = plan_orders(options.seed, options.orders, len(customers))
    journal = Journal()
    async with asyncio.TaskGroup() as group:
        scene = Scene(journal, Pace(options.speed), group)
        shop_bots = [ShopBot(scene, apis[i % len(apis)], shop, options.seed) for i, shop in enumerate(shops)]
        customer_bots = [
            CustomerBot(scene, apis[i % len(apis)], account) for i, account in enumerate(customers)
        ]
        bots: list[ShopBot | CustomerBot] = [*shop_bots, *customer_bots]
        listening = [group.create_task(bot.socket.run()) for bot in bots]
        await _wait_until_connected(bots)
        scene.sockets = len(bots)
        showing = group.create_task(view.show(scene, console, options.orders, stage.origins[0]))
        await _act(options, stage, scene, customer_bots, plans)
        await _cancel(showing)
        console.print("The story is told; comparing every order and frame with the database …")
        await settle(journal)
        verdict = await check(journal, _recipients(apis, shop_bots, customer_bots), pool)
        await _cancel(*listening)
    console.print()
    console.print(summary.render(journal, len(shops), verdict.mismatches, verdict.compared))
    return verdict


async def _wait_until_connected(bots: Sequence[ShopBot | CustomerBot]) -> None:
    try:
        async with asyncio.timeout(_CONNECT_TIMEOUT_S):
            for bot in bots:
                await bot.socket.connected.wait()
    except TimeoutError as error:
        waiting = [bot.model.recipient for bot in bots if not bot.socket.connected.is_set()]
        raise Unreachable(
            f"{len(waiting)} sockets were not connected in {_CONNECT_TIMEOUT_S:.0f} s, {waiting[0]} among them."
        ) from error


async def _assemble(
    options: Options, stage: Stage, api: Api, console: Console
) -> tuple[list[ClaimedShop], list[Account]]:
    cast = Cast(api, stage.settings, stage.known_emails, options.seed)
    started_s = time.monotonic()
    with console.status("Shop owners claim real shops …") as status:
        settled = 0

        def progress() -> None:
            nonlocal settled
            settled += 1
            status.update(f"Shop owners claim real shops … {settled} of {options.shops}")

        shops = await cast.claim_shops(options.shops, progress)
        status.update("Customers sign in …")
        customers = await cast.sign_in_customers(max(4, options.orders // 8))
    cities = len({shop.city for shop in shops})
    console.print(
        f"{len(shops)} real shops in {cities} cities claimed and verified, {len(customers)} customers signed in "
        f"({time.monotonic() - started_s:.1f} s)."
    )
    return shops, customers


async def _act(
    options: Options, stage: Stage, scene: Scene, customers: Sequence[CustomerBot], plans: Sequence[OrderPlan]
) -> None:
    """Orders come at their moments; the curtain falls when each has come to its end."""
    scene.begin()
    for plan in plans:
        await asyncio.sleep(max(0.0, plan.at * options.minutes * 60 - scene.elapsed_s))
        scene.spawn(customers[plan.customer].place(plan))
    longest_s = stage.order_open_s + _EPILOGUE_S + scene.pace.real_s(_EPILOGUE_STORY_S)
    for _ in range(round(longest_s / _POLL_S)):
        if _is_over(scene.journal, len(plans)):
            break
        await asyncio.sleep(_POLL_S)
    await scene.fall_curtain()
    for order in scene.journal.orders.values():
        if not order.is_final:
            scene.journal.record_surprise(
                f"order {order.body['id']} is still {order.status} {longest_s:.0f} s after the last one came"
            )


def _is_over(journal: Journal, planned: int) -> bool:
    answered = len(journal.orders) + journal.counts["orders refused"]
    return answered == planned and all(order.is_final for order in journal.orders.values())


def _recipients(
    apis: Sequence[Api], shops: Sequence[ShopBot], customers: Sequence[CustomerBot]
) -> list[Recipient]:
    # The next process than the one that the client is connected to: state must not depend on which is asked.
    found = [
        Recipient(apis[(i + 1) % len(apis)], bot.shop.account, bot.model, bot.shop.shop_id)
        for i, bot in enumerate(shops)
    ]
    return found + [
        Recipient(apis[(i + 1) % len(apis)], bot.account, bot.model) for i, bot in enumerate(customers)
    ]


async def _cancel(*tasks: asyncio.Task[object]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
