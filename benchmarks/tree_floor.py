"""What gradient-boosted trees make of the network's features, and what a player's range has to do with it.

Trees see one note at a time, through the features that the network gets, and no phrase. They are a floor well above
the ridge regression, and quick to fit: a place to try ideas before a network is trained on them. Three targets of
velocity are compared: as it is, as it is with notes of wide players weighing less, and over the player's own range (the
SD of the part). Articulation is fitted to its absolute error.

Conventions
-----------
Parts are written flat as in the evaluation, of each at most the middle `--max-notes` notes. Velocity r is within a
part, articulation MAE is of ln(performed / written length); both are means over parts. Needs scikit-learn (the extra
``train``).

    python benchmarks/tree_floor.py --data prepared bass guitar
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from common import add_data_options, add_instruments
from numpy.typing import NDArray
from plain_errors import run
from sklearn.ensemble import HistGradientBoostingRegressor

from duvhuman.arrays import FloatArray
from duvhuman.humanize.features import compute_features
from duvhuman.humanize.score import Hints
from duvhuman.train.dataset import PhraseData
from duvhuman.train.evaluation.metrics import bootstrap_interval, correlation
from duvhuman.train.evaluation.predictors import flat_pair
from duvhuman.train.evaluation.report import sample_parts
from duvhuman.train.pairs.deadpan import Pair


@dataclass(frozen=True)
class Notes:
    """N notes of several parts.

    Attributes
    ----------
    features : (N, F).
    velocity : (N,) minus the part's mean.
    range : (N,) velocity SD of the part.
    articulation : (N,) log2, NaN where the key's release is not known.
    wanted : (N,) 0 for notes of bars that have occurred often enough.
    part : (N,) number of the part.
    """

    features: NDArray[np.float32]
    velocity: FloatArray
    range: FloatArray
    articulation: FloatArray
    wanted: FloatArray
    part: NDArray[np.int64]


def main() -> None:
    """Run it; see the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_instruments(parser)
    add_data_options(parser, max_parts=800, max_notes=1024, of="pack, to fit to")
    options = parser.parse_args()
    data = PhraseData(options.data)
    for instrument in options.instruments:
        train, valid = (
            gather(data, instrument, split, most, options.max_notes)
            for split, most in (("train", options.max_parts), ("valid", 60))
        )
        print(f"{instrument}: {len(train.velocity):,} notes to fit, {valid.part[-1] + 1} held-out parts", flush=True)
        for name, target, weight in (
            ("as it is", train.velocity, train.wanted),
            ("as it is, weighing 1 / range", train.velocity, train.wanted / train.range),
            ("over the player's range", train.velocity / train.range, train.wanted),
        ):
            predicted = trees("squared_error").fit(train.features, target, weight).predict(valid.features)
            each = [correlation(predicted[rows], valid.velocity[rows]) for rows in rows_of(valid)]
            low, high = bootstrap_interval(each)
            print(f"  velocity {name}: r {np.mean(each):.3f} ({low:.3f} to {high:.3f})", flush=True)
        known = np.isfinite(train.articulation)
        fitted = trees("absolute_error").fit(train.features[known], train.articulation[known], train.wanted[known])
        error = np.abs(fitted.predict(valid.features) - valid.articulation) * np.log(2)
        print(f"  articulation: MAE {np.nanmean([np.nanmean(error[rows]) for rows in rows_of(valid)]):.3f}", flush=True)


def trees(loss: str) -> HistGradientBoostingRegressor:
    """Trees that are not yet fitted."""
    return HistGradientBoostingRegressor(
        loss=loss, max_iter=300, learning_rate=0.06, max_leaf_nodes=24, min_samples_leaf=400, l2_regularization=10.0,
        random_state=0,
    )


def gather(data: PhraseData, instrument: str, split: str, max_parts: int, max_notes: int) -> Notes:
    """The notes of the parts of a split that are not played flat."""
    parts = sample_parts(data.select(split=split, instrument=instrument), max_parts)
    pairs = [pair for part in parts if (pair := flat_pair(data, part, max_notes=max_notes)) is not None]
    if not pairs:
        raise SystemExit(f"{data.name}: no {instrument} part of the split {split!r} has dynamics; prepare more data")

    def column(value: Callable[[Pair], FloatArray]) -> FloatArray:
        return np.concatenate([value(pair) for pair in pairs])

    return Notes(
        features=np.concatenate([compute_features(pair.score, Hints.none(len(pair.score))) for pair in pairs]),
        velocity=column(lambda pair: pair.played.velocity - pair.played.velocity.mean()),
        range=column(lambda pair: np.full(len(pair.score), pair.played.velocity.std())),
        articulation=column(lambda pair: pair.articulation),
        wanted=column(lambda pair: pair.played.wanted.astype(np.float64)),
        part=np.repeat(np.arange(len(pairs)), [len(pair.score) for pair in pairs]),
    )


def rows_of(notes: Notes) -> list[slice]:
    """The notes of each part."""
    edges = np.searchsorted(notes.part, np.arange(notes.part[-1] + 2))
    return [slice(low, high) for low, high in itertools.pairwise(edges.tolist())]


if __name__ == "__main__":
    run(main)
