"""Redis: one way to connect. Redis may be lost at any time without losing an order."""

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff
from redis.exceptions import RedisError

from matcher.errors import MatcherError

# What an unreachable or refusing Redis raises.
REDIS_ERRORS = (RedisError, OSError)

RedisClient = Redis  # bytes in, bytes out


class RedisUnavailable(MatcherError):
    """Redis cannot be reached at the moment; orders go on, events follow when it is back."""

    code = "redis_unavailable"
    status = 503
    title = "Redis unavailable"


def create_redis(redis_url: str, *, timeout_s: float = 5.0, retries: int = 1) -> RedisClient:
    """A client that answers bytes. `timeout_s` bounds each command; blocking reads set their own."""
    client: RedisClient = Redis.from_url(
        redis_url,
        decode_responses=False,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        retry=Retry(ExponentialBackoff(cap=0.1, base=0.01), retries),
        health_check_interval=15,
    )
    return client
