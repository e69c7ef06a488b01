"""HTTP of orders (CONTRACT 4). Translations only."""

from typing import Any, Literal
from uuid import UUID

from litestar import Request, Response, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody

from matcher.accounts.access import Access, Caller
from matcher.http import answer, expected_version, file_response, json_response
from matcher.limits import Limit as RateLimit
from matcher.paging import DEFAULT_LIMIT, Cursor, Limit, Page
from matcher.quotes import order_schemas as schemas
from matcher.quotes.order_changes import OrderChanges
from matcher.quotes.order_service import OrderService
from matcher.quotes.photos import PhotoService
from matcher.transactions import IdempotentCall

CUSTOMER = {"access": Access.CUSTOMER}
ORDERING = {"access": Access.CUSTOMER, "limit": RateLimit.ORDERS}
SIGNED_IN = {"access": Access.SIGNED_IN}

Orders = NamedDependency[OrderService]
Changes = NamedDependency[OrderChanges]
Signed = NamedDependency[Caller]
Call = NamedDependency[IdempotentCall | None]
AnyRequest = Request[Any, Any, Any]
Status = Literal[
    "draft", "submitted", "quoted", "accepted", "processing", "shipped", "delivered", "expired", "cancelled"
]


@post("/auto-parts-orders", opt=ORDERING, tags=["orders"])
async def create_order(
    orders: Orders, caller: Signed, call: Call, data: JSONBody[schemas.OrderCreate]
) -> Response[schemas.OrderView]:
    """Post an order, or keep it as a draft: the nearest shops for the make are asked at once.

    422 `unknown_make`, `vin_make_mismatch`, `payment_method_unavailable`; 409 `too_many_open_orders`.
    """
    return answer(await orders.create(caller, data, call))


@get("/auto-parts-orders/user/{user_id:uuid}", opt=SIGNED_IN, tags=["orders"])
async def list_orders(
    orders: Orders,
    caller: Signed,
    user_id: FromPath[UUID],
    status: FromQuery[Status | None] = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Response[Page[schemas.OrderView]]:
    """A customer's orders with their quotes, newest first; for themselves and admins."""
    return json_response(await orders.list_of_user(caller, user_id, status, limit, cursor))


@get("/auto-parts-orders/{order_id:uuid}", opt=SIGNED_IN, tags=["orders"])
async def get_order(
    orders: Orders, caller: Signed, order_id: FromPath[UUID]
) -> Response[schemas.OrderView | schemas.DispatchView]:
    """An order with its quotes; a shop that was asked sees its own view of it."""
    return json_response(await orders.read(caller, order_id))


@put("/auto-parts-orders/{order_id:uuid}", opt=CUSTOMER, tags=["orders"])
async def update_order(
    request: AnyRequest,
    orders: Orders,
    caller: Signed,
    order_id: FromPath[UUID],
    data: JSONBody[schemas.OrderUpdate],
) -> Response[schemas.OrderView]:
    """Replace fields of a draft. 409 `order_not_editable` once it is submitted, `version_conflict`."""
    return answer(await orders.update(caller, order_id, data, expected_version(request)))


@post("/auto-parts-orders/{order_id:uuid}/submit", status_code=200, opt=ORDERING, tags=["orders"])
async def submit_order(
    orders: Orders, caller: Signed, call: Call, order_id: FromPath[UUID]
) -> Response[schemas.OrderView]:
    """Submit a draft. 409 `order_already_submitted`, `too_many_open_orders`."""
    return answer(await orders.submit(caller, order_id, call))


@post("/auto-parts-orders/{order_id:uuid}/cancel", status_code=200, opt=SIGNED_IN, tags=["orders"])
async def cancel_order(
    changes: Changes,
    caller: Signed,
    call: Call,
    order_id: FromPath[UUID],
    data: JSONBody[schemas.CancelRequest | None] = None,
) -> Response[schemas.OrderView | schemas.DispatchView]:
    """The customer cancels (until `processing`); the winning shop gives the order back (until `shipped`).

    409 `order_state`, `order_cancelled`, `order_expired`.
    """
    return answer(await changes.cancel(caller, order_id, data.reason if data else None, call))


@post("/auto-parts-orders/{order_id:uuid}/extend", status_code=200, opt=CUSTOMER, tags=["orders"])
async def extend_order(
    changes: Changes,
    caller: Signed,
    call: Call,
    order_id: FromPath[UUID],
    data: JSONBody[schemas.ExtendRequest],
) -> Response[schemas.OrderView]:
    """Keep an open order open longer, 24 hours in all. 422 `extension_too_long`."""
    return answer(await changes.extend(caller, order_id, data.minutes, call))


@post("/auto-parts-orders/{order_id:uuid}/status", status_code=200, opt=SIGNED_IN, tags=["orders"])
async def set_order_status(
    changes: Changes,
    caller: Signed,
    call: Call,
    order_id: FromPath[UUID],
    data: JSONBody[schemas.StatusUpdate],
) -> Response[schemas.DispatchView]:
    """The winning shop reports progress and tracking. 409 `order_state` for a step that does not follow."""
    return answer(await changes.set_status(caller, order_id, data, call))


@get("/auto-parts-orders/{order_id:uuid}/dispatches", opt=SIGNED_IN, tags=["orders"])
async def explain_order(
    orders: Orders, caller: Signed, order_id: FromPath[UUID]
) -> Response[schemas.DispatchList]:
    """Who was asked, in which order, why, and what each did; for the customer and admins."""
    return json_response(await orders.explain(caller, order_id))


@get("/auto-parts-orders/{order_id:uuid}/photos/{photo_id:uuid}", opt=SIGNED_IN, tags=["orders"])
async def get_photo(
    photos: NamedDependency[PhotoService], caller: Signed, order_id: FromPath[UUID], photo_id: FromPath[UUID]
) -> Response[bytes]:
    """A photo of the order or of one of its quotes, for those who see the order or the quote."""
    return file_response(await photos.read(caller, order_id, photo_id))


ROUTES = [
    create_order,
    list_orders,
    get_order,
    update_order,
    submit_order,
    cancel_order,
    extend_order,
    set_order_status,
    explain_order,
    get_photo,
]
