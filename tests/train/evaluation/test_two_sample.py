"""Whether a classifier tells players from predictions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from builders import random_score
from toys import performance

from duvhuman.train.evaluation.predictors import Rendition
from duvhuman.train.evaluation.two_sample import two_sample_auc
from duvhuman.train.pairs.deadpan import Pair, pair_as_written

pytest.importorskip("sklearn")
PARTS = 20
SONGS = [str(number) for number in range(PARTS)]


def players(*, known: bool) -> list[Pair]:
    """Parts of four phrases each, with random velocities, and lengths that are half of what is written."""
    pairs = []
    for number in range(PARTS):
        rng = np.random.default_rng(number)
        notes = random_score(256, seed=number)
        played = performance(notes, velocity=rng.integers(30, 100, 256), duration=notes.nominal_beats / 2)
        pairs.append(pair_as_written(replace(played, released=np.full(256, known)), notes.nominal_beats))
    return pairs


def same_velocities(pairs: list[Pair], articulation: float) -> list[Rendition]:
    return [Rendition(pair.played.velocity, np.full(len(pair.score), articulation)) for pair in pairs]


def test_flat_phrases_are_told_and_copies_are_not() -> None:
    pairs = players(known=True)
    copies = [Rendition(pair.played.velocity, pair.articulation) for pair in pairs]
    assert two_sample_auc(pairs, copies, SONGS) == pytest.approx(0.5, abs=0.05)
    flat = [Rendition(np.full(256, 64.0), pair.articulation) for pair in pairs]
    assert two_sample_auc(pairs, flat, SONGS) > 0.99


def test_lengths_tell_nothing_where_the_pedal_hides_the_players() -> None:
    known, hidden = players(known=True), players(known=False)
    assert two_sample_auc(known, same_velocities(known, 0.0), SONGS) > 0.99
    assert two_sample_auc(hidden, same_velocities(hidden, -2.0), SONGS) == pytest.approx(0.5, abs=0.05)


def test_a_song_is_never_judged_by_what_was_learnt_of_it() -> None:
    """Which side is the louder one can be learnt of a song, and tells nothing of the others."""
    pairs, ours, songs = [], [], []
    for _ in range(10):
        for number in range(10):
            rng, notes = np.random.default_rng(number), random_score(64, seed=number)
            level, louder = 20 + 8 * number, 2 * (-1) ** number
            human, other = (level + shift + rng.integers(-3, 4, 64) for shift in (louder, -louder))
            pairs.append(
                pair_as_written(performance(notes, velocity=human, duration=notes.nominal_beats), notes.nominal_beats)
            )
            ours.append(Rendition(other.astype(np.float64), pairs[-1].articulation))
            songs.append(str(number))
    assert two_sample_auc(pairs, ours, songs) < 0.75


def test_fractions_of_a_tick_tell_nothing() -> None:
    pairs, rng = players(known=True), np.random.default_rng(0)
    nearly = [
        Rendition(pair.played.velocity, pair.articulation + rng.uniform(-1e-3, 1e-3, len(pair.score)))
        for pair in pairs
    ]
    assert two_sample_auc(pairs, nearly, SONGS) == pytest.approx(0.5, abs=0.05)
