"""What the story is told with: cities whose shops are claimed, common makes, parts and their prices, places.

Owns: the tables and the reading of the shipped files. Must not draw anything: `draws` does.
"""

import csv
import gzip
import io
from functools import cache
from importlib import resources

import msgspec


class City(msgspec.Struct, frozen=True):
    """A city in which shops are claimed. `reach_m` is how far from the centre its shops and customers are."""

    name: str
    country: str  # ISO 3166-1 alpha-2
    latitude: float
    longitude: float
    time_zone: str  # IANA name
    reach_m: float
    shops_weight: int  # its share of the claimed shops


# Where the shipped directory is dense in shops that sell parts; New York has the trip stream.
CITIES = (
    City("New York", "US", 40.7300, -73.9500, "America/New_York", 16_000.0, 22),
    City("Dar es Salaam", "TZ", -6.8160, 39.2500, "Africa/Dar_es_Salaam", 14_000.0, 9),
    City("Tripoli", "LY", 32.8750, 13.1870, "Africa/Tripoli", 18_000.0, 8),
    City("Abidjan", "CI", 5.3450, -4.0240, "Africa/Abidjan", 14_000.0, 7),
    City("Athens", "GR", 37.9840, 23.7280, "Europe/Athens", 20_000.0, 7),
    City("Fes", "MA", 34.0330, -5.0000, "Africa/Casablanca", 10_000.0, 4),
    City("Casablanca", "MA", 33.5731, -7.5898, "Africa/Casablanca", 20_000.0, 3),
)
NEW_YORK = CITIES[0]


class CommonMake(msgspec.Struct, frozen=True):
    """A make that is met everywhere. `models` fills in where the shipped list, of US cars, has none."""

    slug: str
    weight: int
    models: tuple[str, ...] = ()


MAKES = (
    CommonMake("toyota", 18),
    CommonMake("honda", 8),
    CommonMake("ford", 8),
    CommonMake("hyundai", 8),
    CommonMake("nissan", 8),
    CommonMake("chevrolet", 6),
    CommonMake("kia", 6),
    CommonMake("volkswagen", 6),
    CommonMake("mercedes-benz", 5),
    CommonMake("bmw", 5),
    CommonMake("mitsubishi", 4),
    CommonMake("peugeot", 4, ("206", "208", "301", "307", "308", "406", "Partner")),
    CommonMake("renault", 4, ("Clio", "Duster", "Kangoo", "Logan", "Megane", "Symbol")),
    CommonMake("mazda", 3),
    CommonMake("suzuki", 3),
    CommonMake("jeep", 2),
    CommonMake("fiat", 2),
    CommonMake("dacia", 2, ("Dokker", "Duster", "Logan", "Sandero")),
    CommonMake("citroen", 2, ("Berlingo", "C3", "C4", "C-Elysee")),
    CommonMake("subaru", 2),
    # Few shops have these: some orders find nobody, which a customer is told at once.
    CommonMake("lada", 1, ("Granta", "Niva", "Vesta")),
    CommonMake("geely", 1, ("Coolray", "Emgrand")),
)


class CommonPart(msgspec.Struct, frozen=True):
    """A part as customers name it, and what it costs in whole units of the market's currency."""

    name: str
    price: int
    quantities: tuple[int, ...] = (1,)


PARTS = (
    CommonPart("Front brake pads", 45),
    CommonPart("Rear brake pads", 40),
    CommonPart("Front brake discs", 95, (2,)),
    CommonPart("Brake fluid DOT 4", 9, (1, 2)),
    CommonPart("Oil filter", 9),
    CommonPart("Air filter", 16),
    CommonPart("Cabin air filter", 18),
    CommonPart("Fuel filter", 22),
    CommonPart("Engine oil 5W-30 4 l", 34, (1, 2)),
    CommonPart("Spark plug", 8, (4, 6)),
    CommonPart("Ignition coil", 48, (1, 4)),
    CommonPart("Timing belt kit", 130),
    CommonPart("Serpentine belt", 28),
    CommonPart("Water pump", 75),
    CommonPart("Thermostat", 24),
    CommonPart("Radiator", 160),
    CommonPart("Radiator hose", 19, (1, 2)),
    CommonPart("Coolant 4 l", 18, (1, 2)),
    CommonPart("Battery 60 Ah", 110),
    CommonPart("Alternator", 210),
    CommonPart("Starter motor", 185),
    CommonPart("Fuel pump", 140),
    CommonPart("Oxygen sensor", 65, (1, 2)),
    CommonPart("Mass air flow sensor", 90),
    CommonPart("Clutch kit", 230),
    CommonPart("CV joint", 70, (1, 2)),
    CommonPart("Wheel bearing", 55, (1, 2)),
    CommonPart("Front shock absorber", 80, (2,)),
    CommonPart("Rear shock absorber", 70, (2,)),
    CommonPart("Control arm", 85, (1, 2)),
    CommonPart("Ball joint", 30, (1, 2)),
    CommonPart("Tie rod end", 26, (1, 2)),
    CommonPart("Stabiliser link", 20, (2,)),
    CommonPart("Engine mount", 60),
    CommonPart("Headlight bulb H7", 11, (1, 2)),
    CommonPart("Headlight assembly", 175),
    CommonPart("Tail light", 88),
    CommonPart("Side mirror", 96),
    CommonPart("Wiper blade", 13, (2,)),
    CommonPart("Catalytic converter", 420),
)


class Spot(msgspec.Struct, frozen=True):
    """A populated place of the shipped list (GeoNames)."""

    name: str
    country: str
    latitude: float
    longitude: float
    population: int


class Pickup(msgspec.Struct, frozen=True):
    """Where a New York taxi trip began (NYC TLC)."""

    latitude: float
    longitude: float


@cache
def list_spots() -> tuple[Spot, ...]:
    """Every place of the shipped list."""
    return tuple(
        Spot(row["name"], row["country"], float(row["lat"]), float(row["lon"]), int(row["population"]))
        for row in _rows("places.csv.gz")
    )


@cache
def list_pickups() -> tuple[Pickup, ...]:
    """The trips of the shipped day, in order of time."""
    return tuple(
        Pickup(float(row["pickup_lat"]), float(row["pickup_lon"])) for row in _rows("trips_nyc.csv.gz")
    )


def _rows(name: str) -> list[dict[str, str]]:
    content = (resources.files("matcher.demo") / "data" / name).read_bytes()
    return list(csv.DictReader(io.StringIO(gzip.decompress(content).decode("utf-8"), newline="")))
