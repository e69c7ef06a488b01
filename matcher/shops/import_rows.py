"""Rows of an import file: reading them with bounds, and turning each into a shop or into what is wrong with it.

Owns the file's form: the columns, their limits, what is derived. Must not know SQL.
"""

import csv
import gzip
import io
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple, TextIO
from uuid import UUID

import msgspec

from matcher.geo.cells import cell_of
from matcher.geo.service_area import RadiusArea, reach_m
from matcher.geo.types import MAX_RADIUS_M, Place
from matcher.ids import uuid7
from matcher.shops.errors import ImportFailed
from matcher.shops.generated_makes import generate_makes
from matcher.shops.hours import OpeningHours, is_time_zone
from matcher.shops.hours_text import parse_hours
from matcher.shops.shop import COARSE_RESOLUTION, FINE_RESOLUTION, ONBOARDING
from matcher.shops.zones import probable_zone
from matcher.vehicles.makes import find_make

KINDS: Final = {
    "car_parts": "Car parts shop",
    "car_repair": "Car repair shop",
    "car_dealer": "Car dealer",
    "tyres": "Tyre shop",
    "motorcycle_dealer": "Motorcycle dealer",
    "motorcycle_repair": "Motorcycle repair shop",
}
REQUIRED_COLUMNS: Final = ("source", "shop_id", "kind", "lat", "lon")
# The longest content of every other column, too; `extract` names the source's own partition and is not kept.
MAX_CHARS: Final = {
    "source": 64,
    "shop_id": 128,
    "name": 200,
    "name_en": 200,
    "kind": 32,
    "chain": 200,
    "makes": 2_000,
    "lat": 32,
    "lon": 32,
    "cc": 2,
    "extract": 64,
    "state": 100,
    "city": 200,
    "hours": 500,
    "address": 500,
    "phone": 32,
    "email": 254,
    "currency": 3,
    "time_zone": 64,
    "radius_m": 16,
}
# A line holds all of these and its quotes many times over; beyond this the file is no such table.
MAX_LINE_CHARS: Final = 64 * 1024

_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_SOURCE = re.compile(r"[a-z0-9][a-z0-9_.-]*")
_COUNTRY = re.compile(r"[A-Z]{2}")
_CURRENCY = re.compile(r"[A-Z]{3}")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)", re.ASCII)
_PHONE = re.compile(r"\+?[\d ()./-]{5,31}")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")


class ImportOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What to import and how to fill what the file does not say.

    `kinds`: the rows taken; empty takes all. `radius_m`: the service area where the row names none.
    `makes_seed`: assign plausible makes where the row names none; None leaves them as they are.
    """

    kinds: frozenset[str] = frozenset({"car_parts"})
    radius_m: float = 20_000.0
    makes_seed: int | None = None
    dry_run: bool = False
    batch_rows: int = 2_000


class RowError(msgspec.Struct, frozen=True):
    """Why a row is not imported. `line` is the file's, from 1; `value` is cut."""

    line: int
    column: str
    value: str
    reason: str


class RowRefused(Exception):
    """Carries a column and a reason to where the line is known."""

    def __init__(self, column: str, reason: str) -> None:
        super().__init__(reason)
        self.column = column
        self.reason = reason


class ImportedShop(NamedTuple):
    """A shop as the batch table takes it, column by column. `makes` None: not stated, leave what is stored."""

    id: UUID
    source: str
    source_ref: str
    kind: str
    name: str
    chain: str | None
    phone: str | None
    email: str | None
    latitude: float
    longitude: float
    h3_r5: int
    h3_r8: int
    address: str
    country: str | None
    time_zone: str
    opening_hours: str | None
    delivery_radius_m: float
    service_reach_m: float
    currency: str | None
    makes: list[str] | None
    makes_generated: bool


class TableFile:
    """A `.csv` or `.csv.gz` with a header, read row by row; `fraction` tells how far."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._raw: BinaryIO = path.open("rb")
        self._size = max(path.stat().st_size, 1)

    def __enter__(self) -> "TableFile":
        return self

    def __exit__(self, *_: object) -> None:
        self._raw.close()

    @property
    def fraction(self) -> float:
        """The share of the file's bytes that has been read."""
        return 1.0 if self._raw.closed else min(self._raw.tell() / self._size, 1.0)

    def rows(self) -> Iterator[tuple[int, Mapping[str, str]]]:
        """(line, fields by column). Raises ImportFailed for what is no such table."""
        binary = gzip.GzipFile(fileobj=self._raw) if self._path.suffix == ".gz" else self._raw
        # Bytes that are no UTF-8 become lone surrogates, which are a row's error, not the file's.
        with io.TextIOWrapper(binary, "utf-8-sig", errors="surrogateescape", newline="") as text:
            try:
                yield from _rows(text)
            except (EOFError, OSError, csv.Error) as error:
                raise ImportFailed(f"{self._path.name} cannot be read: {error}.") from error


def _rows(text: TextIO) -> Iterator[tuple[int, Mapping[str, str]]]:
    reader = csv.reader(_bounded_lines(text))
    header = next(reader, None)
    if header is None:
        raise ImportFailed("The file is empty; its first line must name the columns.")
    _check_header(header)
    line = reader.line_num
    for fields in reader:
        first_line, line = line + 1, reader.line_num
        if fields:
            yield first_line, _by_column(header, fields)


def _by_column(header: list[str], fields: list[str]) -> Mapping[str, str]:
    # A row with too many or too few fields cannot be told apart by column; `parse_row` refuses it.
    return dict(zip(header, fields, strict=True)) if len(fields) == len(header) else {}


