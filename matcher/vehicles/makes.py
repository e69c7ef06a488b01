"""The canonical vehicle makes and every spelling that leads to one.

Owns: `Make`, lookup and suggestions. Must not guess: a text either is a known spelling or is refused with
suggestions, because a wrong make sends an order to the wrong shops.
"""

import difflib
from functools import cache

import msgspec

from matcher.vehicles.data_files import read_rows, split_list
from matcher.vehicles.errors import UnknownMake
from matcher.vehicles.folding import fold

# Longer than any spelling; keeps the quadratic comparison of close_matches cheap for hostile input.
_LONGEST_COMPARED = 40
# Two thirds of the letters in common, so that one wrong letter in three ("bmv") still finds its make.
_LEAST_LIKENESS = 0.66


class Make(msgspec.Struct, frozen=True):
    """One make. `slug` is what is stored and compared; `aliases` are further spellings in any script."""

    slug: str
    name: str
    name_ar: str
    aliases: tuple[str, ...] = ()

    def spellings(self) -> tuple[str, ...]:
        """Everything that finds this make."""
        return (self.slug, self.name, self.name_ar, *self.aliases)


@cache
def list_makes() -> tuple[Make, ...]:
    """All makes, in order of their slugs."""
    makes = (
        Make(
            slug=row["slug"],
            name=row["name"],
            name_ar=row["name_ar"],
            aliases=split_list(row["aliases"]),
        )
        for row in read_rows("makes.csv")
    )
    return tuple(sorted(makes, key=lambda make: make.slug))


@cache
def _index() -> dict[str, Make]:
    return {fold(spelling): make for make in list_makes() for spelling in make.spellings()}


def find_make(text: str) -> Make | None:
    """The make that `text` spells in any case, script, accents or punctuation; None when there is none."""
    return _index().get(fold(text))


def get_make(text: str) -> Make:
    """As `find_make`. Raises: UnknownMake, whose `suggestions` member holds up to three close makes' names."""
    make = find_make(text)
    if make is not None:
        return make
    names = [close.name for close in close_matches(text)]
    shown = ascii(text[:_LONGEST_COMPARED]) if not text.isprintable() else f"'{text[:_LONGEST_COMPARED]}'"
    hint = (
        f"did you mean {' or '.join(names)}?" if names else "GET /api/v1/vehicle-makes lists those that are."
    )
    raise UnknownMake(f"The vehicle make {shown} is not known; {hint}", extra={"suggestions": names})


def close_matches(text: str, limit: int = 3) -> tuple[Make, ...]:
    """Up to `limit` makes with a spelling like `text`, the likest first (Ratcliff/Obershelp ratio)."""
    key = fold(text[:_LONGEST_COMPARED])
    # A make has several spellings, so more hits are asked for than makes are wanted.
    hits = difflib.get_close_matches(key, _index(), n=limit * 4, cutoff=_LEAST_LIKENESS)
    return tuple(dict.fromkeys(_index()[hit] for hit in hits))[:limit]
