"""The stage: what the service's processes are told."""

import pytest
from rich.console import Console

from matcher.demo.stage import Stage, paced, set_stage
from matcher.errors import ConfigurationError
from matcher.settings import Settings


def test_the_services_own_times_follow_the_pace() -> None:
    told = paced(Settings(), 240.0)
    assert told["MATCHER_ORDER_OPEN_S"] == "30"
    assert 1 <= int(told["MATCHER_WAVE_INTERVAL_S"]) <= 3
    assert Settings.from_env(told).order_open_s == 30


def test_an_order_stays_open_long_enough_to_be_answered_at_any_pace() -> None:
    told = paced(Settings(), 720.0)
    assert int(told["MATCHER_ORDER_OPEN_S"]) >= 10
    assert int(told["MATCHER_WAVE_INTERVAL_S"]) >= 1


def test_each_process_gets_its_own_port_and_there_is_one_worker() -> None:
    stage = Stage(
        settings=Settings(),
        database_url="",
        environment={},
        origins=("http://127.0.0.1:20001", "http://127.0.0.1:20002"),
        order_open_s=30,
        known_emails=frozenset(),
    )
    commands = dict(stage.processes)
    assert commands["api-1"][:5] == ["serve", "--host", "127.0.0.1", "--port", "20001"]
    assert commands["api-2"][4] == "20002"
    assert commands["worker"] == ["worker"]
    assert stage.program.endswith("/matcher")


def test_the_demo_stays_out_of_production(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MATCHER_ENV", "production")
    monkeypatch.setenv("MATCHER_JWT_SECRET", "x" * 48)
    with pytest.raises(ConfigurationError, match="outside production"):
        set_stage(Console(), speed=240.0, port=0)
