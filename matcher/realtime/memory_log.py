"""The event log in memory, for one process: tests, and the plain reference of the log's contract."""

import asyncio
from collections import deque
from collections.abc import Sequence

from matcher.events import Event
from matcher.realtime.cursor import EPOCH_BYTES, Position
from matcher.realtime.log import Entry, LogReset, decode_entry, encode_entry, split_events


class MemoryLog:
    """See `EventLog`."""

    def __init__(self, *, partitions: int = 1, entries_max: int = 100_000) -> None:
        self.partitions = partitions
        self._entries_max = entries_max
        self._streams = [_Stream() for _ in range(partitions)]

    async def append(self, events: Sequence[Event]) -> None:
        """Add events in order, split into entries."""
        for partition, piece in split_events(events, self.partitions):
            stream = self._streams[partition]
            stream.add(encode_entry(piece), self._entries_max)

    def reader(self, partition: int) -> "MemoryLogReader":
        """A reader of one partition."""
        return MemoryLogReader(self._streams[partition])

    async def close(self) -> None:
        """Nothing to let go."""

    def empty(self) -> None:
        """Lose everything, as a Redis whose keys were deleted."""
        for stream in self._streams:
            stream.empty()


class _Stream:
    def __init__(self) -> None:
        self.entries: deque[tuple[Position, bytes]] = deque()
        self.last = Position(0, -1)
        self.grown = asyncio.Event()

    def add(self, payload: bytes, entries_max: int) -> None:
        self.last = self.last.next if self.entries else Position(self.last.generation + 1, 0)
        self.entries.append((self.last, payload))
        while len(self.entries) > entries_max:
            self.entries.popleft()
        self.grown.set()
        self.grown = asyncio.Event()

    def empty(self) -> None:
        self.entries.clear()
        self.grown.set()
        self.grown = asyncio.Event()


class MemoryLogReader:
    """See `LogReader`."""

    epoch = b"memory".ljust(EPOCH_BYTES, b"\0")

    def __init__(self, stream: _Stream) -> None:
        self._stream = stream

    async def open(self) -> Position:
        """See `LogReader.open`."""
        if not self._stream.entries:
            self._stream.add(encode_entry([]), 1)
        return self._stream.last

    async def read(self, after: Position, *, block_s: float) -> list[Entry]:
        """See `LogReader.read`."""
        if not self._following(after):
            grown = self._stream.grown
            try:
                async with asyncio.timeout(block_s):
                    await grown.wait()
            except TimeoutError:
                pass
        if not self._stream.entries or self._stream.last < after:
            raise LogReset("the log was emptied")
        following = self._following(after)
        if following and following[0].position != after.next:
            raise LogReset("entries are missing")
        return following

    async def read_back(self, newest: Position, *, bytes_max: int, since_s: float) -> list[Entry]:
        """See `LogReader.read_back`."""
        entries: deque[Entry] = deque()
        for position, payload in reversed(self._stream.entries):
            if position > newest:
                continue
            entry = decode_entry(position, payload)
            bytes_max -= entry.size_bytes
            if bytes_max < 0 or entry.at_s < since_s:
                break
            entries.appendleft(entry)
        return list(entries)

    async def close(self) -> None:
        """Nothing to let go."""

    def _following(self, after: Position) -> list[Entry]:
        return [
            decode_entry(position, payload) for position, payload in self._stream.entries if position > after
        ]
