"""`matcher bench`: runs the benchmarks of a checkout.

Owns the command only: each file of `benchmarks/` answers one question, measures against a peer in the same run and
prints ratios. Must not hold a measurement.
"""

import subprocess
import sys
from pathlib import Path

import click

from matcher.settings import repository_root

FOLDER = repository_root() / "benchmarks"


@click.command()
@click.argument("name")
@click.option("--quick", is_flag=True, help="A smaller form: under a minute, rougher numbers.")
@click.option(
    "--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Write the numbers here."
)
def bench(name: str, quick: bool, json_file: Path | None) -> None:
    """Measure NAME, for example `match`, against its peers. Let nothing else run on the machine."""
    names = sorted(path.stem for path in FOLDER.glob("[!_]*.py"))
    if name not in names:
        known = ", ".join(names) or f"none: {FOLDER} is part of a checkout, not of the installed package"
        raise click.BadParameter(f"there is no benchmark of this name; there are: {known}", param_hint="NAME")
    command = [sys.executable, str(FOLDER / f"{name}.py")]
    command += ["--quick"] if quick else []
    command += ["--json", str(json_file)] if json_file else []
    # A process of its own: a fresh heap for every measurement.
    sys.exit(subprocess.run(command, check=False).returncode)
