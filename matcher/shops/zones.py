"""The probable time zone of an imported shop, from its country, its state and its place.

Countries with one zone are certain. Elsewhere: the zone whose principal city (the IANA `zone.tab`) is nearest,
in the United States the zone of most of the state; both may be wrong near a border, until the owner corrects it.
"""

from functools import cache
from importlib import resources

from matcher.geo.distance import distance_mm
from matcher.geo.types import Place

UNKNOWN = "UTC"

# Most of each state's people; a state on two zones stands with the larger part.
_ZONES_OF_STATES = {
    "America/New_York": "CT DC DE FL GA KY MA MD ME NC NH NJ NY OH PA RI SC VA VT WV",
    "America/Chicago": "AL AR IA IL KS LA MN MO MS ND NE OK SD TN TX WI",
    "America/Denver": "CO ID MT NM UT WY",
    "America/Los_Angeles": "CA NV OR WA",
    "America/Anchorage": "AK",
    "America/Phoenix": "AZ",
    "Pacific/Honolulu": "HI",
    "America/Indiana/Indianapolis": "IN",
    "America/Detroit": "MI",
}
_US_STATES = {state: zone for zone, states in _ZONES_OF_STATES.items() for state in states.split()}
# In use, but not in ISO 3166 and so not in the table.
_ELSEWHERE = {"XK": "Europe/Belgrade"}


def probable_zone(country: str | None, state: str, place: Place) -> str:
    """An IANA zone; UNKNOWN for a country that is not known."""
    if country is None:
        return UNKNOWN
    if country == "US" and state in _US_STATES:
        return _US_STATES[state]
    cities = _cities().get(country)
    if not cities:
        return _ELSEWHERE.get(country, UNKNOWN)
    if len(cities) == 1:
        return cities[0][0]
    return min(cities, key=lambda city: distance_mm(city[1], place))[0]


@cache
def _cities() -> dict[str, list[tuple[str, Place]]]:
    """By country: each zone and its principal city."""
    text = (resources.files("tzdata") / "zoneinfo" / "zone.tab").read_text("utf-8")
    cities: dict[str, list[tuple[str, Place]]] = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            country, position, zone = line.split("\t")[:3]
            cities.setdefault(country, []).append((zone, _place(position)))
    return cities


def _place(position: str) -> Place:
    """ISO 6709: ±DDMM±DDDMM or ±DDMMSS±DDDMMSS."""
    split = max(position.rfind("+"), position.rfind("-"))
    return Place(latitude=_degrees(position[:split], 2), longitude=_degrees(position[split:], 3))


def _degrees(text: str, digits: int) -> float:
    parts = text[1 : 1 + digits], text[1 + digits : 3 + digits], text[3 + digits :] or "0"
    degrees = int(parts[0]) + int(parts[1]) / 60 + int(parts[2]) / 3600
    return -degrees if text[0] == "-" else degrees
