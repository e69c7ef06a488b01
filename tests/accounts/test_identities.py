import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import jwt
import pytest

from matcher.accounts import schemas
from matcher.accounts.access import Caller
from matcher.accounts.errors import InvalidToken, TokenExpired
from matcher.accounts.identities import IdentityCache
from matcher.accounts.tokens import OUTSIDE_CLOCK_SKEW_S
from tests.accounts.world import HOME, PASSWORD, Process, World, wait_for_waiters

ISSUER = "https://issuer.example"
SECRET = "o" * 40
OUTSIDE = {
    "issuer_url": ISSUER,
    "issuer_audience": "matcher-api",
    "issuer_algorithm": "HS256",
    "issuer_secret": SECRET,
}


def outside_token(world: World, subject: str = "abc", **claims: Any) -> str:
    now_s = int(world.clock.unix_s())
    named = {"iss": ISSUER, "sub": subject, "aud": "matcher-api", "iat": now_s, "exp": now_s + 600}
    return jwt.encode(named | claims, SECRET, algorithm="HS256")


async def test_a_known_account_needs_no_database(world: World, process: Process) -> None:
    registered = await world.register(process)
    await process.authenticate(registered)
    async with world.pool.acquire() as connection:
        await connection.execute("ALTER TABLE users RENAME TO users_away")
        try:
            await process.authenticate(registered)
        finally:
            await connection.execute("ALTER TABLE users_away RENAME TO users")


async def test_a_caller_says_when_its_token_expires(world: World, process: Process) -> None:
    registered = await world.register(process)
    caller = await process.authenticate(registered)
    assert caller.token_expires_s == world.clock.unix_s() + process.settings.access_token_s
    world.clock.forward(process.settings.access_token_s)
    with pytest.raises(TokenExpired):
        await process.authenticate(registered)


async def test_a_token_found_in_memory_expires_all_the_same(world: World) -> None:
    process = await world.process(**OUTSIDE)
    token = outside_token(world, exp=int(world.clock.unix_s()) + 60)
    first = await process.identities.authenticate(token)
    assert await process.identities.authenticate(token) == first
    world.clock.forward(60 + OUTSIDE_CLOCK_SKEW_S)
    with pytest.raises(TokenExpired):
        await process.identities.authenticate(token)


async def _signs_out(process: Process, caller: Caller) -> None:
    await process.accounts.logout(caller, everywhere=False)


async def _signs_out_everywhere(process: Process, caller: Caller) -> None:
    await process.accounts.logout(caller, everywhere=True)


async def _changes_the_password(process: Process, caller: Caller) -> None:
    body = schemas.ChangePassword(current_password=PASSWORD, new_password="another long one")
    await process.accounts.change_password(caller, body, HOME)


async def _deletes_itself(process: Process, caller: Caller) -> None:
    await process.accounts.delete_me(caller)


@pytest.mark.parametrize("ends", [_signs_out, _signs_out_everywhere, _changes_the_password, _deletes_itself])
async def test_what_ends_a_session_here_ends_it_in_other_processes(
    world: World, process: Process, ends: Callable[[Process, Caller], Awaitable[None]]
) -> None:
    other = await world.process()
    registered = await world.register(process)
    caller = await other.authenticate(registered)
    await ends(process, caller)
    await other.identities.feed.refresh()
    with pytest.raises(InvalidToken):
        await other.authenticate(registered)


async def test_a_session_ended_by_reuse_ends_in_other_processes(world: World, process: Process) -> None:
    other = await world.process()
    registered = await world.register(process)
    await other.authenticate(registered)
    second = await process.accounts.refresh(registered.refresh_token)
    await process.accounts.refresh(second.refresh_token)
    with pytest.raises(Exception, match="used before"):
        await process.accounts.refresh(registered.refresh_token)
    await other.identities.feed.refresh()
    with pytest.raises(InvalidToken):
        await other.authenticate(registered)


async def test_a_change_of_role_or_membership_reaches_other_processes(world: World, process: Process) -> None:
    other = await world.process()
    registered = await world.register(process)
    assert (await other.authenticate(registered)).shops == {}
    shop_id = await world.shop()
    async with world.pool.acquire() as connection:
        await process.accounts.grant(connection, registered.user_id, shop_id, "cashier")
        await connection.execute("UPDATE users SET role = 'admin', version = version + 1")
    await other.identities.feed.refresh()
    caller = await other.authenticate(registered)
    assert (caller.shops, caller.role) == ({shop_id: "cashier"}, "admin")


async def test_a_change_that_commits_late_is_not_missed(world: World, process: Process) -> None:
    other = await world.process()
    registered = await world.register(process)
    await other.authenticate(registered)
    shop_id = await world.shop()
    async with world.pool.acquire() as late:
        transaction = late.transaction()
        await transaction.start()
        await process.accounts.grant(late, registered.user_id, shop_id, "cashier")
        await world.register(process, "b@example.com")  # begins later, commits earlier
        await other.identities.feed.refresh()
        assert (await other.authenticate(registered)).shops == {}
        await transaction.commit()
    await other.identities.feed.refresh()
    assert (await other.authenticate(registered)).shops == {shop_id: "cashier"}


