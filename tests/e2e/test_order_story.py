"""The main job, told from outside: an order finds its shops, a quote comes back, the parts arrive."""

from functools import partial

from tests.e2e.api import Account, Api, Json, edit_body, eventually, order_body, quote_body
from tests.e2e.conftest import Market
from tests.e2e.sockets import having, open_socket


async def test_an_order_is_quoted_accepted_and_delivered_across_two_processes(
    a: Api, b: Api, market: Market
) -> None:
    nearest, second, _ = market.shops
    customer = await b.register()
    async with (
        open_socket(a, nearest, shop=True) as winner,
        open_socket(a, second, shop=True) as loser,
        open_socket(b, customer) as buyer,
    ):
        order = await b.do("POST", "/auto-parts-orders", order_body(market.town), customer)
        assert order["dispatch"] == {
            "wave": 1,
            "shopsNotified": 3,
            "radiusM": order["dispatch"]["radiusM"],
            "reason": None,
        }

        asked = await winner.event("new-parts-order")
        assert (asked["orderId"], asked["wave"], asked["status"]) == (order["id"], 1, "pending")
        assert "Hidden" not in str(asked)
        assert asked["contact"] is None
        assert asked["distanceM"] % 100 == 0

        quote = await a.do("POST", "/shop-quotes/provide-quote", quote_body(asked), nearest)
        other = await a.do("POST", "/shop-quotes/provide-quote", quote_body(order, "39.00"), second)
        assert quote["totalPrice"] == "95.00"
        seen = await buyer.event("new-quote", having(id=quote["id"]))
        assert seen == quote
        await buyer.event("new-quote", having(id=other["id"]))

        accept = {"quoteId": quote["id"], "quoteVersion": quote["version"]}
        accepted = await b.do("POST", f"/auto-parts-orders/{order['id']}/accept-quote", accept, customer)
        assert (accepted["status"], accepted["selectedQuoteId"]) == ("accepted", quote["id"])

        won = await winner.event("dispatch-updated", having(status="won"))
        assert won["deliveryLocation"]["address"] == "7 Hidden Lane"
        assert won["contact"]["phone"]
        lost = await loser.event("dispatch-updated", having(status="closed"))
        rejected = await loser.event("quote-rejected")
        assert lost["closedReason"] == "accepted_elsewhere"
        assert rejected["id"] == other["id"]
        for secret in (quote["id"], nearest.shop_id, "95.00", "Hidden"):
            assert secret not in str(loser.model.events)

        for status in ("processing", "shipped", "delivered"):
            body = {"status": status, "tracking": {"note": f"now {status}"}}
            await a.do("POST", f"/auto-parts-orders/{order['id']}/status", body, nearest)
            told = await buyer.event("order-status-update", having(status=status))
            assert told["tracking"]["note"] == f"now {status}"
        assert told["paymentStatus"] == "paid"


async def test_quotes_are_edited_and_accepted_over_the_socket(a: Api, b: Api, market: Market) -> None:
    shop = market.shops[0]
    customer = await b.register()
    async with open_socket(a, shop, shop=True) as seller, open_socket(b, customer) as buyer:
        order = await b.do("POST", "/auto-parts-orders", order_body(market.town, parts=2), customer)
        asked = await seller.event("new-parts-order")
        status, _ = await seller.request("mark-seen", {"orderId": order["id"]})
        assert status == 200
        status, quote = await seller.request("provide-quote", quote_body(asked), key="quote-1")
        assert status == 201
        assert (await seller.request("provide-quote", quote_body(asked), key="quote-1")) == (201, quote)
        status, again = await seller.request("provide-quote", quote_body(asked))
        assert (status, again["code"]) == (409, "quote_exists")

        shown = await buyer.event("new-quote")
        status, edited = await seller.request(
            "update-quote", edit_body(asked, "50.00") | {"quoteId": quote["id"]}
        )
        assert (status, edited["totalPrice"]) == (200, "205.00")
        stale = {"orderId": order["id"], "quoteId": quote["id"], "quoteVersion": shown["version"]}
        status, refusal = await buyer.request("accept-quote", stale)
        assert (status, refusal["code"]) == (409, "quote_changed")

        newer = await buyer.event("quote-updated")
        status, accepted = await buyer.request("accept-quote", stale | {"quoteVersion": newer["version"]})
        assert (status, accepted["status"]) == (200, "accepted")
        await seller.event("quote-accepted")


