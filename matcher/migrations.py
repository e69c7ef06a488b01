"""Moving a database between schema versions: Alembic, driven from code.

Owns: finding the migrations and handing them the address. The migrations themselves lie in `migrations/`
beside the package; each runs in one transaction under a lock, so that two processes may start it together.
"""

import click
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy.engine import URL, make_url

from matcher.errors import MatcherError
from matcher.settings import Settings, repository_root
from matcher.stack import Stack

FOLDER = repository_root() / "migrations"


class MigrationFailed(MatcherError):
    """The database cannot be moved to this schema version."""

    code = "migration_failed"
    status = 500
    title = "Migration failed"


def upgrade(database_url: str, revision: str = "head") -> None:
    """Move the database forward to `revision`. Starts an event loop: not to be called inside one.

    Raises MigrationFailed for an unknown revision, and what the driver raises for everything else.
    """
    try:
        command.upgrade(_config(database_url), revision)
    except CommandError as error:
        raise MigrationFailed(f"{error}.") from error


def downgrade(database_url: str, revision: str) -> None:
    """Move the database back to `revision` ("base": empty). Data of newer versions is lost. Raises as `upgrade`."""
    try:
        command.downgrade(_config(database_url), revision)
    except CommandError as error:
        raise MigrationFailed(f"{error}.") from error


def newest_revision() -> str | None:
    """The revision that `upgrade` moves to; None while there are no migrations."""
    return ScriptDirectory(str(FOLDER)).get_current_head()


def sqlalchemy_url(database_url: str) -> URL:
    """`database_url` for SQLAlchemy with asyncpg, which calls libpq's `sslmode` `ssl`."""
    url = make_url(database_url).set(drivername="postgresql+asyncpg")
    if "sslmode" in url.query:
        url = url.difference_update_query(["sslmode"]).update_query_dict({"ssl": url.query["sslmode"]})
    return url


def _config(database_url: str) -> Config:
    config = Config()
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    config.attributes["url"] = sqlalchemy_url(database_url)
    return config


@click.command("migrate")
@click.argument("revision", default="head")
@click.option(
    "--down", "back_to", metavar="REVISION", help="Go back to REVISION; data of newer versions is lost."
)
def migrate(revision: str, back_to: str | None) -> None:
    """Bring the database to REVISION (the newest one).

    The database is DATABASE_URL's; without it the embedded stack's, which is started if need be.
    """
    database_url = Settings.from_env().database_url or Stack.for_checkout().up().database_url
    assert database_url is not None, "a stack that is up has an address"
    if back_to is not None:
        downgrade(database_url, back_to)
        click.echo(f"The database is back at {back_to}.")
    else:
        upgrade(database_url, revision)
        click.echo(f"The database is at {newest_revision() if revision == 'head' else revision}.")
