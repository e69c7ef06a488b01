import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from matcher.events import Event, Target, members
from matcher.realtime.cursor import NOWHERE
from matcher.realtime.frames import (
    SNAPSHOT_FRAME_BYTES,
    event_frame,
    event_parts,
    heartbeat_frame,
    reply_frame,
    resumed_frame,
    snapshot_frames,
)
from matcher.realtime.ports import Snapshot
from matcher.serialization import encode

objects = st.dictionaries(st.text(), st.integers() | st.text() | st.none(), max_size=3)


@given(objects, objects, st.text())
def test_a_spliced_event_is_the_json_of_both_halves(
    shared: dict[str, Any], own: dict[str, Any], text: str
) -> None:
    own = {f"own {name}": value for name, value in own.items()}
    target = Target("shop:1", text, members(own))
    event = Event(text, "dispatch", 3, "2026-01-01T00:00:00Z", members(shared), (target,))

    frame = json.loads(event_frame(event_parts(event), event, target, b"cursor.1"))

    assert list(frame) == ["type", "event", "id", "cursor", "at", "entity", "version", "data"]
    assert frame["data"] == shared | own
    assert (frame["event"], frame["id"], frame["cursor"], frame["version"]) == (text, text, "cursor.1", 3)


def test_small_frames_say_what_the_contract_says() -> None:
    assert json.loads(reply_frame('r"1', 201, b'{"id":1}')) == {
        "type": "reply",
        "ref": 'r"1',
        "status": 201,
        "data": {"id": 1},
    }
    assert json.loads(reply_frame("r", 204, b""))["data"] is None
    assert json.loads(heartbeat_frame("2026-01-01T00:00:00Z")) == {
        "type": "heartbeat",
        "at": "2026-01-01T00:00:00Z",
    }
    assert json.loads(resumed_frame("user:1", "c.0", 25.0)) == {
        "type": "connected",
        "mode": "resumed",
        "recipient": "user:1",
        "cursor": "c.0",
        "snapshot": None,
        "last": True,
        "heartbeatS": 25.0,
    }


def parts_of(snapshot: Snapshot, part_items: int) -> list[dict[str, Any]]:
    frames = snapshot_frames(snapshot, "shop:1", "c.0", 25.0, part_items=part_items)
    return [json.loads(frame) for frame in frames]


def test_an_empty_snapshot_names_its_sections() -> None:
    (frame,) = parts_of(Snapshot({"dispatches": [], "quotes": []}, {}), 10)

    assert frame["snapshot"] == {"dispatches": [], "quotes": []}
    assert (frame["mode"], frame["last"], frame["cursor"]) == ("snapshot", True, "c.0")


@given(st.lists(st.integers(0, 30), min_size=1, max_size=3), st.integers(1, 7))
def test_the_parts_of_a_snapshot_add_up_and_only_the_last_can_be_resumed_from(
    sizes: list[int], part_items: int
) -> None:
    sections = {f"section {i}": [{"id": f"{i}-{j}"} for j in range(size)] for i, size in enumerate(sizes)}
    encoded = {name: [encode(item) for item in items] for name, items in sections.items()}

    frames = parts_of(Snapshot(encoded, {}), part_items)

    joined: dict[str, list[Any]] = {name: [] for name in sections}
    for number, frame in enumerate(frames, start=1):
        assert frame["last"] == (number == len(frames))
        assert frame["cursor"] == ("c.0" if frame["last"] else str(NOWHERE))
        assert frame["type"] == ("connected" if number == 1 else "snapshot")
        assert number == 1 or frame["part"] == number
        assert sum(map(len, frame["snapshot"].values())) <= part_items
        for name, items in frame["snapshot"].items():
            joined[name] += items
    assert joined == sections


def test_large_entities_are_spread_over_frames() -> None:
    entity = encode({"id": "x" * (SNAPSHOT_FRAME_BYTES // 2)})

    assert len(parts_of(Snapshot({"orders": [entity] * 4}, {}), 1_000)) == 4
