"""Parts on the beats of their file, and parts in free time."""

from __future__ import annotations

import numpy as np
import pytest

from duvhuman.rhythm.grid import grid_share, has_grid, late_by, lateness


@pytest.mark.parametrize(("unit", "step"), [(4, 1 / 4), (6, 1 / 6)])
def test_sixteenths_and_triplets_keep_to_a_grid(unit: int, step: float) -> None:
    onset = np.arange(48) * step
    assert grid_share(onset, unit) == 1
    assert has_grid(onset)


def test_a_swung_or_slightly_loose_player_keeps_to_the_grid() -> None:
    loose = np.arange(256) / 4 + np.random.default_rng(0).normal(0, 0.02, 256)
    assert has_grid(loose)


def test_a_free_recording_does_not() -> None:
    free = np.sort(np.random.default_rng(0).uniform(0, 400, 500))
    assert grid_share(free, 4) == pytest.approx(0.2, abs=0.05)  # what chance gives
    assert not has_grid(free)


@pytest.mark.parametrize("strum", [0.01, 0.03, 0.04])
def test_strums_on_the_beat_keep_to_the_grid(strum: float) -> None:
    onset = np.add.outer(np.arange(64) / 2, np.arange(6) * strum).ravel()
    assert has_grid(onset)
    assert lateness(onset) == 0.0


def test_a_part_keeps_to_a_grid_that_is_late() -> None:
    loose = np.arange(256) / 2 + np.random.default_rng(0).normal(0, 0.01, 256)
    assert lateness(loose) == 0.0
    assert lateness(loose + 0.06) == pytest.approx(0.06, abs=0.005)
    assert lateness(loose - 0.06) == pytest.approx(-0.06, abs=0.005)
    assert lateness(np.arange(100) + 0.53) == pytest.approx(0.03)  # off the beat, and late
    assert lateness(np.cumsum(np.random.default_rng(0).uniform(0.1, 1.0, 300))) is None


def test_no_onsets_contradict_no_grid() -> None:
    assert has_grid(np.zeros(0))


@pytest.mark.parametrize("unit", [2, 3, 4])
@pytest.mark.parametrize("late", [-0.04, 0.0, 0.05])
def test_what_comes_late_throughout_is_late_by_so_much(unit: int, late: float) -> None:
    onset = np.arange(200) / unit + late + np.random.default_rng(0).normal(0, 0.02, 200)
    assert late_by(onset) == pytest.approx(late, abs=0.01)


@pytest.mark.parametrize("late", [0.1, 0.13, 0.2])
def test_eighths_are_late_by_up_to_a_quarter_of_a_beat(late: float) -> None:
    onset = np.arange(200) / 2 + late + np.random.default_rng(0).normal(0, 0.01, 200)
    assert late_by(onset) == pytest.approx(late, abs=0.01)


@pytest.mark.parametrize("swing", [0.54, 0.6, 0.67])
def test_swing_on_the_beat_is_not_late(swing: float) -> None:
    assert abs(late_by(np.ravel([[beat, beat + swing] for beat in range(100)]))) < 0.025


def test_strums_in_free_time_find_no_grid() -> None:
    rng = np.random.default_rng(0)
    found = [late_by(np.repeat(np.cumsum(rng.uniform(1, 3, 12)), 6)) for _ in range(50)]
    assert sum(late is not None for late in found) <= 2


def test_what_keeps_to_no_grid_is_not_late() -> None:
    assert late_by(np.cumsum(np.random.default_rng(0).uniform(0.1, 1.0, 300))) is None
    assert late_by(np.array([0.03, 0.53])) is None
    assert late_by(np.empty(0)) is None
