import asyncio

import pytest

from matcher.accounts import passwords as module
from matcher.accounts.passwords import HASHER, Passwords
from matcher.errors import Overloaded
from tests.accounts.world import CHEAP


@pytest.fixture
def passwords() -> Passwords:
    return Passwords(2, CHEAP)


async def test_a_password_fits_its_own_hash_only(passwords: Passwords) -> None:
    encoded = await passwords.hash("correct horse")
    assert encoded.startswith("$argon2id$")
    assert await passwords.verify(encoded, "correct horse")
    assert not await passwords.verify(encoded, "correct horsf")
    passwords.close()


async def test_no_account_is_as_a_wrong_password(passwords: Passwords) -> None:
    assert not await passwords.verify(None, "correct horse")
    passwords.close()


async def test_composed_and_decomposed_accents_are_the_same_password(passwords: Passwords) -> None:
    assert await passwords.verify(await passwords.hash("caf\u00e9 noir!"), "cafe\u0301 noir!")
    passwords.close()


async def test_no_more_than_the_given_number_have_a_turn(passwords: Passwords) -> None:
    inside, most = 0, 0

    async def guess() -> None:
        nonlocal inside, most
        async with passwords.turn():
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0)
            inside -= 1

    await asyncio.gather(*(guess() for _ in range(20)))
    assert most == 2
    passwords.close()


async def test_beyond_the_queue_callers_are_told_to_come_back(
    passwords: Passwords, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WAITING_MAX", 0)
    with pytest.raises(Overloaded):
        async with passwords.turn():
            pass
    passwords.close()


def test_the_cost_is_what_the_documentation_says() -> None:
    assert (HASHER.memory_cost, HASHER.time_cost, HASHER.parallelism) == (19_456, 2, 1)
