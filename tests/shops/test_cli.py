"""`matcher shops import` as it is typed."""

import csv
import io
from pathlib import Path

import pytest

from matcher.cli import run
from matcher.shops.import_rows import MAX_CHARS


@pytest.fixture
def database(monkeypatch: pytest.MonkeyPatch, database_url: str, clean_database: None) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)


def _template(capsys: pytest.CaptureFixture[str]) -> str:
    assert run(["shops", "import", "--template"]) == 0
    return capsys.readouterr().out


def test_the_template_imports_as_it_is(
    database: None, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    text = _template(capsys)
    assert next(csv.reader(io.StringIO(text))) == list(MAX_CHARS)
    file = tmp_path / "mine.csv"
    file.write_text(text)
    assert run(["shops", "import", str(file), "--dry-run"]) == 0
    assert "Dry run" in capsys.readouterr().out
    assert run(["shops", "import", str(file)]) == 0
    assert "inserted" in capsys.readouterr().out


def test_refused_rows_are_reported_and_end_with_status_1(
    database: None, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file, report = tmp_path / "mine.csv", tmp_path / "report.csv"
    file.write_text(_template(capsys).replace("30.0444", "300"))
    assert run(["shops", "import", str(file), "--report", str(report)]) == 1
    assert list(csv.reader(io.StringIO(report.read_text()))) == [
        ["line", "column", "value", "reason"],
        ["2", "lat", "300", "must be from -90 to 90 degrees"],
    ]
    assert run(["shops", "import", str(file)]) == 1
    assert "line 2, lat" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["missing.csv"],
        ["--kind", "bakery", "--shipped"],
        ["--radius-m", "0", "--shipped"],
        ["--generate-makes", "x", "--shipped"],
    ],
)
def test_wrong_usage_ends_with_status_2(arguments: list[str]) -> None:
    assert run(["shops", "import", *arguments]) == 2
