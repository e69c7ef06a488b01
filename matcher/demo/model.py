"""What a client holds: per entity the view of highest version, from events in any order and from snapshots.

Pure, and written from the contract alone (CONTRACT 7), so that it judges the service instead of repeating it.
"""

import hashlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

FINAL_ORDERS = frozenset({"delivered", "expired", "cancelled"})
OPEN_DISPATCHES = frozenset({"pending", "seen", "quoted"})

_ENTITY_OF = {
    "orders": "order",
    "dispatches": "dispatch",
    "quotes": "quote",
    "notifications": "notification",
}
_encoder = msgspec.json.Encoder(order="sorted")


class Key(NamedTuple):
    """Names an entity: `entity` is "order", "dispatch", "quote" or "notification"."""

    entity: str
    id: str


class View(NamedTuple):
    """An entity as its recipient sees it."""

    version: int
    data: dict[str, Any]


class Model:
    """The state of one recipient's client, and a record of every (entity, version) that it was shown."""

    def __init__(self, recipient: str) -> None:
        self.recipient = recipient
        self.held: dict[Key, View] = {}
        self.frames = 0
        # Two different views under one version: what must never happen.
        self.contradictions: list[str] = []
        self._digests: dict[tuple[Key, int], bytes] = {}

    def apply_event(self, frame: dict[str, Any]) -> bool:
        """Take an event frame; False when a view as new as that was held already."""
        self.frames += 1
        key = Key(frame["entity"], str(frame["data"]["id"]))
        view = View(frame["version"], frame["data"])
        if view.data.get("version", view.version) != view.version:
            self.contradictions.append(
                f"{self.recipient}: {key.entity} {key.id} says version {view.data['version']} "
                f"in a frame of version {view.version}"
            )
        return self._take(key, view)

    def apply_snapshot(self, snapshot: dict[str, list[dict[str, Any]]]) -> None:
        """Take a snapshot: open entities that it does not list have been closed since; closed ones are remembered."""
        self.frames += 1
        listed = dict(views_in(snapshot))
        for key in set(open_views(self.held)) - set(listed):
            del self.held[key]
        for key, view in listed.items():
            self._take(key, view)

    def extend_snapshot(self, part: dict[str, list[dict[str, Any]]]) -> None:
        """Take a further part of a large snapshot."""
        self.frames += 1
        for key, view in views_in(part):
            self._take(key, view)

    def find(self, entity: str, entity_id: str) -> dict[str, Any] | None:
        """The view held of an entity."""
        view = self.held.get(Key(entity, entity_id))
        return view.data if view else None

    def list_quotes(self, order_id: str, status: str) -> list[dict[str, Any]]:
        """The quotes held of an order that have this status."""
        return [
            view.data
            for key, view in self.held.items()
            if key.entity == "quote" and view.data["orderId"] == order_id and view.data["status"] == status
        ]

    def digest_of(self, key: Key, version: int) -> bytes | None:
        """The digest of the view that was shown under this version; None when it never was."""
        return self._digests.get((key, version))

    def _take(self, key: Key, view: View) -> bool:
        known = self._digests.setdefault((key, view.version), digest(view.data))
        if known != digest(view.data):
            self.contradictions.append(
                f"{self.recipient}: {key.entity} {key.id} has two views of version {view.version}"
            )
        held = self.held.get(key)
        if held is not None and held.version >= view.version:
            return False
        self.held[key] = view
        return True


def views_in(snapshot: dict[str, list[dict[str, Any]]]) -> Iterator[tuple[Key, View]]:
    """The entities of a snapshot."""
    for name, items in snapshot.items():
        for data in items:
            yield Key(_ENTITY_OF[name], str(data["id"])), View(data["version"], data)


def open_views(held: dict[Key, View]) -> dict[Key, View]:
    """Those entities that a fresh snapshot would list (CONTRACT 7), notifications apart."""
    orders = {key.id for key, view in held.items() if _is_open(key, view)}
    return {
        key: view
        for key, view in held.items()
        if _is_open(key, view) or (key.entity == "quote" and view.data["orderId"] in orders)
    }


def differences(held: dict[Key, View], fresh: dict[Key, View]) -> list[str]:
    """How a client's state differs from a fresh snapshot: empty when it does not."""
    expected = open_views(held)
    listed = {key: view for key, view in fresh.items() if key.entity != "notification"}
    found = [
        f"{key.entity} {key.id} is held but not in the fresh snapshot" for key in expected.keys() - listed
    ]
    found += [
        f"{key.entity} {key.id} is in the fresh snapshot but was never told" for key in listed.keys() - held
    ]
    for key in listed.keys() & held.keys():
        mine, theirs = held[key], listed[key]
        if mine.version != theirs.version:
            found.append(
                f"{key.entity} {key.id} is held at version {mine.version}, stored at {theirs.version}"
            )
        elif mine.data != theirs.data:
            fields = [name for name in theirs.data if theirs.data[name] != mine.data.get(name)]
            found.append(f"{key.entity} {key.id} version {mine.version} differs in {', '.join(fields)}")
        elif key not in expected:
            found.append(f"{key.entity} {key.id} is closed but in the fresh snapshot")
    return sorted(found)


def digest(data: dict[str, Any]) -> bytes:
    """A fingerprint of a view that does not depend on the order of its members."""
    return hashlib.blake2b(_encoder.encode(data), digest_size=16).digest()


def _is_open(key: Key, view: View) -> bool:
    status = view.data.get("status")
    if key.entity == "order":
        return status not in FINAL_ORDERS
    if key.entity == "dispatch":
        return status in OPEN_DISPATCHES or (status == "won" and view.data["orderStatus"] != "delivered")
    return False
