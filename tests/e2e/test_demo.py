"""`matcher demo --once`: what `scripts/demo` shows a newcomer, in small, checked by its own verdict."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Servers, cloned_database
from tests.e2e.processes import Service


@pytest.fixture
def fresh(servers: Servers, tmp_path: Path) -> Iterator[Service]:
    """A service of its own with the settings that a newcomer has: the demo fills it with 8,590 shops."""
    with cloned_database(servers) as url:
        prefix = f"e2e:{secrets.token_hex(6)}:"
        yield Service(
            {"DATABASE_URL": url, "REDIS_URL": servers.redis_url, "MATCHER_REDIS_PREFIX": prefix}, tmp_path
        )


@pytest.mark.timeout(180)
def test_demo_ends_with_every_fact_agreeing(fresh: Service) -> None:
    small = ("--orders", "15", "--shops", "60", "--minutes", "0.1", "--speed", "600")
    ran = fresh.run("demo", "--once", *small, timeout_s=170)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "all agree" in ran.stdout
