"""The values that the whole package speaks in: a place, and the sphere it lies on.

Must not know cells, areas or indexes.
"""

import msgspec

from matcher.errors import MatcherError

# The mean radius (2a + b) / 3 of WGS84, to the last digit as PostGIS computes it for `<->` on geography and for
# ST_Distance(a, b, false). One sphere everywhere, or the index and the database would disagree about who is
# nearest: with the radius rounded to centimetres one distance in fourteen differs by a millimetre or more.
EARTH_RADIUS_M = 6371008.771415059

# The largest delivery radius that a site may declare.
MAX_RADIUS_M = 200_000


class InvalidPlace(MatcherError):
    """A place needs a latitude from -90 to 90 and a longitude from -180 to 180, both finite."""

    code = "invalid_place"
    status = 400
    title = "Invalid place"


class Place(msgspec.Struct, frozen=True, gc=False):
    """A point in WGS84 degrees. Use `checked_place` for values that come from outside."""

    latitude: float
    longitude: float


def checked_place(latitude: float, longitude: float) -> Place:
    """A place whose coordinates are finite and in range.

    Raises InvalidPlace. The longitudes 180 and -180 are one meridian on the sphere but two lines in the plane
    where polygons live, so neither is rewritten as the other.
    """
    # NaN fails both comparisons, infinities fail one.
    if not (-90.0 <= latitude <= 90.0 and -180.0 <= longitude <= 180.0):
        raise InvalidPlace(f"{latitude}, {longitude} is no place: {InvalidPlace.__doc__}")
    return Place(latitude=float(latitude), longitude=float(longitude))
