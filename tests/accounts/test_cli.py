import asyncio

import asyncpg
import pytest
from click.testing import CliRunner

from matcher import cli
from matcher.accounts.cli import users
from tests.accounts.world import PASSWORD

CREATE = ["users", "create-admin", "--email", "Root@example.com"]


@pytest.fixture(autouse=True)
def environment(database_url: str, clean_database: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.delenv("MATCHER_ADMIN_PASSWORD", raising=False)


def accounts(database_url: str) -> list[tuple[str, ...]]:
    async def read() -> list[tuple[str, ...]]:
        connection = await asyncpg.connect(database_url)
        try:
            return [tuple(row) for row in await connection.fetch("SELECT email, name, role FROM users")]
        finally:
            await connection.close()

    return asyncio.run(read())


def test_the_password_may_come_from_the_environment(
    database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MATCHER_ADMIN_PASSWORD", PASSWORD)
    assert cli.run([*CREATE, "--name", "Operations"]) == 0
    assert accounts(database_url) == [("root@example.com", "Operations", "admin")]
    assert PASSWORD not in capsys.readouterr().out

    assert cli.run(CREATE) == 1
    complaint = capsys.readouterr().err
    assert complaint.count("\n") == 1
    assert "exists" in complaint


def test_the_password_is_asked_for_otherwise(database_url: str) -> None:
    result = CliRunner().invoke(users, CREATE[1:], input=f"{PASSWORD}\n{PASSWORD}\n")
    assert result.exit_code == 0, result.output
    assert PASSWORD not in result.output
    assert accounts(database_url) == [("root@example.com", "Administrator", "admin")]


def test_the_password_is_no_argument() -> None:
    assert cli.run([*CREATE, "--password", PASSWORD]) == 2


def test_a_weak_password_makes_no_admin(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MATCHER_ADMIN_PASSWORD", "short")
    assert cli.run(CREATE) == 1
    assert accounts(database_url) == []
