"""What ships is small, has a stated source, and is only what its licence allows."""

import csv
import gzip
from pathlib import Path

import pytest

import matcher
from matcher.vehicles.makes import find_make

PACKAGE = Path(matcher.__file__).parent
DATA_FOLDERS = [PACKAGE / name / "data" for name in ("vehicles", "shops", "demo")]
LICENCES = (PACKAGE.parent / "DATA-LICENSES.md").read_text(encoding="utf-8")


def read(*path: str) -> list[dict[str, str]]:
    with gzip.open(PACKAGE.joinpath(*path), "rt", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("folder", DATA_FOLDERS, ids=lambda folder: folder.parent.name)
def test_every_data_file_has_a_stated_source_and_licence(folder: Path) -> None:
    readme = (folder / "README.md").read_text(encoding="utf-8")
    files = [file for file in folder.iterdir() if file.name != "README.md"]
    assert files
    for file in files:
        assert file.name in readme
        assert str(file.relative_to(PACKAGE.parent)) in LICENCES


def test_data_files_are_small_together() -> None:
    assert sum(file.stat().st_size for folder in DATA_FOLDERS for file in folder.iterdir()) < 2_000_000


def test_packed_files_carry_no_time_so_that_a_rebuild_gives_the_same_bytes() -> None:
    for file in (file for folder in DATA_FOLDERS for file in folder.glob("*.gz")):
        assert file.read_bytes()[4:8] == b"\0\0\0\0"


def test_shipped_shops_are_those_whose_licence_allows_it() -> None:
    shops = read("shops", "data", "shops.csv.gz")
    assert len(shops) == len({shop["shop_id"] for shop in shops}) == 22_117
    assert {shop["source"] for shop in shops} == {"osm", "autozone", "ford", "hyundai"}
    for shop in shops:
        assert -90 <= float(shop["lat"]) <= 90
        assert -180 <= float(shop["lon"]) <= 180
        assert all(find_make(name) for name in shop["makes"].split(";") if name)


def test_demo_places_are_large_and_have_a_time_zone() -> None:
    places = read("demo", "data", "places.csv.gz")
    assert list(places[0]) == ["name", "country", "lat", "lon", "population", "timezone"]
    assert len(places) == 12_325
    assert all(int(place["population"]) >= 50_000 and place["timezone"] for place in places)


def test_demo_trips_start_in_new_york() -> None:
    trips = read("demo", "data", "trips_nyc.csv.gz")
    assert list(trips[0]) == ["pickup_time", "pickup_lat", "pickup_lon"]
    assert len(trips) == 9_999
    assert all(
        40 < float(trip["pickup_lat"]) < 42 and -75 < float(trip["pickup_lon"]) < -72 for trip in trips
    )
