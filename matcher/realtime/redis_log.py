"""The event log over Redis Streams (Redis >= 7).

An entry's id is <generation>-<sequence>: `XADD <generation>-*` counts the sequence up by one, so that a
reader sees a gap. The generation is the microsecond at which the stream began, by Redis' clock, kept in
a key beside the stream and renewed by the same script that finds the stream missing: an emptied stream
cannot repeat a number. The epoch is Redis' `run_id`, read on every new connection, because a restarted
Redis may have lost its last second (appendfsync everysec) without any gap.
"""

from collections.abc import Sequence
from typing import Any

import structlog

from matcher.events import Event
from matcher.realtime.cursor import EPOCH_BYTES, Position
from matcher.realtime.log import Entry, LogReset, decode_entry, encode_entry, split_events
from matcher.redis import RedisClient, create_redis

READ_ENTRIES = 64  # at most 8 MiB (ENTRY_BYTES) in one reply
READ_BACK_ENTRIES = 100

# KEYS: stream, generation. `begin` is a generation above every one before, also when the clock went back.
_GENERATION = """
local generation = redis.call('GET', KEYS[2])
local function begin()
  local now = redis.call('TIME')
  local fresh = now[1] * 1000000 + now[2]
  if generation and fresh <= tonumber(generation) then fresh = tonumber(generation) + 1 end
  generation = string.format('%.0f', fresh)
  redis.call('SET', KEYS[2], generation)
end
local newest = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
if newest and not generation then
  generation = string.match(newest[1], '^(%d+)-')
  redis.call('SET', KEYS[2], generation)
end
if not newest then begin() end
"""
_XADD = "redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[1], generation .. '-*', 'd', ARGV[2])"
# ARGV: entries kept, payload.
_APPEND = f"{_GENERATION} return {_XADD}"
# ARGV: entries kept, an empty payload, the generation that lost entries ('' for none): it must not go on,
# or its numbers would name two entries. Only the first process that noticed renews it.
_OPEN = f"""{_GENERATION}
if generation == ARGV[3] then begin(); newest = nil end
if newest then return newest[1] end
return {_XADD}
"""

log = structlog.get_logger()


class RedisLog:
    """See `EventLog`. `append` raises what redis-py raises (`REDIS_ERRORS`)."""

    def __init__(
        self, redis_url: str, prefix: str, *, partitions: int = 1, entries_max: int = 100_000
    ) -> None:
        self.partitions = partitions
        self._redis_url = redis_url
        self._prefix = prefix
        self._entries_max = entries_max
        self._client = create_redis(redis_url)
        self._append = self._client.register_script(_APPEND)

    async def append(self, events: Sequence[Event]) -> None:
        """Add events in order, split into entries."""
        for partition, piece in split_events(events, self.partitions):
            await self._append(
                keys=_keys(self._prefix, partition), args=[self._entries_max, encode_entry(piece)]
            )

    def reader(self, partition: int) -> "RedisLogReader":
        """A reader of one partition."""
        return RedisLogReader(self._redis_url, _keys(self._prefix, partition), self._entries_max)

    async def close(self) -> None:
        """Let the connections go."""
        await self._client.aclose()


class RedisLogReader:
    """See `LogReader`. Owns one connection, because the run of Redis is known per connection."""

    def __init__(self, redis_url: str, keys: list[str], entries_max: int) -> None:
        self.epoch = bytes(EPOCH_BYTES)
        self._run = self.epoch  # of the connection in use
        self._keys = keys
        self._entries_max = entries_max
        self._lost_generation = ""
        self._client: RedisClient = create_redis(redis_url, timeout_s=10.0)
        self._client.connection_pool.connection_kwargs["redis_connect_func"] = self._read_run
        self._open = self._client.register_script(_OPEN)

    async def open(self) -> Position:
        """See `LogReader.open`."""
        args: list[int | bytes | str] = [self._entries_max, encode_entry([]), self._lost_generation]
        newest = await self._open(keys=self._keys, args=args)
        self._lost_generation = ""
        self.epoch = self._run
        return _position(newest)

    async def read(self, after: Position, *, block_s: float) -> list[Entry]:
        """See `LogReader.read`."""
        reply: Any = await self._client.xread(
            {self._keys[0]: f"{after.generation}-{after.sequence}"},
            count=READ_ENTRIES,
            block=max(1, int(block_s * 1000)),
        )
        # The reply came over the connection in use; if Redis has restarted, that is a new one.
        if self._run != self.epoch:
            raise LogReset("Redis has restarted")
        if not reply:
            await self._check_newest(after)
            return []
        entries: list[Entry] = []
        for identifier, fields in reply[0][1]:
            position = _position(identifier)
            if position != after.next:
                break
            entries.append(decode_entry(position, fields[b"d"]))
            after = position
        if not entries:
            raise LogReset("entries are missing")
        return entries

    async def read_back(self, newest: Position, *, bytes_max: int, since_s: float) -> list[Entry]:
        """See `LogReader.read_back`."""
        entries: list[Entry] = []
        # (newest.generation, 0) is the oldest that the same cursors can name.
        wanted, oldest = newest, f"{newest.generation}-0"
        while wanted.sequence >= 0:
            start = f"{wanted.generation}-{wanted.sequence}"
            rows: Any = await self._client.xrevrange(
                self._keys[0], max=start, min=oldest, count=READ_BACK_ENTRIES
            )
            for identifier, fields in rows:
                try:
                    entry = decode_entry(_position(identifier), fields[b"d"])
                except LogReset:
                    return entries[::-1]
                bytes_max -= entry.size_bytes
                if entry.position != wanted or bytes_max < 0 or entry.at_s < since_s:
                    return entries[::-1]
                entries.append(entry)
                wanted = Position(wanted.generation, wanted.sequence - 1)
            if len(rows) < READ_BACK_ENTRIES:
                break
        return entries[::-1]

    async def close(self) -> None:
        """Let the connections go."""
        await self._client.aclose()

    async def _check_newest(self, after: Position) -> None:
        # A blocked XREAD does not notice that its stream was deleted or restored from a backup.
        rows: Any = await self._client.xrevrange(self._keys[0], count=1)
        if not rows or _position(rows[0][0]) < after:
            self._lost_generation = str(after.generation)
            raise LogReset("the log was emptied or has gone back")

    async def _read_run(self, connection: Any) -> None:
        await connection.on_connect()
        await connection.send_command("INFO", "server")
        info: bytes = await connection.read_response()
        run = next(line for line in info.splitlines() if line.startswith(b"run_id:"))
        self._run = bytes.fromhex(run[7:].decode())[:EPOCH_BYTES]


def _keys(prefix: str, partition: int) -> list[str]:
    # The braces put both keys into one slot of a Redis Cluster.
    return [f"{prefix}log:{{{partition}}}", f"{prefix}log:{{{partition}}}:generation"]


def _position(identifier: bytes) -> Position:
    generation, _, sequence = identifier.partition(b"-")
    return Position(int(generation), int(sequence))
