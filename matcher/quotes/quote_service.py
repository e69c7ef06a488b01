"""Quotes: a shop answers an order, changes its answer or takes it back; the customer accepts one.

Every change runs in one transaction under its order's lock and raises the order's version.
"""

from collections.abc import Awaitable, Callable, Collection
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg

from matcher import metrics
from matcher.accounts.access import Caller
from matcher.clock import utc_now
from matcher.db import Connection, Row, snapshot
from matcher.errors import FieldError, Forbidden, InvalidRequest, NotFound, VersionConflict
from matcher.ids import uuid7
from matcher.paging import Page, decode_cursor, page_of
from matcher.quotes import quote_repository, views
from matcher.quotes.acceptance import QuoteState, ensure_acceptable, ensure_live, ensure_open
from matcher.quotes.errors import (
    AlreadyAccepted,
    CurrencyMismatch,
    QuoteExists,
    QuoteWithdrawn,
    UnknownUpload,
)
from matcher.quotes.events import TOPIC
from matcher.quotes.lifecycle import OPEN, WON, DispatchStatus, QuoteStatus
from matcher.quotes.locking import LockedOrder, lock_order
from matcher.quotes.order_service import read_order
from matcher.quotes.ports import Uploads
from matcher.quotes.pricing import Terms, price, read_terms
from matcher.quotes.quote_schemas import AcceptQuote, DeclineRequest, QuoteCreate, QuoteUpdate, SeenRequest
from matcher.quotes.settling import expire_due, touch
from matcher.settings import Settings
from matcher.transactions import IdempotentCall, Reply, Transaction, Transactions

# Clocks of processes may disagree by so much without hiding an order from the inbox.
INBOX_SLACK = timedelta(hours=1)

# Ports, wired by the app: (connection, shop id) -> the shop's name, None unless it may quote now;
# (connection, user id) -> {name, phone} for the winner.
ShopName = Callable[[Connection, UUID], Awaitable[str | None]]
ContactOf = Callable[[Connection, UUID], Awaitable[dict[str, Any] | None]]


