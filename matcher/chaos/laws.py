"""The proof's comparisons: what clients were told against what is stored, one verdict for each promise.

Pure: the journal, the people's states and rows in, verdicts out. `proof` gathers.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from matcher.demo.journal import Journal
from matcher.demo.model import Key, Model, View, differences
from matcher.demo.verdict import Row, Stored, Verdict, compare_acceptances, compare_order, compare_quote

ORDERS = "acknowledged orders lost or changed"
QUOTES = "acknowledged quotes lost or changed"
TWICE = "orders made twice, or by nobody"
WINNERS = "double or wrong accepts"
EVENTS = "events lost"
INVENTED = "told what is not stored"
STUCK = "stuck orders and outbox rows"
REFUSED = "refused or never answered"
ROLLING = "failed requests in a rolling restart"
LAWS = (ORDERS, QUOTES, TWICE, WINNERS, EVENTS, INVENTED, STUCK, REFUSED, ROLLING)

_OPEN_DISPATCHES = frozenset({"pending", "seen", "quoted"})
_FINAL_ORDERS = frozenset({"delivered", "expired", "cancelled"})


class Told(msgspec.Struct, frozen=True):
    """One recipient: what its client holds, what a client that connects now is shown, and its last snapshot."""

    model: Model
    fresh: Model
    snapshot_at_s: float  # Unix; 0.0: never


class Books(msgspec.Struct, frozen=True):
    """The database, read at one moment, by id."""

    stored: Stored
    orders: Mapping[str, Row]
    dispatches: Mapping[tuple[str, str], Row]  # by (recipient, order)
    quotes: Mapping[str, Row]

    @classmethod
    def of(cls, stored: Stored) -> "Books":
        """Index the rows."""
        return cls(
            stored=stored,
            orders={str(row["id"]): row for row in stored.orders},
            dispatches={(f"shop:{row['shop_id']}", str(row["order_id"])): row for row in stored.dispatches},
            quotes={str(row["id"]): row for row in stored.quotes},
        )


Verdicts = dict[str, Verdict]


def judge(journal: Journal, books: Books, people: Sequence[Told]) -> Verdicts:
    """Everything but STUCK and ROLLING, which are seen while the service runs: these come out empty."""
    verdicts = {law: Verdict() for law in LAWS}
    for order_id, order in journal.orders.items():
        compare_order(verdicts[ORDERS], order, books.orders.get(order_id))
    for quote_id, quote in journal.quotes.items():
        compare_quote(verdicts[QUOTES], quote, books.quotes.get(quote_id))
    compare_acceptances(verdicts[WINNERS], journal, books.stored, books.orders)
    for order_id, row in books.orders.items():
        address = row["delivery_location"].get("address")
        verdicts[TWICE].expect(
            order_id in journal.orders,
            f"order {order_id} ({address}) is stored, and nobody was told that it is",
        )
    for person in people:
        _compare_told(verdicts, books, person)
    verdicts[REFUSED].add(journal.surprises, len(journal.orders) + len(journal.quotes))
    return verdicts


def _compare_told(verdicts: Verdicts, books: Books, person: Told) -> None:
    model = person.model
    verdicts[INVENTED].add(model.contradictions, model.frames)
    for key, view in model.held.items():
        if key.entity != "notification":
            _compare_view(verdicts, model.recipient, key, view, _version_of(books, model.recipient, key))
    for key, row in _addressed_to(books, model.recipient):
        if key in model.held:
            continue
        # Not held is right for what was over before the last snapshot: that does not list it, and says so by that.
        over_at = _over_at(books, model.recipient, key, row)
        verdicts[EVENTS].expect(
            over_at is not None and over_at.timestamp() <= person.snapshot_at_s,
            f"{model.recipient} was never told of {key.entity} {key.id}, version {_shown_version(key, row)}",
        )
    verdicts[EVENTS].add(
        [f"{model.recipient}: {found}" for found in differences(model.held, person.fresh.held)],
        len(person.fresh.held) + 1,
    )


def _compare_view(
    verdicts: Verdicts, recipient: str, key: Key, view: View, stored: tuple[int, str] | None
) -> None:
    name = f"{recipient}: {key.entity} {key.id} at version {view.version}"
    if stored is None:
        return verdicts[INVENTED].expect(False, f"{name} is not stored")
    version, status = stored
    verdicts[INVENTED].expect(view.version <= version, f"{name}: stored is only version {version}")
    told = view.version > version or (view.version == version and view.data["status"] == status)
    verdicts[EVENTS].expect(
        told, f"{name} is {view.data['status']}; it became {status} at version {version}, untold"
    )
    return None


def _version_of(books: Books, recipient: str, key: Key) -> tuple[int, str] | None:
    """Version and status under which the entity is stored."""
    row: Row | None
    if key.entity == "order":
        row = books.orders.get(key.id)
    elif key.entity == "quote":
        row = books.quotes.get(key.id)
    else:
        row = books.dispatches.get((recipient, key.id))
    return (_shown_version(key, row), str(row["status"])) if row is not None else None


def _addressed_to(books: Books, recipient: str) -> list[tuple[Key, Row]]:
    """Every stored entity that this recipient must have been told of."""
    if recipient.startswith("shop:"):
        dispatches = [
            (Key("dispatch", order_id), row)
            for (shop, order_id), row in books.dispatches.items()
            if shop == recipient
        ]
        quotes = [
            (Key("quote", quote_id), row)
            for quote_id, row in books.quotes.items()
            if f"shop:{row['shop_id']}" == recipient
        ]
        return dispatches + quotes
    mine = {order_id: row for order_id, row in books.orders.items() if f"user:{row['user_id']}" == recipient}
    own: list[tuple[Key, Row]] = [(Key("order", order_id), row) for order_id, row in mine.items()]
    return own + [
        (Key("quote", quote_id), row)
        for quote_id, row in books.quotes.items()
        if str(row["order_id"]) in mine
    ]


def _over_at(books: Books, recipient: str, key: Key, row: Row) -> datetime | None:
    """When the entity left the recipient's snapshots (CONTRACT 7); None while it is in them."""
    order_id = key.id if key.entity in {"order", "dispatch"} else str(row["order_id"])
    order = books.orders[order_id]
    if recipient.startswith("user:"):
        return _moment(order, "updated_at") if order["status"] in _FINAL_ORDERS else None
    dispatch = books.dispatches[recipient, order_id]
    if dispatch["status"] in _OPEN_DISPATCHES:
        return None
    if dispatch["status"] == "won":
        return _moment(order, "updated_at") if order["status"] == "delivered" else None
    if dispatch["status"] == "declined":
        return _moment(dispatch, "responded_at")
    return _moment(order, "accepted_at" if dispatch["closed_reason"] == "accepted_elsewhere" else "closed_at")


def _moment(row: Row, column: str) -> datetime | None:
    value: datetime | None = row[column]
    return value


def _shown_version(key: Key, row: Mapping[str, Any]) -> int:
    return int(row["view_version" if key.entity == "order" else "version"])
