"""A two-sample test: can a classifier tell a player's phrases from ours?

Conventions
-----------
0.5 is "it cannot", 1 is "always". Articulation is capped at 10 % over the written length on both sides first: how long
notes ring on past their writing depends on the pedal and on the writing more than on the player. Where the pedal hides
when a key was released, both sides count as played as written. Velocities and lengths are rounded as files hold them,
to whole numbers and 1/480 beat: it is the playing that is to be told, not fractions of a tick. Needs scikit-learn (the
extra ``train``).
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray

from duvhuman.arrays import FloatArray
from duvhuman.humanize.score import Score, chord_numbers
from duvhuman.train.data.storage import TICKS_PER_BEAT
from duvhuman.train.evaluation.metrics import correlation
from duvhuman.train.evaluation.predictors import Rendition
from duvhuman.train.pairs.deadpan import Pair

PHRASE_NOTES = 64
ARTICULATION_CAP = float(np.log2(1.1))
FOLDS = 5
_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def can_classify() -> bool:
    """Whether scikit-learn is there."""
    return find_spec("sklearn") is not None


def two_sample_auc(pairs: Sequence[Pair], predicted: Sequence[Rendition], songs: Sequence[str]) -> float:
    """Area under the ROC curve of a gradient-boosted classifier, cross-validated by song.

    Parameters
    ----------
    pairs, predicted, songs : a part each, what was played on it by us, and the song it is from.

    Returns
    -------
    0..1, of human (0) against predicted (1) phrases of `PHRASE_NOTES` notes; NaN with fewer songs than folds.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import GroupKFold, cross_val_predict
    from threadpoolctl import threadpool_limits

    rows, side, group = [], [], []
    for pair, ours, song in zip(pairs, predicted, songs, strict=True):
        for start in range(0, len(pair.score) - PHRASE_NOTES + 1, PHRASE_NOTES):
            notes = np.arange(start, start + PHRASE_NOTES)
            score, known = pair.score.select(notes), np.isfinite(pair.articulation[notes])
            for label, velocity, articulation in (
                (0, pair.played.velocity, pair.articulation), (1, ours.velocity, ours.articulation),
            ):
                lengths = np.where(known, _in_ticks(score, articulation[notes]), 0.0)
                rows.append(phrase_statistics(score, np.round(velocity[notes]), lengths))
                side.append(label)
                group.append(song)
    if len(set(group)) < FOLDS:
        return float("nan")
    classifier = HistGradientBoostingClassifier(random_state=0)
    with threadpool_limits(limits=1):  # threads gain nothing on so few rows, and crawl on a busy machine
        probability = cross_val_predict(
            classifier, np.array(rows), np.array(side), groups=np.array(group), cv=GroupKFold(FOLDS),
            method="predict_proba",
        )
    return float(roc_auc_score(side, probability[:, 1]))


def _in_ticks(score: Score, articulation: FloatArray) -> FloatArray:
    """`articulation` of notes that last whole ticks, one at least."""
    ticks = np.maximum(np.round(score.nominal_beats * 2.0**articulation * TICKS_PER_BEAT), 1.0)
    return np.log2(ticks / TICKS_PER_BEAT / score.nominal_beats)


def phrase_statistics(score: Score, velocity: FloatArray, articulation: FloatArray) -> NDArray[np.float64]:
    """(K,) what a classifier is told of a phrase: spreads, shapes, steps, repetitions, and what they go along with."""
    articulation = np.minimum(articulation, ARTICULATION_CAP)
    pitch = score.pitch.astype(np.float64)
    chord = chord_numbers(score)
    size = np.bincount(chord)
    chord_mean = np.bincount(chord, velocity) / size
    inside = velocity - chord_mean[chord]
    gap = np.append(np.diff(score.onset_beats), 0.0)
    columns: list[float] = [float(np.abs(inside[size[chord] > 1]).mean()) if (size > 1).any() else 0.0]
    for values in (velocity, articulation):
        step = np.diff(values)
        centred = values - values.mean()
        columns += [values.mean(), values.std(), np.abs(step).mean(), float(np.mean(step == 0))]
        columns += list(np.quantile(centred, _QUANTILES))
        columns += [len(np.unique(np.round(values, 3))) / len(values), float((centred**3).mean())]
        columns += [correlation(values[:-lag], values[lag:]) for lag in (1, 2, 4, 8)]
        columns += [correlation(values, other) for other in (pitch, gap, score.nominal_beats)]
        columns += [correlation(values, np.cos(2 * np.pi * score.beat_in_bar / beats)) for beats in (1.0, 2.0, 4.0)]
    top = float(np.bincount(velocity.astype(np.int64)).max()) / len(velocity)
    columns += [correlation(velocity, articulation), top, float(np.mean(articulation >= ARTICULATION_CAP - 1e-6))]
    columns += [float(np.mean(np.abs(articulation) < 0.02)), correlation(chord_mean[:-1], chord_mean[1:])]
    return np.array(columns, dtype=np.float64)
