import asyncio
from uuid import UUID

import pytest

from matcher.accounts import schemas
from matcher.accounts.attempts import account_key
from matcher.accounts.errors import (
    EmailTaken,
    InvalidCredentials,
    InvalidRefreshToken,
    InvalidToken,
    LastOwner,
    RefreshTokenReused,
    TooManyAttempts,
    WrongPassword,
)
from matcher.accounts.service import create_admin
from matcher.errors import InvalidRequest, NotFound
from tests.accounts.world import HOME, PASSWORD, Process, World, wait_for_waiters

ELSEWHERE = "198.51.100.7"


async def login(
    process: Process, email: str = "a@example.com", password: str = PASSWORD, address: str = HOME
) -> schemas.Tokens:
    return await process.accounts.login(schemas.Login(email=email, password=password), address)


async def test_a_new_account_is_signed_in(world: World, process: Process) -> None:
    registered = await world.register(
        process, "  A@Example.COM ", role="shop_owner", phone="+20 100 000 0000"
    )
    caller = await process.authenticate(registered)
    assert (caller.user_id, caller.role, caller.shops) == (registered.user_id, "shop_owner", {})
    me = await process.accounts.me(caller)
    assert (me.email, me.name, me.phone) == ("a@example.com", "Account A", "+20 100 000 0000")
    assert registered.expires_in == process.settings.access_token_s


async def test_the_password_is_not_stored(world: World, process: Process) -> None:
    await world.register(process)
    kept = await world.pool.fetchval("SELECT password_hash FROM users")
    assert kept.startswith("$argon2id$")
    assert PASSWORD not in kept


async def test_an_email_belongs_to_one_account_however_it_is_written(world: World, process: Process) -> None:
    await world.register(process, "a@example.com")
    with pytest.raises(EmailTaken):
        await world.register(process, "A@EXAMPLE.com")


async def test_of_two_registrations_at_the_same_instant_one_wins(world: World, process: Process) -> None:
    other = await world.process()
    results = await asyncio.gather(
        *(world.register(p) for p in (process, other, process, other)), return_exceptions=True
    )
    assert sum(isinstance(result, schemas.Registered) for result in results) == 1
    assert sum(isinstance(result, EmailTaken) for result in results) == 3


