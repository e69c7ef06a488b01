"""The check's comparisons: what clients were told against what is stored.

Pure: the journal and rows in, mismatches out. `check` gathers the rows.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import msgspec

from matcher.demo.journal import Journal, PlacedOrder
from matcher.demo.model import Key, Model, digest
from matcher.serialization import format_money

Row = Mapping[str, Any]


class Stored(msgspec.Struct):
    """The rows of the run's orders, read at one moment."""

    orders: Sequence[Row]
    dispatches: Sequence[Row]
    quotes: Sequence[Row]


class Verdict:
    """Counts what was compared and lists what disagreed."""

    def __init__(self) -> None:
        self.compared = 0
        self.mismatches: list[str] = []

    def expect(self, agrees: bool, otherwise: str) -> None:
        """One fact: it agrees, or `otherwise` says how it does not."""
        self.compared += 1
        if not agrees:
            self.mismatches.append(otherwise)

    def add(self, mismatches: Sequence[str], compared: int) -> None:
        """Facts that were compared elsewhere."""
        self.compared += compared
        self.mismatches += mismatches


def compare(journal: Journal, stored: Stored) -> Verdict:
    """Every acknowledged fact and every held view against the rows."""
    verdict = Verdict()
    orders = {str(row["id"]): row for row in stored.orders}
    quotes = {str(row["id"]): row for row in stored.quotes}
    for order_id, order in journal.orders.items():
        compare_order(verdict, order, orders.get(order_id))
    for quote_id, quote in journal.quotes.items():
        compare_quote(verdict, quote, quotes.get(quote_id))
    compare_acceptances(verdict, journal, stored, orders)
    _compare_dispatches(verdict, journal, stored.dispatches)
    _find_inventions(verdict, journal, stored.dispatches, quotes)
    _compare_versions(verdict, journal, orders, quotes)
    return verdict


def compare_shown(verdict: Verdict, model: Model, entity: str, view: Row) -> None:
    """A view as HTTP shows it against what the model was shown under the same version."""
    key = Key(entity, str(view["id"]))
    shown = model.digest_of(key, view["version"])
    name = f"{model.recipient}: {entity} {key.id} version {view['version']}"
    if shown is None:
        verdict.expect(False, f"{name} was never told")
    else:
        verdict.expect(shown == digest(dict(view)), f"{name} differs between socket and HTTP")


def compare_order(verdict: Verdict, order: PlacedOrder, row: Row | None) -> None:
    """An acknowledged order is stored as it was sent and answered."""
    order_id = order.body["id"]
    if row is None:
        return verdict.expect(False, f"order {order_id} was acknowledged and is not stored")
    asked = [(part["name"], part["quantity"]) for part in order.plan.body["parts"]]
    kept = [(part["name"], part["quantity"]) for part in row["parts"]]
    verdict.expect(asked == kept, f"order {order_id}: other parts are stored than were sent")
    verdict.expect(str(row["user_id"]) == order.body["userId"], f"order {order_id} belongs to somebody else")
    for column, member in (
        ("parts", "parts"),
        ("vehicle", "vehicle"),
        ("delivery_location", "deliveryLocation"),
        ("currency", "currency"),
    ):
        verdict.expect(
            row[column] == order.body[member],
            f"order {order_id}: another {member} is stored than acknowledged",
        )
    return None


def compare_quote(verdict: Verdict, quote: dict[str, Any], row: Row | None) -> None:
    """An acknowledged quote is stored as it was answered."""
    name = f"quote {quote['id']}"
    if row is None:
        return verdict.expect(False, f"{name} was acknowledged and is not stored")
    verdict.expect(
        row["version"] >= quote["version"], f"{name} is stored at an older version than acknowledged"
    )
    verdict.expect(row["lines"] == quote["lines"], f"{name}: other lines are stored than acknowledged")
    verdict.expect(
        format_money(row["total_minor"], row["currency"]) == quote["totalPrice"],
        f"{name}: another total is stored than acknowledged",
    )
    return None


