"""A shop of the story: sees orders on its socket, answers as people do, delivers what it wins.

Owns: one shop's behaviour, over public endpoints. Must not know other shops or the database.
"""

import time
from typing import Any

from matcher.demo.cast import ClaimedShop
from matcher.demo.client import Api
from matcher.demo.draws import Reaction, generator, quote_body, reaction
from matcher.demo.live_socket import LiveSocket
from matcher.demo.scene import Scene

# Story time from winning to each step.
_DELIVERY_STEPS = (("processing", 300.0), ("shipped", 600.0), ("delivered", 1200.0))
_EDIT_CHEAPER = 0.93


class ShopBot:
    """Plays one shop."""

    def __init__(self, scene: Scene, api: Api, shop: ClaimedShop, seed: int) -> None:
        self.shop = shop
        self.model = scene.journal.model(shop.recipient)
        self.socket = LiveSocket(api, shop.account, self.model, self._on_event, shop.shop_id)
        self._scene = scene
        self._api = api
        self._rng = generator(seed, "answers", shop.number)
        self._delivering: set[str] = set()

    def _on_event(self, frame: dict[str, Any]) -> None:
        dispatch = frame["data"]
        if frame["event"] == "new-parts-order":
            self._scene.journal.record_dispatch(
                dispatch["orderId"], self.shop.name, dispatch["distanceM"], time.perf_counter()
            )
            self._scene.spawn(self._answer(dispatch, reaction(self._rng, self.shop.habits)))
        elif dispatch.get("status") == "won" and dispatch["orderId"] not in self._delivering:
            self._delivering.add(dispatch["orderId"])
            self._scene.spawn(self._deliver(dispatch["orderId"]))

    async def _answer(self, dispatch: dict[str, Any], plan: Reaction) -> None:
        order_id = dispatch["orderId"]
        await self._scene.pause(plan.after_s / 2)
        if plan.marks_seen and self._is_open(order_id):
            await self._send("mark-seen", "/shop-quotes/seen", {"orderId": order_id})
        await self._scene.pause(plan.after_s / 2)
        if plan.answer == "ignore" or not self._is_open(order_id):
            return
        if plan.answer == "decline":
            body = {"orderId": order_id, "reason": "Not in stock"}
            if await self._send("decline-order", "/shop-quotes/decline", body) is not None:
                self._scene.journal.counts["declined"] += 1
            return
        quote = await self._quote(dispatch)
        if quote is not None:
            await self._change_mind(dispatch, quote, plan)

    async def _quote(self, dispatch: dict[str, Any]) -> dict[str, Any] | None:
        body = quote_body(self._rng, self.shop.habits, dispatch)
        self._scene.journal.record_quote_sent(dispatch["orderId"], self.shop.shop_id, time.perf_counter())
        quote: dict[str, Any] | None = await self._send("provide-quote", "/shop-quotes/provide-quote", body)
        if quote is not None:
            self._scene.journal.record_quote(quote)
        return quote

    async def _change_mind(self, dispatch: dict[str, Any], quote: dict[str, Any], plan: Reaction) -> None:
        journal = self._scene.journal
        if plan.edits_after_s is not None:
            await self._scene.pause(plan.edits_after_s)
            if self._is_open(dispatch["orderId"]):
                body = quote_body(self._rng, self.shop.habits, dispatch, cheaper=_EDIT_CHEAPER)
                del body["orderId"]
                edited = await self._scene.attempt(self._edit(quote["id"], body))
                if edited is not None:
                    journal.counts["edited"] += 1
                    journal.record_quote(edited)
        if plan.withdraws_after_s is not None:
            await self._scene.pause(plan.withdraws_after_s)
            if self._is_open(dispatch["orderId"]):
                withdrawn = await self._scene.attempt(self._withdraw(quote["id"]))
                journal.counts["withdrawn"] += withdrawn is not None

    async def _edit(self, quote_id: str, body: dict[str, Any]) -> Any:
        if self.shop.habits.over_socket:
            return await self.socket.request("update-quote", body | {"quoteId": quote_id})
        return await self._api.put(f"/shop-quotes/{quote_id}", body, self.shop.account)

    async def _withdraw(self, quote_id: str) -> bool:
        if self.shop.habits.over_socket:
            await self.socket.request("withdraw-quote", {"quoteId": quote_id})
        else:
            await self._api.delete(f"/shop-quotes/{quote_id}", self.shop.account)
        return True

    async def _deliver(self, order_id: str) -> None:
        for status, after_s in _DELIVERY_STEPS:
            await self._scene.pause(after_s)
            body: dict[str, Any] = {"status": status}
            if status == "shipped":
                body |= {"tracking": {"carrier": "Demo courier", "number": order_id[-8:].upper()}}
            call = self._api.post(f"/auto-parts-orders/{order_id}/status", body, self.shop.account)
            if await self._scene.attempt(call) is None:
                return

    async def _send(self, method: str, path: str, body: dict[str, Any]) -> Any:
        """The same request, over the socket or over HTTP, as this shop is used to."""
        if self.shop.habits.over_socket:
            return await self._scene.attempt(self.socket.request(method, body))
        return await self._scene.attempt(self._api.post(path, body, self.shop.account))

    def _is_open(self, order_id: str) -> bool:
        dispatch = self.model.find("dispatch", order_id)
        return dispatch is not None and dispatch["status"] in {"pending", "seen", "quoted"}
