"""The load: customers who order, accept, cancel or forget; shops that answer, edit, withdraw and deliver.

Owns: behaviour. It follows from what a client holds, not from the event that brought it: a snapshot may have.
"""

import asyncio
import random
import time
from abc import ABC, abstractmethod
from collections import defaultdict
from datetime import datetime
from decimal import Decimal
from typing import Any

from matcher.chaos.crowd import Crowd
from matcher.chaos.doors import ChaosApi
from matcher.chaos.sockets import RovingSocket
from matcher.demo.client import Account
from matcher.demo.draws import Habits, OrderPlan, quote_body
from matcher.demo.journal import PlacedOrder

_ACCEPT_TRIES = 5
_MOVED_ON_S = 0.2  # a quote that changed under the finger: its event is on the way
_EDIT_CHEAPER = 0.93
_DELIVERY = ("processing", "shipped", "delivered")
_ANSWERABLE = frozenset({"pending", "seen"})
_OPEN = frozenset({"pending", "seen", "quoted"})


class Person(ABC):
    """What customers and shops have in common: an account, a model, a socket that tells the watch."""

    def __init__(self, crowd: Crowd, api: ChaosApi, account: Account, shop_id: str | None = None) -> None:
        self.account = account
        self.api = api
        self.shop_id = shop_id
        recipient = f"shop:{shop_id}" if shop_id else f"user:{account.user_id}"
        self.model = crowd.journal.model(recipient)
        self.socket = RovingSocket(api, account, self.model, self._hear, shop_id, self._hear_snapshot)
        self.snapshot_at_s = 0.0  # when the last snapshot was whole, Unix
        self.snapshots = 0
        self._crowd = crowd

    @abstractmethod
    def take(self, entity: str, data: dict[str, Any]) -> None:
        """Something is news."""

    def _hear(self, frame: dict[str, Any]) -> None:
        self._crowd.watch.record_event(
            self.model.recipient,
            datetime.fromisoformat(frame["at"]).timestamp(),
            expired=frame["data"].get("status") == "expired",
            now_s=time.time(),
        )
        self.take(frame["entity"], frame["data"])

    def _hear_snapshot(self) -> None:
        self.snapshot_at_s = time.time()
        self.snapshots += 1
        for key, view in list(self.model.held.items()):
            self.take(key.entity, view.data)


class Customer(Person):
    """Plays one customer."""

    def __init__(self, crowd: Crowd, api: ChaosApi, account: Account, *, patient_s: float) -> None:
        """`patient_s`: longest wait for a quote; a little more than an order stays open."""
        super().__init__(crowd, api, account)
        self._patient_s = patient_s
        self._quotes: defaultdict[str, set[str]] = defaultdict(set)  # of each order
        self._changed: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)

    def take(self, entity: str, data: dict[str, Any]) -> None:
        """Wake who waits for it."""
        if entity == "quote":
            self._quotes[data["orderId"]].add(data["id"])
            self._changed[data["orderId"]].set()
        elif entity == "order":
            self._changed[data["id"]].set()

    async def place(self, plan: OrderPlan) -> None:
        """Post the planned order and follow it to the plan's end."""
        journal, sent_at_s = self._crowd.journal, time.perf_counter()
        body = await self._crowd.attempt(self.api.post("/auto-parts-orders", plan.body, self.account))
        if body is None:
            return
        order = PlacedOrder(plan, body, self.model, sent_at_s)
        journal.record_order(order, time.perf_counter())
        if plan.ending == "accept":
            await self._accept_one(order)
        elif plan.ending == "cancel":
            await asyncio.sleep(plan.patience_s)
            call = self.api.post(f"/auto-parts-orders/{body['id']}/cancel", {"reason": "Found"}, self.account)
            if await self._crowd.attempt(call) is not None:
                journal.counts["cancelled"] += 1
        self._quotes.pop(body["id"], None)
        self._changed.pop(body["id"], None)

    async def _accept_one(self, order: PlacedOrder) -> None:
        await self._wait_for_quote(order)
        await asyncio.sleep(order.plan.patience_s)
        for _ in range(_ACCEPT_TRIES):
            quotes = self._live_quotes(order) or await self._wait_for_quote(order)
            if not quotes:
                return
            cheapest = min(quotes, key=lambda quote: Decimal(quote["totalPrice"]))
            if await self._accept(order, cheapest):
                order.accepted = cheapest
                self._crowd.journal.counts["accepted"] += 1
                return
            await asyncio.sleep(_MOVED_ON_S)

    async def _accept(self, order: PlacedOrder, quote: dict[str, Any]) -> bool:
        order_id = order.body["id"]
        choice = {"quoteId": quote["id"], "quoteVersion": quote["version"]}
        if order.plan.over_socket:
            call = self.socket.ask("accept-quote", {"orderId": order_id} | choice)
        else:
            call = self.api.post(f"/auto-parts-orders/{order_id}/accept-quote", choice, self.account)
        return await self._crowd.attempt(call) is not None

    async def _wait_for_quote(self, order: PlacedOrder) -> list[dict[str, Any]]:
        changed = self._changed[order.body["id"]]
        try:
            async with asyncio.timeout(self._patient_s):
                while not order.is_final and not self._live_quotes(order):
                    changed.clear()
                    await changed.wait()
        except TimeoutError:
            return []
        return self._live_quotes(order)

    def _live_quotes(self, order: PlacedOrder) -> list[dict[str, Any]]:
        held = (self.model.find("quote", quote_id) for quote_id in self._quotes[order.body["id"]])
        return [quote for quote in held if quote is not None and quote["status"] == "active"]


