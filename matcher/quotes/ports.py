"""What the quotes domain asks of others; `app` and `worker` wire the adapters."""

from collections.abc import Collection, Sequence
from typing import Protocol
from uuid import UUID

from matcher.geo.types import Place
from matcher.quotes.matching import CandidateLike


class ShopLike(Protocol):
    """What the directory knows of a shop."""

    @property
    def name(self) -> str:
        """What people call it."""
        ...


class Directory(Protocol):
    """The shops that this process knows (`shops.directory.ShopDirectory`)."""

    def nearest(
        self,
        make: str,
        place: Place,
        count: int,
        *,
        now_s: float,
        exclude: Collection[UUID] = (),
        beyond_area: bool = False,
    ) -> Sequence[CandidateLike]:
        """The exact nearest eligible shops, nearest first."""
        ...

    def knows_make(self, make: str) -> bool:
        """Whether any shop at all supports the make."""
        ...

    def get(self, shop_id: UUID) -> ShopLike | None:
        """A shop by id."""
        ...


class StoredPhoto(Protocol):
    """A file as it is given back."""

    @property
    def content_type(self) -> str:
        """Its media type, as its content shows."""
        ...

    @property
    def content(self) -> bytes:
        """The file."""
        ...


class Uploads(Protocol):
    """The caller's uploads (`shops.uploads.UploadService`)."""

    async def find_foreign(self, owner_id: UUID, upload_ids: Collection[UUID]) -> frozenset[UUID]:
        """Those of the ids that are not the owner's uploads."""
        ...


class Photos(Protocol):
    """Everybody's uploads (`shops.uploads.UploadService`)."""

    async def find(self, upload_id: UUID) -> StoredPhoto | None:
        """A file, whoever uploaded it: the caller of this has decided who may see it."""
        ...
