"""Reads the CSV files that ship beside this package; knows their place and nothing of their meaning."""

import csv
import gzip
import io
from collections.abc import Iterator
from importlib import resources


def read_rows(name: str) -> Iterator[dict[str, str]]:
    """The rows of `data/<name>` (UTF-8 CSV with a header; gzip when the name ends in `.gz`)."""
    content = (resources.files("matcher.vehicles") / "data" / name).read_bytes()
    if name.endswith(".gz"):
        content = gzip.decompress(content)
    yield from csv.DictReader(io.StringIO(content.decode("utf-8"), newline=""))


def split_list(field: str) -> tuple[str, ...]:
    """The parts of a `;`-separated field; empty for an empty field."""
    return tuple(part for part in field.split(";") if part)