class Shop(Person):
    """Plays one shop."""

    def __init__(
        self, crowd: Crowd, api: ChaosApi, account: Account, shop_id: str, habits: Habits, rng: random.Random
    ) -> None:
        super().__init__(crowd, api, account, shop_id)
        self.habits = habits
        self._rng = rng
        self._answered: set[str] = set()
        self._delivering: set[str] = set()

    def take(self, entity: str, data: dict[str, Any]) -> None:
        """Begin what an order asks for, once."""
        if entity != "dispatch":
            return
        order_id, status = data["orderId"], data["status"]
        if status in _ANSWERABLE and order_id not in self._answered:
            self._answered.add(order_id)
            self._crowd.spawn(self._answer(data))
        elif status == "won" and order_id not in self._delivering and data["orderStatus"] == "accepted":
            self._delivering.add(order_id)
            self._crowd.spawn(self._deliver(order_id))

    async def _answer(self, dispatch: dict[str, Any]) -> None:
        order_id, rng = dispatch["orderId"], self._rng
        await asyncio.sleep(rng.uniform(0.05, 1.2))
        if rng.random() < 0.2 or not self._is_open(order_id):
            return
        if rng.random() < 0.3:
            await self._send("mark-seen", "/shop-quotes/seen", {"orderId": order_id})
        if rng.random() < 0.1:
            body = {"orderId": order_id, "reason": "Not in stock"}
            await self._send("decline-order", "/shop-quotes/decline", body)
            return
        body = quote_body(rng, self.habits, dispatch)
        quote = await self._send("provide-quote", "/shop-quotes/provide-quote", body)
        if quote is not None:
            self._crowd.journal.record_quote(quote)
            await self._change_mind(dispatch, quote)

    async def _change_mind(self, dispatch: dict[str, Any], quote: dict[str, Any]) -> None:
        rng = self._rng
        if rng.random() < 0.15:
            await asyncio.sleep(rng.uniform(0.0, 0.8))
            body = quote_body(rng, self.habits, dispatch, cheaper=_EDIT_CHEAPER)
            del body["orderId"]
            call = self.api.put(f"/shop-quotes/{quote['id']}", body, self.account)
            edited = await self._crowd.attempt(call)
            if edited is not None:
                self._crowd.journal.record_quote(edited)
        if rng.random() < 0.08:
            await asyncio.sleep(rng.uniform(0.0, 0.8))
            await self._crowd.attempt(self.api.delete(f"/shop-quotes/{quote['id']}", self.account))

    async def _deliver(self, order_id: str) -> None:
        for status in _DELIVERY:
            await asyncio.sleep(self._rng.uniform(0.05, 0.5))
            body: dict[str, Any] = {"status": status}
            call = self.api.post(f"/auto-parts-orders/{order_id}/status", body, self.account)
            if await self._crowd.attempt(call) is None:
                return
        self._crowd.journal.counts["delivered"] += 1

    async def _send(self, method: str, path: str, body: dict[str, Any]) -> Any:
        if self.habits.over_socket:
            return await self._crowd.attempt(self.socket.ask(method, body))
        return await self._crowd.attempt(self.api.post(path, body, self.account))

    def _is_open(self, order_id: str) -> bool:
        dispatch = self.model.find("dispatch", order_id)
        return dispatch is not None and dispatch["status"] in _OPEN
