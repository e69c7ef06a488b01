"""What a restore does to Redis: it begins the event log anew.

Owns: the reason. The log, and what processes and clients remember of it, knows versions above those of the restored
rows; events that follow would be dropped as overtaken. Streams that are gone get a new generation from the next
process (matcher/realtime/redis_log.py), which no cursor of before covers: every client is given a snapshot.
"""

from matcher.backup.errors import BackupError
from matcher.redis import REDIS_ERRORS, create_redis


async def check(redis_url: str) -> None:
    """Whether Redis answers, asked before a long restore. Raises BackupError."""
    client = create_redis(redis_url)
    try:
        await client.ping()
    except REDIS_ERRORS as error:
        raise _unreachable(error) from error
    finally:
        await client.aclose()


async def renew(redis_url: str, prefix: str) -> None:
    """Delete the streams; their generations stay, so that the next ones are above them. Raises BackupError."""
    client = create_redis(redis_url)
    try:
        # Whatever their number is now: it is a setting, and may have been another when they were written.
        async for key in client.scan_iter(match=f"{_escaped(prefix)}log:{{*}}", _type="stream", count=1_000):
            await client.unlink(key)
    except REDIS_ERRORS as error:
        raise _unreachable(error) from error
    finally:
        await client.aclose()


def _unreachable(error: Exception) -> BackupError:
    return BackupError(
        f"Redis cannot be reached ({error}), and its event log must begin anew with the database; the database"
        " is as it was. Start Redis and restore again."
    )


def _escaped(prefix: str) -> str:
    return "".join(f"\\{char}" if char in "*?[]\\^" else char for char in prefix)
