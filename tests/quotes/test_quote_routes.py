"""Quotes over HTTP: statuses, shapes, roles, problem documents."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from litestar import Litestar, Router
from litestar.di import Provide
from litestar.exceptions import HTTPException

from matcher.accounts.access import Caller, guard, provide_call, provide_caller
from matcher.db import Pool
from matcher.errors import MatcherError, Unauthorized
from matcher.http import RequestContext, WireDTO, handle_exception
from matcher.ids import uuid7
from matcher.quotes.order_schemas import DispatchView, OrderView
from matcher.quotes.quote_routes import ROUTES
from matcher.quotes.quote_schemas import QuoteView
from matcher.serialization import decode
from tests.quotes.factories import Order, Quoting, insert_order, shop_caller

Json = dict[str, Any]


class Identities:
    """Every caller's token is its id."""

    def __init__(self) -> None:
        self.callers: dict[str, Caller] = {}

    async def authenticate(self, token: str, *, fresh: bool = False) -> Caller:
        try:
            return self.callers[token]
        except KeyError:
            raise Unauthorized from None


class Api:
    """Calls as somebody, with JSON bodies."""

    def __init__(self, client: httpx.AsyncClient, identities: Identities) -> None:
        self.client = client
        self.identities = identities

    async def __call__(
        self, caller: Caller | None, method: str, path: str, body: Any = None, **headers: str
    ) -> httpx.Response:
        if caller is not None:
            self.identities.callers[str(caller.user_id)] = caller
            headers["Authorization"] = f"Bearer {caller.user_id}"
        content = {"content": body} if isinstance(body, bytes) else {"json": body} if body is not None else {}
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if isinstance(body, bytes):
            named["Content-Type"] = "application/json"
        return await self.client.request(method, f"/api/v1{path}", headers=named, **content)


@pytest.fixture
async def api(quoting: Quoting) -> AsyncIterator[Api]:
    app: Any = Litestar(
        [Router("/api/v1", route_handlers=ROUTES)],
        dependencies={
            "caller": Provide(provide_caller, sync_to_thread=False),
            "call": Provide(provide_call),
            "quotes": Provide(giving(quoting.service), sync_to_thread=False),
        },
        exception_handlers={
            HTTPException: handle_exception,
            MatcherError: handle_exception,
            Exception: handle_exception,
        },
        guards=[guard],
        dto=WireDTO,
        return_dto=None,
        middleware=[RequestContext],
        openapi_config=None,
    )
    identities = app.state.identities = Identities()
    # On the test's own event loop, where the pool lives.
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://api.test") as client:
        yield Api(client, identities)


def giving(value: object) -> Callable[[], Any]:
    def give() -> Any:
        return value

    return give


def quote_body(order: Order, **changes: Any) -> Json:
    lines = [
        {"lineId": str(line), "available": True, "unitPrice": "45.00", "quantity": quantity}
        for line, quantity in zip(order.lines, order.quantities, strict=True)
    ]
    return {
        "orderId": str(order.id),
        "lines": lines,
        "deliveryFee": "5.00",
        "currency": "USD",
        "estimatedDeliveryMinutes": 45,
        "pickup": False,
        "validUntil": None,
        "notes": None,
    } | changes


async def provided(api: Api, order: Order, shop: int = 0) -> Json:
    response = await api(order.shops[shop], "POST", "/shop-quotes/provide-quote", quote_body(order))
    assert response.status_code == 201, response.text
    quote: Json = response.json()
    return quote


def problem(response: httpx.Response) -> tuple[int, str]:
    assert response.headers["content-type"] == "application/problem+json"
    document = response.json()
    assert document["status"] == response.status_code
    return response.status_code, document["code"]


