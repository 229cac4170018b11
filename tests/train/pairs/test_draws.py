"""Random numbers that follow from each phrase's key alone."""

from __future__ import annotations

import numpy as np
import pytest
from toys import seeded_draws

from duvhuman.train.pairs.draws import Draws, phrase_keys

PHRASES = np.array([[0, 128, 0, 0], [128, 256, 0, 0], [128, 256, 0, 1], [0, 128, 1, 0]])


def test_keys_tell_phrases_passes_epochs_and_seeds_apart() -> None:
    keys = [phrase_keys(seed, epoch, PHRASES) for seed in (0, 1) for epoch in (0, 1)]
    assert len(np.unique(keys)) == 16
    assert np.array_equal(keys[0], phrase_keys(0, 0, PHRASES))


def test_a_phrase_draws_the_same_in_any_company() -> None:
    def drawn(rows: list[int]) -> list[np.ndarray]:
        draws = Draws(phrase_keys(7, 2, PHRASES[rows]))
        segment = np.repeat(np.arange(len(rows)), 3)
        return [draws.random(), draws.integers(-4, 5), draws.per_note(segment).reshape(-1, 3), draws.uniform(2, 3)]

    together, alone = drawn([0, 1, 2, 3]), drawn([2])
    for whole, own in zip(together, alone, strict=True):
        assert np.array_equal(whole[2], own[0])


def test_every_call_draws_anew() -> None:
    draws = seeded_draws(1, 1000)
    one, other = draws.random(), draws.random()
    assert abs(np.corrcoef(one, other)[0, 1]) < 0.1
    assert abs(np.corrcoef(one[:-1], one[1:])[0, 1]) < 0.1


def test_draws_are_spread_evenly_within_their_limits() -> None:
    draws = seeded_draws(3, 20_000)
    assert np.histogram(draws.random(), 10, (0, 1))[0] == pytest.approx(np.full(10, 2000), rel=0.1)
    uniform = draws.uniform(-2.0, 6.0)
    assert -2.0 <= uniform.min() < uniform.max() < 6.0
    assert np.bincount(draws.integers(-4, 5) + 4).tolist() == pytest.approx([20_000 / 9] * 9, rel=0.1)
    assert draws.chance(0.3).mean() == pytest.approx(0.3, abs=0.02)
    assert draws.chance(0.0).sum() == 0
    assert draws.chance(1.0).all()
    notes = draws.per_note(np.repeat(np.arange(20_000), 2)).reshape(-1, 2)
    assert abs(np.corrcoef(notes.T)[0, 1]) < 0.03
