"""HTTP of the audit trail, and what it notes of refused requests. Translations only."""

from typing import Annotated, Any
from uuid import UUID

from litestar import Response, get
from litestar.di import NamedDependency
from litestar.params import QueryParameter
from litestar.types import Scope

from matcher.accounts.access import Access
from matcher.accounts.errors import TooManyAttempts
from matcher.audit import AuditTrail, Kind, SecurityEvent
from matcher.errors import Forbidden
from matcher.http import json_response
from matcher.paging import DEFAULT_LIMIT, Cursor, Limit, Page

ADMIN = {"access": Access.ADMIN}

Audit = NamedDependency[AuditTrail]


@get("/admin/security-events", opt=ADMIN, tags=["admin"])
async def list_security_events(
    audit: Audit,
    kind: Annotated[Kind | None, QueryParameter(description="Only this kind")] = None,
    account: Annotated[
        UUID | None, QueryParameter(description="Who acted, or whose account was tried")
    ] = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Response[Page[SecurityEvent]]:
    """Sign-ins, refusals and decisions, newest first; refusals within ten seconds are one event with a `count`."""
    return json_response(await audit.list_events(kind, account, limit, cursor))


async def note_refusal(error: Exception, scope: Scope) -> None:
    """Litestar's hook after an exception: notes guesses that were stopped, and who knocked at admins' doors."""
    handler: Any = scope.get("route_handler")
    if handler is None:  # an unknown path
        return
    audit: AuditTrail = scope["litestar_app"].state.audit
    if isinstance(error, TooManyAttempts):
        audit.note(Kind.RATE_LIMITED, None, {"limit": "attempts"})
    elif isinstance(error, Forbidden) and handler.opt.get("access") is Access.ADMIN:
        caller = scope.get("user")
        call = f"{scope.get('method')} {scope.get('path_template')}"
        audit.note(Kind.ADMIN_REFUSED, caller and caller.user_id, {"call": call})


ROUTES: list[Any] = [list_security_events]
