"""Time as a value that is passed in. Owns the process clock; decisions under races read `matcher_now()` in SQL."""

import time
from datetime import UTC, datetime


def utc_now() -> datetime:
    """The time now, aware, UTC."""
    return datetime.now(UTC)


def unix_s() -> float:
    """Seconds since 1970, as `SiteIndex.nearest(now_s=…)` takes them."""
    return time.time()


def wire_time(moment: datetime) -> str:
    """RFC 3339, UTC, microseconds, `Z`: the form of every time on the wire."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
