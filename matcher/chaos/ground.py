"""The ground that the harness stands on: a stack of its own in a temporary folder, migrated, with an admin.

Owns: making and removing it. Must not touch the checkout's stack, nor any server of the environment.
"""

import asyncio
import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from matcher import migrations
from matcher.accounts.passwords import Passwords
from matcher.accounts.service import create_admin
from matcher.db import create_pool
from matcher.demo.cast import admin_account
from matcher.settings import OTHER_VARIABLES, Settings
from matcher.stack import Stack

WAVE_SHOPS = 4  # of the six: the others are asked by the worker's widening
_WAVE_INTERVAL_S = 3
_TOKEN_S = 14_400  # longer than a run: renewing tokens is another matter


class Ground(msgspec.Struct, frozen=True):
    """Where the run takes place. `folder` is removed with all that is in it."""

    stack: Stack
    settings: Settings
    environment: Mapping[str, str]
    folder: Path

    @property
    def database_url(self) -> str:
        """The private PostgreSQL."""
        return self.environment["DATABASE_URL"]

    @property
    def redis_url(self) -> str:
        """The private Redis."""
        return self.environment["REDIS_URL"]


@contextlib.contextmanager
def prepare_ground(order_open_s: int) -> Iterator[Ground]:
    """A stack that runs, migrated; stopped and removed at the end. Raises StackError, OSError."""
    folder = Path(tempfile.mkdtemp(prefix="matcher-chaos-"))
    stack = Stack(folder)
    try:
        status = stack.up()
        assert status.database_url, "a stack that is up has a database"
        assert status.redis_url, "a stack that is up has a Redis"
        migrations.upgrade(status.database_url)
        outside = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("MATCHER_") or name in OTHER_VARIABLES
        }
        own = {
            "DATABASE_URL": status.database_url,
            "REDIS_URL": status.redis_url,
            "MATCHER_LIMITS": "off",
            "MATCHER_LOG_LEVEL": "warning",
            "MATCHER_ORDER_OPEN_S": str(order_open_s),
            "MATCHER_WAVE_SHOPS": str(WAVE_SHOPS),
            "MATCHER_WAVE_INTERVAL_S": str(_WAVE_INTERVAL_S),
            "MATCHER_ACCESS_TOKEN_S": str(_TOKEN_S),
        }
        settings = Settings.from_env(own)
        asyncio.run(_create_admin(settings))
        yield Ground(stack=stack, settings=settings, environment=outside | own, folder=folder)
    finally:
        stack.reset()
        shutil.rmtree(stack.home.path, ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)


async def _create_admin(settings: Settings) -> None:
    admin, passwords = admin_account(settings), Passwords(settings.argon2_threads)
    try:
        async with await create_pool(settings.database_url, max_size=1) as pool:
            await create_admin(pool, passwords, email=admin.email, password=admin.password, name=admin.name)
    finally:
        passwords.close()
