"""`matcher stack up|down|status|reset`."""

import click
import msgspec

from matcher.stack.embedded import Stack, StackStatus


@click.group("stack")
def stack_commands() -> None:
    """The private PostgreSQL and Redis of this checkout."""


@stack_commands.command()
def up() -> None:
    """Start the servers; does nothing when they run."""
    _show(Stack.for_checkout().up())


@stack_commands.command()
def down() -> None:
    """Stop the servers; their data stays."""
    _show(Stack.for_checkout().down())


@stack_commands.command()
@click.option(
    "--json", "as_json", is_flag=True, help="One JSON object: running, databaseUrl, redisUrl, dataDir."
)
def status(as_json: bool) -> None:
    """Tell whether the servers run, and where."""
    state = Stack.for_checkout().status()
    if as_json:
        click.echo(msgspec.json.encode(state))
    else:
        _show(state)


@stack_commands.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
def reset(yes: bool) -> None:
    """Stop the servers and delete their data."""
    stack = Stack.for_checkout()
    if not yes:
        click.confirm(f"Delete all data in {stack.home.path}?", abort=True)
    stack.reset()
    click.echo("The stack's data is deleted; `matcher stack up` starts with an empty database.")


def _show(state: StackStatus) -> None:
    # The addresses hold passwords: they are for `--json`, which a person has to ask for.
    where = f"data in {state.data_dir}"
    click.echo(f"The stack runs, {where}" if state.running else f"The stack does not run, {where}")
