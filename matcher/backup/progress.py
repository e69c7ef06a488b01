"""How far a long copy is: one line on stderr, rewritten on a terminal, written once otherwise."""

import sys
import time
from types import TracebackType

import click

SHOWN_EVERY_S = 0.2


class Progress:
    """Counts bytes; with `total_bytes` it shows the share that is done."""

    def __init__(self, label: str, total_bytes: int = 0) -> None:
        self._label = label
        self._total_bytes = total_bytes
        self._done_bytes = 0
        self._next_s = 0.0
        self._live = sys.stderr.isatty()

    def __enter__(self) -> "Progress":
        return self

    def add(self, count_bytes: int) -> None:
        """Tell of further bytes."""
        self._done_bytes += count_bytes
        if self._live and time.monotonic() >= self._next_s:
            self._next_s = time.monotonic() + SHOWN_EVERY_S
            click.echo(f"\r{self._text()}", nl=False, err=True)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live:
            click.echo(f"\r{self._text()}", err=True)
        elif kind is None:  # in a log, a failure's own line says enough
            click.echo(self._text(), err=True)

    def _text(self) -> str:
        done = f"{self._label}: {self._done_bytes / 1e6:.1f} MB"
        return f"{done}, {self._done_bytes * 100 // self._total_bytes} %" if self._total_bytes else done
