"""Who works in a shop: the list, adding, removing.

Owns the rule of who may add or remove whom, and that a shop keeps an owner. Must not know what a shop is.
"""

from typing import Any
from uuid import UUID

from matcher.accounts.access import SHOP_ROLES, Caller
from matcher.accounts.errors import AlreadyStaff, LastOwner, UnknownAccount
from matcher.accounts.identities import IdentityCache
from matcher.accounts.repository import SQL
from matcher.accounts.schemas import AddStaff, StaffMember, normalised_email
from matcher.audit import Kind, record
from matcher.errors import Forbidden, NotFound
from matcher.paging import Page, decode_cursor, page_of
from matcher.transactions import IdempotentCall, Reply, Transaction, Transactions

# role of the one who acts -> roles that it may give and take
ASSIGNABLE: dict[str | None, frozenset[str]] = {
    "shop_owner": SHOP_ROLES,
    "manager": frozenset({"cashier", "stock_clerk", "accountant"}),
}


class Staff:
    """The people of a shop. Callers act for the shop (`caller.shop_id`) as its owner or manager."""

    def __init__(self, transactions: Transactions, identities: IdentityCache) -> None:
        self._transactions = transactions
        self._identities = identities

    async def list_members(self, shop_id: UUID, limit: int, cursor: str | None) -> Page[StaffMember]:
        """One page of the people who work there."""
        rows = await self._transactions.pool.fetch(
            SQL["list_staff"], shop_id, decode_cursor(cursor), limit + 1
        )
        return page_of(rows, limit, _view, lambda row: row["id"])

    async def add(self, caller: Caller, shop_id: UUID, body: AddStaff, call: IdempotentCall | None) -> Reply:
        """Give an existing account a role; UnknownAccount, AlreadyStaff, or Forbidden above one's own role."""
        email = normalised_email(body.email)
        _check_assignable(caller, body.role)

        async def work(tx: Transaction) -> StaffMember:
            candidate = await tx.connection.fetchrow(SQL["find_candidate"], email)
            if candidate is None:
                raise UnknownAccount
            added_at = await tx.connection.fetchval(
                SQL["insert_membership"], candidate["id"], shop_id, body.role
            )
            if added_at is None:
                raise AlreadyStaff
            await tx.connection.execute(SQL["touch_user"], candidate["id"])
            detail = {"shopId": str(shop_id), "userId": str(candidate["id"]), "role": body.role}
            await record(tx.connection, Kind.STAFF_ADDED, caller.user_id, detail)
            return _view({**candidate, "role": body.role, "created_at": added_at})

        return await self._transactions.run(work, status=201, call=call)

    async def remove(self, caller: Caller, shop_id: UUID, user_id: UUID) -> None:
        """Take a person's role; it ends within a second. LastOwner, NotFound, or Forbidden."""

        async def work(tx: Transaction) -> None:
            owners = await tx.connection.fetch(SQL["lock_owners"], shop_id)
            role = await tx.connection.fetchval(SQL["find_membership"], shop_id, user_id)
            if role is None:
                raise NotFound("This person does not work in the shop.")
            _check_assignable(caller, role)
            if role == "shop_owner" and len(owners) == 1:
                raise LastOwner
            await tx.connection.execute(SQL["delete_membership"], shop_id, user_id)
            await tx.connection.execute(SQL["touch_user"], user_id)
            detail = {"shopId": str(shop_id), "userId": str(user_id), "role": role}
            await record(tx.connection, Kind.STAFF_REMOVED, caller.user_id, detail)

        await self._transactions.run(work, status=204)
        self._identities.forget(user_id)


def _check_assignable(caller: Caller, role: str) -> None:
    if role not in ASSIGNABLE.get(caller.shop_role, frozenset()):
        raise Forbidden(f"Your role in this shop cannot give or take the role {role}.")


def _view(row: Any) -> StaffMember:
    return StaffMember(
        user_id=row["id"],
        name=row["name"],
        email=row["email"],
        role=row["role"],
        created_at=row["created_at"],
    )
