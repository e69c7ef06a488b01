"""Requests over a socket: the same rules and the same services as over HTTP."""

from typing import Any
from uuid import UUID

import pytest

from matcher.accounts.access import Access, Caller
from matcher.errors import Forbidden, InvalidRequest, TooManyRequests
from matcher.ids import uuid7
from matcher.limits import Limits
from matcher.realtime.errors import UnknownMethod
from matcher.settings import Settings
from matcher.sockets import RULES, SocketRequests
from matcher.transactions import IdempotentCall, Reply

ORDER, QUOTE, SHOP = uuid7(), uuid7(), uuid7()
CALL = IdempotentCall.of(ORDER, "WS test", "key", b"{}")
TERMS: dict[str, Any] = {
    "lines": [{"lineId": str(uuid7()), "available": False}],
    "deliveryFee": "0",
    "currency": "USD",
}
TERMS |= {"estimatedDeliveryMinutes": 10}


class Recorder:
    """Both services: remembers how it was called."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[Any, ...]]] = []

    def __getattr__(self, name: str) -> Any:
        async def method(*arguments: Any) -> Reply:
            self.calls.append((name, arguments))
            return Reply(200, b"{}", replayed=False)

        return method


@pytest.fixture
def services() -> Recorder:
    return Recorder()


@pytest.fixture
def requests(services: Recorder) -> SocketRequests:
    return make_requests(services, Settings())


def make_requests(services: Recorder, settings: Settings) -> SocketRequests:
    return SocketRequests(services, services, Limits(settings))  # type: ignore[arg-type]  # stands for both


def shop_caller(role: str) -> Caller:
    return Caller(user_id=UUID(int=1), role="shop_owner", shops={SHOP: role}, shop_id=SHOP)


CUSTOMER = Caller(user_id=UUID(int=2), role="customer")
CASHIER, CLERK = shop_caller("cashier"), shop_caller("stock_clerk")


@pytest.mark.parametrize(
    ("method", "caller", "data", "called", "repeatable"),
    [
        ("provide-quote", CASHIER, TERMS | {"orderId": str(ORDER)}, "provide", True),
        ("update-quote", CASHIER, TERMS | {"quoteId": str(QUOTE)}, "update", False),
        ("withdraw-quote", CASHIER, {"quoteId": str(QUOTE)}, "withdraw", False),
        ("decline-order", CASHIER, {"orderId": str(ORDER), "reason": "no"}, "decline", True),
        ("mark-seen", CLERK, {"orderId": str(ORDER)}, "mark_seen", False),
        (
            "accept-quote",
            CUSTOMER,
            {"orderId": str(ORDER), "quoteId": str(QUOTE), "quoteVersion": 1},
            "accept",
            True,
        ),
        ("cancel-order", CUSTOMER, {"orderId": str(ORDER)}, "cancel", True),
    ],
)
async def test_a_request_reaches_its_service(
    requests: SocketRequests,
    services: Recorder,
    method: str,
    caller: Caller,
    data: Any,
    called: str,
    repeatable: bool,
) -> None:
    reply = await requests.dispatch(method, caller, data, CALL)
    assert reply.status == 200
    ((name, arguments),) = services.calls
    assert name == called
    assert arguments[0] is caller
    # A repeated request over another socket is recognised by its key.
    assert (CALL in arguments) is repeatable


async def test_an_unknown_method_is_told_apart_from_an_unknown_object(requests: SocketRequests) -> None:
    with pytest.raises(UnknownMethod):
        await requests.dispatch("launch", CUSTOMER, {}, None)


@pytest.mark.parametrize("method", [m for m, access in RULES.items() if access is Access.SHOP_QUOTING])
async def test_a_role_that_may_not_quote_is_refused_before_its_data_is_read(
    requests: SocketRequests, services: Recorder, method: str
) -> None:
    for caller in (CUSTOMER, CLERK):
        with pytest.raises(Forbidden):
            await requests.dispatch(method, caller, "not even an object", None)
    assert services.calls == []


@pytest.mark.parametrize("data", [None, [], {}, {"orderId": "nope"}, {"orderId": str(ORDER), "more": 1}])
async def test_bad_data_is_refused_with_the_field(
    requests: SocketRequests, services: Recorder, data: Any
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        await requests.dispatch("mark-seen", CLERK, data, None)
    assert refused.value.errors
    assert services.calls == []


async def test_quotes_over_sockets_are_charged_to_the_account(services: Recorder) -> None:
    requests = make_requests(services, Settings(limit_quotes_per_min=2))
    for _ in range(2):
        await requests.dispatch("provide-quote", CASHIER, TERMS | {"orderId": str(ORDER)}, None)
    with pytest.raises(TooManyRequests) as refusal:
        await requests.dispatch("update-quote", CASHIER, TERMS | {"quoteId": str(QUOTE)}, None)
    assert refusal.value.retry_after_s == 30
    await requests.dispatch("mark-seen", CASHIER, {"orderId": str(ORDER)}, None)
