"""The event log: what happened, in order, for every process to follow. The interface.

An append becomes entries, contiguously numbered per partition; a recipient belongs to one partition.
Numbers begin anew, in a new generation, when a partition was emptied. Must not know sockets.

Implementations: `redis_log.py` (Redis Streams) and `memory_log.py`; one contract test holds both.
"""

import time
import zlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

import msgspec

from matcher.events import Event
from matcher.realtime.cursor import Position

# An entry is read, decoded and fanned out in one piece: 128 KiB take one to two milliseconds. It also bounds
# what `log_entries_max` entries can take in memory.
ENTRY_BYTES = 128 * 1024


class LogReset(Exception):
    """Entries may have been lost between the reader's position and the log: sockets need snapshots."""


class Entry(NamedTuple):
    """A batch of events. `at_s`: Unix time of the append."""

    position: Position
    at_s: float
    events: Sequence[Event]
    size_bytes: int


class LogReader(Protocol):
    """Follows one partition. One task uses it."""

    @property
    def epoch(self) -> bytes:
        """The log's life that positions belong to; set by `open`."""
        ...

    async def open(self) -> Position:
        """The newest entry; an emptied partition begins a new generation. To be called after every LogReset."""
        ...

    async def read(self, after: Position, *, block_s: float) -> list[Entry]:
        """The entries that follow `after`, waiting up to `block_s` for the first; LogReset when one is missing."""
        ...

    async def read_back(self, newest: Position, *, bytes_max: int, since_s: float) -> list[Entry]:
        """The contiguous entries up to `newest`, oldest first, as far back as both bounds allow."""
        ...

    async def close(self) -> None:
        """Let the connection go."""
        ...


class EventLog(Protocol):
    """Written by whoever commits, followed by every API process."""

    @property
    def partitions(self) -> int:
        """How many readers follow all of it."""
        ...

    async def append(self, events: Sequence[Event]) -> None:
        """Add events. After an error they may be there or not: twice is harmless, versions decide."""
        ...

    def reader(self, partition: int) -> LogReader:
        """A reader of its own connection."""
        ...

    async def close(self) -> None:
        """Let the writer's connections go."""
        ...


def partition_of(recipient: str, partitions: int) -> int:
    """The partition that holds all events of a recipient."""
    return zlib.crc32(recipient.encode()) % partitions if partitions > 1 else 0


def split_events(events: Sequence[Event], partitions: int) -> Iterator[tuple[int, list[Event]]]:
    """(partition, events of one entry): by recipient, and in pieces of about ENTRY_BYTES."""
    if partitions == 1:
        yield from ((0, piece) for piece in _pieces(events))
        return
    shares: dict[int, list[Event]] = {}
    for event in events:
        targets: dict[int, list[int]] = {}
        for i, target in enumerate(event.targets):
            targets.setdefault(partition_of(target.recipient, partitions), []).append(i)
        for partition, indices in targets.items():
            mine = tuple(event.targets[i] for i in indices)
            shares.setdefault(partition, []).append(msgspec.structs.replace(event, targets=mine))
    for partition, share in sorted(shares.items()):
        yield from ((partition, piece) for piece in _pieces(share))


def _pieces(events: Sequence[Event]) -> Iterator[list[Event]]:
    piece: list[Event] = []
    size = 0
    for event in events:
        event_size = len(event.shared) + sum(len(target.own) + 100 for target in event.targets)
        if piece and size + event_size > ENTRY_BYTES:
            yield piece
            piece, size = [], 0
        piece.append(event)
        size += event_size
    if piece:
        yield piece


class _Batch(msgspec.Struct, array_like=True, frozen=True):
    at_ms: int
    events: list[Event]


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Batch)


def encode_entry(events: list[Event]) -> bytes:
    """An entry's payload, stamped with the time."""
    return _encoder.encode(_Batch(time.time_ns() // 1_000_000, events))


def decode_entry(position: Position, payload: bytes) -> Entry:
    """The entry of a payload made by `encode_entry`; LogReset for one of another version of this code."""
    try:
        batch = _decoder.decode(payload)
    except msgspec.MsgspecError as error:
        raise LogReset(f"entry {position} cannot be read: {error}") from error
    return Entry(position, batch.at_ms / 1000, batch.events, len(payload))
