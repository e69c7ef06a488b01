"""What every process does first: find its servers, set up its logs."""

import logging
import sys
from typing import Any

import orjson
import structlog

from matcher.settings import Settings
from matcher.stack import Stack

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def database_url(settings: Settings) -> str:
    """The configured PostgreSQL, or the embedded one, started if it does not run."""
    if settings.database_url:
        return settings.database_url
    url = Stack.for_checkout().up().database_url
    assert url is not None, "a stack that is up has a database"
    return url


def redis_url(settings: Settings) -> str:
    """The configured Redis, or the embedded one, started if it does not run."""
    if settings.redis_url:
        return settings.redis_url
    url = Stack.for_checkout().up().redis_url
    assert url is not None, "a stack that is up has a Redis"
    return url


def configure_logging(settings: Settings, process: str) -> None:
    """One JSON object a line on stderr, for our logs and those of libraries; request ids come from the context."""
    level = _LEVELS[settings.log_level]
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
        _named(process),
    ]
    structlog.configure(
        processors=[*shared, structlog.processors.format_exc_info, structlog.processors.JSONRenderer(_dumps)],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                structlog.processors.JSONRenderer(_dumps),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(level, logging.INFO))
    # uvicorn's access log repeats ours without the request id; httpx tells each request of a client; arq tells
    # begin and end of each tick of each task, a dozen lines a second.
    for name in ("uvicorn.access", "httpx", "arq.worker"):
        logging.getLogger(name).setLevel(logging.WARNING)


def _named(process: str) -> Any:
    def add(_: Any, __: str, event: dict[str, Any]) -> dict[str, Any]:
        event["process"] = process
        return event

    return add


def _dumps(value: Any, **_: Any) -> str:
    return orjson.dumps(value, default=str).decode()