async def test_quote_travels_from_the_inbox_to_acceptance(clocked_pool: Pool, api: Api) -> None:
    order = await insert_order(clocked_pool)
    shop, customer = order.shops[0], order.customer
    seen = await api(shop, "POST", "/shop-quotes/seen", {"orderId": str(order.id)})
    assert (seen.status_code, seen.json()["status"]) == (200, "seen")
    inbox = (await api(shop, "GET", "/shop-quotes/inbox?limit=1")).json()
    assert [item["orderId"] for item in inbox["items"]] == [str(order.id)]
    assert inbox["nextCursor"] is None
    quote = await provided(api, order)
    edited = await api(
        shop,
        "PUT",
        f"/shop-quotes/{quote['id']}",
        {name: value for name, value in quote_body(order, deliveryFee="3").items() if name != "orderId"},
        If_Match=f'"{quote["version"]}"',
    )
    assert (edited.status_code, edited.json()["totalPrice"]) == (200, "138.00")
    path = f"/auto-parts-orders/{order.id}/accept-quote"
    changed = await api(customer, "POST", path, {"quoteId": quote["id"], "quoteVersion": quote["version"]})
    assert problem(changed) == (409, "quote_changed")
    version = changed.json()["currentVersion"]
    accepted = await api(customer, "POST", path, {"quoteId": quote["id"], "quoteVersion": version})
    assert (accepted.status_code, accepted.json()["status"]) == (200, "accepted")
    again = await api(customer, "POST", path, {"quoteId": quote["id"], "quoteVersion": version})
    assert problem(again) == (409, "already_accepted")
    assert again.json()["acceptedQuoteId"] == quote["id"]


async def test_answers_are_the_views_that_the_api_page_describes(clocked_pool: Pool, api: Api) -> None:
    order = await insert_order(clocked_pool)
    quote = await api(order.shops[0], "POST", "/shop-quotes/provide-quote", quote_body(order))
    assert decode(quote.content, QuoteView).total_price == "140.00"
    declined = await api(
        order.shops[1], "POST", "/shop-quotes/decline", {"orderId": str(order.id), "reason": "no stock"}
    )
    assert decode(declined.content, DispatchView).status == "declined"
    taken = {"quoteId": quote.json()["id"], "quoteVersion": quote.json()["version"]}
    accepted = await api(order.customer, "POST", f"/auto-parts-orders/{order.id}/accept-quote", taken)
    assert decode(accepted.content, OrderView).selected_quote_id == decode(quote.content, QuoteView).id


async def test_withdrawing_takes_the_version_that_was_seen(clocked_pool: Pool, api: Api) -> None:
    order = await insert_order(clocked_pool)
    quote = await provided(api, order)
    path, shop = f"/shop-quotes/{quote['id']}", order.shops[0]
    assert problem(await api(shop, "DELETE", path, If_Match='"1"')) == (409, "version_conflict")
    assert problem(await api(shop, "DELETE", path, If_Match="first")) == (400, "invalid_request")
    assert problem(await api(order.shops[1], "DELETE", path)) == (404, "not_found")
    withdrawn = await api(shop, "DELETE", path, If_Match=f'"{quote["version"]}"')
    assert (withdrawn.status_code, withdrawn.json()["status"]) == (200, "withdrawn")
    listed = (await api(shop, "GET", "/shop-quotes/shop-quotes?status=withdrawn")).json()
    assert [item["id"] for item in listed["items"]] == [quote["id"]]
    assert problem(await api(shop, "GET", "/shop-quotes/shop-quotes?status=lost")) == (400, "invalid_request")


async def test_repeated_request_with_a_key_is_answered_from_the_first(clocked_pool: Pool, api: Api) -> None:
    order = await insert_order(clocked_pool)
    call = (order.shops[0], "POST", "/shop-quotes/provide-quote")
    first = await api(*call, quote_body(order), Idempotency_Key="one")
    again = await api(*call, quote_body(order), Idempotency_Key="one")
    assert (again.status_code, again.content) == (201, first.content)
    assert again.headers["idempotency-replayed"] == "true"
    other = await api(*call, quote_body(order, deliveryFee="9.00"), Idempotency_Key="one")
    assert problem(other) == (422, "idempotency_key_reused")