async def test_a_client_that_reconnects_holds_what_a_fresh_one_is_shown(
    a: Api, b: Api, market: Market
) -> None:
    shop = market.shops[0]
    customer = await b.register()
    async with open_socket(a, shop, shop=True) as seller, open_socket(a, customer) as buyer:
        orders = [
            await b.do("POST", "/auto-parts-orders", order_body(market.town), customer) for _ in range(2)
        ]
        for order in orders:
            await seller.event("new-parts-order", having(orderId=order["id"]))
        first = await b.do("POST", "/shop-quotes/provide-quote", quote_body(orders[0]), shop)
        await buyer.event("new-quote")
    # Both are away while things go on; they come back to the other process, where they left off.
    edited = await b.do("PUT", f"/shop-quotes/{first['id']}", edit_body(orders[0], "20.00"), shop)
    extended = await a.do("POST", f"/auto-parts-orders/{orders[1]['id']}/extend", {"minutes": 30}, customer)
    async with open_socket(b, customer, cursor=buyer.model.cursor, model=buyer.model) as resumed:
        assert resumed.model.mode == "resumed"
        assert await resumed.event("quote-updated") == edited
        told = await resumed.event("order-status-update", having(expiresAt=extended["expiresAt"]))
        assert told["version"] == extended["version"]
        async with open_socket(a, customer) as fresh:
            assert fresh.model.mode == "snapshot"
            assert resumed.model.held == fresh.model.held
    async with (
        open_socket(b, shop, shop=True, cursor=seller.model.cursor, model=seller.model) as resumed,
        open_socket(a, shop, shop=True) as fresh,
    ):
        await resumed.event("quote-updated")
        await resumed.event("dispatch-updated", having(expiresAt=extended["expiresAt"]))
        assert resumed.model.held == fresh.model.held


async def test_decline_withdraw_and_a_second_quote_are_told(a: Api, b: Api, market: Market) -> None:
    quick, shy, _ = market.shops
    customer = await b.register()
    async with open_socket(a, quick, shop=True) as seller, open_socket(b, customer) as buyer:
        order = await b.do("POST", "/auto-parts-orders", order_body(market.town), customer)
        decline = {"orderId": order["id"], "reason": "not in stock"}
        assert (await a.do("POST", "/shop-quotes/decline", decline, shy))["status"] == "declined"
        quote = await a.do("POST", "/shop-quotes/provide-quote", quote_body(order), quick)
        await buyer.event("order-status-update", having(status="quoted"))
        status, withdrawn = await seller.request("withdraw-quote", {"quoteId": quote["id"]})
        assert (status, withdrawn["status"]) == (200, "withdrawn")
        await buyer.event("quote-withdrawn")
        await buyer.event(
            "order-status-update", lambda data: data["status"] == "submitted" and data["version"] > 2
        )
        await b.refused(
            409,
            "quote_withdrawn",
            "POST",
            f"/auto-parts-orders/{order['id']}/accept-quote",
            {"quoteId": quote["id"], "quoteVersion": withdrawn["version"]},
            customer,
        )
        again = await a.do("POST", "/shop-quotes/provide-quote", quote_body(order, "41.00"), quick)
        assert again["id"] != quote["id"]
        listed = await a.do("GET", "/shop-quotes/shop-quotes", who=quick)
        assert [item["id"] for item in listed["items"]] == [again["id"], quote["id"]]
        explained = await b.do("GET", f"/auto-parts-orders/{order['id']}/dispatches", who=customer)
        assert {item["shopId"]: item["status"] for item in explained["items"]} == {
            quick.shop_id: "quoted",
            shy.shop_id: "declined",
            market.shops[2].shop_id: "pending",
        }
        assert all(item["reasons"] for item in explained["items"])


