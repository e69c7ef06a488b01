"""HTTP of accounts: `/auth/...` and a shop's staff. Translations only."""

from typing import Any
from uuid import UUID

from litestar import Request, Response, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from matcher.accounts import schemas
from matcher.accounts.access import Access, Caller
from matcher.accounts.service import AccountService
from matcher.http import answer, json_response
from matcher.limits import Limit as RateLimit
from matcher.paging import DEFAULT_LIMIT, Cursor, Limit, Page
from matcher.transactions import IdempotentCall

REGISTERING = {"access": Access.PUBLIC, "limit": RateLimit.REGISTERS}
SIGNING_IN = {"access": Access.PUBLIC, "limit": RateLimit.LOGINS}
SIGNED_IN = {"access": Access.SIGNED_IN}
SHOP_MANAGING = {"access": Access.SHOP_MANAGING}

Accounts = NamedDependency[AccountService]
SignedIn = NamedDependency[Caller]
Call = NamedDependency[IdempotentCall | None]
AnyRequest = Request[Any, Any, Any]


@post("/auth/register", opt=REGISTERING, tags=["accounts"])
async def register(
    accounts: Accounts, request: AnyRequest, data: JSONBody[schemas.Register]
) -> Response[schemas.Registered]:
    """Create an account and sign it in. 409 `email_taken`, 429 `too_many_attempts`."""
    return json_response(await accounts.register(data, client_address(request)), 201)


@post("/auth/login", opt=SIGNING_IN, tags=["accounts"], status_code=200)
async def login(
    accounts: Accounts, request: AnyRequest, data: JSONBody[schemas.Login]
) -> Response[schemas.Tokens]:
    """Sign in. 401 `invalid_credentials` does not tell whether the account exists; 429 `too_many_attempts`."""
    return json_response(await accounts.login(data, client_address(request)))


@post("/auth/refresh", opt=SIGNING_IN, tags=["accounts"], status_code=200)
async def refresh(accounts: Accounts, data: JSONBody[schemas.Refresh]) -> Response[schemas.Tokens]:
    """New tokens; the refresh token is used up. 401 `refresh_token_reused` ends the session."""
    return json_response(await accounts.refresh(data.refresh_token))


@post("/auth/logout", opt=SIGNED_IN, tags=["accounts"], status_code=204)
async def logout(accounts: Accounts, caller: SignedIn, data: JSONBody[schemas.Logout | None] = None) -> None:
    """End this session, or with `everywhere` all sessions of the account; no body is needed."""
    await accounts.logout(caller, everywhere=data is not None and data.everywhere)


@post("/auth/password/change", opt=SIGNED_IN, tags=["accounts"], status_code=200)
async def change_password(
    accounts: Accounts, caller: SignedIn, request: AnyRequest, data: JSONBody[schemas.ChangePassword]
) -> Response[schemas.Tokens]:
    """Replace the password; all sessions end, the answer opens a new one. 403 `wrong_password`."""
    return json_response(await accounts.change_password(caller, data, client_address(request)))


@get("/auth/me", opt=SIGNED_IN, tags=["accounts"])
async def me(accounts: Accounts, caller: SignedIn) -> Response[schemas.Me]:
    """The caller's account and the shops it works for."""
    return json_response(await accounts.me(caller))


@patch("/auth/me", opt=SIGNED_IN, tags=["accounts"])
async def update_me(
    accounts: Accounts, caller: SignedIn, data: JSONBody[schemas.UpdateMe]
) -> Response[schemas.Me]:
    """Change name or phone; fields left out stay."""
    return json_response(await accounts.update_me(caller, data))


@delete("/auth/me", opt=SIGNED_IN, tags=["accounts"])
async def delete_me(accounts: Accounts, caller: SignedIn) -> None:
    """Forget the person behind the account and end its sessions. 409 `last_owner`."""
    await accounts.delete_me(caller)


@get("/shops/{shop_id:uuid}/staff", opt=SHOP_MANAGING, tags=["accounts"])
async def list_staff(
    accounts: Accounts, shop_id: FromPath[UUID], limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
) -> Response[Page[schemas.StaffMember]]:
    """The people who work in the shop."""
    return json_response(await accounts.staff.list_members(shop_id, limit, cursor))


@post("/shops/{shop_id:uuid}/staff", opt=SHOP_MANAGING, tags=["accounts"])
async def add_staff(
    accounts: Accounts,
    caller: SignedIn,
    call: Call,
    shop_id: FromPath[UUID],
    data: JSONBody[schemas.AddStaff],
) -> Response[schemas.StaffMember]:
    """Give an existing account a role. Managers add cashiers, stock clerks and accountants only."""
    return answer(await accounts.staff.add(caller, shop_id, data, call))


@delete("/shops/{shop_id:uuid}/staff/{user_id:uuid}", opt=SHOP_MANAGING, tags=["accounts"])
async def remove_staff(
    accounts: Accounts, caller: SignedIn, shop_id: FromPath[UUID], user_id: FromPath[UUID]
) -> None:
    """Take a person's role in the shop. 409 `last_owner`."""
    await accounts.staff.remove(caller, shop_id, user_id)


def client_address(request: AnyRequest) -> str:
    """The peer's address, which failed attempts are counted by."""
    return request.client.host if request.client else "unknown"


ROUTES: list[Any] = [
    register,
    login,
    refresh,
    logout,
    change_password,
    me,
    update_me,
    delete_me,
    list_staff,
    add_staff,
    remove_staff,
]
