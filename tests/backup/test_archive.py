"""The file of a backup: whole or refused, complete or not there."""

import os
import stat
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matcher.backup.archive import HEADER_BYTES, Manifest, reading, writing
from matcher.backup.errors import BackupError, DamagedBackup

MANIFEST = Manifest("0001", "0.1.0", 15, datetime(2026, 5, 4, tzinfo=UTC), {"orders": 3}, 0)


def write(path: Path, content: bytes = b"the dump", rows: dict[str, int] | None = None) -> None:
    with writing(path) as archive:
        archive.write(content)
        archive.finish(
            msgspec.structs.replace(MANIFEST, rows=rows or MANIFEST.rows, size_bytes=archive.size_bytes)
        )


def verify(path: Path) -> bytes:
    with reading(path) as archive:
        assert sum(archive.verify()) == archive.manifest.size_bytes
        return b"".join(archive.chunks())


def test_what_was_written_is_read_and_is_the_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.backup"
    write(path)
    assert verify(path) == b"the dump"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with reading(path) as archive:
        assert archive.manifest == msgspec.structs.replace(MANIFEST, size_bytes=8)
    assert path.read_bytes()[HEADER_BYTES:] == b"the dump"  # pg_restore can read it without this code


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("archive") / "whole"
    write(path, bytes(range(256)) * 20)
    return path


@given(data=st.data())
def test_a_file_that_is_cut_off_anywhere_is_refused(whole: Path, data: st.DataObject) -> None:
    content = whole.read_bytes()
    path = whole.with_name("cut")
    path.write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
    with pytest.raises(DamagedBackup):
        verify(path)


@given(data=st.data())
def test_one_altered_byte_of_what_it_says_or_holds_is_refused(whole: Path, data: st.DataObject) -> None:
    content = bytearray(whole.read_bytes())
    said = len(bytes(content[:HEADER_BYTES]).rstrip())
    at = data.draw(st.one_of(st.integers(0, said - 1), st.integers(HEADER_BYTES, len(content) - 1)))
    content[at] ^= data.draw(st.integers(1, 255))
    path = whole.with_name("altered")
    path.write_bytes(content)
    with pytest.raises(DamagedBackup):
        verify(path)


def test_longer_than_written_is_refused(whole: Path) -> None:
    path = whole.with_name("longer")
    path.write_bytes(whole.read_bytes() + b"x")
    with pytest.raises(DamagedBackup, match="holds 5121 bytes of the 5120"):
        verify(path)


def test_a_failure_leaves_the_earlier_backup_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.backup"
    write(path, b"earlier")
    with pytest.raises(OSError, match="full"), writing(path) as archive:  # noqa: PT012  fails half way
        archive.write(b"half")
        raise OSError("the disk is full")
    assert verify(path) == b"earlier"
    assert os.listdir(tmp_path) == ["a.backup"]


def test_a_newer_backup_takes_the_place_of_an_earlier_one(tmp_path: Path) -> None:
    path = tmp_path / "a.backup"
    write(path, b"earlier")
    write(path, b"newer")
    assert verify(path) == b"newer"


def test_a_file_that_is_no_backup_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "letters.txt"
    path.write_text("mine")
    with pytest.raises(BackupError, match="not a backup"):
        write(path)
    assert path.read_text() == "mine"
    with pytest.raises(DamagedBackup, match="not a backup"):
        verify(path)


def test_more_tables_than_the_header_has_room_for_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BackupError, match="header"):
        write(tmp_path / "a", rows={f"a_table_with_a_rather_long_name_{n}": n for n in range(500)})
    assert os.listdir(tmp_path) == []