@pytest.mark.parametrize("role", ["stock_clerk", "accountant"])
async def test_staff_without_a_quoting_role_may_only_look(clocked_pool: Pool, api: Api, role: str) -> None:
    staff = shop_caller(uuid7(), role)
    order = await insert_order(clocked_pool, shops=[staff])
    body = {"orderId": str(order.id)}
    assert (await api(staff, "GET", "/shop-quotes/inbox")).status_code == 200
    assert (await api(staff, "GET", "/shop-quotes/shop-quotes")).status_code == 200
    assert (await api(staff, "POST", "/shop-quotes/seen", body)).status_code == 200
    refused = [
        await api(staff, "POST", "/shop-quotes/provide-quote", quote_body(order)),
        await api(staff, "POST", "/shop-quotes/decline", body | {"reason": "no"}),
        await api(staff, "DELETE", f"/shop-quotes/{uuid7()}"),
    ]
    assert [problem(response) for response in refused] == [(403, "forbidden")] * 3


async def test_strangers_and_customers_are_kept_out(clocked_pool: Pool, api: Api) -> None:
    order = await insert_order(clocked_pool)
    assert problem(await api(None, "GET", "/shop-quotes/inbox")) == (401, "unauthorized")
    assert problem(await api(order.customer, "GET", "/shop-quotes/inbox")) == (403, "forbidden")
    admin = Caller(uuid7(), "admin")
    taken = {"quoteId": str(uuid7()), "quoteVersion": 1}
    path = f"/auto-parts-orders/{order.id}/accept-quote"
    assert problem(await api(admin, "POST", path, taken)) == (403, "forbidden")
    stranger = Caller(uuid7(), "customer")
    assert problem(await api(stranger, "POST", path, taken)) == (404, "not_found")
    unknown = await api(order.customer, "POST", "/auto-parts-orders/1/accept-quote", taken)
    assert problem(unknown) == (404, "not_found")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param({"deliveryFee": "5.001"}, (400, "invalid_request"), id="too many digits"),
        pytest.param({"deliveryFee": 5.0}, (400, "invalid_request"), id="a float"),
        pytest.param({"deliveryFee": "-5.00"}, (400, "invalid_request"), id="negative"),
        pytest.param({"lines": []}, (400, "invalid_request"), id="no lines"),
        pytest.param({"notes": "a\x00b"}, (400, "invalid_request"), id="NUL"),
        pytest.param({"surprise": 1}, (400, "invalid_request"), id="unknown field"),
        pytest.param({"currency": "EUR"}, (422, "currency_mismatch"), id="other currency"),
        pytest.param(
            {"validUntil": "0001-01-01T00:00:00+23:59"}, (400, "invalid_request"), id="before all time"
        ),
        pytest.param(
            {"validUntil": "9999-12-31T23:59:59-23:59"}, (400, "invalid_request"), id="after all time"
        ),
        pytest.param({"orderId": str(uuid7())}, (404, "not_found"), id="order not dispatched"),
    ],
)
async def test_bad_quotes_are_refused_and_nothing_is_written(
    clocked_pool: Pool, api: Api, change: Json, expected: tuple[int, str]
) -> None:
    order = await insert_order(clocked_pool)
    body = quote_body(order, **change)
    response = await api(order.shops[0], "POST", "/shop-quotes/provide-quote", body)
    assert problem(response) == expected
    assert await clocked_pool.fetchval("SELECT version FROM orders") == 1
    assert await clocked_pool.fetchval("SELECT count(*) FROM quotes") == 0


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b'{"orderId": NaN}', b'"\\ud800"', b"\xff", b"[" * 50_000],
    ids=["empty", "truncated", "a list", "null", "NaN", "half a pair", "not UTF-8", "deep"],
)
async def test_bodies_that_are_no_quote_are_refused(clocked_pool: Pool, api: Api, body: bytes) -> None:
    shop = shop_caller(uuid7())
    assert problem(await api(shop, "POST", "/shop-quotes/provide-quote", body)) == (400, "invalid_request")
    assert problem(await api(shop, "POST", "/shop-quotes/seen", body)) == (400, "invalid_request")