def compare_acceptances(
    verdict: Verdict, journal: Journal, stored: Stored, orders: Mapping[str, Row]
) -> None:
    """Each order has the quote whose acceptance was acknowledged, at the price shown, and otherwise none."""
    accepted = defaultdict(list)
    for row in stored.quotes:
        if row["status"] == "accepted":
            accepted[str(row["order_id"])].append(row)
    winners = defaultdict(list)
    for row in stored.dispatches:
        if row["status"] == "won":
            winners[str(row["order_id"])].append(row["shop_id"])
    for order_id, order in journal.orders.items():
        found = accepted[order_id]
        wanted = 1 if order.accepted is not None else 0
        verdict.expect(
            len(found) == wanted, f"order {order_id} has {len(found)} accepted quotes instead of {wanted}"
        )
        if order.accepted is None or len(found) != 1 or order_id not in orders:
            continue
        quote, row = order.accepted, found[0]
        verdict.expect(
            orders[order_id]["accepted_quote_id"] == row["id"] == UUID(quote["id"]),
            f"order {order_id}: another quote was accepted than acknowledged",
        )
        verdict.expect(
            format_money(row["total_minor"], row["currency"]) == quote["totalPrice"],
            f"order {order_id} was accepted at another price than its customer saw",
        )
        verdict.expect(
            winners[order_id] == [row["shop_id"]],
            f"order {order_id} was won by {len(winners[order_id])} shops",
        )


def _compare_dispatches(verdict: Verdict, journal: Journal, rows: Sequence[Row]) -> None:
    for row in rows:
        # Shops outside the story (somebody tries the tour meanwhile) have sockets of their own.
        model = journal.models.get(f"shop:{row['shop_id']}")
        if model is None:
            continue
        name = f"{model.recipient}: order {row['order_id']}"
        held = model.held.get(Key("dispatch", str(row["order_id"])))
        if held is None:
            verdict.expect(False, f"{name} was dispatched and the shop was never told")
        else:
            verdict.expect(
                held.version == row["version"] and held.data["status"] == row["status"],
                f"{name} is {row['status']} at version {row['version']}; "
                f"the shop knows {held.data['status']} at version {held.version}",
            )


def _find_inventions(
    verdict: Verdict, journal: Journal, dispatches: Sequence[Row], quotes: Mapping[str, Row]
) -> None:
    """What was told of the run's orders and is not stored."""
    asked = Counter(str(row["order_id"]) for row in dispatches)
    stored = {(f"shop:{row['shop_id']}", str(row["order_id"])) for row in dispatches}
    for order_id, order in journal.orders.items():
        told = order.view["dispatch"]["shopsNotified"]
        verdict.expect(
            told == asked[order_id],
            f"order {order_id}: its customer was told of {told} shops asked, stored are {asked[order_id]}",
        )
    for model in journal.models.values():
        for key, view in model.held.items():
            order_id = str(view.data.get("orderId"))
            if order_id not in journal.orders:
                continue
            exists = key.id in quotes if key.entity == "quote" else (model.recipient, order_id) in stored
            verdict.expect(
                exists, f"{model.recipient} was told of {key.entity} {key.id}, which is not stored"
            )


def _compare_versions(
    verdict: Verdict, journal: Journal, orders: Mapping[str, Row], quotes: Mapping[str, Row]
) -> None:
    for model in journal.models.values():
        verdict.add(model.contradictions, model.frames)
        for key, view in model.held.items():
            if view.data.get("orderId", key.id) not in journal.orders:
                continue  # not of this story: it may be changing while it is read
            if key.entity == "order" and key.id in orders:
                row, version = orders[key.id], orders[key.id]["view_version"]
            elif key.entity == "quote" and key.id in quotes:
                row, version = quotes[key.id], quotes[key.id]["version"]
            else:
                continue
            verdict.expect(
                view.version == version and view.data["status"] == row["status"],
                f"{model.recipient}: {key.entity} {key.id} is {row['status']} at version {version}; "
                f"held is {view.data['status']} at version {view.version}",
            )
