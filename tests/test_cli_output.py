"""What the command line shows: progress, warnings, messages and tables."""

from __future__ import annotations

import io
import warnings

import pytest

from duvhuman.cli_output import ProgressBar, collected_warnings, format_table, say
from duvhuman.errors import DuvhumanWarning


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_progress_bar_counts_files_and_wipes_itself() -> None:
    terminal = Terminal()
    bar = ProgressBar(4, stream=terminal)
    bar.draw(1, "song\x1b[2J.mid")
    assert terminal.getvalue().endswith("[######------------------] 1/4 song?[2J.mid")
    bar.clear()
    assert terminal.getvalue().endswith(" \r")


@pytest.mark.parametrize(
    ("total", "stream", "wanted"), [(1, Terminal(), True), (4, io.StringIO(), True), (4, Terminal(), False)]
)
def test_no_progress_bar_for_one_file_off_a_terminal_or_unwanted(
    total: int, stream: io.StringIO, wanted: bool
) -> None:
    bar = ProgressBar(total, stream=stream, wanted=wanted)
    bar.draw(0, "song.mid")
    bar.clear()
    assert stream.getvalue() == ""


def test_warnings_are_gathered_once_each_and_those_of_others_passed_on() -> None:
    with collected_warnings() as messages:
        for message in ("first", "second", "first"):
            warnings.warn(message, DuvhumanWarning, stacklevel=1)
    assert messages == ["first", "second"]

    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        with collected_warnings() as messages:
            warnings.warn("not mine", RuntimeWarning, stacklevel=1)
    assert messages == []
    assert [str(warning.message) for warning in shown] == ["not mine"]


def test_a_message_names_its_file_once(capsys: pytest.CaptureFixture[str]) -> None:
    say("error", "a.mid: empty", source="a.mid")
    say("warning", "drums only", source="a\x07.mid")
    assert capsys.readouterr().err == "duvhuman: error: a.mid: empty\nduvhuman: warning: a?.mid: drums only\n"


def test_a_table_aligns_its_columns() -> None:
    assert format_table([("name", "n"), ("x", "10")], indent="  ") == "  name  n\n  x     10"
