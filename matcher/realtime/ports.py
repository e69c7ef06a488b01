"""What real time needs of the rest of the service. It knows no domain: `app` hands adapters in."""

from collections.abc import Callable, Mapping
from typing import Any, Literal, Protocol
from uuid import UUID

import msgspec

from matcher.realtime.cursor import Cursor
from matcher.transactions import IdempotentCall, Reply

RecipientKind = Literal["user", "shop"]

# (recipient, person, cursor): one of the person's sockets has everything of the recipient's up to the cursor.
# Called on the way of the frame: it must not wait.
AckListener = Callable[[str, UUID, Cursor], None]


class Session(msgspec.Struct, frozen=True):
    """Who a token speaks for, as of now. `caller` is handed back to the dispatcher and never looked at."""

    user_id: UUID
    shops: Mapping[UUID, str]  # shop -> role
    expires_at_s: float  # Unix time
    caller: Any


class Snapshot(msgspec.Struct, frozen=True):
    """All that a recipient sees. Sections keep their order; each entity is JSON already."""

    sections: dict[str, list[bytes]]
    versions: dict[str, int]  # entity id, as in `event_id` -> version


class Identities(Protocol):
    """Turns tokens into sessions, from the process's cache: it is asked at every request of a socket."""

    async def authenticate(self, token: str, shop_id: UUID | None) -> Session:
        """The session, `caller` acting for `shop_id` when that is one of its shops.

        Raises Unauthorized when the token is forged, expired or ended. A shop that is not the caller's
        is no error here: the socket compares `shops` itself.
        """
        ...


class SnapshotSource(Protocol):
    """Reads a recipient's state from the primary, in one REPEATABLE READ transaction."""

    async def snapshot(self, kind: RecipientKind, recipient_id: UUID) -> Snapshot:
        """The state now: every commit before the call is in it."""
        ...


class RequestDispatcher(Protocol):
    """Runs requests with the same rules as their HTTP routes."""

    async def dispatch(self, method: str, caller: Any, data: Any, call: IdempotentCall | None) -> Reply:
        """The route's reply. Raises UnknownMethod, or whatever MatcherError the route would answer."""
        ...
