"""Parts on the beats of their file, and parts in free time."""

from __future__ import annotations

import numpy as np
import pytest

from duvhuman.rhythm.grid import grid_share, has_grid


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


def test_no_onsets_contradict_no_grid() -> None:
    assert has_grid(np.zeros(0))
