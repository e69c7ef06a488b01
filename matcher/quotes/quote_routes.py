"""HTTP of quotes. Translations only."""

from typing import Any
from uuid import UUID

from litestar import Request, Response, delete, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody

from matcher.accounts.access import Access, Caller
from matcher.http import answer, expected_version, json_response
from matcher.limits import Limit as RateLimit
from matcher.paging import DEFAULT_LIMIT, Cursor, Limit, Page
from matcher.quotes.lifecycle import QuoteStatus
from matcher.quotes.order_schemas import DispatchView, OrderView
from matcher.quotes.quote_schemas import (
    AcceptQuote,
    DeclineRequest,
    QuoteCreate,
    QuoteUpdate,
    QuoteView,
    SeenRequest,
)
from matcher.quotes.quote_service import QuoteService
from matcher.transactions import IdempotentCall

CUSTOMER = {"access": Access.CUSTOMER}
SHOP_STAFF = {"access": Access.SHOP_STAFF}
SHOP_QUOTING = {"access": Access.SHOP_QUOTING}
OFFERING = {"access": Access.SHOP_QUOTING, "limit": RateLimit.QUOTES}

Quotes = NamedDependency[QuoteService]
Signed = NamedDependency[Caller]
Call = NamedDependency[IdempotentCall | None]
AnyRequest = Request[Any, Any, Any]


@post("/shop-quotes/provide-quote", opt=OFFERING, tags=["quotes"])
async def provide_quote(
    quotes: Quotes, caller: Signed, call: Call, data: JSONBody[QuoteCreate]
) -> Response[QuoteView]:
    """Quote an order that the caller's shop was asked for.

    Every line of the order is answered, unavailable ones with `available: false`; several offers for a line are
    alternatives, and the first available one counts in the totals, its core charge included.
    409 `quote_exists`, `order_expired`, `order_cancelled`, `already_accepted`; 422 `quote_lines_mismatch`,
    `nothing_offered`, `currency_mismatch`.
    """
    return answer(await quotes.provide(caller, data, call))


@put("/shop-quotes/{quote_id:uuid}", opt=OFFERING, tags=["quotes"])
async def update_quote(
    quotes: Quotes,
    caller: Signed,
    request: AnyRequest,
    quote_id: FromPath[UUID],
    data: JSONBody[QuoteUpdate],
) -> Response[QuoteView]:
    """Replace the terms of a live quote; offers that name their `offerId` keep it.

    409 `version_conflict`, `quote_withdrawn`, `quote_expired`, `quote_rejected` and those of the order.
    """
    return answer(await quotes.update(caller, quote_id, data, expected_version(request)))


@delete("/shop-quotes/{quote_id:uuid}", status_code=200, opt=SHOP_QUOTING, tags=["quotes"])
async def withdraw_quote(
    quotes: Quotes, caller: Signed, request: AnyRequest, quote_id: FromPath[UUID]
) -> Response[QuoteView]:
    """Withdraw a live quote; the shop may quote again while the order is open. Conflicts as for an edit."""
    return answer(await quotes.withdraw(caller, quote_id, expected_version(request)))


@get("/shop-quotes/shop-quotes", opt=SHOP_STAFF, tags=["quotes"])
async def list_quotes(
    quotes: Quotes,
    caller: Signed,
    status: FromQuery[QuoteStatus | None] = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Response[Page[QuoteView]]:
    """The quotes of the caller's shop, newest first."""
    return json_response(await quotes.list_quotes(caller, status, limit, cursor))


@get("/shop-quotes/inbox", opt=SHOP_STAFF, tags=["quotes"])
async def read_inbox(
    quotes: Quotes, caller: Signed, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
) -> Response[Page[DispatchView]]:
    """Open orders that the caller's shop was asked for, most urgent first."""
    return json_response(await quotes.inbox(caller, limit, cursor))


@post("/shop-quotes/decline", status_code=200, opt=SHOP_QUOTING, tags=["quotes"])
async def decline_order(
    quotes: Quotes, caller: Signed, call: Call, data: JSONBody[DeclineRequest]
) -> Response[DispatchView]:
    """Say that the shop will not quote an order; it may change its mind while the order is open.

    409 `quote_exists` while it has a live quote, and those of the order.
    """
    return answer(await quotes.decline(caller, data, call))


@post("/shop-quotes/seen", status_code=200, opt=SHOP_STAFF, tags=["quotes"])
async def mark_seen(quotes: Quotes, caller: Signed, data: JSONBody[SeenRequest]) -> Response[DispatchView]:
    """Say that somebody of the shop has looked at an order; repeating it changes nothing."""
    return answer(await quotes.mark_seen(caller, data))


@post(
    "/auto-parts-orders/{order_id:uuid}/accept-quote",
    status_code=200,
    opt=CUSTOMER,
    tags=["orders"],
)
async def accept_quote(
    quotes: Quotes, caller: Signed, call: Call, order_id: FromPath[UUID], data: JSONBody[AcceptQuote]
) -> Response[OrderView]:
    """Accept one quote of the caller's order, at the version that the customer saw.

    409 `order_expired`, `order_cancelled`, `already_accepted` (with `acceptedQuoteId`), `quote_withdrawn`,
    `quote_expired`, `quote_rejected`, `quote_changed` (with `currentVersion`).
    """
    return answer(await quotes.accept(caller, order_id, data, call))


ROUTES = [
    provide_quote,
    update_quote,
    withdraw_quote,
    list_quotes,
    read_inbox,
    decline_order,
    mark_seen,
    accept_quote,
]
