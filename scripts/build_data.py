"""Rebuilds every data file that ships with the product from a folder of source files.

Usage: scripts/build-data FOLDER. docs/data-sources.md names the source, licence and changes of each file.
Deterministic: the same folder gives the same bytes. Only rows whose licence allows it leave this script.
"""

import csv
import gzip
import io
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from matcher.vehicles.folding import fold  # noqa: E402 - the path above makes the checkout importable
from matcher.vehicles.makes import find_make  # noqa: E402 - as above

Row = dict[str, str]

CURATED = ROOT / "scripts" / "curated"
VEHICLES = ROOT / "matcher" / "vehicles" / "data"
SHOPS = ROOT / "matcher" / "shops" / "data"
DEMO = ROOT / "matcher" / "demo" / "data"

SHOP_SOURCES = {"osm", "autozone", "ford", "hyundai"}
TRIP_SOURCE = "vis-academy-taxi"
LEAST_POPULATION = 50_000

VEHICLE_TYPES = {
    "Passenger Car": "car",
    "Multipurpose Passenger Vehicle (MPV)": "mpv",
    "Truck": "truck",
    "Incomplete Vehicle": "incomplete",
    "Bus": "bus",
    "Motorcycle": "motorcycle",
    "Low Speed Vehicle (LSV)": "low_speed",
    "Off Road Vehicle": "off_road",
}
ROAD_VEHICLES = {"car", "mpv", "truck", "incomplete", "heavy_truck", "bus"}
# Makers of trucks over 10,000 lb, whose VINs do not follow the rule of the seventh character.
HEAVY_MAKES = {
    *(
        "autocar",
        "blue-bird",
        "daf",
        "freightliner",
        "gillig",
        "hino",
        "international",
        "kenworth",
        "king-long",
    ),
    *("mack", "man", "mitsubishi-fuso", "peterbilt", "scania", "setra", "sterling", "temsa", "ud", "volvo"),
    *("western-star", "white", "workhorse", "yutong"),
}
# Names in the WMI table that are no make of their own.
WMI_MAKE_NAMES = {
    "Sprinter (Dodge or Freightliner)": ("dodge", "freightliner", "mercedes-benz"),
    "HMC": ("hyundai",),
    "MANA": ("mahindra",),
    "GM": ("chevrolet", "gmc"),
    "Faw Jiaxing Happy Messenger": ("faw",),
}


def read(path: Path) -> Iterator[Row]:
    """The rows of a CSV file, unpacked when its name ends in `.gz`."""
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def write(path: Path, columns: list[str], rows: Iterable[Row]) -> None:
    """Write the columns of the rows as CSV; gzip carries no time, so equal rows give equal bytes."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    written = list(rows)
    writer.writerows(written)
    content = text.getvalue().encode("utf-8")
    if path.suffix == ".gz":
        content = gzip.compress(content, compresslevel=9, mtime=0)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    sys.stdout.write(f"{path.relative_to(ROOT)}: {len(written)} rows, {len(content)} bytes\n")


def curated_index(makes: list[Row]) -> dict[str, Row]:
    """Every curated spelling's key -> its make; stops when two makes share a key."""
    index: dict[str, Row] = {}
    for make in makes:
        for spelling in (make["slug"], make["name"], make["name_ar"], *make["aliases"].split(";")):
            other = index.setdefault(fold(spelling), make) if spelling else make
            if other is not make:
                raise SystemExit(f"'{spelling}' spells both {other['slug']} and {make['slug']}")
    return index


def build_makes(source: Path) -> None:
    """The curated makes, with the lists that name them and the spellings that OpenStreetMap's index adds."""
    makes = list(read(CURATED / "makes.csv"))
    index = curated_index(makes)
    us_names = {row["make"] for row in read(source / "us_car_models_1992_2026.csv.gz")}
    missing = sorted(name for name in us_names if fold(name) not in index)
    if missing:
        raise SystemExit(f"scripts/curated/makes.csv lacks makes of the model list: {missing}")

    named_by: dict[str, set[str]] = {make["slug"]: set() for make in makes}
    for name in us_names:
        named_by[index[fold(name)]["slug"]].add("us_car_models")
    for row in read(source / "vpic_makes_models.csv.gz"):
        if (make := index.get(fold(row["make"]))) is not None:
            named_by[make["slug"]].add("vpic")
    for row in read(source / "osm_brand_index.csv.gz"):
        named = index.get(fold(row["display_name"])) or index.get(fold(row["brand_en"]))
        if row["shop_kind"].startswith(("car", "truck", "motorcycle")) and named is not None:
            named_by[named["slug"]].add("osm")
            add_spellings(named, (row["display_name"], *row["match_names"].split(";")), index)

    for make in makes:
        make["source"] = ";".join(sorted(named_by[make["slug"]])) or "added"
    columns = ["slug", "name", "name_ar", "aliases", "source"]
    write(VEHICLES / "makes.csv", columns, sorted(makes, key=lambda make: make["slug"]))


