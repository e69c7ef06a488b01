"""A person sees a line that moves, a log one line at the end."""

import sys

import pytest

from matcher.backup.progress import Progress


def test_a_log_gets_one_line_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("Copying") as progress:
        progress.add(1_200_000)
        progress.add(300_000)
    assert capsys.readouterr() == ("", "Copying: 1.5 MB\n")


def test_a_failure_says_enough_in_a_log(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(OSError, match="full"), Progress("Copying"):
        raise OSError("full")
    assert capsys.readouterr().err == ""


def test_a_terminal_sees_how_far_it_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with Progress("Copying", 4_000_000) as progress:
        progress.add(1_000_000)
        progress.add(3_000_000)
    assert capsys.readouterr().err == "\rCopying: 1.0 MB, 25 %\rCopying: 4.0 MB, 100 %\n"
