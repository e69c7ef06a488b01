"""Processes by their own handles: killed, paused ones ended too, deaths told with their log, nobody left behind."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from matcher.chaos.fleet import Fleet, NotRecovered, Process


def fleet(tmp_path: Path, script: str) -> Fleet:
    """What is started runs `script`, whose $1 is "serve" or "worker"."""
    return Fleet(["/bin/sh", "-c", script, "matcher"], os.environ, tmp_path)


def is_gone(process: Process) -> bool:
    return process.popen.poll() is not None


def test_nobody_survives_the_block_not_even_a_paused_process(tmp_path: Path) -> None:
    with fleet(tmp_path, "sleep 60 & wait") as running:
        api, worker = running.start_api(), running.start_worker()
        api.popen.send_signal(signal.SIGSTOP)
        assert not is_gone(api)
        assert not is_gone(worker)
    assert is_gone(api)
    assert is_gone(worker)


def test_a_killed_process_comes_back_at_its_address(tmp_path: Path) -> None:
    with fleet(tmp_path, "sleep 60 & wait") as running:
        first = running.start_api()
        running.kill(first)
        assert first.popen.returncode == -signal.SIGKILL
        assert running.apis == []
        second = running.restart(first)
        assert second.origin == first.origin
        assert second.popen.pid != first.popen.pid
        worker = running.start_worker()
        running.kill(worker)
        assert running.restart(worker).origin == ""


async def test_a_process_that_ends_by_itself_is_told_with_its_log(tmp_path: Path) -> None:
    with fleet(tmp_path, "echo what went wrong; exit 3") as running:
        api = running.start_api()
        with pytest.raises(NotRecovered, match=r"001-api ended by itself with status 3:\nwhat went wrong"):
            await running.wait_ready(api)
        with pytest.raises(NotRecovered):
            running.check_all_alive()


async def test_a_stopped_process_tells_its_status(tmp_path: Path) -> None:
    with fleet(tmp_path, "trap 'exit 5' TERM; echo up; while :; do sleep 0.01; done") as running:
        worker = running.start_worker()
        for _ in range(500):
            if worker.log.read_text() == "up\n":
                break
            await asyncio.sleep(0.01)
        assert await running.stop(worker) == 5
        assert running.workers == []
