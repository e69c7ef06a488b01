"""The check at the end, from outside: database, HTTP and fresh snapshots against what the clients hold.

Owns: gathering; the comparisons are `verdict`'s. Must not write anything.
"""

import asyncio
from collections.abc import Awaitable, Sequence
from uuid import UUID

import msgspec

from matcher.db import Pool, load_queries, snapshot
from matcher.demo.client import Account, Api, Refused, Unreachable
from matcher.demo.journal import Journal
from matcher.demo.live_socket import fresh_snapshot
from matcher.demo.model import Model, differences
from matcher.demo.verdict import Stored, Verdict, compare, compare_shown

SQL = load_queries("matcher.demo")
_AT_ONCE = 16
_SETTLE_TIMEOUT_S = 15.0
_SNAPSHOT_ATTEMPTS = 3
_QUIET_S = 1.0  # no frame for so long: nothing is on its way any more


class Recipient(msgspec.Struct):
    """A client of the story: who it is, and what it holds."""

    api: Api
    account: Account
    model: Model
    shop_id: str | None = None


async def settle(journal: Journal) -> None:
    """Wait until no client has received a frame for a second (bounded: the check tells what did not arrive)."""
    for _ in range(round(_SETTLE_TIMEOUT_S / _QUIET_S)):
        before = journal.frames
        await asyncio.sleep(_QUIET_S)
        if journal.frames == before:
            return


async def check(journal: Journal, recipients: Sequence[Recipient], pool: Pool) -> Verdict:
    """Compare everything that was told with everything that is stored."""
    stored = await _read_stored(pool, journal)
    verdict = compare(journal, stored)
    by_name = {recipient.model.recipient: recipient for recipient in recipients}
    gate = asyncio.Semaphore(_AT_ONCE)
    customers = [
        _check_order(verdict, by_name, by_name[order.customer.recipient], order_id)
        for order_id, order in journal.orders.items()
    ]
    shops = [
        _check_dispatch(verdict, by_name[f"shop:{row['shop_id']}"], str(row["order_id"]))
        for row in stored.dispatches
        if f"shop:{row['shop_id']}" in by_name
    ]
    snapshots = [_check_snapshot(verdict, recipient) for recipient in recipients]
    await asyncio.gather(*(_guarded(verdict, gate, work) for work in [*customers, *shops, *snapshots]))
    verdict.add([f"unexpected: {surprise}" for surprise in journal.surprises], len(journal.surprises))
    return verdict


async def _guarded(verdict: Verdict, gate: asyncio.Semaphore, work: Awaitable[None]) -> None:
    async with gate:
        try:
            await work
        except (Refused, Unreachable) as failure:
            verdict.expect(False, f"the check itself was refused: {failure.detail}")


async def _read_stored(pool: Pool, journal: Journal) -> Stored:
    ids = [UUID(order_id) for order_id in journal.orders]
    # Shops answer anybody: somebody may try the tour meanwhile, with orders that the journal does not have.
    quoted = {UUID(quote["orderId"]) for quote in journal.quotes.values()}
    async with snapshot(pool) as connection:
        return Stored(
            orders=[dict(row) for row in await connection.fetch(SQL["orders"], ids)],
            dispatches=[dict(row) for row in await connection.fetch(SQL["dispatches"], ids)],
            quotes=[dict(row) for row in await connection.fetch(SQL["quotes"], list({*ids, *quoted}))],
        )


async def _check_order(
    verdict: Verdict, by_name: dict[str, Recipient], customer: Recipient, order_id: str
) -> None:
    """What GET shows of an order and its quotes is what the customer, and each quote's shop, was told."""
    order = await customer.api.get(f"/auto-parts-orders/{order_id}", customer.account)
    quotes = order.pop("quotes")
    compare_shown(verdict, customer.model, "order", order)
    for quote in quotes:
        compare_shown(verdict, customer.model, "quote", quote)
        shop = by_name.get(f"shop:{quote['shopId']}")
        if shop is not None:
            compare_shown(verdict, shop.model, "quote", quote)


async def _check_dispatch(verdict: Verdict, shop: Recipient, order_id: str) -> None:
    view = await shop.api.get(f"/auto-parts-orders/{order_id}", shop.account)
    compare_shown(verdict, shop.model, "dispatch", view)


async def _check_snapshot(verdict: Verdict, recipient: Recipient) -> None:
    """A client that connects now sees exactly what this one holds."""
    model = recipient.model
    found: list[str] = []
    for attempt in range(_SNAPSHOT_ATTEMPTS):
        # Something may change between the two (an order from outside the story expires): then again.
        await asyncio.sleep(attempt)
        fresh = await fresh_snapshot(recipient.api, recipient.account, model.recipient, recipient.shop_id)
        found = differences(model.held, fresh.held)
        if not found:
            break
    verdict.add([f"{model.recipient}: {difference}" for difference in found], len(model.held) + 1)
