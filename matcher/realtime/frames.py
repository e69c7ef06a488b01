"""The server's frames, spliced from bytes that are JSON already. Pure.

Nothing is parsed or encoded twice on the way of an event: its shared part is built once, whoever and
however many receive it.
"""

from collections.abc import Iterator

from matcher.events import Event, Target
from matcher.realtime.cursor import NOWHERE
from matcher.realtime.ports import Snapshot
from matcher.serialization import encode

# Of entities in one frame of a snapshot: far below what WebSocket libraries take by default (1 MiB).
SNAPSHOT_FRAME_BYTES = 128 * 1024

Sections = dict[str, list[bytes]]


def event_parts(event: Event) -> tuple[bytes, bytes]:
    """What all recipients of an event share: the frame before `id`, and from `at` to the shared data."""
    head = b'{"type":"event","event":%b,"id":' % encode(event.name)
    body = b'","at":%b,"entity":%b,"version":%d,"data":{%b' % (
        encode(event.at),
        encode(event.entity),
        event.version,
        event.shared,
    )
    return head, body


def event_frame(parts: tuple[bytes, bytes], event: Event, target: Target, cursor: bytes) -> bytes:
    """One recipient's frame. `cursor` is the delivery's cursor in ASCII."""
    comma = b"," if event.shared and target.own else b""
    return b"".join((parts[0], encode(target.id), b',"cursor":"', cursor, parts[1], comma, target.own, b"}}"))


def reply_frame(ref: str, status: int, body: bytes) -> bytes:
    """The answer to a request; `body` is JSON."""
    return b'{"type":"reply","ref":%b,"status":%d,"data":%b}' % (encode(ref), status, body or b"null")


def heartbeat_frame(at: str) -> bytes:
    """Says that the server is there; `at` is its time."""
    return b'{"type":"heartbeat","at":%b}' % encode(at)


def resumed_frame(recipient: str, cursor: str, heartbeat_s: float) -> bytes:
    """`connected` when the cursor was covered: the missed events follow."""
    return _connected("resumed", recipient, cursor, b"null", heartbeat_s, last=True)


def snapshot_frames(
    snapshot: Snapshot, recipient: str, cursor: str, heartbeat_s: float, *, part_items: int
) -> Iterator[bytes]:
    """`connected` with the first part of a snapshot, then a `snapshot` frame for each further part.

    The cursor comes with the last part: who was cut off before it must not resume on half a snapshot.
    """
    parts = _split(snapshot.sections, part_items)
    for number, part in enumerate(parts, start=1):
        last = number == len(parts)
        given = cursor if last else str(NOWHERE)
        if number == 1:
            yield _connected("snapshot", recipient, given, _object(part), heartbeat_s, last=last)
        else:
            yield b'{"type":"snapshot","part":%d,"last":%b,"cursor":%b,"snapshot":%b}' % (
                number,
                _bool(last),
                encode(given),
                _object(part),
            )


def _connected(
    mode: str, recipient: str, cursor: str, snapshot: bytes, heartbeat_s: float, *, last: bool
) -> bytes:
    return (
        b'{"type":"connected","mode":"%b","recipient":%b,"cursor":%b,"snapshot":%b,"last":%b,"heartbeatS":%b}'
        % (mode.encode(), encode(recipient), encode(cursor), snapshot, _bool(last), encode(heartbeat_s))
    )


def _split(sections: Sections, part_items: int) -> list[Sections]:
    """Parts of at most `part_items` entities and about SNAPSHOT_FRAME_BYTES; the first names every section."""
    parts: list[Sections] = [{name: [] for name in sections}]
    items = size = 0
    for name, entities in sections.items():
        for entity in entities:
            if items and (items >= part_items or size + len(entity) > SNAPSHOT_FRAME_BYTES):
                parts.append({})
                items = size = 0
            parts[-1].setdefault(name, []).append(entity)
            items += 1
            size += len(entity)
    return parts


def _object(sections: Sections) -> bytes:
    return b"{%b}" % b",".join(
        b"%b:[%b]" % (encode(name), b",".join(entities)) for name, entities in sections.items()
    )


def _bool(value: bool) -> bytes:
    return b"true" if value else b"false"
