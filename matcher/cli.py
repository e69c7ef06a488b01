"""The `matcher` command: its sub-commands, exit codes and how failures are shown.

Owns: 0 fine, 1 failed, 2 wrong usage; one line on stderr per failure. Must not hold a sub-command's work, nor
import one before it is called: the start stays quick.
"""

import sys
import traceback
from collections.abc import Sequence
from importlib import import_module

import click

from matcher.errors import InvalidRequest, MatcherError

# name -> (module:attribute, one line for --help, so that listing the commands imports none of them)
COMMANDS = {
    "stack": ("matcher.stack:stack_commands", "The private PostgreSQL and Redis of this checkout."),
    "migrate": ("matcher.migrations:migrate", "Bring the database to the newest (or another) schema."),
    "serve": ("matcher.serve:serve", "Run the HTTP and WebSocket service."),
    "worker": ("matcher.worker:worker", "Run the background jobs: expiry, widening, sweeping."),
    "demo": ("matcher.demo.cli:demo", "Watch real shops receive orders and answer them."),
    "chaos": (
        "matcher.chaos.cli:chaos",
        "Kill processes and servers under load; prove that nothing is lost.",
    ),
    "shops": ("matcher.shops.cli:shops", "Import shops."),
    "users": ("matcher.accounts.cli:users", "Make administrators."),
    "backup": ("matcher.backup.cli:backup", "Write the database to a file while the service runs."),
    "restore": ("matcher.backup.cli:restore", "Replace the database by a backup."),
    "config": ("matcher.settings:config_command", "List every setting, its value and its meaning."),
    "bench": ("matcher.bench:bench", "Measure against peers."),
    "openapi": ("matcher.serve:openapi", "Print the OpenAPI document."),
}


class _LazyGroup(click.Group):
    """A group whose commands are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, attribute = COMMANDS[cmd_name][0].split(":")
        command = getattr(import_module(module), attribute)
        assert isinstance(command, click.Command), f"{module}:{attribute} is not a command"
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, help="Show the traceback of a failure.")
@click.version_option(package_name="clutch-matcher")
@click.pass_context
def cli(ctx: click.Context, debug: bool) -> None:
    """Auto-parts orders matched to the nearest shops."""
    ctx.obj = {"debug": debug}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its status."""
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: Sequence[str]) -> int:
    """Run one command line; returns the exit status, prints failures on stderr."""
    try:
        result = cli.main(args=list(arguments), prog_name="matcher", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return 2
    except click.UsageError as error:
        path = error.ctx.command_path if error.ctx else "matcher"
        _complain(f"{path}: {error.format_message()} Try '{path} --help'.")
        return 2
    except click.ClickException as error:
        _complain(f"matcher: {error.format_message()}")
        return 1
    except click.Abort:
        _complain("matcher: stopped.")
        return 1
    except Exception as error:  # noqa: BLE001  the last place where a failure can become one line
        if "--debug" in arguments[:1]:
            traceback.print_exc()
        else:
            _complain(f"matcher: {_one_line(error)}")
        return 1
    # Commands answer None, or a status of their own; --help and --version answer 0.
    return result if isinstance(result, int) else 0


def _one_line(error: Exception) -> str:
    if isinstance(error, MatcherError):
        fields = [f"{field.pointer.lstrip('/')}: {field.message}" for field in error.errors]
        # A problem document has its fields beside the text, which may say no more than that they are wrong.
        return "; ".join(fields) if fields and type(error) is InvalidRequest else error.detail
    if isinstance(error, OSError):
        return str(error)
    return f"unexpected {type(error).__name__}: {error} (`matcher --debug ...` shows where)"


def _complain(message: str) -> None:
    click.echo(" ".join(message.split()), err=True)
