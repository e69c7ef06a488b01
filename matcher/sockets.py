"""Adapters between real time and the domains: whose socket, what a snapshot holds, what a request runs.

Real time knows no domain and the domains know no sockets; they meet here, wired by `app`.
"""

from collections.abc import Awaitable, Callable, Set
from typing import Annotated, Any
from uuid import UUID

from msgspec import Meta

from matcher.accounts.access import Access, Caller, check_access
from matcher.accounts.identities import IdentityCache
from matcher.db import Pool, snapshot
from matcher.limits import Limit, Limits
from matcher.notifications.service import user_snapshot
from matcher.quotes.events import customer_snapshot, shop_snapshot
from matcher.quotes.order_changes import OrderChanges
from matcher.quotes.quote_schemas import AcceptQuote, DeclineRequest, QuoteCreate, QuoteUpdate, SeenRequest
from matcher.quotes.quote_service import QuoteService
from matcher.realtime.errors import UnknownMethod
from matcher.realtime.ports import RecipientKind, Session, Snapshot
from matcher.serialization import WireStruct, convert, encode
from matcher.transactions import IdempotentCall, Reply

# Who may call each method; the role matrix lists them.
RULES: dict[str, Access] = {
    "provide-quote": Access.SHOP_QUOTING,
    "update-quote": Access.SHOP_QUOTING,
    "withdraw-quote": Access.SHOP_QUOTING,
    "decline-order": Access.SHOP_QUOTING,
    "mark-seen": Access.SHOP_STAFF,
    "accept-quote": Access.CUSTOMER,
    "cancel-order": Access.SIGNED_IN,
}

# As over HTTP, from the same buckets; what is not listed is one of `Limit.REQUESTS`.
LIMITS: dict[str, Limit] = {"provide-quote": Limit.QUOTES, "update-quote": Limit.QUOTES}


class UpdateQuoteRequest(QuoteUpdate, kw_only=True):
    """`update-quote`: the body of the HTTP call and the id from its path."""

    quote_id: UUID


class WithdrawQuoteRequest(WireStruct):
    """`withdraw-quote`."""

    quote_id: UUID


class AcceptQuoteRequest(AcceptQuote, kw_only=True):
    """`accept-quote`."""

    order_id: UUID


class CancelOrderRequest(WireStruct):
    """`cancel-order`."""

    order_id: UUID
    reason: Annotated[str, Meta(min_length=1, max_length=500)] | None = None


class SocketIdentities:
    """Real time's `Identities` over the accounts' cache."""

    def __init__(self, identities: IdentityCache) -> None:
        self._identities = identities

    async def authenticate(self, token: str, shop_id: UUID | None) -> Session:
        """See the port."""
        caller = await self._identities.authenticate(token)
        if shop_id is not None and shop_id not in caller.shops:
            # It may have been given the shop a moment ago: ask the database before refusing.
            caller = await self._identities.authenticate(token, fresh=True)
        acting = caller.acting_for(shop_id if shop_id in caller.shops else None)
        return Session(caller.user_id, caller.shops, caller.token_expires_s, acting)


class SocketSnapshots:
    """Real time's `SnapshotSource`: one transaction, one moment."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def snapshot(self, kind: RecipientKind, recipient_id: UUID) -> Snapshot:
        """See the port."""
        async with snapshot(self._pool) as connection:
            if kind == "shop":
                sections = await shop_snapshot(connection, recipient_id)
            else:
                sections = await customer_snapshot(connection, recipient_id)
                sections |= await user_snapshot(connection, recipient_id)
        return Snapshot(
            {name: [encode(entity) for entity in entities] for name, entities in sections.items()},
            {str(entity["id"]): entity["version"] for entities in sections.values() for entity in entities},
        )


Handler = Callable[[Caller, Any, IdempotentCall | None], Awaitable[Reply]]


class SocketRequests:
    """Real time's `RequestDispatcher`: the same services under the same rules as the routes."""

    def __init__(self, quotes: QuoteService, changes: OrderChanges, limits: Limits) -> None:
        self._limits = limits
        self._methods: dict[str, tuple[type[WireStruct], Handler]] = {
            "provide-quote": (
                QuoteCreate,
                quotes.provide,
            ),
            "update-quote": (
                UpdateQuoteRequest,
                lambda caller, data, _: quotes.update(caller, data.quote_id, data),
            ),
            "withdraw-quote": (
                WithdrawQuoteRequest,
                lambda caller, data, _: quotes.withdraw(caller, data.quote_id),
            ),
            "decline-order": (
                DeclineRequest,
                quotes.decline,
            ),
            "mark-seen": (
                SeenRequest,
                lambda caller, data, _: quotes.mark_seen(caller, data),
            ),
            "accept-quote": (
                AcceptQuoteRequest,
                lambda caller, data, call: quotes.accept(caller, data.order_id, data, call),
            ),
            "cancel-order": (
                CancelOrderRequest,
                lambda caller, data, call: changes.cancel(caller, data.order_id, data.reason, call),
            ),
        }

    @property
    def methods(self) -> Set[str]:
        """The methods that are answered."""
        return self._methods.keys()

    async def dispatch(self, method: str, caller: Any, data: Any, call: IdempotentCall | None) -> Reply:
        """See the port."""
        if method not in self._methods:
            raise UnknownMethod
        check_access(RULES[method], caller)
        self._limits.charge_account(LIMITS.get(method, Limit.REQUESTS), caller.user_id)
        into, handler = self._methods[method]
        return await handler(caller, convert(data, into), call)
