"""Which PostgreSQL installation is used."""

from pathlib import Path

import pytest

from matcher.stack.errors import NotInstalled, WrongMajorVersion
from matcher.stack.postgres import Postgres, installations


def install(usr: Path, major: str, *, postgis: bool = True) -> None:
    (usr / "lib/postgresql" / major / "bin").mkdir(parents=True)
    (usr / "lib/postgresql" / major / "bin/initdb").touch()
    if postgis:
        (usr / "share/postgresql" / major / "extension").mkdir(parents=True)
        (usr / "share/postgresql" / major / "extension/postgis.control").touch()


def test_installations_without_postgis_do_not_count(tmp_path: Path) -> None:
    install(tmp_path, "16")
    install(tmp_path, "17", postgis=False)
    assert list(installations(tmp_path)) == [16]


def test_new_data_is_made_by_the_newest_installation(tmp_path: Path) -> None:
    install(tmp_path, "9")
    install(tmp_path, "15")
    install(tmp_path, "16")
    assert Postgres(tmp_path / "data", tmp_path).installation().major == 16


def test_existing_data_keeps_its_major_version(tmp_path: Path) -> None:
    install(tmp_path, "15")
    install(tmp_path, "16")
    (tmp_path / "data").mkdir()
    (tmp_path / "data/PG_VERSION").write_text("15\n")
    assert Postgres(tmp_path / "data", tmp_path).installation().major == 15


def test_a_missing_or_too_old_postgresql_is_reported_with_the_way_out(tmp_path: Path) -> None:
    install(tmp_path, "14")
    with pytest.raises(NotInstalled, match="scripts/bootstrap"):
        Postgres(tmp_path / "data", tmp_path).installation()


def test_data_of_a_version_that_is_not_installed_is_refused(tmp_path: Path) -> None:
    install(tmp_path, "16")
    (tmp_path / "data").mkdir()
    (tmp_path / "data/PG_VERSION").write_text("15\n")
    with pytest.raises(WrongMajorVersion, match=r"PostgreSQL 15, .*installed: 16.*postgresql-15-postgis-3"):
        Postgres(tmp_path / "data", tmp_path).installation()