def _bounded_lines(text: TextIO) -> Iterator[str]:
    number = 0
    while line := text.readline(MAX_LINE_CHARS):
        number += 1
        if len(line) == MAX_LINE_CHARS and not line.endswith(("\n", "\r")):
            raise ImportFailed(f"Line {number} is longer than {MAX_LINE_CHARS} characters.")
        yield line


def _check_header(header: list[str]) -> None:
    missing = [column for column in REQUIRED_COLUMNS if column not in header]
    unknown = [column for column in header if column not in MAX_CHARS]
    if missing:
        raise ImportFailed(
            f"Columns are missing: {', '.join(missing)}. `--template` prints a file to start from."
        )
    if unknown or len(set(header)) < len(header):
        named = ", ".join(repr(column[:40]) for column in unknown) or "one of them twice"
        raise ImportFailed(f"The header names columns that are not known: {named}.")


def parse_row(row: Mapping[str, str], options: ImportOptions) -> ImportedShop | None:
    """The shop of a row; None for a kind that is not asked for. Raises RowRefused."""
    if not row:
        raise RowRefused("", "the row has more or fewer fields than the header")
    _check_texts(row)
    kind = row["kind"]
    if kind not in KINDS:
        raise RowRefused("kind", f"must be one of {', '.join(KINDS)}")
    if options.kinds and kind not in options.kinds:
        return None
    source, source_ref = _matching(row, "source", _SOURCE), row["shop_id"].strip()
    if not source or source == ONBOARDING:
        raise RowRefused("source", "name the data set, in lower case")
    if not source_ref:
        raise RowRefused("shop_id", "must not be empty")
    place = Place(latitude=_degrees(row, "lat", 90.0), longitude=_degrees(row, "lon", 180.0))
    country = _matching(row, "cc", _COUNTRY)
    radius_m = _radius(row, options.radius_m)
    makes, generated = _makes(row, options, f"{source}:{source_ref}", country)
    return ImportedShop(
        id=uuid7(),
        source=source,
        source_ref=source_ref,
        kind=kind,
        name=next(filter(None, (_get(row, c) for c in ("name", "name_en", "chain"))), KINDS[kind]),
        chain=_get(row, "chain"),
        phone=_matching(row, "phone", _PHONE),
        email=_matching(row, "email", _EMAIL),
        latitude=place.latitude,
        longitude=place.longitude,
        h3_r5=cell_of(place, COARSE_RESOLUTION),
        h3_r8=cell_of(place, FINE_RESOLUTION),
        address=_get(row, "address") or ", ".join(filter(None, (_get(row, "city"), _get(row, "state")))),
        country=country,
        time_zone=_time_zone(row, country, place),
        opening_hours=_hours(parse_hours(row.get("hours", ""))),
        delivery_radius_m=radius_m,
        service_reach_m=reach_m(RadiusArea(radius_m), place),
        currency=_matching(row, "currency", _CURRENCY),
        makes=makes,
        makes_generated=generated,
    )


def _check_texts(row: Mapping[str, str]) -> None:
    for column, text in row.items():
        if len(text) > MAX_CHARS[column]:
            raise RowRefused(column, f"longer than {MAX_CHARS[column]} characters")
        if _CONTROL.search(text):
            raise RowRefused(column, "holds a control character or bytes that are not UTF-8")


def _get(row: Mapping[str, str], column: str) -> str | None:
    return row.get(column, "").strip() or None


def _matching(row: Mapping[str, str], column: str, pattern: re.Pattern[str]) -> str | None:
    text = _get(row, column)
    if text is not None and not pattern.fullmatch(text):
        raise RowRefused(column, "does not have the form of this column")
    return text


def _number(row: Mapping[str, str], column: str) -> float:
    text = row[column].strip()
    if not _NUMBER.fullmatch(text):
        raise RowRefused(column, "must be a decimal number")
    return float(text)


def _degrees(row: Mapping[str, str], column: str, limit: float) -> float:
    degrees = _number(row, column)
    if abs(degrees) > limit:
        raise RowRefused(column, f"must be from {-limit:g} to {limit:g} degrees")
    return degrees


def _radius(row: Mapping[str, str], default_m: float) -> float:
    if _get(row, "radius_m") is None:
        return default_m
    radius_m = _number(row, "radius_m")
    if not 0 < radius_m <= MAX_RADIUS_M:
        raise RowRefused("radius_m", f"must be above 0 and at most {MAX_RADIUS_M} metres")
    return radius_m


def _makes(
    row: Mapping[str, str], options: ImportOptions, shop: str, country: str | None
) -> tuple[list[str] | None, bool]:
    texts = [text.strip() for text in row.get("makes", "").split(";") if text.strip()]
    slugs: set[str] = set()
    for text in texts:
        make = find_make(text)
        if make is None:
            raise RowRefused("makes", f"{text!r} is no known make")
        slugs.add(make.slug)
    if slugs:
        return sorted(slugs), False
    if options.makes_seed is None:
        return None, False
    return list(generate_makes(options.makes_seed, shop, country, row["kind"])), True


def _time_zone(row: Mapping[str, str], country: str | None, place: Place) -> str:
    name = _get(row, "time_zone")
    if name is None:
        return probable_zone(country, row.get("state", ""), place)
    if not is_time_zone(name):
        raise RowRefused("time_zone", "must be an IANA time zone")
    return name


def _hours(hours: OpeningHours | None) -> str | None:
    return None if hours is None else msgspec.json.encode(hours).decode()
