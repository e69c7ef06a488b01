"""`matcher users create-admin`. The password comes from the environment or a prompt: arguments are seen by others."""

import asyncio
import os

import click

from matcher.accounts.passwords import Passwords
from matcher.accounts.service import create_admin
from matcher.db import create_pool
from matcher.runtime import database_url
from matcher.settings import Settings

PASSWORD_VARIABLE = "MATCHER_ADMIN_PASSWORD"  # noqa: S105  the variable's name


@click.group("users")
def users() -> None:
    """Make administrators."""


@users.command("create-admin")
@click.option("--email", required=True, help="What the administrator signs in with.")
@click.option("--name", default="Administrator", show_default=True, help="Shown to others.")
def create_admin_command(email: str, name: str) -> None:
    """Make an administrator; the password is read from MATCHER_ADMIN_PASSWORD or asked for."""
    password = os.environ.get(PASSWORD_VARIABLE) or click.prompt(
        "Password", hide_input=True, confirmation_prompt=True
    )
    settings = Settings.from_env()
    asyncio.run(_create_admin(database_url(settings), email, password, name))
    click.echo(f"{email} is an administrator.")


async def _create_admin(url: str, email: str, password: str, name: str) -> None:
    passwords = Passwords(threads=1)
    try:
        async with await create_pool(url, max_size=1) as pool:
            await create_admin(pool, passwords, email=email, password=password, name=name)
    finally:
        passwords.close()
