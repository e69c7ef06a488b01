"""Everything that the story's clients were told: what was acknowledged, what arrived, and how long it took.

Owns: the record that the check at the end compares with the service. Must not do input or output.
"""

from collections import Counter, defaultdict
from typing import Any, NamedTuple

import msgspec

from matcher.demo.draws import OrderPlan
from matcher.demo.model import FINAL_ORDERS, Model


class Asked(NamedTuple):
    """A shop that received an order; the distance is the blurred one that it was shown."""

    distance_m: float
    shop_name: str


class PlacedOrder(msgspec.Struct):
    """An order that the service acknowledged with 201. Moments are `time.perf_counter()` seconds."""

    plan: OrderPlan
    body: dict[str, Any]
    customer: Model
    sent_at_s: float
    accepted: dict[str, Any] | None = None  # the quote whose acceptance was acknowledged

    @property
    def number(self) -> str:
        """The random end of its order number: enough to tell the orders of one run apart."""
        return str(self.body["orderNumber"])[-8:]

    @property
    def view(self) -> dict[str, Any]:
        """What its customer was last told."""
        return self.customer.find("order", self.body["id"]) or self.body

    @property
    def status(self) -> str:
        """What its customer was last told."""
        return str(self.view["status"])

    @property
    def is_final(self) -> bool:
        """Whether nothing more can happen to it."""
        return self.status in FINAL_ORDERS


class Journal:
    """The record of one run."""

    def __init__(self) -> None:
        self.orders: dict[str, PlacedOrder] = {}
        self.asked: defaultdict[str, list[Asked]] = defaultdict(list)  # by order id, as the shops received it
        self.quotes: dict[str, dict[str, Any]] = {}  # the newest acknowledged body by id
        self.models: dict[str, Model] = {}  # by recipient
        self.counts: Counter[str] = Counter()
        self.latencies_s: defaultdict[str, list[float]] = defaultdict(list)
        # Refusals and failures that the story does not explain; any of them fails the run.
        self.surprises: list[str] = []
        self._first_frame_at_s: dict[str, float] = {}
        self._quote_sent_at_s: dict[tuple[str, str], float] = {}

    def model(self, recipient: str) -> Model:
        """The model of a recipient, made when first asked for."""
        return self.models.setdefault(recipient, Model(recipient))

    def record_order(self, order: PlacedOrder, answered_at_s: float) -> None:
        """An order was acknowledged."""
        order_id = order.body["id"]
        self.orders[order_id] = order
        self.counts["orders"] += 1
        self.counts[order.body["dispatch"]["reason"] or "asked"] += 1
        self.latencies_s["submit"].append(answered_at_s - order.sent_at_s)
        # A shop's frame may overtake the answer to the request that caused it (CONTRACT 7).
        if order_id in self._first_frame_at_s:
            self._record_reach(order_id)

    def record_dispatch(self, order_id: str, shop_name: str, distance_m: float, now_s: float) -> None:
        """A shop received an order for the first time."""
        self.counts["dispatches"] += 1
        self.asked[order_id].append(Asked(distance_m, shop_name))
        if order_id not in self._first_frame_at_s:
            self._first_frame_at_s[order_id] = now_s
            if order_id in self.orders:
                self._record_reach(order_id)

    def record_quote_sent(self, order_id: str, shop_id: str, now_s: float) -> None:
        """A shop is about to send a quote."""
        self._quote_sent_at_s[order_id, shop_id] = now_s

    def record_quote(self, body: dict[str, Any]) -> None:
        """A new or changed quote was acknowledged."""
        known = self.quotes.get(body["id"])
        if known is None or known["version"] < body["version"]:
            self.quotes[body["id"]] = body

    def record_quote_seen(self, quote: dict[str, Any], now_s: float) -> None:
        """A customer received a new quote."""
        self.counts["quotes"] += 1
        sent_at_s = self._quote_sent_at_s.pop((quote["orderId"], quote["shopId"]), None)
        if sent_at_s is not None:
            self.latencies_s["quote to customer"].append(now_s - sent_at_s)

    def record_surprise(self, what: str) -> None:
        """Something happened that the story does not explain."""
        self.counts["surprises"] += 1
        self.surprises.append(what)

    def count_orders(self) -> Counter[str]:
        """Orders by the status that their customers know."""
        return Counter(order.status for order in self.orders.values())

    @property
    def frames(self) -> int:
        """Frames received by all clients."""
        return sum(model.frames for model in self.models.values())

    def _record_reach(self, order_id: str) -> None:
        reached_s = self._first_frame_at_s[order_id] - self.orders[order_id].sent_at_s
        self.latencies_s["submit to first shop"].append(reached_s)
