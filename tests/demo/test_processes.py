"""The service's processes: a death is reported with its log, an end leaves nobody behind."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from matcher.demo.processes import ChildDied, Children


async def test_a_child_that_ends_is_reported_with_the_end_of_its_log() -> None:
    with Children("/bin/sh", os.environ) as children:
        children.start("patient", ["-c", "sleep 60"])
        children.start("failing", ["-c", "echo what went wrong; exit 3"])
        with pytest.raises(ChildDied) as death:
            await asyncio.wait_for(children.watch(), 30)
    assert death.value.detail == "failing ended by itself with status 3."
    assert death.value.log_tail == "what went wrong"


def test_leaving_the_block_stops_what_runs_and_removes_the_logs() -> None:
    with Children("/bin/sleep", os.environ) as children:
        children.start("sleeper", ["60"])
        process = children._children[0].process
        logs = Path(children._logs.name)
        assert process.poll() is None
    assert process.returncode == -signal.SIGTERM
    assert not logs.exists()


def test_a_child_that_does_not_listen_is_killed() -> None:
    with Children("/bin/sh", os.environ, stop_timeout_s=0.1) as children:
        children.start("deaf", ["-c", "trap '' TERM; echo ready; while true; do read line; done"])
        process, log = children._children[0].process, children._children[0].log
        while not log.read_text():
            assert process.poll() is None
    assert process.returncode == -signal.SIGKILL


def test_a_failure_inside_the_block_stops_the_children_too() -> None:
    children = Children("/bin/sleep", os.environ)

    def interrupted() -> None:
        with children:
            children.start("sleeper", ["60"])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert children._children[0].process.returncode == -signal.SIGTERM
