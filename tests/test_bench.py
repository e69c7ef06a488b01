"""`matcher bench` finds the benchmarks, hands on what it is told and says how they ended."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from matcher import bench


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(bench, "FOLDER", tmp_path)
    (tmp_path / "_helper.py").write_text("")
    (tmp_path / "echo.py").write_text(
        "import sys, pathlib\n"
        "pathlib.Path(__file__).with_suffix('.txt').write_text(' '.join(sys.argv[1:]))\n"
        "sys.exit(3)\n"
    )
    return tmp_path


def test_benchmark_is_run_with_its_options_and_its_status_is_ours(folder: Path) -> None:
    result = CliRunner().invoke(bench.bench, ["echo", "--quick", "--json", "numbers.json"])
    assert result.exit_code == 3
    assert (folder / "echo.txt").read_text() == "--quick --json numbers.json"


def test_unknown_benchmark_is_wrong_usage_and_lists_the_known(folder: Path) -> None:
    result = CliRunner().invoke(bench.bench, ["_helper"])
    assert result.exit_code == 2
    assert "there are: echo" in " ".join(result.output.split())


def test_installation_without_benchmarks_says_so(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()
    result = CliRunner().invoke(bench.bench, ["match"])
    assert result.exit_code == 2
    assert "checkout" in result.output


def test_benchmark_of_matching_exists() -> None:
    assert (bench.FOLDER / "match.py").is_file()
