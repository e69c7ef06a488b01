"""What is done to the service: kills, lost and emptied logs, pauses, rolling restarts; each ends when all is well.

Owns: the faults and their order. Must not know the load, nor judge.
"""

import asyncio
import random
import signal
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence

import redis

from matcher.chaos.doors import Doors
from matcher.chaos.fleet import Fleet, NotRecovered, Process
from matcher.chaos.ground import Ground
from matcher.chaos.watch import Kill, Watch

_PAUSE_S = (0.5, 4.0)  # beyond the outbox' grace: the worker publishes what a paused process holds
_LOST_TAIL_BYTES = 64 * 1024  # of Redis' append-only log: about a second of this load
_DEREGISTER_S = 1.0  # between the last new request to a process and its SIGTERM
_OVER_TIMEOUT_S = 20.0  # bounded: what did not come back to clients is shown by the check
_POLL_S = 0.05
_DOWN_S = (0.0, 1.5)  # a server is away for so long before it is started again


# How often each fault comes in one round after the first, which has each once.
SHARES = {
    "kill api": 6,
    "kill worker": 3,
    "kill redis": 1,
    "kill redis, last second lost": 1,
    "kill postgres": 3,
    "empty redis": 1,
    "pause api": 2,
    "rolling restart": 1,
}


class Faults:
    """Strikes the service of one run."""

    def __init__(
        self,
        ground: Ground,
        fleet: Fleet,
        doors: Doors,
        watch: Watch,
        socket_origins: Callable[[], Mapping[str, str]],
        rng: random.Random,
        only: Sequence[str] = (),
    ) -> None:
        """`socket_origins`: which process each recipient's socket is at, now. `only`: these of SHARES; none: all."""
        self._ground = ground
        self._fleet = fleet
        self._doors = doors
        self._watch = watch
        self._socket_origins = socket_origins
        self._rng = rng
        self._shares = {name: share for name, share in SHARES.items() if not only or name in only}
        self._deck: list[str] = []
        self._rounds = 0

    @property
    def had_each(self) -> bool:
        """Whether each fault was drawn at least once."""
        return self._rounds > 1 or (self._rounds == 1 and not self._deck)

    def draw(self) -> str:
        """The next fault: in the first round each once, then by shares, in random order."""
        if not self._deck:
            counts = list(self._shares.values()) if self._rounds else [1] * len(self._shares)
            self._deck = self._rng.sample(list(self._shares), sum(counts), counts=counts)
            self._rounds += 1
        return self._deck.pop()

    async def strike(self, name: str) -> None:
        """Do it, and return when every process is ready and clients are served again. Raises NotRecovered."""
        strikes: dict[str, Callable[[], Awaitable[None]]] = {
            "kill api": self._kill_api,
            "kill worker": self._kill_worker,
            "kill redis": self._kill_redis,
            "kill redis, last second lost": self._kill_redis_losing_its_tail,
            "kill postgres": self._kill_postgres,
            "empty redis": self._empty_redis,
            "pause api": self._pause_api,
            "rolling restart": self._roll_over,
        }
        kills = len(self._watch.kills)
        await strikes[name]()
        for process in self._fleet.apis:
            await self._fleet.wait_ready(process)
        for kill in self._watch.kills[kills:]:
            await _until_over(kill)
        self._fleet.check_all_alive()
        self._watch.faults[name] += 1

    async def _kill_api(self) -> None:
        victim = self._rng.choice(self._fleet.apis)
        there = {name for name, origin in self._socket_origins().items() if origin == victim.origin}
        self._fleet.kill(victim)
        self._watch.record_kill(
            Kill(component="api", at_s=time.time(), origin=victim.origin, listeners=frozenset(there) or None)
        )
        self._fleet.restart(victim)

    async def _kill_worker(self) -> None:
        victim = self._rng.choice(self._fleet.workers)
        self._fleet.kill(victim)
        self._watch.record_kill(Kill(component="worker", at_s=time.time(), by_expiry=True))
        self._fleet.restart(victim)

    async def _kill_redis(self, lost_bytes: int = 0) -> None:
        stack = self._ground.stack
        await asyncio.to_thread(stack.redis.kill)
        self._watch.record_kill(Kill(component="redis", at_s=time.time()))
        if lost_bytes:
            await asyncio.to_thread(stack.redis.cut_log, lost_bytes)
        await self._start_servers()

    async def _kill_redis_losing_its_tail(self) -> None:
        await self._kill_redis(self._rng.randint(1, _LOST_TAIL_BYTES))

    async def _kill_postgres(self) -> None:
        # Timed from its end: until the last of its processes is dead, a request may still be answered.
        await asyncio.to_thread(self._ground.stack.postgres.kill)
        self._watch.record_kill(Kill(component="postgres", at_s=time.time()))
        await self._start_servers()

    async def _start_servers(self) -> None:
        await asyncio.sleep(self._rng.uniform(*_DOWN_S))
        status = await asyncio.to_thread(self._ground.stack.up)
        if (status.database_url, status.redis_url) != (self._ground.database_url, self._ground.redis_url):
            raise NotRecovered("The servers came back at another address: a stranger took their port.")

    async def _empty_redis(self) -> None:
        def flush() -> None:
            with redis.Redis.from_url(self._ground.redis_url) as client:
                client.flushall()

        await asyncio.to_thread(flush)

    async def _pause_api(self) -> None:
        victim = self._rng.choice(self._fleet.apis)
        victim.popen.send_signal(signal.SIGSTOP)
        try:
            await asyncio.sleep(self._rng.uniform(*_PAUSE_S))
        finally:
            victim.popen.send_signal(signal.SIGCONT)

    async def _roll_over(self) -> None:
        """Each API process is replaced: a new one starts, clients go there, the old one drains. No attempt may fail."""
        self._watch.rolling = True
        try:
            for old in list(self._fleet.apis):
                await self._replace(old)
        finally:
            self._watch.rolling = False

    async def _replace(self, old: Process) -> None:
        fresh = self._fleet.start_api()
        await self._fleet.wait_ready(fresh)
        self._doors.replace(old.origin, fresh.origin)
        # As a load balancer does: what was sent a moment ago may still wait to be accepted, and a listener that closes
        # resets it. Sockets and their requests stay until the old process sends them away.
        await asyncio.sleep(_DEREGISTER_S)
        status = await self._fleet.stop(old)
        if status != 0:
            self._watch.rolling_failures.append(f"{old.name} drained with status {status}")


async def _until_over(kill: Kill) -> None:
    for _ in range(round(_OVER_TIMEOUT_S / _POLL_S)):
        if kill.is_over:
            return
        await asyncio.sleep(_POLL_S)
