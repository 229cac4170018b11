"""Score a model on held-out parts, through the code that users' files go through, beside floors.

Conventions
-----------
The input of every part is flat: all velocities are the part's mean, and every note is written up to the next onset at
least 1/8 beat later. Metrics are those of `duvhuman.train.metrics`, averaged over parts. Notes in repeated bars count
as often as they are played.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from duvhuman.errors import DataError
from duvhuman.humanize.perform import perform
from duvhuman.humanize.score import FloatArray, Score, gap_to_next_onset, neighbours, separate_segments, window_mean
from duvhuman.models.phrase_transformer import PhraseTransformer
from duvhuman.train.dataset import PhraseData
from duvhuman.train.deadpan import Pair, pair_as_written
from duvhuman.train.metrics import articulation_metrics, bootstrap_interval, mean_over_parts, velocity_metrics
from duvhuman.train.parts import ALIVE_SD
from duvhuman.train.storage import PartRow

RIDGE_LAMBDA = 10.0
RIDGE_PARTS = 400
Prediction = tuple[FloatArray, FloatArray]
"""Velocities (N,) and articulations in log2 (N,)."""
Predictor = Callable[[Score, FloatArray], Prediction]
"""From a flat score and its written velocities (N,) to what is played."""


def flat_pairs(data: PhraseData, parts: Sequence[PartRow], *, max_notes: int = 1024) -> list[Pair]:
    """The middle `max_notes` notes of each part as a flat score and what was played on it.

    Parts whose middle is played flat are left out.
    """
    pairs = []
    for index, part in enumerate(parts):
        start = part.start + max(part.stop - part.start - max_notes, 0) // 2
        played = data.performance(np.array([[start, min(part.stop, start + max_notes), index]]), parts)
        if played.velocity.std() >= ALIVE_SD:
            pairs.append(pair_as_written(played, gap_to_next_onset(played.score)))
    return pairs


def score_pairs(pairs: Sequence[Pair], predict: Predictor) -> list[dict[str, float]]:
    """The metrics of every part."""
    rows = []
    for pair in pairs:
        velocity = pair.played.velocity
        flat = np.full(len(velocity), float(np.round(velocity.mean())))
        predicted, articulation = predict(pair.score, flat)
        rows.append(
            velocity_metrics(velocity, predicted)
            | articulation_metrics(pair.articulation * np.log(2), articulation * np.log(2))
        )
    return rows


def model_predictor(model: PhraseTransformer, *, variation: float = 0.0, seed: int = 0) -> Predictor:
    """A model as users meet it: rounded velocities, and a written staccato stays one."""

    def predict(score: Score, velocity: FloatArray) -> Prediction:
        played = perform(model, score, velocity, variation=variation, seed=seed)
        return np.round(played.velocity), np.log2(played.duration_beats / score.nominal_beats)

    return predict


def flat_predictor(score: Score, velocity: FloatArray) -> Prediction:
    """The input itself: flat, and as written."""
    return velocity, np.zeros(len(score))


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

    def __call__(self, score: Score, velocity: FloatArray) -> Prediction:
        """Play a flat score about the mean of its written velocities; every note as long as written."""
        return np.clip(velocity.mean() + ridge_features(score) @ self.weights, 1, 127), np.zeros(len(score))


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
    )  # fmt: skip
    x = np.stack([np.asarray(column, dtype=np.float64) for column in columns], axis=1)
    centred: FloatArray = x - x.mean(axis=0)
    return centred


def jitter_predictor(seed: int = 0) -> Predictor:
    """What most humanizers do: normal noise of SD 10 on velocities, of a tenth on lengths."""
    rng = np.random.default_rng(seed)

    def predict(score: Score, velocity: FloatArray) -> Prediction:
        jittered = np.clip(np.round(velocity + rng.normal(0, 10, len(score))), 1, 127)
        return jittered, np.log2(np.maximum(1 + rng.normal(0, 0.1, len(score)), 0.1))

    return predict


def evaluate_instrument(
    data: PhraseData, instrument: str, models: Mapping[str, PhraseTransformer], *, max_parts: int = 60
) -> dict[str, dict[str, float]]:
    """The table of one instrument: flat, jitter, ridge floor and models on its validation parts.

    Parameters
    ----------
    models : name of the row -> network.
    max_parts : at most so many parts of each pack, drawn with a fixed seed.

    Returns
    -------
    Row name -> the mean of each metric over parts, with ``vel_r_low`` and ``vel_r_high``, the 95 % bootstrap interval,
    and ``parts``, their number.

    Raises
    ------
    DataError
        If the data have no validation or no training part of the instrument.
    """
    valid = _sample(data.select(split="valid", instrument=instrument), max_parts)
    train = _sample(data.select(split="train", instrument=instrument), RIDGE_PARTS)
    pairs = flat_pairs(data, valid)
    if not pairs or not train:
        raise DataError(f"{data.name}: no validation or no training parts for {instrument}; prepare more data")
    predictors: dict[str, Predictor] = {
        "flat": flat_predictor, "jitter": jitter_predictor(), "ridge floor": RidgeFloor.fit(flat_pairs(data, train)),
    }  # fmt: skip
    predictors |= {name: model_predictor(model) for name, model in models.items()}
    table = {}
    for name, predict in predictors.items():
        rows = score_pairs(pairs, predict)
        low, high = bootstrap_interval([row["vel_r"] for row in rows])
        table[name] = mean_over_parts(rows) | {"vel_r_low": low, "vel_r_high": high, "parts": float(len(rows))}
    return table


def format_report(report: Mapping[str, Mapping[str, Mapping[str, float]]]) -> str:
    """Instrument -> row -> metrics as a Markdown table."""
    lines = [
        "| instrument | | velocity r (95 %) | MAE | SD ratio | JS distance | articulation r | articulation MAE (ln) |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for instrument, table in report.items():
        for name, m in table.items():
            lines.append(
                f"| {instrument} | {name} | {m['vel_r']:.3f} ({m['vel_r_low']:.3f} to {m['vel_r_high']:.3f}) "
                f"| {m['vel_mae']:.2f} | {m['vel_sd_ratio']:.2f} | {m['vel_js']:.2f} "
                f"| {m['art_r']:.3f} | {m['art_mae']:.3f} |"
            )
    return "\n".join(lines)


def _sample(parts: Sequence[PartRow], most: int) -> list[PartRow]:
    """At most `most` parts of each pack, always the same ones."""
    chosen: list[PartRow] = []
    for pack in sorted({part.pack for part in parts}):
        rows = [part for part in parts if part.pack == pack]
        chosen += [rows[i] for i in np.random.default_rng(3).permutation(len(rows))[:most]]
    return chosen


def quick_metrics(model: PhraseTransformer, pairs: Sequence[Pair]) -> dict[str, float]:
    """The mean metrics over `pairs`, and ``failed``: 1 if predictions are constant or not numbers."""
    rows = score_pairs(pairs, model_predictor(model))
    metrics = mean_over_parts(rows)
    constant = all(row["vel_sd_ratio"] < 1e-3 for row in rows)
    metrics["failed"] = float(constant or not all(np.isfinite(value) for value in metrics.values()))
    return metrics
