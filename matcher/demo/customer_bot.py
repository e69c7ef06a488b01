"""A customer of the story: posts orders, watches quotes arrive, accepts the cheapest, or cancels, or forgets.

Owns: one customer's behaviour, over public endpoints. Must not know shops or the database.
"""

import asyncio
import time
from datetime import datetime
from decimal import Decimal
from typing import Any

from matcher.demo.client import Account, Api
from matcher.demo.draws import OrderPlan
from matcher.demo.journal import PlacedOrder
from matcher.demo.live_socket import LiveSocket
from matcher.demo.scene import Scene

_ACCEPT_ATTEMPTS = 5


class CustomerBot:
    """Plays one customer."""

    def __init__(self, scene: Scene, api: Api, account: Account) -> None:
        self.account = account
        self.model = scene.journal.model(f"user:{account.user_id}")
        self.socket = LiveSocket(api, account, self.model, self._on_event)
        self._scene = scene
        self._api = api
        self._changed: dict[str, asyncio.Event] = {}

    async def place(self, plan: OrderPlan) -> None:
        """Post the planned order and follow it."""
        journal = self._scene.journal
        sent_at_s = time.perf_counter()
        body = await self._scene.attempt(self._api.post("/auto-parts-orders", plan.body, self.account))
        if body is None:
            journal.counts["orders refused"] += 1
            return
        order = PlacedOrder(plan, body, self.model, sent_at_s)
        journal.record_order(order, time.perf_counter())
        self._tell_placed(order)
        if plan.ending == "cancel":
            await self._scene.pause(plan.patience_s)
            if not order.is_final:
                await self._scene.attempt(self._cancel(body["id"]))
        elif plan.ending == "accept":
            await self._accept_one(order)

    def _on_event(self, frame: dict[str, Any]) -> None:
        data, now_s = frame["data"], time.perf_counter()
        if frame["entity"] == "quote":
            self._change_of(data["orderId"]).set()
            if frame["event"] == "new-quote":
                self._scene.journal.record_quote_seen(data, now_s)
                self._scene.tell(f"{data['shopName']} quotes {data['totalPrice']} {data['currency']}", "cyan")
        elif frame["entity"] == "order":
            self._change_of(data["id"]).set()
            self._tell_change(data)

    async def _accept_one(self, order: PlacedOrder) -> None:
        order_id = order.body["id"]
        await self._wait_for_quote(order)
        await self._scene.pause(order.plan.patience_s)
        for _ in range(_ACCEPT_ATTEMPTS):
            await self._wait_for_quote(order)
            cheapest = min(
                self.model.list_quotes(order_id, "active"),
                key=lambda quote: Decimal(quote["totalPrice"]),
                default=None,
            )
            if cheapest is None or order.is_final:
                return
            if await self._accept(order, cheapest):
                return
            # The quote moved on under the finger; its event is on the way.
            await asyncio.sleep(0.2)

    async def _accept(self, order: PlacedOrder, quote: dict[str, Any]) -> bool:
        order_id = order.body["id"]
        choice = {"quoteId": quote["id"], "quoteVersion": quote["version"]}
        sent_at_s = time.perf_counter()
        if order.plan.over_socket:
            call = self.socket.request("accept-quote", {"orderId": order_id} | choice)
        else:
            call = self._api.post(f"/auto-parts-orders/{order_id}/accept-quote", choice, self.account)
        answer = await self._scene.attempt(call)
        if answer is None:
            return False
        journal = self._scene.journal
        journal.latencies_s["accept"].append(time.perf_counter() - sent_at_s)
        journal.counts["accepted"] += 1
        order.accepted = quote
        self._scene.tell(
            f"{order.number} accepts {quote['shopName']}: {quote['totalPrice']} {quote['currency']}", "green"
        )
        return True

    async def _wait_for_quote(self, order: PlacedOrder) -> None:
        changed = self._change_of(order.body["id"])
        while not order.is_final and not self.model.list_quotes(order.body["id"], "active"):
            changed.clear()
            await changed.wait()

    async def _cancel(self, order_id: str) -> Any:
        body = {"reason": "Found it elsewhere"}
        return await self._api.post(f"/auto-parts-orders/{order_id}/cancel", body, self.account)

    def _change_of(self, order_id: str) -> asyncio.Event:
        return self._changed.setdefault(order_id, asyncio.Event())

    def _tell_placed(self, order: PlacedOrder) -> None:
        body = order.body
        dispatch = body["dispatch"]
        if dispatch["shopsNotified"]:
            asked = f"{dispatch['shopsNotified']} shops asked within {dispatch['radiusM'] / 1000:.1f} km"
        else:
            asked = str(dispatch["reason"]).replace("_", " ")
        parts = ", ".join(part["name"] for part in body["parts"])
        self._scene.tell(f"{order.number} {order.plan.where}: {parts} – {asked}")

    def _tell_change(self, data: dict[str, Any]) -> None:
        order = self._scene.journal.orders.get(data["id"])
        if order is None:
            return
        if data["status"] == "expired":
            late_s = time.time() - datetime.fromisoformat(data["expiresAt"]).timestamp()
            self._scene.journal.latencies_s["expiry told"].append(late_s)
            self._scene.tell(f"{order.number} expired unanswered or undecided", "yellow")
        elif data["status"] == "cancelled":
            self._scene.tell(f"{order.number} was cancelled by its customer", "yellow")
        elif data["status"] == "delivered":
            self._scene.tell(f"{order.number} was delivered in {order.plan.where}", "bold green")
