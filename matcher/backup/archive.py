"""The file of a backup: a header that says what it holds and proves it whole, then pg_dump's custom format.

Owns: form, checksum, writing in one step. Must not know databases. The header has a fixed size, so that it can be
written last, and the file remains of use without this code: `tail -c +16385 FILE | pg_restore …`.
"""

import contextlib
import hashlib
import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

import msgspec

from matcher.backup.errors import BackupError, DamagedBackup

MAGIC = b"matcher-backup 1\n"
HEADER_BYTES = 16_384  # room for the row counts of some 200 tables
CHUNK_BYTES = 2**18
_DIGEST_CHARS = 64  # of SHA-256


class Manifest(msgspec.Struct, frozen=True, rename="camel"):
    """What a backup holds. `rows` counts per table, in the same snapshot as the dump."""

    revision: str
    release: str
    postgres_major: int
    taken_at: datetime
    rows: dict[str, int]
    size_bytes: int


class ArchiveWriter:
    """Writes the dump, then the header."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._digest = hashlib.sha256()
        self.size_bytes = 0
        file.write(bytes(HEADER_BYTES))

    def write(self, chunk: bytes) -> None:
        """Add to the dump. Raises OSError."""
        self._file.write(chunk)
        self._digest.update(chunk)
        self.size_bytes += len(chunk)

    def finish(self, manifest: Manifest) -> None:
        """Write the header; before it the file is no backup. Raises OSError."""
        described = msgspec.json.encode(manifest)
        self._digest.update(described)
        header = MAGIC + self._digest.hexdigest().encode() + b"\n" + described
        if len(header) >= HEADER_BYTES:
            raise BackupError(f"{len(manifest.rows)} tables do not fit into a backup's header.")
        self._file.seek(0)
        self._file.write(header.ljust(HEADER_BYTES - 1) + b"\n")


class ArchiveReader:
    """A backup that is open for reading; `manifest` is to be believed after `verify`."""

    def __init__(self, file: BinaryIO, path: Path) -> None:
        """Raises DamagedBackup when the header is none."""
        self._file = file
        self._path = path
        header = file.read(HEADER_BYTES)
        if not header.startswith(MAGIC):
            raise DamagedBackup(f"{path} is not a backup of this service.")
        self._recorded, _, described = header[len(MAGIC) :].partition(b"\n")
        self._described = described.rstrip()
        if len(header) < HEADER_BYTES or len(self._recorded) != _DIGEST_CHARS:
            raise DamagedBackup(f"{path} is cut off or damaged; nothing was changed. Use another backup.")
        try:
            self.manifest = msgspec.json.decode(self._described, type=Manifest)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise DamagedBackup(f"{path} has a damaged header; nothing was changed.") from error

    def verify(self) -> Iterator[int]:
        """Read all of it and compare; yields the bytes of each step. Raises DamagedBackup, OSError."""
        size_bytes = os.fstat(self._file.fileno()).st_size - HEADER_BYTES
        if size_bytes != self.manifest.size_bytes:
            raise DamagedBackup(
                f"{self._path} holds {size_bytes} bytes of the {self.manifest.size_bytes} that were written;"
                " nothing was changed. Use another backup."
            )
        digest = hashlib.sha256()
        for chunk in self.chunks():
            digest.update(chunk)
            yield len(chunk)
        digest.update(self._described)
        if digest.hexdigest().encode() != self._recorded:
            raise DamagedBackup(f"{self._path} was altered: its checksum differs; nothing was changed.")

    def chunks(self) -> Iterator[bytes]:
        """The dump from its beginning. Raises OSError."""
        self._file.seek(HEADER_BYTES)
        while chunk := self._file.read(CHUNK_BYTES):
            yield chunk


@contextlib.contextmanager
def writing(path: Path) -> Iterator[ArchiveWriter]:
    """A writer of `path`, which appears (mode 0600, synced) when the body ends without an error, else never.

    An earlier backup is replaced; raises BackupError rather than replace any other file. Raises OSError.
    """
    if path.exists() and not is_backup(path):
        raise BackupError(f"{path} exists and is not a backup; name another file.")
    fresh = path.with_name(f".{path.name}.{os.getpid()}.part")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with open(descriptor, "wb") as file:
            yield ArchiveWriter(file)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


@contextlib.contextmanager
def reading(path: Path) -> Iterator[ArchiveReader]:
    """An open backup. Raises DamagedBackup, OSError."""
    with open(path, "rb") as file:
        yield ArchiveReader(file, path)


def is_backup(path: Path) -> bool:
    """Whether the file begins as a backup does. Raises OSError."""
    with open(path, "rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def _sync_folder(folder: Path) -> None:
    # A rename is in the folder; without this a power cut could take the name back.
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
