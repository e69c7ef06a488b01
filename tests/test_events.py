"""What travels through the event log: bodies that are spliced, never parsed on their way."""

from uuid import uuid4

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from matcher.events import Event, Target, entity_id, members, shop_recipient, user_recipient
from matcher.serialization import WireStruct

VALUES = st.dictionaries(st.text(), st.integers(-(2**53), 2**53) | st.text() | st.none(), max_size=5)


class View(WireStruct):
    order_id: int


@given(VALUES, VALUES)
def test_shared_and_own_members_splice_into_one_object(
    shared: dict[str, object], own: dict[str, object]
) -> None:
    parts = [part for part in (members(shared), members(own)) if part]
    assert msgspec.json.decode(b"{" + b",".join(parts) + b"}") == shared | own


def test_members_of_a_struct_have_wire_names() -> None:
    assert members(View(order_id=5)) == b'"orderId":5'


def test_an_event_id_names_its_entity() -> None:
    identity = uuid4()
    assert entity_id(f"{identity}.12") == str(identity)
    assert entity_id("no-version") == "no-version"


def test_recipients_are_named_by_kind() -> None:
    identity = uuid4()
    assert user_recipient(identity) == f"user:{identity}"
    assert shop_recipient(identity) == f"shop:{identity}"


@given(st.binary(), st.binary())
def test_an_event_survives_the_log(shared: bytes, own: bytes) -> None:
    event = Event("new-quote", "quote", 3, "now", shared, (Target("user:1", "1.3", own),))
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(event), type=Event) == event
