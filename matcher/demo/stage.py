"""Before the curtain: servers, schema, the shipped shops, an admin, and what the service's processes are told.

Owns: everything of the demo that is done with operator's means instead of public endpoints: what an operator
does with `matcher stack up`, `migrate`, `shops import` and `users create-admin`.
"""

import asyncio
import os
import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec
from rich.console import Console

from matcher import migrations
from matcher.accounts.passwords import Passwords
from matcher.accounts.service import create_admin
from matcher.db import Pool, create_pool, load_queries
from matcher.demo.cast import ADMIN_EMAIL, admin_account
from matcher.errors import ConfigurationError
from matcher.runtime import database_url, redis_url
from matcher.settings import Settings
from matcher.shops.import_rows import ImportOptions
from matcher.shops.importing import ImportSummary, import_shops, shipped_shops_path
from matcher.stack.processes import LOOPBACK, choose_port

SQL = load_queries("matcher.demo")
_API_PROCESSES = 2  # so that events cross from the process that writes them to the one that has the socket
_LEAST_OPEN_S = 10
_MAKES_SEED = 1  # not the story's: another story must not rewrite the directory


class Stage(msgspec.Struct, frozen=True):
    """What the story needs to know of its surroundings."""

    settings: Settings
    database_url: str
    environment: Mapping[str, str]
    origins: tuple[str, ...]  # of the API processes
    order_open_s: int
    known_emails: frozenset[str]  # demo accounts of earlier runs

    @property
    def program(self) -> str:
        """The `matcher` command of the environment that this runs in."""
        return str(Path(sys.executable).with_name("matcher"))

    @property
    def processes(self) -> list[tuple[str, list[str]]]:
        """Name and `matcher` arguments of each process of the service."""
        ports = [origin.rpartition(":")[2] for origin in self.origins]
        apis = [
            (f"api-{number}", ["serve", "--host", LOOPBACK, "--port", port, "--workers", "1"])
            for number, port in enumerate(ports, start=1)
        ]
        return [*apis, ("worker", ["worker"])]


def set_stage(console: Console, *, speed: float, port: int) -> Stage:
    """Start the embedded stack if it is to be used, bring the database up to date, and prepare the processes.

    Raises MatcherError, OSError.
    """
    settings = Settings.from_env()
    if settings.env == "production":
        raise ConfigurationError("The demo makes accounts and orders of its own; run it outside production.")
    with console.status("Starting PostgreSQL and Redis …"):
        urls = {"DATABASE_URL": database_url(settings), "REDIS_URL": redis_url(settings)}
    with console.status("Bringing the database up to date …"):
        migrations.upgrade(urls["DATABASE_URL"])
    known = asyncio.run(_prepare(urls["DATABASE_URL"], settings, console))
    first = port or choose_port()
    ports = [first]
    while len(ports) < _API_PROCESSES:
        ports.append(choose_port(avoid=frozenset(ports)))
    pace = paced(settings, speed)
    return Stage(
        settings=settings,
        database_url=urls["DATABASE_URL"],
        environment={**os.environ, **urls, **pace},
        origins=tuple(f"http://{LOOPBACK}:{port}" for port in ports),
        order_open_s=int(pace["MATCHER_ORDER_OPEN_S"]),
        known_emails=known,
    )


def paced(settings: Settings, speed: float) -> dict[str, str]:
    """The service's own times, as fast as the story: without this no order would expire before one's eyes."""
    return {
        "MATCHER_ORDER_OPEN_S": str(max(_LEAST_OPEN_S, round(settings.order_open_s / speed))),
        "MATCHER_WAVE_INTERVAL_S": str(max(1, round(settings.wave_interval_s / speed))),
        "MATCHER_LOG_LEVEL": "warning",
        # Everybody in the story comes from one address.
        "MATCHER_LIMIT_REGISTERS_PER_MIN": "6000",
        "MATCHER_LIMIT_LOGINS_PER_MIN": "6000",
    }


async def _prepare(url: str, settings: Settings, console: Console) -> frozenset[str]:
    async with await create_pool(url, max_size=4, statement_timeout_s=120.0) as pool:
        await _import_shops(pool, console)
        # Asked of the database, because asking /auth/login would count as failed attempts of this address.
        known = frozenset(row["email"] for row in await pool.fetch(SQL["known_emails"]))
        if ADMIN_EMAIL not in known:
            await _create_admin(pool, settings)
    return known | {ADMIN_EMAIL}


async def _import_shops(pool: Pool, console: Console) -> None:
    """The shipped shops that sell parts, as unclaimed ones; a further run changes nothing."""
    with console.status("Importing real shops …") as status:

        def advance(summary: ImportSummary, _: float) -> None:
            status.update(f"Importing real shops … {summary.rows:,} rows")

        options = ImportOptions(makes_seed=_MAKES_SEED)
        summary = await import_shops(pool, shipped_shops_path(), options, progress=advance)
    shops = summary.inserted + summary.updated + summary.unchanged + summary.claimed
    console.print(
        f"{shops:,} real shops in the directory, {summary.inserted:,} of them new ({summary.seconds:.1f} s)."
    )


async def _create_admin(pool: Pool, settings: Settings) -> None:
    admin = admin_account(settings)
    passwords = Passwords(settings.argon2_threads)
    try:
        await create_admin(pool, passwords, email=admin.email, password=admin.password, name=admin.name)
    finally:
        passwords.close()
