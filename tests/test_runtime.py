"""What every process does first: logs of which each line tells something."""

import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from matcher.runtime import configure_logging
from matcher.settings import Settings


@pytest.fixture(autouse=True)
def logging_restored() -> Iterator[None]:
    root, before = logging.getLogger(), structlog.get_config()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.configure(**before)


def test_libraries_log_in_our_form_and_without_their_chatter(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(Settings(), "worker-1")
    for name in ("uvicorn.access", "httpx", "arq.worker"):
        logging.getLogger(name).info("one more of thousands")
    logging.getLogger("arq.worker").warning("a job was lost")
    logging.getLogger("uvicorn.error").info("started")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(line["event"], line["level"]) for line in lines] == [
        ("a job was lost", "warning"),
        ("started", "info"),
    ]
    assert {line["process"] for line in lines} == {"worker-1"}
