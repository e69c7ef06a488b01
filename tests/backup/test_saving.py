"""A backup that cannot be finished leaves nothing behind, and says why in one line."""

import asyncio
import os
import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from matcher import cli
from tests.backup.conftest import Home
from tests.e2e.processes import MATCHER


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "folder"
    path.mkdir()
    yield path
    assert list(path.iterdir()) == [], "a failed backup leaves nothing behind"


def test_a_disk_that_is_full_leaves_nothing_behind(home: Home, trade: None, folder: Path) -> None:
    def small() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))

    result = subprocess.run(
        [MATCHER, "backup", str(folder / "b")],
        preexec_fn=small,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == "matcher: [Errno 27] File too large\n"


def test_a_backup_that_is_told_to_end_leaves_nothing_behind(home: Home, trade: None, folder: Path) -> None:
    async def interrupt(connection: Any) -> tuple[int | None, bytes]:
        async with connection.transaction():
            await connection.execute("LOCK TABLE users")
            # As a shell starts a background job.
            command = ("env", "--ignore-signal=INT", MATCHER, "backup", str(folder / "b"))
            backup = await asyncio.create_subprocess_exec(*command, stderr=subprocess.PIPE)
            waits = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND relation = 'users'::regclass)"
            while not await connection.fetchval(waits):
                assert backup.returncode is None
            assert len(os.listdir(folder)) == 1
            backup.terminate()
            _, complaint = await backup.communicate()
            return backup.returncode, complaint.strip()

    assert home.ask(interrupt) == (1, b"matcher: stopped.")


def test_a_folder_that_cannot_be_written_is_one_line(
    home: Home, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["backup", str(folder / "nowhere" / "b")]) == 1
    assert capsys.readouterr().err.startswith("matcher: [Errno 2] No such file or directory")


def test_a_database_without_our_schema_is_not_backed_up(
    home: Home, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home.execute("DROP TABLE alembic_version")
    assert cli.run(["backup", str(folder / "b")]) == 1
    assert "`matcher migrate` makes it" in capsys.readouterr().err
