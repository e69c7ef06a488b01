"""Photos of an order and of its quotes, for those who see the order or the quote that shows them."""

from uuid import UUID

from matcher.accounts.access import Caller
from matcher.db import Pool, load_queries
from matcher.errors import NotFound
from matcher.quotes.ports import Photos, StoredPhoto

SQL = load_queries("matcher.quotes", "photos.sql")


class PhotoService:
    """See the module."""

    def __init__(self, pool: Pool, photos: Photos) -> None:
        self._pool = pool
        self._photos = photos

    async def read(self, caller: Caller, order_id: UUID, photo_id: UUID) -> StoredPhoto:
        """The photo, when the order or one of its quotes shows it to the caller. Raises NotFound.

        The customer and admins see the photos of the order and of every quote; a shop that was asked those of the
        order and of its own quotes.
        """
        owner_id = None if caller.is_admin else caller.user_id
        shop_ids = [caller.shop_id] if caller.shop_id else list(caller.shops)
        shown = await self._pool.fetchval(SQL["is_shown"], order_id, str(photo_id), owner_id, shop_ids)
        photo = await self._photos.find(photo_id) if shown else None
        if photo is None:
            raise NotFound
        return photo
