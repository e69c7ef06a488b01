"""The models of each make and the years in which they were sold in the United States.

For drawing plausible vehicles and for suggestions; must not be used to refuse an order: the list knows
neither other markets nor older cars.
"""

from collections import defaultdict
from functools import cache

import msgspec

from matcher.vehicles.data_files import read_rows


class Model(msgspec.Struct, frozen=True):
    """A model of the make with slug `make`; `first_year` and `last_year` are model years, both included."""

    make: str
    name: str
    first_year: int
    last_year: int


@cache
def _by_make() -> dict[str, tuple[Model, ...]]:
    models: defaultdict[str, list[Model]] = defaultdict(list)
    for row in read_rows("models.csv.gz"):
        models[row["make"]].append(
            Model(
                make=row["make"],
                name=row["model"],
                first_year=int(row["first_year"]),
                last_year=int(row["last_year"]),
            )
        )
    return {make: tuple(found) for make, found in models.items()}


def list_models(make_slug: str) -> tuple[Model, ...]:
    """The models of a make in alphabetical order; empty when the list has none."""
    return _by_make().get(make_slug, ())
