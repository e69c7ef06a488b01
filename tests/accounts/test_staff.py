import asyncio
from collections.abc import Awaitable
from uuid import UUID

import pytest

from matcher.accounts.access import SHOP_ROLES, Caller
from matcher.accounts.errors import AlreadyStaff, LastOwner, UnknownAccount
from matcher.accounts.schemas import AddStaff, StaffMember
from matcher.accounts.service import create_admin
from matcher.errors import Forbidden, NotFound
from matcher.ids import uuid7
from matcher.serialization import decode
from matcher.transactions import IdempotentCall
from tests.accounts.world import PASSWORD, Process, World, wait_for_waiters

HELPERS = ("accountant", "cashier", "stock_clerk")


async def acting(world: World, process: Process, shop_id: UUID, role: str, email: str) -> Caller:
    registered = await world.member(process, shop_id, role, email)
    return (await process.authenticate(registered)).acting_for(shop_id)


@pytest.mark.parametrize("role", sorted(SHOP_ROLES))
async def test_an_owner_adds_and_removes_every_role(world: World, process: Process, role: str) -> None:
    shop_id = await world.shop()
    owner = await acting(world, process, shop_id, "shop_owner", "o@example.com")
    person = await world.register(process, "p@example.com")
    reply = await process.accounts.staff.add(owner, shop_id, AddStaff(email="P@example.com", role=role), None)  # type: ignore[arg-type]  # parametrized
    assert reply.status == 201
    assert decode(reply.body, StaffMember).role == role
    assert (await process.identities.authenticate(person.access_token, fresh=True)).shops == {shop_id: role}
    await process.accounts.staff.remove(owner, shop_id, person.user_id)
    assert (await process.authenticate(person)).shops == {}


@pytest.mark.parametrize("role", sorted(SHOP_ROLES))
async def test_a_manager_adds_and_removes_helpers_only(world: World, process: Process, role: str) -> None:
    shop_id = await world.shop()
    manager = await acting(world, process, shop_id, "manager", "m@example.com")
    await world.register(process, "p@example.com")
    other = await world.member(process, shop_id, role, "q@example.com")
    body = AddStaff(email="p@example.com", role=role)  # type: ignore[arg-type]  # parametrized
    if role in HELPERS:
        await process.accounts.staff.add(manager, shop_id, body, None)
        await process.accounts.staff.remove(manager, shop_id, other.user_id)
        return
    with pytest.raises(Forbidden):
        await process.accounts.staff.add(manager, shop_id, body, None)
    with pytest.raises(Forbidden):
        await process.accounts.staff.remove(manager, shop_id, other.user_id)


async def test_only_accounts_that_exist_and_are_no_admins_join(world: World, process: Process) -> None:
    shop_id = await world.shop()
    owner = await acting(world, process, shop_id, "shop_owner", "o@example.com")
    await create_admin(
        world.pool, process.passwords, email="root@example.com", password=PASSWORD, name="Administrator"
    )
    for email in ("nobody@example.com", "root@example.com"):
        with pytest.raises(UnknownAccount):
            await process.accounts.staff.add(owner, shop_id, AddStaff(email=email, role="cashier"), None)


async def test_a_person_has_one_role_in_a_shop_and_one_in_another(world: World, process: Process) -> None:
    first, second = await world.shop(), await world.shop()
    owner = await acting(world, process, first, "shop_owner", "o@example.com")
    rival = await acting(world, process, second, "shop_owner", "r@example.com")
    person = await world.register(process, "p@example.com")
    body = AddStaff(email="p@example.com", role="cashier")
    await process.accounts.staff.add(owner, first, body, None)
    with pytest.raises(AlreadyStaff):
        await process.accounts.staff.add(owner, first, AddStaff(email="p@example.com", role="manager"), None)
    await process.accounts.staff.add(rival, second, body, None)
    caller = await process.identities.authenticate(person.access_token, fresh=True)
    assert caller.shops == {first: "cashier", second: "cashier"}
    me = await process.accounts.me(caller)
    assert {(shop.shop_id, shop.role) for shop in me.shops} == {(first, "cashier"), (second, "cashier")}


async def test_adding_again_with_the_same_key_replays(world: World, process: Process) -> None:
    shop_id = await world.shop()
    owner = await acting(world, process, shop_id, "shop_owner", "o@example.com")
    await world.register(process, "p@example.com")
    call = IdempotentCall.of(owner.user_id, "POST /staff", "k", b"{}")
    body = AddStaff(email="p@example.com", role="cashier")
    first = await process.accounts.staff.add(owner, shop_id, body, call)
    second = await process.accounts.staff.add(owner, shop_id, body, call)
    assert (second.status, second.body, second.replayed) == (first.status, first.body, True)


async def test_the_last_owner_stays(world: World, process: Process) -> None:
    shop_id = await world.shop()
    owner = await acting(world, process, shop_id, "shop_owner", "o@example.com")
    await world.member(process, shop_id, "manager", "m@example.com")
    with pytest.raises(LastOwner):
        await process.accounts.staff.remove(owner, shop_id, owner.user_id)


async def at_once(world: World, *work: Awaitable[None]) -> list[str]:
    """Lets each begin, and all go on only when all have reached the owners' rows; how each ended."""
    async with world.pool.acquire() as holder, holder.transaction():
        await holder.execute("SELECT FROM memberships ORDER BY user_id FOR UPDATE")
        tasks = [asyncio.ensure_future(each) for each in work]
        await wait_for_waiters(holder, len(tasks))
    results = await asyncio.gather(*tasks, return_exceptions=True)
    return sorted(type(result).__name__ for result in results)


async def test_two_owners_who_remove_each_other_leave_one(world: World, process: Process) -> None:
    shop_id = await world.shop()
    owners = [await acting(world, process, shop_id, "shop_owner", f"o{n}@example.com") for n in range(2)]
    other = await world.process()
    results = await at_once(
        world,
        process.accounts.staff.remove(owners[0], shop_id, owners[1].user_id),
        other.accounts.staff.remove(owners[1], shop_id, owners[0].user_id),
    )
    assert results == ["LastOwner", "NoneType"]
    assert await world.pool.fetchval("SELECT count(*) FROM memberships") == 1


async def test_two_owners_who_delete_their_accounts_leave_one(world: World, process: Process) -> None:
    shop_id = await world.shop()
    owners = [await acting(world, process, shop_id, "shop_owner", f"o{n}@example.com") for n in range(2)]
    results = await at_once(world, *(process.accounts.delete_me(owner) for owner in owners))
    assert results == ["LastOwner", "NoneType"]
    assert await world.pool.fetchval("SELECT count(*) FROM memberships") == 1


async def test_somebody_who_does_not_work_there_cannot_be_removed(world: World, process: Process) -> None:
    shop_id = await world.shop()
    owner = await acting(world, process, shop_id, "shop_owner", "o@example.com")
    stranger = await world.member(process, await world.shop(), "cashier", "s@example.com")
    for user_id in (stranger.user_id, uuid7()):
        with pytest.raises(NotFound):
            await process.accounts.staff.remove(owner, shop_id, user_id)


async def test_the_list_holds_this_shop_in_pages(world: World, process: Process) -> None:
    shop_id = await world.shop()
    people = {
        (await world.member(process, shop_id, "cashier", f"p{n}@example.com")).user_id for n in range(5)
    }
    await world.member(process, await world.shop(), "cashier", "s@example.com")
    seen: list[UUID] = []
    cursor: str | None = None
    while True:
        page = await process.accounts.staff.list_members(shop_id, 2, cursor)
        seen += [member.user_id for member in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert len(seen) == 5
    assert set(seen) == people