def add_spellings(make: Row, spellings: Iterable[str], index: dict[str, Row]) -> None:
    """Add those spellings to the make's aliases that no make has yet."""
    for spelling in spellings:
        key = fold(spelling)
        if key and key not in index:
            index[key] = make
            make["aliases"] = ";".join(filter(None, (make["aliases"], spelling)))


def wmi_makes(names: str) -> list[str]:
    """The slugs of the makes that a row of the WMI table names; makes that we do not list are left out."""
    slugs: list[str] = []
    for name in names.split(";"):
        if name in WMI_MAKE_NAMES:
            slugs.extend(WMI_MAKE_NAMES[name])
        elif (make := find_make(name)) is not None:
            slugs.append(make.slug)
    return slugs


def build_wmi(source: Path) -> None:
    """Road vehicles, and whatever else carries a known make; the curated rows add makes and manufacturers."""
    table: dict[str, Row] = {}
    for row in read(source / "wmi.csv.gz"):
        vehicle_type = VEHICLE_TYPES.get(row["vehicle_type"])
        makes = wmi_makes(row["makes"])
        if vehicle_type in {"truck", "incomplete"} and (not makes or HEAVY_MAKES & set(makes)):
            vehicle_type = "heavy_truck"
        if vehicle_type in ROAD_VEHICLES or (vehicle_type and makes):
            table[row["wmi"]] = {
                "wmi": row["wmi"],
                "manufacturer": row["manufacturer"].strip(),
                "makes": ";".join(dict.fromkeys(makes)),
                "vehicle_type": vehicle_type or "",
                "source": "vpic",
            }
    for row in read(CURATED / "wmi.csv"):
        unknown = [slug for slug in row["makes"].split(";") if find_make(slug) is None]
        if unknown:
            raise SystemExit(f"scripts/curated/wmi.csv: {row['wmi']} names unknown makes {unknown}")
        known = table.get(row["wmi"])
        if known is None:
            table[row["wmi"]] = {**row, "vehicle_type": "", "source": "added"}
        else:
            merged = dict.fromkeys(filter(None, (known["makes"] + ";" + row["makes"]).split(";")))
            known |= {"makes": ";".join(merged), "source": "vpic;added"}
    columns = ["wmi", "manufacturer", "makes", "vehicle_type", "source"]
    write(VEHICLES / "wmi.csv.gz", columns, (table[wmi] for wmi in sorted(table)))


def build_models(source: Path) -> None:
    """One row a model: the first and last model year in which it was sold."""
    years: dict[tuple[str, str], list[int]] = {}
    for row in read(source / "us_car_models_1992_2026.csv.gz"):
        make = find_make(row["make"])
        assert make is not None  # build_makes stops when one is missing
        years.setdefault((make.slug, row["model"]), []).append(int(row["year"]))
    rows = (
        {"make": make, "model": model, "first_year": str(min(sold)), "last_year": str(max(sold))}
        for (make, model), sold in sorted(years.items())
    )
    write(VEHICLES / "models.csv.gz", ["make", "model", "first_year", "last_year"], rows)


def build_shops(source: Path) -> None:
    """The shops whose licence allows shipping them, unchanged."""
    rows = [row for row in read(source / "shops.csv.gz") if row["source"] in SHOP_SOURCES]
    named = {name for row in rows for name in row["makes"].split(";") if name}
    unknown = sorted(name for name in named if find_make(name) is None)
    if unknown:
        raise SystemExit(f"shops.csv.gz names unknown makes: {unknown}")
    write(SHOPS / "shops.csv.gz", list(rows[0]), rows)


def build_demo(source: Path) -> None:
    """Where and when the demo's customers order: real places by population, real taxi pick-ups."""
    places = (
        row for row in read(source / "places_pop5000.csv.gz") if int(row["population"]) >= LEAST_POPULATION
    )
    write(DEMO / "places.csv.gz", ["name", "country", "lat", "lon", "population", "timezone"], places)
    trips = (row for row in read(source / "trips_taxi_nyc_2015_01.csv.gz") if row["source"] == TRIP_SOURCE)
    write(DEMO / "trips_nyc.csv.gz", ["pickup_time", "pickup_lat", "pickup_lon"], trips)


def main(arguments: list[str]) -> int:
    """Build everything; 2 when the folder is not given."""
    if len(arguments) != 1 or not Path(arguments[0]).is_dir():
        sys.stderr.write("usage: scripts/build-data FOLDER_WITH_THE_SOURCE_FILES\n")
        return 2
    source = Path(arguments[0])
    for build in (build_makes, build_wmi, build_models, build_shops, build_demo):
        build(source)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
