"""HTTP of quotes. Translates only."""

from typing import Annotated, Any
from uuid import UUID

from litestar import Request, Response, delete, get, post, put
from litestar.params import Parameter

from matcher.accounts.access import Access, Caller
from matcher.http import answer, expected_version, json_response
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

TAGS = ["quotes"]


@post("/shop-quotes/provide-quote", opt={"access": Access.SHOP_QUOTING}, tags=TAGS)
async def provide_quote(
    data: QuoteCreate, quotes: QuoteService, caller: Caller, call: IdempotentCall | None
) -> Response[QuoteView]:
    """Quote an order that was dispatched to the caller's shop.

    Every line of the order is answered, unavailable ones with `available: false`; several offers for a line
    are alternatives, and the first available one counts in the totals, its core charge included.
    """
    return answer(await quotes.provide(caller, data, call))


@put("/shop-quotes/{quote_id:uuid}", opt={"access": Access.SHOP_QUOTING}, tags=TAGS)
async def update_quote(
    quote_id: UUID, data: QuoteUpdate, request: Request[Any, Any, Any], quotes: QuoteService, caller: Caller
) -> Response[QuoteView]:
    """Replace the terms of a live quote. Offers that name their `offerId` keep it. `If-Match` guards the version."""
    return answer(await quotes.update(caller, quote_id, data, expected_version(request)))


@delete("/shop-quotes/{quote_id:uuid}", status_code=200, opt={"access": Access.SHOP_QUOTING}, tags=TAGS)
async def withdraw_quote(
    quote_id: UUID, request: Request[Any, Any, Any], quotes: QuoteService, caller: Caller
) -> Response[QuoteView]:
    """Withdraw a live quote; the shop may quote again while the order is open."""
    return answer(await quotes.withdraw(caller, quote_id, expected_version(request)))


@get("/shop-quotes/shop-quotes", opt={"access": Access.SHOP_STAFF}, tags=TAGS)
async def list_quotes(
    quotes: QuoteService,
    caller: Caller,
    quote_status: Annotated[QuoteStatus | None, Parameter(query="status")] = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Response[Page[QuoteView]]:
    """The quotes of the caller's shop, newest first."""
    return json_response(await quotes.list_quotes(caller, quote_status, limit, cursor))


@get("/shop-quotes/inbox", opt={"access": Access.SHOP_STAFF}, tags=TAGS)
async def read_inbox(
    quotes: QuoteService, caller: Caller, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
) -> Response[Page[DispatchView]]:
    """Open orders that were dispatched to the caller's shop, most urgent first."""
    return json_response(await quotes.inbox(caller, limit, cursor))


@post("/shop-quotes/decline", status_code=200, opt={"access": Access.SHOP_QUOTING}, tags=TAGS)
async def decline_order(
    data: DeclineRequest, quotes: QuoteService, caller: Caller, call: IdempotentCall | None
) -> Response[DispatchView]:
    """Say that the shop will not quote an order. It may change its mind while the order is open."""
    return answer(await quotes.decline(caller, data, call))


@post("/shop-quotes/seen", status_code=200, opt={"access": Access.SHOP_STAFF}, tags=TAGS)
async def mark_seen(data: SeenRequest, quotes: QuoteService, caller: Caller) -> Response[DispatchView]:
    """Say that somebody of the shop has looked at an order; repeating it changes nothing."""
    return answer(await quotes.mark_seen(caller, data))


@post(
    "/auto-parts-orders/{order_id:uuid}/accept-quote",
    status_code=200,
    opt={"access": Access.CUSTOMER},
    tags=TAGS,
)
async def accept_quote(
    order_id: UUID, data: AcceptQuote, quotes: QuoteService, caller: Caller, call: IdempotentCall | None
) -> Response[OrderView]:
    """Accept one quote of the caller's order, at the version that the customer saw."""
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
