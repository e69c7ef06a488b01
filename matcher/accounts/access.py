"""Who may call what: `Caller`, the access rule of each route, and the guard that enforces it.

Every route names its rule in `opt={"access": Access.X}`; the guard refuses routes without one, and the
role matrix in the docs and its test are generated from these.
"""

import math
from enum import StrEnum
from typing import Any, Protocol
from uuid import UUID

import msgspec
from litestar import Request
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from matcher.errors import Forbidden, InvalidRequest, NotFound, Unauthorized
from matcher.http import idempotency_key
from matcher.serialization import parse_uuid
from matcher.transactions import IdempotentCall

SHOP_ROLES = frozenset({"shop_owner", "manager", "cashier", "stock_clerk", "accountant"})
QUOTING_ROLES = frozenset({"shop_owner", "manager", "cashier"})
MANAGING_ROLES = frozenset({"shop_owner", "manager"})


class Caller(msgspec.Struct, frozen=True):
    """A signed-in account as it is now: `shops` maps the shops it works for to its role there."""

    user_id: UUID
    role: str  # "customer" | "shop_owner" | "admin"
    shops: dict[UUID, str] = {}
    shop_id: UUID | None = None  # the shop that this request is for: X-Shop-Id, or the only one
    session_id: UUID | None = None  # None with a token of an outside issuer
    token_expires_s: float = math.inf  # when the token that proved it expires, in seconds since 1970

    @property
    def is_admin(self) -> bool:
        """Whether the caller watches over the whole service."""
        return self.role == "admin"

    @property
    def shop_role(self) -> str | None:
        """The caller's role in the shop that this request is for."""
        return self.shops.get(self.shop_id) if self.shop_id else None

    def acting_for(self, shop_id: UUID | None) -> "Caller":
        """The same caller for a shop it names; with None, for its only shop. NotFound when it is not its shop."""
        if shop_id is None:
            only = next(iter(self.shops)) if len(self.shops) == 1 else None
            return msgspec.structs.replace(self, shop_id=only)
        if shop_id not in self.shops:
            raise NotFound("There is no such shop among yours; X-Shop-Id must name one of them.")
        return msgspec.structs.replace(self, shop_id=shop_id)


class Access(StrEnum):
    """The rules. Objects are scoped further by SQL: a foreign object answers 404."""

    PUBLIC = "public"
    SIGNED_IN = "signed_in"
    CUSTOMER = "customer"  # any account may also buy parts, admins may not
    ADMIN = "admin"
    SHOP_STAFF = "shop_staff"  # any role in the shop that the request is for
    SHOP_QUOTING = "shop_quoting"
    SHOP_MANAGING = "shop_managing"
    SHOP_OWNER = "shop_owner"


_SHOP_RULES: dict[Access, frozenset[str]] = {
    Access.SHOP_STAFF: SHOP_ROLES,
    Access.SHOP_QUOTING: QUOTING_ROLES,
    Access.SHOP_MANAGING: MANAGING_ROLES,
    Access.SHOP_OWNER: frozenset({"shop_owner"}),
}


class Identities(Protocol):
    """Turns a bearer token into the account that it speaks for, from this process's cache."""

    async def authenticate(self, token: str, *, fresh: bool = False) -> Caller:
        """Unauthorized when the token is forged, expired or ended. No round trip for a known account.

        `fresh` reads the account from the database: what was committed before is seen.
        """
        ...


def check_access(access: Access, caller: Caller | None) -> None:
    """Unauthorized or Forbidden unless the rule lets the caller in. Sockets use it too."""
    if access is Access.PUBLIC:
        return
    if caller is None:
        raise Unauthorized
    if access is Access.ADMIN and not caller.is_admin:
        raise Forbidden("Only admins may do this.")
    if access is Access.CUSTOMER and caller.is_admin:
        raise Forbidden("Sign in as a customer to do this.")
    if access in _SHOP_RULES and caller.shop_role not in _SHOP_RULES[access]:
        if caller.shop_id is None and len(caller.shops) > 1:
            raise InvalidRequest("You work for several shops; name one in X-Shop-Id.")
        raise Forbidden("Your role in this shop does not allow this.")


def bearer_token(connection: ASGIConnection[Any, Any, Any, Any]) -> str | None:
    """The token of `Authorization: Bearer …`; None when there is no such header."""
    scheme, _, token = connection.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token.strip() else None


async def guard(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """The app's one guard: authenticates and applies the route's rule."""
    if connection.scope.get("method") == "OPTIONS":
        return  # Litestar's own handler, which has no rule: it tells a path's methods, as a 405 does
    access: Access = handler.opt["access"]
    token = bearer_token(connection)
    connection.scope["user"] = None
    if token is None or access is Access.PUBLIC:
        check_access(access, None)
        return
    shop_id = _named_shop(connection, access)
    identities: Identities = connection.app.state.identities
    caller = await identities.authenticate(token)
    try:
        connection.scope["user"] = admit(access, caller, shop_id)
    except (Forbidden, NotFound):
        # A role given a moment ago may not have reached this process: ask the database before refusing.
        fresh = await identities.authenticate(token, fresh=True)
        connection.scope["user"] = fresh  # whom the audit trail names if it is a refusal
        connection.scope["user"] = admit(access, fresh, shop_id)


def admit(access: Access, caller: Caller, shop_id: UUID | None) -> Caller:
    """The caller acting for a shop (None: its only one), let in by the rule; Forbidden or NotFound otherwise."""
    acting = caller.acting_for(shop_id)
    check_access(access, acting)
    return acting


def _named_shop(connection: ASGIConnection[Any, Any, Any, Any], access: Access) -> UUID | None:
    # A path that names the shop decides for it (GET /shops/{shop_id}/staff); else X-Shop-Id does.
    named: UUID | None = connection.path_params.get("shop_id") if access in _SHOP_RULES else None
    header = connection.headers.get("x-shop-id")
    if named is None and header is not None and (named := parse_uuid(header)) is None:
        raise InvalidRequest("X-Shop-Id must be a shop's id.")
    return named


def provide_caller(request: Request[Any, Any, Any]) -> Caller:
    """Dependency `caller`: who calls a route that is not public."""
    caller: Caller | None = request.scope.get("user")
    if caller is None:
        raise Unauthorized
    return caller


async def provide_call(request: Request[Any, Any, Any]) -> IdempotentCall | None:
    """Dependency `call`: the request as one that may be repeated; None without `Idempotency-Key`."""
    key = idempotency_key(request)
    caller: Caller | None = request.scope.get("user")
    if key is None or caller is None:
        return None
    # On a route for a shop, the shop is part of the payload: the same key for another shop is another request.
    # Elsewhere it must not be: a request that gives the caller a first shop could never be repeated.
    for_shop = request.route_handler.opt["access"] in _SHOP_RULES and caller.shop_id
    payload = (for_shop.bytes if for_shop else b"") + await request.body()
    return IdempotentCall.of(caller.user_id, f"{request.method} {request.url.path}", key, payload)