async def test_fresh_sees_what_the_feed_has_not_told(world: World, process: Process) -> None:
    registered = await world.register(process)
    await process.authenticate(registered)
    shop_id = await world.shop()
    async with world.pool.acquire() as connection:
        await process.accounts.grant(connection, registered.user_id, shop_id, "cashier")
    assert (await process.authenticate(registered)).shops == {}
    caller = await process.identities.authenticate(registered.access_token, fresh=True)
    assert caller.shops == {shop_id: "cashier"}


async def test_a_token_newer_than_the_memory_is_believed(world: World, process: Process) -> None:
    other = await world.process()
    registered = await world.register(process)
    caller = await other.authenticate(registered)
    body = schemas.ChangePassword(current_password=PASSWORD, new_password="another long one")
    fresh = await process.accounts.change_password(caller, body, HOME)
    await other.authenticate(fresh)


async def test_a_change_told_during_a_read_is_not_overwritten_by_it(world: World, process: Process) -> None:
    registered = await world.register(process)
    await process.identities.feed.refresh()
    cache = IdentityCache(world.pool, process.settings, process.tokens, now_s=world.clock.unix_s)
    await cache.start()
    async with world.pool.acquire() as connection, connection.transaction():
        # The read waits for this lock with its snapshot still to be taken; what matters is what is told meanwhile.
        await connection.execute("LOCK TABLE memberships IN ACCESS EXCLUSIVE MODE")
        reading = asyncio.create_task(cache.authenticate(registered.access_token))
        await wait_for_waiters(connection)
        cache.forget(registered.user_id)
    await reading
    shop_id = await world.shop()
    async with world.pool.acquire() as connection:
        await process.accounts.grant(connection, registered.user_id, shop_id, "cashier")
    # Nothing was kept, so the grant is seen although the feed has not run.
    assert (await cache.authenticate(registered.access_token)).shops == {shop_id: "cashier"}


async def test_hooks_are_told_after_the_memory_is_dropped(world: World, process: Process) -> None:
    other = await world.process()
    registered = await world.register(process)
    caller = await other.authenticate(registered)
    await other.identities.feed.refresh()
    told: list[UUID] = []
    other.identities.on_change.append(told.append)
    await process.accounts.logout(caller, everywhere=False)
    await other.identities.feed.refresh()
    assert set(told) == {registered.user_id}
    with pytest.raises(InvalidToken):
        await other.authenticate(registered)


async def test_a_running_process_hears_of_a_change_by_itself(world: World, process: Process) -> None:
    other = await world.process(shop_poll_s=0.01)
    registered = await world.register(process)
    caller = await other.authenticate(registered)
    told = asyncio.Event()
    other.identities.on_change.append(lambda _: told.set())
    running = asyncio.create_task(other.identities.run())
    try:
        await process.accounts.logout(caller, everywhere=False)
        async with asyncio.timeout(10):
            while True:
                await told.wait()
                told.clear()
                try:
                    await other.authenticate(registered)
                except InvalidToken:
                    break
    finally:
        running.cancel()


async def test_the_memory_is_bounded(world: World, process: Process) -> None:
    cache = IdentityCache(world.pool, process.settings, process.tokens, now_s=world.clock.unix_s, size_max=2)
    await cache.start()
    accounts = [await world.register(process, f"n{n}@example.com") for n in range(3)]
    shop_id = await world.shop()
    for account in accounts:
        await cache.authenticate(account.access_token)
        async with world.pool.acquire() as connection:
            await process.accounts.grant(connection, account.user_id, shop_id, "cashier")
    shops = [bool((await cache.authenticate(a.access_token)).shops) for a in reversed(accounts)]
    assert shops == [False, False, True]


async def test_an_outside_subject_gets_one_customer_account(world: World) -> None:
    process, other = await world.process(**OUTSIDE), await world.process(**OUTSIDE)
    token = outside_token(world, name="A. Buyer", role="admin", roles=["admin"])
    callers = await asyncio.gather(*(p.identities.authenticate(token) for p in (process, other) * 3))
    assert {(c.role, c.session_id) for c in callers} == {("customer", None)}
    assert len({c.user_id for c in callers}) == 1
    rows = await world.pool.fetch("SELECT external_subject, name, role, email FROM users")
    assert [tuple(row) for row in rows] == [(f"{ISSUER}|abc", "A. Buyer", "customer", None)]


async def test_an_outside_email_does_not_take_over_an_account(world: World) -> None:
    process = await world.process(**OUTSIDE)
    registered = await world.register(process, "a@example.com")
    token = outside_token(world, email="a@example.com", email_verified=True)
    assert (await process.identities.authenticate(token)).user_id != registered.user_id


async def test_changes_reach_outside_accounts_too(world: World) -> None:
    process, other = await world.process(**OUTSIDE), await world.process(**OUTSIDE)
    token = outside_token(world)
    caller = await other.identities.authenticate(token)
    shop_id = await world.shop()
    async with world.pool.acquire() as connection:
        await process.accounts.grant(connection, caller.user_id, shop_id, "cashier")
    await other.identities.feed.refresh()
    assert (await other.identities.authenticate(token)).shops == {shop_id: "cashier"}
    await world.pool.execute("DELETE FROM memberships")
    await process.accounts.delete_me(caller)
    await other.identities.feed.refresh()
    assert (await other.identities.authenticate(token)).user_id != caller.user_id


async def test_without_an_outside_issuer_its_tokens_are_refused(world: World, process: Process) -> None:
    with pytest.raises(InvalidToken):
        await process.identities.authenticate(outside_token(world))
