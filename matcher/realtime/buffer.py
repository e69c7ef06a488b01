"""The recent past of one partition in memory: what resuming sockets missed, and what is already stale.

Pure. Bounded in bytes; the oldest entries go first. Contiguous: whoever adds starts it anew after a loss.
"""

from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from matcher.events import Event, Target, entity_id
from matcher.realtime.cursor import NOWHERE, Cursor, Position, entry_prefix
from matcher.realtime.frames import event_frame, event_parts
from matcher.realtime.log import Entry

# Python objects beside the payload: a Target with its strings, a Delivery, a recipient of its own (tracemalloc:
# 747 bytes when every recipient has one delivery, less when they have several).
DELIVERY_OVERHEAD_BYTES = 750

_NOWHERE = str(NOWHERE).encode()


class LoggedEvent:
    """An event of an entry, with what its recipients' frames share, made when first needed."""

    __slots__ = ("_parts", "cursor_prefix", "event", "sequence")

    def __init__(self, event: Event, sequence: int, cursor_prefix: bytes) -> None:
        self.event = event
        self.sequence = sequence
        self.cursor_prefix = cursor_prefix
        self._parts: tuple[bytes, bytes] | None = None

    def frame(self, target: Target, cursor: bytes) -> bytes:
        """The frame for one recipient."""
        if self._parts is None:
            self._parts = event_parts(self.event)
        return event_frame(self._parts, self.event, target, cursor)


class Delivery(NamedTuple):
    """One event for one recipient."""

    logged: LoggedEvent
    target: Target
    entity_id: str
    number: int  # in its entry, from 1

    @property
    def version(self) -> int:
        """Of the entity."""
        return self.logged.event.version

    def frame(self) -> bytes:
        """Its bytes for a socket."""
        return self.logged.frame(self.target, b"%b.%d" % (self.logged.cursor_prefix, self.number))

    def frame_from_nowhere(self) -> bytes:
        """The same for a socket that misses something before it: its client must not resume from here."""
        return self.logged.frame(self.target, _NOWHERE)


class _Recipient:
    __slots__ = ("deliveries", "versions")

    def __init__(self) -> None:
        self.deliveries: list[Delivery] = []  # a few: a list takes a tenth of a deque
        self.versions: dict[str, int] = {}


class Buffer:
    """See the module. `epoch` and `position` (the newest entry) decide which cursors it covers."""

    def __init__(self, partition: int, epoch: bytes, position: Position, *, bytes_max: int) -> None:
        self.partition = partition
        self.epoch = epoch
        self.position = position
        self._bytes_max = bytes_max
        self._bytes = 0
        self._entries: deque[tuple[Entry, int]] = deque()
        self._recipients: dict[str, _Recipient] = {}

    @property
    def cursor(self) -> Cursor:
        """After everything that is here."""
        return Cursor(self.epoch, self.partition, self.position.next, 0)

    def add(self, entry: Entry) -> list[Delivery]:
        """Take the entry that follows; its deliveries, without those that a newer version overtook."""
        prefix = entry_prefix(self.epoch, self.partition, entry.position)
        sequence = entry.position.sequence
        fresh: list[Delivery] = []
        recipients = self._recipients
        number = 0
        for event in entry.events:
            logged = LoggedEvent(event, sequence, prefix)
            for target in event.targets:
                number += 1
                recipient = recipients.get(target.recipient)
                if recipient is None:
                    recipient = recipients[target.recipient] = _Recipient()
                key = entity_id(target.id)
                if event.version <= recipient.versions.get(key, -1):
                    # A second publisher, or one that was held up: a closed entity must not come back.
                    continue
                recipient.versions[key] = event.version
                delivery = Delivery(logged, target, key, number)
                recipient.deliveries.append(delivery)
                fresh.append(delivery)
        self.position = entry.position
        size = entry.size_bytes + number * DELIVERY_OVERHEAD_BYTES
        self._entries.append((entry, size))
        self._bytes += size
        while self._bytes > self._bytes_max and len(self._entries) > 1:
            self._evict()
        return fresh

    def covers(self, cursor: Cursor) -> bool:
        """Whether nothing that follows the cursor is missing here."""
        if (cursor.epoch, cursor.partition) != (self.epoch, self.partition):
            return False
        generation, sequence = cursor.position
        if generation != self.position.generation:
            return False
        if not self._entries:
            return cursor >= self.cursor
        return sequence >= self._entries[0][0].position.sequence

    def after(self, cursor: Cursor, recipient: str) -> Iterator[Delivery]:
        """What the recipient missed since a covered cursor, in order; a copy, so that adding may go on."""
        held = self._recipients.get(recipient)
        if held is None:
            return
        had = (cursor.position.sequence, cursor.had)
        missed: list[Delivery] = []
        for delivery in reversed(held.deliveries):
            if (delivery.logged.sequence, delivery.number) <= had:
                break
            missed.append(delivery)
        yield from reversed(missed)

    def _evict(self) -> None:
        entry, size = self._entries.popleft()
        self._bytes -= size
        sequence = entry.position.sequence
        for event in entry.events:
            for target in event.targets:
                recipient = self._recipients.get(target.recipient)
                if recipient is None:
                    continue
                deliveries = recipient.deliveries
                while deliveries and deliveries[0].logged.sequence <= sequence:
                    gone = deliveries.pop(0)
                    if recipient.versions[gone.entity_id] == gone.version:
                        del recipient.versions[gone.entity_id]
                if not recipient.deliveries:
                    del self._recipients[target.recipient]
