"""The command line's manners: exit statuses, one line per failure, a quick start."""

import subprocess
import sys

import click
import pytest

from matcher import cli
from matcher.errors import ConfigurationError, FieldError, InvalidRequest
from matcher.settings import repository_root


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command `fail KIND` that raises what its argument names."""

    @click.command()
    @click.argument("kind")
    def fail(kind: str) -> None:
        kinds: dict[str, BaseException] = {
            "expected": ConfigurationError("MATCHER_PORT must be\na number."),
            "fields": InvalidRequest(errors=[FieldError("/email", "write an address")]),
            "system": PermissionError(13, "Permission denied", "/nowhere"),
            "bug": ZeroDivisionError("division by zero"),
            "usage": click.BadParameter("not so"),
            "interrupt": KeyboardInterrupt(),
        }
        raise kinds[kind]

    monkeypatch.setitem(cli.COMMANDS, "fail", ("tests_fail:command", "Fails."))
    monkeypatch.setitem(sys.modules, "tests_fail", type(sys)("tests_fail"))
    monkeypatch.setattr(sys.modules["tests_fail"], "command", fail, raising=False)


@pytest.mark.parametrize(
    ("kind", "status", "line"),
    [
        ("expected", 1, "matcher: MATCHER_PORT must be a number.\n"),
        ("fields", 1, "matcher: email: write an address\n"),
        ("system", 1, "matcher: [Errno 13] Permission denied: '/nowhere'\n"),
        (
            "bug",
            1,
            "matcher: unexpected ZeroDivisionError: division by zero (`matcher --debug ...` shows where)\n",
        ),
        ("usage", 2, "matcher fail: Invalid value: not so Try 'matcher fail --help'.\n"),
    ],
)
@pytest.mark.usefixtures("failing")
def test_a_failure_is_one_line_and_a_status(
    kind: str, status: int, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["fail", kind]) == status
    assert capsys.readouterr() == ("", line)


@pytest.mark.usefixtures("failing")
def test_an_interrupt_is_a_failure_without_a_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["fail", "interrupt"]) == 1
    assert capsys.readouterr().err.strip() == "matcher: stopped."


@pytest.mark.usefixtures("failing")
def test_debug_shows_the_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["--debug", "fail", "expected"]) == 1
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["nothing"], ["stack", "nothing"], ["--nothing"], ["stack"], []])
def test_wrong_usage_is_status_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(arguments) == 2
    output, complaint = capsys.readouterr()
    assert output == ""
    assert "--help" in complaint


def test_help_lists_every_command_and_imports_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["--help"]) == 0
    listed = capsys.readouterr().out
    assert all(f"  {name} " in listed for name in cli.COMMANDS)


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_of_the_table_exists(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run([name, "--help"]) == 0
    assert f"Usage: matcher {name}" in capsys.readouterr().out


def test_the_root_command_does_not_import_the_service() -> None:
    slow = ("litestar", "sqlalchemy", "numpy", "asyncpg", "rich")
    script = f"import sys, matcher.cli; print([m for m in {slow} if m in sys.modules])"
    result = subprocess.run(
        [sys.executable, "-c", script], cwd=repository_root(), capture_output=True, text=True, check=True
    )
    assert result.stdout == "[]\n"
