"""The ridge floor: what a linear regression on 8 features reaches, which any model has to beat.

Conventions
-----------
Arrays are (N,) over the notes of one part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from duvhuman.arrays import FloatArray, neighbours, window_mean
from duvhuman.humanize.score import Score, separate_segments
from duvhuman.train.evaluation.predictors import Rendition
from duvhuman.train.pairs.deadpan import Pair

RIDGE_LAMBDA = 10.0


@dataclass(frozen=True)
class RidgeFloor:
    """Ridge regression on 8 features of each note, all minus their part's mean: what little a model must beat."""

    weights: FloatArray

    @classmethod
    def fit(cls, pairs: Sequence[Pair]) -> RidgeFloor:
        """Fit on training pairs; targets are velocities minus their part's mean."""
        gram, moment = RIDGE_LAMBDA * np.eye(8), np.zeros(8)
        for pair in pairs:
            x = ridge_features(pair.score)
            gram += x.T @ x
            moment += x.T @ (pair.played.velocity - pair.played.velocity.mean())
        weights: FloatArray = np.linalg.solve(gram, moment).astype(np.float64)
        return cls(weights)

    def __call__(self, score: Score, velocity: FloatArray) -> Rendition:
        """Play a flat score about the mean of its written velocities; every note as long as written."""
        predicted = np.clip(velocity.mean() + ridge_features(score) @ self.weights, 1, 127)
        return Rendition(predicted, np.zeros(len(score)))


def ridge_features(score: Score) -> FloatArray:
    """The 8 features of each note of one part, (N, 8), minus their mean over the part.

    These are pitch / 12, its square, top and bottom of the chord, ln chord size, ln written length in beats, height
    over the mean of the 25 notes around it / 12, and whether it is on a beat. A chord is one onset.
    """
    pitch = score.pitch / 12.0
    time = separate_segments(score.onset_beats, score.segment)
    low, high = neighbours(time, 1e-3)
    index = np.arange(len(score))
    chord = np.cumsum(np.append(True, np.diff(time) > 2e-3)) - 1
    top, bottom = np.full(chord[-1] + 1, -1.0), np.full(chord[-1] + 1, 1e3)
    np.maximum.at(top, chord, pitch)
    np.minimum.at(bottom, chord, pitch)
    nearby = window_mean(pitch, np.maximum(index - 12, 0), np.minimum(index + 13, len(score)))
    beat = score.beat_in_bar - np.round(score.beat_in_bar)
    columns = (
        pitch, pitch**2, pitch == top[chord], pitch == bottom[chord], np.log(high - low),
        np.log(np.maximum(score.nominal_beats, 1e-3)), pitch - nearby, np.abs(beat) < 1e-3,
    )
    x = np.stack([np.asarray(column, dtype=np.float64) for column in columns], axis=1)
    return x - x.mean(axis=0)
