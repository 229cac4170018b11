"""The ceiling: a player's own repetitions."""

from __future__ import annotations

import numpy as np
import pytest
from builders import score
from toys import performance

from duvhuman.train.evaluation.ceiling import repeated_notes, repetition_ceiling
from duvhuman.train.evaluation.predictors import Rendition
from duvhuman.train.pairs.deadpan import Pair, pair_as_written

BARS, NOTES = 9, 8
CONTENT = np.array([0, 1, 0, 2, 0, 1, 3, 0, 1])
"""What is played in each bar: bars of one number have the same pitches at the same places."""


def player(velocity: np.ndarray, *, grid: bool = True) -> Pair:
    """Bars of eighths; `velocity` (BARS, NOTES)."""
    pitch = 50 + 10 * np.repeat(CONTENT, NOTES) % 40 + np.arange(BARS * NOTES) % NOTES
    line = score(np.arange(BARS * NOTES) / 2, pitch, length=0.5, grid=grid)
    return pair_as_written(performance(line, velocity=velocity.ravel(), duration=0.4), line.nominal_beats)


def accents(seed: int, *, noise: float) -> np.ndarray:
    rng = np.random.default_rng(seed)
    of_content = rng.integers(30, 110, (4, NOTES))
    return np.clip(of_content[CONTENT] + np.round(noise * rng.standard_normal((BARS, NOTES))), 1, 127)


def ceiling(pairs: list[Pair]) -> tuple[dict[str, float], dict[str, float]] | None:
    """Beside a model that knows the velocities, and holds all notes twice as long as was played."""
    return repetition_ceiling(pairs, [Rendition(pair.played.velocity, pair.articulation + 1) for pair in pairs])


def test_a_bar_is_compared_with_the_one_before_it_of_the_same_content() -> None:
    earlier, later = repeated_notes(player(accents(0, noise=5)))
    pairs = set(zip((earlier // NOTES).tolist(), (later // NOTES).tolist(), strict=True))
    assert pairs == {(0, 2), (2, 4), (4, 7), (1, 5), (5, 8)}
    assert (earlier % NOTES == later % NOTES).all()


def test_a_copy_tells_nothing() -> None:
    velocity = accents(0, noise=5)
    velocity[2] = velocity[0]
    earlier, _ = repeated_notes(player(velocity))
    assert set((earlier // NOTES).tolist()) == {1, 2, 4, 5}
    assert ceiling([player(accents(0, noise=0))]) is None


def test_without_a_beat_there_are_no_bars() -> None:
    earlier, later = repeated_notes(player(accents(0, noise=5), grid=False))
    assert len(earlier) == len(later) == 0


def test_the_ceiling_is_high_for_players_who_repeat_themselves() -> None:
    faithful, ours = ceiling([player(accents(seed, noise=3)) for seed in range(4)])
    fickle, _ = ceiling([player(accents(seed, noise=60)) for seed in range(4)])
    assert faithful["parts"] == 4.0
    assert faithful["vel_r"] > 0.95 > 0.5 > fickle["vel_r"]
    assert faithful["art_mae"] == pytest.approx(0.0)
    assert ours["parts"] == 4.0
    assert ours["vel_r"] == pytest.approx(1.0)  # on the same notes; these are all that was played
    assert ours["art_mae"] == pytest.approx(np.log(2))
