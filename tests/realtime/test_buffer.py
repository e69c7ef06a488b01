import json
import time

from hypothesis import given
from hypothesis import strategies as st

from matcher.events import Event, Target
from matcher.realtime.buffer import DELIVERY_OVERHEAD_BYTES, Buffer
from matcher.realtime.cursor import Cursor, Position, parse_cursor
from matcher.realtime.log import Entry

EPOCH = b"epoch..."
RECIPIENTS = [f"shop:{i}" for i in range(3)]

# An entry is a list of events, an event (entity, version, recipients).
entries_of_events = st.lists(
    st.lists(
        st.tuples(
            st.sampled_from("ab"),
            st.integers(1, 4),
            st.lists(st.sampled_from(RECIPIENTS), unique=True, max_size=3),
        ),
        max_size=3,
    ),
    max_size=12,
)


def entry(sequence: int, *events: tuple[str, int, list[str]], size_bytes: int = 100) -> Entry:
    made = [
        Event(
            "n",
            "order",
            version,
            "now",
            b'"v":%d' % version,
            tuple(Target(r, f"{name}.{version}", b"") for r in to),
        )
        for name, version, to in events
    ]
    return Entry(Position(7, sequence), time.time(), made, size_bytes)


def buffer(bytes_max: int = 10**9) -> Buffer:
    return Buffer(0, EPOCH, Position(7, 10), bytes_max=bytes_max)


def ids(held: Buffer, cursor: Cursor, recipient: str) -> list[str]:
    return [delivery.target.id for delivery in held.after(cursor, recipient)]


@given(entries_of_events, st.sampled_from(RECIPIENTS))
def test_from_any_cursor_that_was_given_out_exactly_the_rest_follows(
    entries: list[list[tuple[str, int, list[str]]]], recipient: str
) -> None:
    held = buffer()
    start = held.cursor
    given_out: list[tuple[Cursor, int]] = [(start, 0)]
    live: list[bytes] = []
    for sequence, events in enumerate(entries, start=11):
        for delivery in held.add(entry(sequence, *events)):
            if delivery.target.recipient == recipient:
                live.append(delivery.frame())
                cursor = parse_cursor(json.loads(live[-1])["cursor"])
                assert cursor is not None
                given_out.append((cursor, len(live)))
        given_out.append((held.cursor, len(live)))

    for cursor, had in given_out:
        assert held.covers(cursor)
        assert [delivery.frame() for delivery in held.after(cursor, recipient)] == live[had:]


@given(entries_of_events, st.integers(0, 5_000))
def test_what_is_covered_is_whole_however_small_the_bound(
    entries: list[list[tuple[str, int, list[str]]]], bytes_max: int
) -> None:
    small, large = buffer(bytes_max), buffer()
    cursors = [large.cursor]
    for sequence, events in enumerate(entries, start=11):
        small.add(entry(sequence, *events))
        large.add(entry(sequence, *events))
        cursors.append(large.cursor)

    assert small.covers(small.cursor)
    for cursor in cursors:
        if small.covers(cursor):
            for recipient in RECIPIENTS:
                # An evicted entry takes its versions along, so a small buffer may let a stale event through.
                assert set(ids(large, cursor, recipient)) <= set(ids(small, cursor, recipient))


def test_a_version_that_was_overtaken_is_not_delivered() -> None:
    held = buffer()
    held.add(entry(11, ("a", 3, ["shop:0"])))

    fresh = held.add(entry(12, ("a", 2, ["shop:0", "shop:1"]), ("a", 3, ["shop:0"]), ("a", 4, ["shop:0"])))

    assert [(d.target.recipient, d.target.id) for d in fresh] == [("shop:1", "a.2"), ("shop:0", "a.4")]


def test_the_oldest_go_first_and_leave_nothing_behind() -> None:
    held = buffer(bytes_max=3 * (100 + DELIVERY_OVERHEAD_BYTES))
    start = held.cursor
    for sequence in range(11, 31):
        held.add(entry(sequence, (f"e{sequence}", 1, [f"shop:{sequence}"])))

    assert not held.covers(start)
    assert len(held._entries) == 3
    assert set(held._recipients) == {"shop:28", "shop:29", "shop:30"}


def test_foreign_cursors_are_not_covered() -> None:
    held = buffer()
    held.add(entry(11))
    own = held.cursor

    assert held.covers(own)
    assert not held.covers(own._replace(epoch=b"another."))
    assert not held.covers(own._replace(partition=1))
    assert not held.covers(own._replace(position=Position(8, 12)))
    assert not held.covers(own._replace(position=Position(7, 10)))


def test_a_cursor_of_a_process_that_is_ahead_is_covered_and_misses_nothing() -> None:
    held = buffer()
    ahead = Cursor(EPOCH, 0, Position(7, 15), 0)

    assert held.covers(ahead)
    assert ids(held, ahead, "shop:0") == []
