"""What travels through the event log: an entity's state for its recipients.

The body that all recipients share is encoded once; each target adds the fields that are its own, so a
frame is spliced from bytes and never parsed on its way.
"""

import msgspec

from matcher.serialization import encode


class Target(msgspec.Struct, array_like=True, frozen=True):
    """One recipient of an event. `own`: the inside of a JSON object (no braces), possibly empty."""

    recipient: str  # "shop:<id>" or "user:<id>"
    id: str  # "<entity id>.<version>", deduplicates: the same entity at the same version has the same id
    own: bytes


class Event(msgspec.Struct, array_like=True, frozen=True):
    """The whole view of one entity at `version`. `shared` and `own` together are the members of `data`."""

    name: str  # e.g. "new-quote"
    entity: str  # "order" | "quote" | "dispatch" | "notification"
    version: int
    at: str  # RFC 3339
    shared: bytes
    targets: tuple[Target, ...]


def entity_id(event_id: str) -> str:
    """The entity that an event's id (`Target.id`) names."""
    return event_id.rpartition(".")[0] or event_id


def members(value: object) -> bytes:
    """The inside of a JSON object (a struct or a dict), for `Event.shared` and `Target.own`."""
    return encode(value)[1:-1]


def user_recipient(user_id: object) -> str:
    """The recipient name of a person."""
    return f"user:{user_id}"


def shop_recipient(shop_id: object) -> str:
    """The recipient name of a shop."""
    return f"shop:{shop_id}"