async def test_cancelling_closes_the_order_at_every_shop(a: Api, b: Api, market: Market) -> None:
    customer = await b.register()
    async with open_socket(a, market.shops[1], shop=True) as seller:
        order = await b.do("POST", "/auto-parts-orders", order_body(market.town), customer)
        await a.do("POST", "/shop-quotes/provide-quote", quote_body(order), market.shops[1])
        cancelled = await b.do(
            "POST", f"/auto-parts-orders/{order['id']}/cancel", {"reason": "sold the car"}, customer
        )
        assert (cancelled["status"], cancelled["cancelReason"]) == ("cancelled", "sold the car")
        closed = await seller.event("dispatch-updated", having(status="closed"))
        assert closed["closedReason"] == "cancelled"
        await seller.event("quote-rejected")
    async with open_socket(b, market.shops[1], shop=True) as fresh:
        assert fresh.model.held == {}


async def test_a_winner_that_backs_out_reopens_the_order_to_the_others(
    a: Api, b: Api, market: Market
) -> None:
    quitter, other, _ = market.shops
    customer = await b.register()
    async with open_socket(b, other, shop=True) as seller, open_socket(a, customer) as buyer:
        order = await b.do("POST", "/auto-parts-orders", order_body(market.town), customer)
        first = await a.do("POST", "/shop-quotes/provide-quote", quote_body(order), quitter)
        second = await a.do("POST", "/shop-quotes/provide-quote", quote_body(order, "47.00"), other)
        path = f"/auto-parts-orders/{order['id']}"
        first = await newest_quote(b, path, customer, first["id"])
        accept = {"quoteId": first["id"], "quoteVersion": first["version"]}
        await b.do("POST", f"{path}/accept-quote", accept, customer)
        await seller.event("quote-rejected")
        gone = await a.do("POST", f"{path}/cancel", {"reason": "it broke"}, quitter)
        assert gone["status"] == "closed"
        assert "Hidden" not in str(gone)
        reopened = await seller.event("quote-updated", having(id=second["id"], status="active"))
        await buyer.event(
            "order-status-update",
            lambda data: data["status"] == "quoted" and data["version"] > first["version"] + 1,
        )
        accept = {"quoteId": second["id"], "quoteVersion": reopened["version"]}
        accepted = await b.do("POST", f"{path}/accept-quote", accept, customer)
        assert accepted["selectedQuoteId"] == second["id"]


async def newest_quote(api: Api, path: str, customer: Account, quote_id: str) -> Json:
    """The quote as the customer sees it now."""
    order = await api.do("GET", path, who=customer)
    found: Json = next(quote for quote in order["quotes"] if quote["id"] == quote_id)
    return found


async def test_the_same_post_repeated_at_the_other_process_is_one_order(
    a: Api, b: Api, market: Market
) -> None:
    customer = await a.register()
    headers = {"Idempotency-Key": "one order"}
    body = order_body(market.town)
    first = await a.call("POST", "/auto-parts-orders", body, customer, headers=headers)
    second = await b.call("POST", "/auto-parts-orders", body, customer, headers=headers)
    assert (first.status_code, second.status_code) == (201, 201)
    assert second.content == first.content
    assert "idempotency-replayed" not in first.headers
    assert second.headers["idempotency-replayed"] == "true"
    listed = await b.do("GET", f"/auto-parts-orders/user/{customer.user_id}", who=customer)
    assert len(listed["items"]) == 1
    await b.refused(
        422,
        "idempotency_key_reused",
        "POST",
        "/auto-parts-orders",
        order_body(market.town, urgency="high"),
        customer,
        headers=headers,
    )


async def test_a_new_shop_is_asked_by_both_processes_and_only_for_its_makes(
    a: Api, b: Api, market: Market
) -> None:
    customer = await a.register()
    renault = order_body(market.town)
    renault["vehicle"]["make"] = "Renault"
    order = await a.do("POST", "/auto-parts-orders", renault, customer)
    assert order["dispatch"]["shopsNotified"] == 0
    assert order["dispatch"]["reason"] in {"no_shop_for_make", "no_shop_in_range"}
    change = {"supportedBrands": ["Toyota", "Renault"]}
    await a.do("PATCH", f"/shops/{market.shops[0].shop_id}", change, market.shops[0])
    for api in (a, b):
        await eventually(partial(api.near, market.town, "Renault"), within_s=1.0)
        order = await api.do("POST", "/auto-parts-orders", renault, customer)
        assert order["dispatch"]["shopsNotified"] == 1
