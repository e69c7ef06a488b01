import pytest

from matcher.accounts.access import SHOP_ROLES, Access, Caller, admit, check_access
from matcher.errors import Forbidden, InvalidRequest, NotFound, Unauthorized
from matcher.ids import uuid7

SHOP, OTHER = uuid7(), uuid7()
ANYONE = ("customer", "admin", *sorted(SHOP_ROLES))
ALLOWED: dict[Access, set[str | None]] = {
    Access.PUBLIC: {None, *ANYONE},
    Access.SIGNED_IN: set(ANYONE),
    Access.CUSTOMER: {"customer", *SHOP_ROLES},
    Access.ADMIN: {"admin"},
    Access.SHOP_STAFF: set(SHOP_ROLES),
    Access.SHOP_QUOTING: {"shop_owner", "manager", "cashier"},
    Access.SHOP_MANAGING: {"shop_owner", "manager"},
    Access.SHOP_OWNER: {"shop_owner"},
}


def caller(role: str) -> Caller:
    if role in ("customer", "admin"):
        return Caller(uuid7(), role)
    return Caller(uuid7(), "customer", {SHOP: role}, SHOP)


def test_every_rule_is_in_the_table() -> None:
    assert set(ALLOWED) == set(Access)


@pytest.mark.parametrize("access", list(Access))
@pytest.mark.parametrize("role", [None, *ANYONE])
def test_who_is_let_in(access: Access, role: str | None) -> None:
    who = caller(role) if role else None
    if role in ALLOWED[access]:
        check_access(access, who)
    else:
        with pytest.raises(Unauthorized if who is None else Forbidden):
            check_access(access, who)


def test_a_caller_with_one_shop_need_not_name_it() -> None:
    only = Caller(uuid7(), "customer", {SHOP: "cashier"})
    assert admit(Access.SHOP_STAFF, only, None).shop_id == SHOP


def test_a_caller_with_two_shops_names_one() -> None:
    both = Caller(uuid7(), "customer", {SHOP: "cashier", OTHER: "shop_owner"})
    with pytest.raises(InvalidRequest):
        admit(Access.SHOP_STAFF, both, None)
    assert admit(Access.SHOP_OWNER, both, OTHER).shop_id == OTHER
    with pytest.raises(Forbidden):
        admit(Access.SHOP_OWNER, both, SHOP)
    assert admit(Access.SIGNED_IN, both, None).shop_id is None


def test_a_foreign_shop_is_not_there() -> None:
    with pytest.raises(NotFound):
        admit(Access.SHOP_STAFF, Caller(uuid7(), "customer", {SHOP: "cashier"}), OTHER)
