"""The two commands: what they say and ask."""

import asyncio
import signal
from pathlib import Path

import click

from matcher.backup import event_log, restoring
from matcher.backup.archive import Manifest
from matcher.backup.saving import save
from matcher.runtime import database_url, redis_url
from matcher.settings import Settings

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.argument("file", type=_FILE)
def backup(file: Path) -> None:
    """Write the database to FILE while the service runs; an earlier backup there is replaced.

    The database is DATABASE_URL's; without it the embedded stack's, which is started if need be.
    """
    _stop_cleanly()
    manifest = save(database_url(Settings.from_env()), file)
    click.echo(f"{file} holds {_content(manifest)}.")


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--drop-old", is_flag=True, help="Delete the database that was replaced; else it is kept.")
def restore(file: Path, yes: bool, drop_old: bool) -> None:
    """Replace the database by the content of FILE; API and worker processes must be stopped.

    The database is DATABASE_URL's; without it the embedded stack's, which is started if need be.
    """
    _stop_cleanly()
    settings = Settings.from_env()
    url, redis = database_url(settings), redis_url(settings)

    def confirm(manifest: Manifest, place: str) -> None:
        if not yes:
            click.confirm(f"Replace {place} by {_content(manifest)}?", abort=True)

    asyncio.run(event_log.check(redis))
    kept = restoring.restore(
        url, file, confirm=confirm, before_swap=lambda: event_log.renew(redis, settings.redis_prefix)
    )
    click.echo(f"Restored {file}.")
    if kept and drop_old:
        asyncio.run(restoring.drop_kept(url, kept))
    elif kept:
        click.echo(f"The database before is kept as {kept}; drop it when it is not needed any more.")


def _content(manifest: Manifest) -> str:
    rows = sum(manifest.rows.values())
    return f"{rows} rows of {manifest.taken_at:%Y-%m-%d %H:%M:%S} UTC (schema {manifest.revision})"


def _stop_cleanly() -> None:
    # As Ctrl-C, which asyncio turns into an orderly end: what is unfinished, a file or a database, is removed.
    # A shell's background job comes with SIGINT ignored; SIGTERM must end that one too.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