class QuoteService:
    """What shops and customers do with quotes."""

    def __init__(
        self,
        transactions: Transactions,
        settings: Settings,
        *,
        shop_name: ShopName,
        contact_of: ContactOf,
        uploads: Uploads,
    ) -> None:
        self._transactions = transactions
        self._shop_name = shop_name
        self._contact_of = contact_of
        self._uploads = uploads
        self._open_max = timedelta(seconds=settings.order_open_max_s)
        self._inbox_reach = timedelta(seconds=settings.draft_keep_s) + self._open_max + INBOX_SLACK

    async def provide(self, caller: Caller, data: QuoteCreate, call: IdempotentCall | None) -> Reply:
        """201 with the quote of the caller's shop. NotFound unless the order was dispatched to it."""
        shop_id, terms = _shop_of(caller), read_terms(data)
        foreign = await self._foreign_photos(caller, data)

        async def work(tx: Transaction) -> dict[str, Any]:
            order, _ = await self._lock_dispatched(tx.connection, shop_id, data.order_id)
            shop_name = await self._shop_name(tx.connection, shop_id)
            if shop_name is None:
                raise Forbidden("Your shop may not quote at the moment.")
            self._check_terms(data, order)
            _refuse_photos(data, foreign)
            asked = await quote_repository.asked_quantities(tx.connection, order.id)
            pricing = price(terms, asked, {}, uuid7)
            await expire_due(tx.connection, order)
            quote = await quote_repository.insert_quote(
                tx.connection, uuid7(), order, (shop_id, shop_name), data, pricing, caller.user_id
            )
            if quote is None:
                raise QuoteExists
            await quote_repository.mark_quoted(tx.connection, shop_id, order)
            await touch(tx, order)
            return views.quote_view(quote)

        return _counted(await self._transactions.run(work, status=201, call=call), "provided")

    async def update(
        self, caller: Caller, quote_id: UUID, data: QuoteUpdate, if_match: int | None = None
    ) -> Reply:
        """The quote with its terms replaced; VersionConflict when `if_match` is not its version."""
        shop_id, terms = _shop_of(caller), read_terms(data)
        foreign = await self._foreign_photos(caller, data)

        async def work(tx: Transaction) -> dict[str, Any]:
            order, quote = await self._lock_own_quote(tx.connection, shop_id, quote_id, if_match)
            self._check_terms(data, order)
            # A colleague's photo stays; only new ones must be the caller's.
            kept = {UUID(photo) for line in quote["lines"] for photo in line["photoIds"]}
            _refuse_photos(data, foreign - kept)
            quote = await self._replace_terms(tx.connection, order, quote, data, terms)
            await touch(tx, order)
            return views.quote_view(quote)

        return _counted(await self._transactions.run(work), "updated")

    async def withdraw(self, caller: Caller, quote_id: UUID, if_match: int | None = None) -> Reply:
        """The withdrawn quote. The shop may quote again as long as the order is open."""
        shop_id = _shop_of(caller)

        async def work(tx: Transaction) -> dict[str, Any]:
            order, quote = await self._lock_own_quote(tx.connection, shop_id, quote_id, if_match)
            quote = await quote_repository.withdraw_quote(tx.connection, quote["id"], order)
            await quote_repository.unmark_quoted(tx.connection, [shop_id], order)
            await touch(tx, order)
            return views.quote_view(quote)

        return _counted(await self._transactions.run(work), "withdrawn")

    async def decline(self, caller: Caller, data: DeclineRequest, call: IdempotentCall | None) -> Reply:
        """The dispatch, declined; declining again changes nothing. QuoteExists while the shop has a live quote."""
        shop_id = _shop_of(caller)

        async def work(tx: Transaction) -> dict[str, Any]:
            order, dispatch = await self._lock_dispatched(tx.connection, shop_id, data.order_id)
            if dispatch["status"] == DispatchStatus.DECLINED:
                return await quote_repository.dispatch_view(tx.connection, dispatch)
            expired = await expire_due(tx.connection, order)
            if dispatch["status"] == DispatchStatus.QUOTED and shop_id not in expired:
                raise QuoteExists
            dispatch = await quote_repository.mark_declined(tx.connection, shop_id, order, data.reason)
            await quote_repository.hurry_next_wave(tx.connection, order)
            await touch(tx, order)
            return await quote_repository.dispatch_view(tx.connection, dispatch)

        return _counted(await self._transactions.run(work, call=call), "declined")

    async def mark_seen(self, caller: Caller, data: SeenRequest) -> Reply:
        """The dispatch as seen. Only the first look at an open order changes anything."""
        shop_id = _shop_of(caller)

        async def work(tx: Transaction) -> dict[str, Any]:
            order = await lock_order(tx.connection, data.order_id)
            dispatch = await quote_repository.find_dispatch(tx.connection, shop_id, data.order_id)
            if order is None or dispatch is None:
                raise NotFound
            if dispatch["status"] == DispatchStatus.PENDING and order.status in OPEN:
                dispatch = await quote_repository.mark_seen(tx.connection, shop_id, order)
                await touch(tx, order)
            return await quote_repository.dispatch_view(tx.connection, dispatch)

        return await self._transactions.run(work)

    async def inbox(self, caller: Caller, limit: int, cursor: str | None) -> Page[dict[str, Any]]:
        """The open dispatches of the caller's shop, most urgent first: priority, end, id."""
        oldest = UUID(int=int((utc_now() - self._inbox_reach).timestamp() * 1000) << 80)
        async with snapshot(self._transactions.pool) as connection:
            rows = await quote_repository.inbox(
                connection, _shop_of(caller), oldest, decode_cursor(cursor), limit + 1
            )
            orders = await quote_repository.orders_by_id(connection, [row["order_id"] for row in rows])
        return page_of(
            rows,
            limit,
            lambda row: views.dispatch_view(orders[row["order_id"]], row),
            lambda row: row["order_id"],
        )

    async def list_quotes(
        self, caller: Caller, status: QuoteStatus | None, limit: int, cursor: str | None
    ) -> Page[dict[str, Any]]:
        """The quotes of the caller's shop, newest first."""
        rows = await quote_repository.list_quotes(
            self._transactions.pool, _shop_of(caller), status, decode_cursor(cursor), limit + 1
        )
        return page_of(rows, limit, views.quote_view, lambda row: row["id"])

    async def accept(
        self, caller: Caller, order_id: UUID, data: AcceptQuote, call: IdempotentCall | None
    ) -> Reply:
        """The caller's order with this quote accepted; `acceptance` has the refusals and their precedence."""

        async def work(tx: Transaction) -> Any:
            order = await lock_order(tx.connection, order_id)
            if order is None or order.user_id != caller.user_id:
                raise NotFound
            if order.status in WON:
                raise AlreadyAccepted(extra={"acceptedQuoteId": order.accepted_quote_id})
            ensure_open(order)
            quote = await quote_repository.find_quote(tx.connection, data.quote_id)
            if quote is None or quote["order_id"] != order.id:
                raise NotFound
            ensure_acceptable(_state(quote), data.quote_version, order.now)
            if await self._shop_name(tx.connection, quote["shop_id"]) is None:
                # Suspended a moment ago; the sweep that closes its quotes has not come by yet.
                raise QuoteWithdrawn("The shop cannot deliver any more; accept another quote.")
            contact = await self._contact_of(tx.connection, order.user_id)
            try:
                await quote_repository.accept_quote(tx.connection, order, quote, contact)
            except asyncpg.UniqueViolationError as error:
                raise AlreadyAccepted from error
            tx.changed(TOPIC, order.id, order.next_version)
            return await read_order(tx.connection, order.id)

        reply = _counted(await self._transactions.run(work, call=call), "accepted")
        if not reply.replayed:
            metrics.ORDERS.labels("accepted").inc()
        return reply

    async def _lock_dispatched(
        self, connection: Connection, shop_id: UUID, order_id: UUID
    ) -> tuple[LockedOrder, Row]:
        """Lock an open order that was dispatched to the shop, with its dispatch."""
        order = await lock_order(connection, order_id)
        dispatch = await quote_repository.find_dispatch(connection, shop_id, order_id)
        if order is None or dispatch is None:
            raise NotFound
        ensure_open(order)
        if dispatch["status"] == DispatchStatus.CLOSED:  # of an open order: it was revoked
            raise NotFound
        return order, dispatch

    async def _lock_own_quote(
        self, connection: Connection, shop_id: UUID, quote_id: UUID, if_match: int | None
    ) -> tuple[LockedOrder, Row]:
        """Lock the open order of a live quote of the shop, with the quote."""
        order_id = await quote_repository.find_order_of_quote(connection, quote_id, shop_id)
        order = order_id and await lock_order(connection, order_id)
        if not order:
            raise NotFound
        quote = await quote_repository.find_quote(connection, quote_id)
        assert quote is not None, "quotes are never deleted"
        ensure_open(order)
        ensure_live(_state(quote), order.now)
        if if_match is not None and if_match != quote["version"]:
            raise VersionConflict
        return order, quote

    async def _replace_terms(
        self, connection: Connection, order: LockedOrder, quote: Row, data: QuoteUpdate, terms: Terms
    ) -> Row:
        asked = await quote_repository.asked_quantities(connection, order.id)
        kept = {UUID(line["offerId"]): UUID(line["lineId"]) for line in quote["lines"]}
        pricing = price(terms, asked, kept, uuid7)
        return await quote_repository.update_quote(connection, quote["id"], order, data, pricing)

    async def _foreign_photos(self, caller: Caller, data: QuoteUpdate) -> frozenset[UUID]:
        """Photos that are not the caller's uploads. Before the transaction: it takes a connection of its own."""
        photos = {photo for line in data.lines for photo in line.photo_ids}
        return await self._uploads.find_foreign(caller.user_id, photos) if photos else frozenset()

    def _check_terms(self, data: QuoteUpdate, order: LockedOrder) -> None:
        if data.currency != order.currency:
            raise CurrencyMismatch(f"Quote in the order's currency, {order.currency}.")
        if data.valid_until is None:
            return
        assert order.submitted_at is not None, "open orders were submitted"
        if not order.now < data.valid_until <= order.submitted_at + self._open_max:
            message = "must lie in the future, and not after the order's last possible moment"
            raise InvalidRequest(errors=[FieldError("/validUntil", message)])


def _shop_of(caller: Caller) -> UUID:
    if caller.shop_id is None:
        raise Forbidden("Only a shop's staff may do this.")
    return caller.shop_id


def _refuse_photos(data: QuoteUpdate, foreign: Collection[UUID]) -> None:
    if foreign:
        raise UnknownUpload(
            errors=[
                FieldError(f"/lines/{n}/photoIds/{m}", "not among your uploads")
                for n, line in enumerate(data.lines)
                for m, photo in enumerate(line.photo_ids)
                if photo in foreign
            ]
        )


def _counted(reply: Reply, event: str) -> Reply:
    if not reply.replayed:
        metrics.QUOTES.labels(event).inc()
    return reply


def _state(quote: Row) -> QuoteState:
    return QuoteState(QuoteStatus(quote["status"]), quote["valid_until"], quote["version"])
