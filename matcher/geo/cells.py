"""H3 cells (https://h3geo.org): which cell a place is in, how far a ring of cells is sure to reach.

Owns every constant that was measured about H3. Pure; must not know areas or indexes.

An H3 id is a 64-bit integer: mode, resolution (4 bits from bit 52), base cell (7 bits), then 15 digits of 3
bits, finest last, the unused ones all ones. So the descendants of a cell are one contiguous range of ids.
They do not cover exactly their ancestor's hexagon, though: their outline is ragged.
"""

import msgspec
from h3.api import basic_int as h3

from matcher.geo.types import Place

MAX_RESOLUTION = 15

# Average edge in metres by resolution, 0 to 15.
EDGE_M = tuple(float(h3.average_hexagon_edge_length(r, unit="m")) for r in range(MAX_RESOLUTION + 1))

# A place and all within this many average edges of it lie in descendants of the place's cell and its ring.
# The least distance found to break it is 0.71, near pentagons; a cell's own smallest edge is no safe measure.
_SURE_EDGES = 0.62

# No point of a cell is further than this from its centre (largest found 1.101) ...
_CELL_RADIUS_EDGES = 1.15
# ... and no point of its descendants, whose outline is ragged (largest found 1.133).
_DESCENDANTS_RADIUS_EDGES = 1.2

# What may be told of a place to somebody who must not know it (the contract's privacy rule): 612 m at most.
BLUR_RESOLUTION = 8

_RESOLUTION_SHIFT = 52
_DIGIT_BITS = 3


class BlurredPlace(msgspec.Struct, frozen=True, gc=False):
    """The centre of a cell, and how far from it (metres, upper bound) the true place may be."""

    latitude: float
    longitude: float
    precision_m: int


def cell_of(place: Place, resolution: int) -> int:
    """The id of the cell that holds the place."""
    return int(h3.latlng_to_cell(place.latitude, place.longitude, resolution))


def cell_centre(cell: int) -> Place:
    """The centre of a cell."""
    latitude, longitude = h3.cell_to_latlng(cell)
    return Place(latitude=latitude, longitude=longitude)


def disk(place: Place, resolution: int) -> list[int]:
    """The cell of the place AT that resolution and its neighbours: 7 ids, 6 around a pentagon's."""
    return list(h3.grid_disk(h3.latlng_to_cell(place.latitude, place.longitude, resolution), 1))


def sure_radius_m(resolution: int) -> float:
    """All within this distance of a place are in a descendant of a cell of `disk(place, resolution)`."""
    return EDGE_M[resolution] * _SURE_EDGES


def cell_radius_m(resolution: int) -> float:
    """Upper bound of the distance of a point of a cell from the cell's centre."""
    return EDGE_M[resolution] * _CELL_RADIUS_EDGES


def descendants_radius_m(resolution: int) -> float:
    """Upper bound of the distance from a cell's centre of any point whose finer cell descends from it."""
    return EDGE_M[resolution] * _DESCENDANTS_RADIUS_EDGES


def digits_mask(coarse: int, fine: int) -> int:
    """The bits of the digits for resolutions coarse + 1 to fine."""
    lowest = _DIGIT_BITS * (MAX_RESOLUTION - fine)
    return ((1 << _DIGIT_BITS * (fine - coarse)) - 1) << lowest


def descendant_offsets(coarse: int, fine: int) -> tuple[int, int]:
    """What to add to a cell's id at `coarse` for the least and greatest possible id of its descendants at `fine`.

    Both inclusive; the greatest is above every id in use, since no digit in use is 7.
    """
    up = (fine - coarse) << _RESOLUTION_SHIFT
    return up - digits_mask(coarse, fine), up


def descendant_range(cell: int, fine: int) -> tuple[int, int]:
    """The least and greatest possible ids, inclusive, of the cell's descendants at resolution `fine`."""
    low, high = descendant_offsets(h3.get_resolution(cell), fine)
    return cell + low, cell + high


def ancestor(cell: int, resolution: int) -> int:
    """The cell at a coarser resolution whose descendant this is."""
    return int(h3.cell_to_parent(cell, resolution))


def blurred(place: Place) -> BlurredPlace:
    """The place as someone may see it who must not know it: the centre of its cell, and the error's bound."""
    centre = cell_centre(cell_of(place, BLUR_RESOLUTION))
    # Int of the next whole metre: a bound may only be rounded up.
    precision_m = int(cell_radius_m(BLUR_RESOLUTION)) + 1
    return BlurredPlace(latitude=centre.latitude, longitude=centre.longitude, precision_m=precision_m)
