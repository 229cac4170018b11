"""The live line of a run."""

from __future__ import annotations

import io
import os

import pytest

from duvhuman.live_line import clock_text
from duvhuman.train.run.progress import ProgressLine


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True

    @property
    def shown(self) -> str:
        """What is read on the last line now."""
        cells: list[str] = []
        place = 0
        for character in self.getvalue():
            if character == "\r":
                place = 0
            else:
                cells[place : place + 1] = character
                place += 1
        return "".join(cells).rstrip()


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr("shutil.get_terminal_size", lambda: os.terminal_size((int(os.environ["COLUMNS"]), 24)))


def guitar_line(total_steps: int, stream: io.StringIO, clock: Clock, *, epochs: int = 1) -> ProgressLine:
    return ProgressLine(total_steps, stream, label="guitar base", epochs=epochs, clock=clock)


def test_the_line_tells_the_run_the_epoch_the_steps_the_speed_and_what_is_left() -> None:
    stream, clock = Terminal(), Clock()
    line = guitar_line(1000, stream, clock, epochs=20)
    line.update(1, 2000)
    for step in (101, 251):
        clock.now += 10.0
        line.update(step, 2000 * step)
    # 251 of 1000 steps: 6 of 24 cells, epoch ceil(251 / 50); 250 steps of 2000 notes in 20 s.
    assert stream.shown == (
        "guitar base  epoch 6/20  [######------------------] 251/1000  25,000 notes/s  ETA 1:00"
    )


def test_the_speed_is_that_of_the_last_seconds_and_the_eta_that_of_the_whole_run() -> None:
    stream, clock = Terminal(), Clock()
    line = guitar_line(400, stream, clock)
    notes = 0
    for second in range(101):  # one step a second; 10 notes a second at first, 1000 in the last half
        line.update(second, notes)
        notes += 10 if second < 50 else 1000
        clock.now += 1.0
    assert "1,000 notes/s  ETA 5:00" in stream.shown


def test_a_resumed_run_counts_its_own_time_and_notes_only() -> None:
    stream, clock = Terminal(), Clock()
    line = guitar_line(1000, stream, clock)
    line.update(901, 9_010_000)
    clock.now += 10.0
    line.update(951, 9_011_000)
    assert stream.shown.endswith("951/1000  100 notes/s  ETA 0:10")


def test_validation_between_two_epochs_counts_in_the_eta() -> None:
    stream, clock = Terminal(), Clock()
    line = guitar_line(40, stream, clock)
    for step in range(11):
        line.update(step, 0)
        clock.now += 1.0
    clock.now += 9.0  # ten steps in ten seconds, ten for validation
    line.update(10, 0)
    assert stream.shown.endswith("ETA 1:00")


def test_the_line_is_drawn_at_most_five_times_a_second() -> None:
    stream, clock = Terminal(), Clock()
    line = guitar_line(1000, stream, clock)
    for step in range(1000):
        line.update(step, step)
        clock.now += 1 / 128
    assert stream.getvalue().count("\r") == pytest.approx(1000 / 128 * 5, abs=2)


def test_a_line_is_never_wider_than_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    stream = Terminal()
    guitar_line(1000, stream, Clock(), epochs=20).update(500, 1)
    assert stream.shown == "guitar base  epoch 10/20  [##"
    assert len(stream.shown) == 29


def test_a_shorter_line_leaves_nothing_of_a_longer_one() -> None:
    stream, clock = Terminal(), Clock()
    line = guitar_line(100, stream, clock)
    line.update(1, 0)
    clock.now += 1.0
    line.update(2, 10**12)
    clock.now += 100.0
    line.update(100, 10**12)
    assert stream.shown == "guitar base  epoch 1/1  [########################] 100/100  0 notes/s  ETA 0:00"


def test_clearing_leaves_an_empty_line_and_the_next_step_draws_anew() -> None:
    stream = Terminal()
    line = guitar_line(10, stream, Clock())
    line.update(1, 0)
    line.clear()
    assert stream.shown == ""
    assert stream.getvalue().endswith("\r")
    written = stream.getvalue()
    line.clear()
    assert stream.getvalue() == written
    line.update(2, 0)
    assert "2/10" in stream.shown


def test_off_a_terminal_there_is_a_plain_line_a_minute() -> None:
    stream, clock = io.StringIO(), Clock()
    line = guitar_line(1000, stream, clock)
    for step in range(1, 151):  # a step a second
        line.update(step, 100 * step)
        clock.now += 1.0
    line.clear()
    assert stream.getvalue() == (
        "guitar base  epoch 1/1  [#-----------------------] 61/1000  100 notes/s  ETA 15:39\n"
        "guitar base  epoch 1/1  [##----------------------] 121/1000  100 notes/s  ETA 14:39\n"
    )


def test_more_steps_than_expected_and_none_at_all_are_shown_without_complaint() -> None:
    for total, done in ((10, 25), (0, 0), (0, 3)):
        stream, clock = Terminal(), Clock()
        line = guitar_line(total, stream, clock, epochs=2)
        line.update(0, 0)
        clock.now += 1.0
        line.update(done, 5)
        assert f"] {done}/{max(total, 1)}" in stream.shown
        assert "-:" not in stream.shown


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (59.6, "1:00"), (754, "12:34"), (3599.7, "1:00:00"), (90061, "25:01:01")]
)
def test_times_read_as_a_clock(seconds: float, text: str) -> None:
    assert clock_text(seconds) == text