@pytest.mark.parametrize(
    "email",
    ["aaa", "a@b", "a b@example.com", "a@-example.com", "\u00e4@example.com", "@example.com", "a@b..com"],
)
async def test_what_is_no_address_is_refused(world: World, process: Process, email: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        await world.register(process, email)
    assert refusal.value.errors[0].pointer == "/email"


async def test_the_email_is_no_password(world: World, process: Process) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        await world.register(process, "long.enough@example.com", password="Long.Enough@example.com")
    assert refusal.value.errors[0].pointer == "/password"


async def test_sign_in_opens_a_session_of_its_own(world: World, process: Process) -> None:
    registered = await world.register(process)
    first, second = await login(process), await login(process, "A@example.com")
    callers = [await process.authenticate(tokens) for tokens in (registered, first, second)]
    assert len({caller.session_id for caller in callers}) == 3
    assert {caller.user_id for caller in callers} == {registered.user_id}


async def test_a_wrong_password_and_an_unknown_account_answer_alike(world: World, process: Process) -> None:
    await world.register(process)
    problems = []
    for email, password in (("a@example.com", "wrong password"), ("nobody@example.com", PASSWORD)):
        with pytest.raises(InvalidCredentials) as refusal:
            await login(process, email, password)
        problems.append(refusal.value.problem())
    assert problems[0] == problems[1]


async def test_an_account_without_password_cannot_sign_in(world: World, process: Process) -> None:
    await world.register(process)
    await world.pool.execute("UPDATE users SET password_hash = NULL")
    with pytest.raises(InvalidCredentials):
        await login(process)


@pytest.mark.parametrize("email", ["a@example.com", "nobody@example.com"])
async def test_failures_of_an_account_are_bounded_whether_or_not_it_exists(
    world: World, process: Process, email: str
) -> None:
    await world.register(process)
    for n in range(process.settings.login_failures_max):
        with pytest.raises(InvalidCredentials):
            await login(process, email, "wrong password", f"198.51.100.{n}")
    world.clock.forward(100)
    with pytest.raises(TooManyAttempts) as refusal:
        await login(process, email, PASSWORD, "203.0.113.9")
    assert refusal.value.retry_after_s == process.settings.login_window_s - 100


async def test_failures_of_an_address_are_bounded_over_all_accounts(world: World, process: Process) -> None:
    await world.register(process)
    for n in range(process.settings.login_failures_max):
        with pytest.raises(InvalidCredentials):
            await login(process, f"n{n}@example.com", "wrong password", ELSEWHERE)
    with pytest.raises(TooManyAttempts):
        await login(process, address=ELSEWHERE)
    await login(process, address=HOME)


async def test_failures_are_forgotten_after_the_window(world: World, process: Process) -> None:
    await world.register(process)
    for _ in range(process.settings.login_failures_max):
        with pytest.raises(InvalidCredentials):
            await login(process, password="wrong password")
    world.clock.forward(process.settings.login_window_s - 1)
    with pytest.raises(TooManyAttempts):
        await login(process)
    world.clock.forward(1)
    await login(process)


async def test_a_success_starts_the_accounts_count_anew(world: World, process: Process) -> None:
    await world.register(process)
    for _ in range(2):
        for n in range(process.settings.login_failures_max - 1):
            with pytest.raises(InvalidCredentials):
                await login(process, password="wrong password", address=f"198.51.100.{n}")
        await login(process)
    assert not await world.pool.fetchval(
        "SELECT count(*) FROM login_failures WHERE key = $1", account_key("a@example.com")
    )


async def test_parallel_guesses_cannot_outrun_the_count(world: World) -> None:
    process = await world.process(argon2_threads=2)
    await world.register(process)
    results = await asyncio.gather(
        *(login(process, password=f"wrong password {n}") for n in range(40)), return_exceptions=True
    )
    tried = sum(isinstance(result, InvalidCredentials) for result in results)
    assert tried <= process.settings.login_failures_max + process.settings.argon2_threads - 1
    assert sum(isinstance(result, TooManyAttempts) for result in results) == 40 - tried


async def test_taken_emails_cannot_be_listed_by_registering(world: World, process: Process) -> None:
    await world.register(process)
    for _ in range(process.settings.login_failures_max):
        with pytest.raises(EmailTaken):
            await world.register(process)
    with pytest.raises(TooManyAttempts):
        await world.register(process, "new@example.com")


async def test_limits_off_counts_nothing(world: World) -> None:
    process = await world.process(limits=False)
    await world.register(process)
    for _ in range(process.settings.login_failures_max + 1):
        with pytest.raises(InvalidCredentials):
            await login(process, password="wrong password")
    await login(process)
    assert await world.pool.fetchval("SELECT count(*) FROM login_failures") == 0


async def test_refresh_rotates_and_prolongs(world: World, process: Process) -> None:
    tokens: schemas.Tokens = await world.register(process)
    session_id = (await process.authenticate(tokens)).session_id
    for _ in range(3):
        world.clock.forward(process.settings.refresh_token_s - 1)
        rotated = await process.accounts.refresh(tokens.refresh_token)
        assert rotated.refresh_token != tokens.refresh_token
        assert (await process.authenticate(rotated)).session_id == session_id
        tokens = rotated
    world.clock.forward(process.settings.refresh_token_s)
    with pytest.raises(InvalidRefreshToken):
        await process.accounts.refresh(tokens.refresh_token)


async def test_a_lost_reply_is_given_again(world: World, process: Process) -> None:
    registered = await world.register(process)
    lost = await process.accounts.refresh(registered.refresh_token)
    world.clock.forward(process.settings.refresh_grace_s - 1)
    repeated = await process.accounts.refresh(registered.refresh_token)
    assert repeated.refresh_token == lost.refresh_token
    await process.authenticate(await process.accounts.refresh(repeated.refresh_token))


async def test_two_refreshes_at_the_same_instant_get_the_same_token(world: World, process: Process) -> None:
    other = await world.process()
    registered = await world.register(process)
    results = await asyncio.gather(
        *(p.accounts.refresh(registered.refresh_token) for p in (process, other) * 4)
    )
    assert len({tokens.refresh_token for tokens in results}) == 1
    assert await world.pool.fetchval("SELECT generation FROM sessions") == 1


async def test_a_late_repeat_ends_the_session_for_both_holders(world: World, process: Process) -> None:
    registered = await world.register(process)
    rotated = await process.accounts.refresh(registered.refresh_token)
    world.clock.forward(process.settings.refresh_grace_s)
    with pytest.raises(RefreshTokenReused):
        await process.accounts.refresh(registered.refresh_token)
    with pytest.raises(InvalidRefreshToken):
        await process.accounts.refresh(rotated.refresh_token)
    for tokens in (registered, rotated):
        with pytest.raises(InvalidToken):
            await process.authenticate(tokens)


async def test_reuse_of_an_older_token_ends_its_session_and_no_other(world: World, process: Process) -> None:
    registered, other = await world.register(process), await login(process)
    second = await process.accounts.refresh(registered.refresh_token)
    await process.accounts.refresh(second.refresh_token)
    with pytest.raises(RefreshTokenReused):
        await process.accounts.refresh(registered.refresh_token)
    await process.authenticate(await process.accounts.refresh(other.refresh_token))


async def test_the_grace_is_counted_from_when_the_lock_is_held(world: World, process: Process) -> None:
    registered = await world.register(process)
    await process.accounts.refresh(registered.refresh_token)
    async with world.pool.acquire() as holder, holder.transaction():
        await holder.execute("SELECT FROM sessions FOR UPDATE")
        waiting = asyncio.create_task(process.accounts.refresh(registered.refresh_token))
        await wait_for_waiters(holder)
        # The generation moves on while the repeat waits: what it reads must be newer than its wait.
        await holder.execute("UPDATE sessions SET generation = generation + 1")
    with pytest.raises(RefreshTokenReused):
        await waiting


async def test_sign_out_ends_this_session_only(world: World, process: Process) -> None:
    registered, other = await world.register(process), await login(process)
    await process.accounts.logout(await process.authenticate(registered), everywhere=False)
    with pytest.raises(InvalidToken):
        await process.authenticate(registered)
    with pytest.raises(InvalidRefreshToken):
        await process.accounts.refresh(registered.refresh_token)
    await process.authenticate(other)


async def test_sign_out_everywhere_ends_all_sessions_and_allows_new_ones(
    world: World, process: Process
) -> None:
    registered, other = await world.register(process), await login(process)
    await process.accounts.logout(await process.authenticate(registered), everywhere=True)
    for tokens in (registered, other):
        with pytest.raises(InvalidToken):
            await process.authenticate(tokens)
        with pytest.raises(InvalidRefreshToken):
            await process.accounts.refresh(tokens.refresh_token)
    await process.authenticate(await login(process))


async def test_ended_sessions_are_deleted_once_their_tokens_are_dead(world: World, process: Process) -> None:
    registered = await world.register(process)
    await process.accounts.logout(await process.authenticate(registered), everywhere=False)
    world.clock.forward(process.settings.access_token_s - 1)
    await login(process)
    assert await world.pool.fetchval("SELECT count(*) FROM sessions") == 2
    world.clock.forward(2)
    await login(process)
    assert await world.pool.fetchval("SELECT count(*) FROM sessions WHERE revoked_at IS NOT NULL") == 0


async def test_a_password_change_ends_all_sessions_but_its_own(world: World, process: Process) -> None:
    registered, other = await world.register(process), await login(process)
    caller = await process.authenticate(registered)
    body = schemas.ChangePassword(current_password=PASSWORD, new_password="another long one")
    fresh = await process.accounts.change_password(caller, body, HOME)
    for tokens in (registered, other):
        with pytest.raises(InvalidToken):
            await process.authenticate(tokens)
    await process.authenticate(await process.accounts.refresh(fresh.refresh_token))
    with pytest.raises(InvalidCredentials):
        await login(process)
    await login(process, password="another long one")


async def test_a_stolen_access_token_cannot_guess_the_password(world: World, process: Process) -> None:
    caller = await process.authenticate(await world.register(process))
    body = schemas.ChangePassword(current_password="wrong password", new_password="another long one")
    for _ in range(process.settings.login_failures_max):
        with pytest.raises(WrongPassword):
            await process.accounts.change_password(caller, body, HOME)
    with pytest.raises(TooManyAttempts):
        await process.accounts.change_password(caller, body, HOME)


async def test_of_two_password_changes_at_the_same_instant_one_wins(world: World, process: Process) -> None:
    caller = await process.authenticate(await world.register(process))
    bodies = [
        schemas.ChangePassword(current_password=PASSWORD, new_password=f"another long one {n}")
        for n in (1, 2)
    ]
    results = await asyncio.gather(
        *(process.accounts.change_password(caller, body, HOME) for body in bodies), return_exceptions=True
    )
    assert sorted(isinstance(result, WrongPassword) for result in results) == [False, True]


async def test_name_and_phone_change_only_when_given(world: World, process: Process) -> None:
    caller = await process.authenticate(await world.register(process, phone="+20 100"))
    me = await process.accounts.update_me(caller, schemas.UpdateMe(name=" New name "))
    assert (me.name, me.phone, me.version) == ("New name", "+20 100", 2)
    me = await process.accounts.update_me(caller, schemas.UpdateMe(phone=None))
    assert (me.name, me.phone) == ("New name", None)


async def test_a_deleted_account_leaves_no_person_behind(world: World, process: Process) -> None:
    registered = await world.register(process, phone="+20 100")
    caller = await process.authenticate(registered)
    await process.accounts.delete_me(caller)
    with pytest.raises(InvalidToken):
        await process.authenticate(registered)
    with pytest.raises(InvalidRefreshToken):
        await process.accounts.refresh(registered.refresh_token)
    with pytest.raises(InvalidCredentials):
        await login(process)
    with pytest.raises(NotFound):
        await process.accounts.me(caller)
    row = await world.pool.fetchrow("SELECT email, password_hash, external_subject, phone, name FROM users")
    assert tuple(row or ()) == (None, None, None, None, "Deleted account")
    again = await world.register(process)
    assert again.user_id != registered.user_id


async def test_the_only_owner_of_a_shop_cannot_be_deleted(world: World, process: Process) -> None:
    shop_id = await world.shop()
    owner = await world.member(process, shop_id, "shop_owner", "o@example.com")
    caller = await process.authenticate(owner)
    with pytest.raises(LastOwner) as refusal:
        await process.accounts.delete_me(caller)
    assert UUID(refusal.value.extra["shopId"]) == shop_id
    await process.authenticate(owner)
    await process.accounts.refresh(owner.refresh_token)
    await world.member(process, shop_id, "shop_owner", "p@example.com")
    await process.accounts.delete_me(caller)
    assert await world.pool.fetchval("SELECT count(*) FROM memberships") == 1


async def test_a_role_granted_in_a_transaction_that_fails_was_never_given(
    world: World, process: Process
) -> None:
    registered = await world.register(process)
    connection = await world.pool.acquire()
    transaction = connection.transaction()
    await transaction.start()
    await process.accounts.grant(connection, registered.user_id, await world.shop(), "shop_owner")
    await transaction.rollback()
    await world.pool.release(connection)
    assert (await process.identities.authenticate(registered.access_token, fresh=True)).shops == {}


async def test_an_admin_signs_in_as_admin(world: World, process: Process) -> None:
    user_id = await create_admin(
        world.pool, process.passwords, email="Root@example.com", password=PASSWORD, name="Administrator"
    )
    caller = await process.authenticate(await login(process, "root@example.com"))
    assert (caller.user_id, caller.is_admin) == (user_id, True)


@pytest.mark.parametrize("password", ["short", "x" * 201, "root@example.com"])
async def test_an_admin_needs_a_password_of_its_own(world: World, process: Process, password: str) -> None:
    with pytest.raises(InvalidRequest):
        await create_admin(
            world.pool, process.passwords, email="root@example.com", password=password, name="Administrator"
        )


async def test_an_existing_account_does_not_become_admin(world: World, process: Process) -> None:
    await world.register(process)
    with pytest.raises(EmailTaken):
        await create_admin(
            world.pool, process.passwords, email="a@example.com", password=PASSWORD, name="Administrator"
        )
    assert (await process.authenticate(await login(process))).role == "customer"
