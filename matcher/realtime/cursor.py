"""Where a client stands in the event log: pure values and their opaque text.

A cursor is (epoch, partition, generation, sequence, had): of the entry `sequence` and all before it in
this generation, the client has everything up to the first `had` deliveries of that entry. A position
between two entries is (next sequence, 0). A cursor of another epoch or generation is not an error, only
not covered.
"""

import re
import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import NamedTuple

EPOCH_BYTES = 8  # of Redis' 20 random bytes: two runs meet by chance once in 10^19
MAX_CURSOR_CHARS = 64

_FORMAT = 1
_FIXED = struct.Struct(f">B{EPOCH_BYTES}sHQQ")  # 27 bytes: 36 characters of base64 without padding
_TEXT = re.compile(r"([A-Za-z0-9_-]{36})\.(0|[1-9][0-9]{0,8})")
_NO_EPOCH = bytes(EPOCH_BYTES)


class Position(NamedTuple):
    """An entry of one partition. Sequences are contiguous within a generation."""

    generation: int
    sequence: int

    @property
    def next(self) -> "Position":
        """The entry that follows without a gap."""
        return Position(self.generation, self.sequence + 1)


class Cursor(NamedTuple):
    """See the module."""

    epoch: bytes
    partition: int
    position: Position
    had: int

    def __str__(self) -> str:
        return f"{entry_prefix(self.epoch, self.partition, self.position).decode()}.{self.had}"


# Given to sockets that connect before this process has seen the log: no process covers it.
NOWHERE = Cursor(_NO_EPOCH, 0, Position(0, 0), 0)


def entry_prefix(epoch: bytes, partition: int, position: Position) -> bytes:
    """The part of a cursor's text that all deliveries of an entry share (ASCII)."""
    return urlsafe_b64encode(_FIXED.pack(_FORMAT, epoch, partition, *position))


def parse_cursor(text: str) -> Cursor | None:
    """The cursor, or None for a text that this code did not write."""
    match = _TEXT.fullmatch(text) if len(text) <= MAX_CURSOR_CHARS else None
    if match is None:
        return None
    version, epoch, partition, generation, sequence = _FIXED.unpack(urlsafe_b64decode(match[1]))
    if version != _FORMAT:
        return None
    return Cursor(epoch, partition, Position(generation, sequence), int(match[2]))
