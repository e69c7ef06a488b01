"""Documents that people upload: recognised by content, kept in PostgreSQL, given back to their owner and admins."""

import hashlib
from collections.abc import Collection
from typing import Final
from uuid import UUID

import msgspec

from matcher.accounts.access import Caller
from matcher.errors import NotFound, PayloadTooLarge
from matcher.ids import uuid7
from matcher.shops import repository
from matcher.shops.errors import TooManyUploads, UnsupportedFile
from matcher.shops.schemas import UploadView
from matcher.transactions import IdempotentCall, Reply, Transaction, Transactions

MAX_FILE_BYTES: Final = 10 * 2**20
# The file and the multipart form around it.
MAX_BODY_BYTES: Final = 11 * 2**20
# Ten documents for each of several shops, some of them twice.
MAX_UPLOADS: Final = 100

_PNG = b"\x89PNG\r\n\x1a\n"
# A PDF ends with this mark; readers look for it in the last kilobyte.
_PDF_END, _PDF_TAIL_BYTES = b"%%EOF", 1024


class StoredFile(msgspec.Struct, frozen=True):
    """A file as it is given back."""

    content_type: str
    content: bytes


def recognise(content: bytes) -> str:
    """The media type that the content itself shows. Raises UnsupportedFile.

    Beyond the first bytes, what must follow them is checked: anybody can put four bytes before a script.
    """
    if content.startswith(b"%PDF-") and _PDF_END in content[-_PDF_TAIL_BYTES:]:
        return "application/pdf"
    if content.startswith(_PNG) and content[12:16] == b"IHDR":
        return "image/png"
    if content.startswith(b"\xff\xd8\xff") and b"\xff\xd9" in content[3:]:
        return "image/jpeg"
    if content[:4] == b"RIFF" and content[8:15] == b"WEBPVP8":
        return "image/webp"
    raise UnsupportedFile


class UploadService:
    """See the module."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    async def store(self, caller: Caller, content: bytes, call: IdempotentCall | None = None) -> Reply:
        """An UploadView. Raises PayloadTooLarge, UnsupportedFile, TooManyUploads."""
        if len(content) > MAX_FILE_BYTES:
            raise PayloadTooLarge(f"A file holds at most {MAX_FILE_BYTES // 2**20} MiB.")
        content_type = recognise(content)
        digest = hashlib.sha256(content).digest()

        async def work(tx: Transaction) -> UploadView:
            if await repository.count_uploads(tx.connection, caller.user_id) >= MAX_UPLOADS:
                raise TooManyUploads
            upload_id = uuid7()
            await repository.insert_upload(
                tx.connection, upload_id, caller.user_id, content_type, digest, content
            )
            return UploadView(id=upload_id, content_type=content_type, size_bytes=len(content))

        return await self._transactions.run(work, status=201, call=call)

    async def get(self, caller: Caller, upload_id: UUID) -> StoredFile:
        """A file of the caller's, or any for an admin. Raises NotFound."""
        file = await self._find(upload_id, None if caller.is_admin else caller.user_id)
        if file is None:
            raise NotFound
        return file

    async def find(self, upload_id: UUID) -> StoredFile | None:
        """A file, whoever uploaded it: the caller of this has decided who may see it."""
        return await self._find(upload_id, None)

    async def _find(self, upload_id: UUID, owner_id: UUID | None) -> StoredFile | None:
        row = await repository.find_upload(self._transactions.pool, upload_id, owner_id)
        return StoredFile(row["content_type"], row["content"]) if row else None

    async def find_foreign(self, owner_id: UUID, upload_ids: Collection[UUID]) -> frozenset[UUID]:
        """Those of the ids that are not the owner's uploads."""
        async with self._transactions.pool.acquire() as connection:
            own = await repository.list_own_uploads(connection, list(upload_ids), owner_id)
        return frozenset(upload_ids) - own
