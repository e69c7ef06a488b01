"""Lists: bounded pages with opaque cursors. A cursor is the last id of the page before."""

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Generic, TypeVar
from uuid import UUID

from litestar.params import QueryParameter

from matcher.errors import InvalidCursor
from matcher.serialization import WireStruct

T = TypeVar("T")

DEFAULT_LIMIT = 50
MAX_LIMIT = 200

Limit = Annotated[int, QueryParameter(name="limit", ge=1, le=MAX_LIMIT, description="Items in the page")]
Cursor = Annotated[
    str | None, QueryParameter(name="cursor", max_length=64, description="`nextCursor` of the page before")
]


class Page(WireStruct, Generic[T]):
    """One page of a list; `next_cursor` is null on the last."""

    items: list[T]
    next_cursor: str | None = None


def encode_cursor(last_id: UUID) -> str:
    """An opaque cursor after `last_id`."""
    return base64.urlsafe_b64encode(last_id.bytes).rstrip(b"=").decode()


def decode_cursor(cursor: str | None) -> UUID | None:
    """The id that a cursor stands for; None for the first page; InvalidCursor when it is not one of ours."""
    if cursor is None:
        return None
    try:
        return UUID(bytes=base64.urlsafe_b64decode(cursor + "=="))
    except (binascii.Error, ValueError) as error:
        raise InvalidCursor from error


def page_of(
    rows: Sequence[Any], limit: int, view: Callable[[Any], T], last_id: Callable[[Any], UUID]
) -> Page[T]:
    """A page from up to `limit + 1` rows: the extra row only tells that there is a next page."""
    more = len(rows) > limit
    shown = rows[:limit]
    return Page(
        items=[view(row) for row in shown], next_cursor=encode_cursor(last_id(shown[-1])) if more else None
    )
