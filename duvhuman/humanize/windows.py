"""Run the network over a part of any length: overlapping windows, blended so that no seam is left.

Conventions
-----------
Windows of ``max_len`` notes begin every half window, so that every note but the outermost is predicted twice; a
window counts for most in its middle and for nearly nothing at its ends.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from duvhuman.humanize.features import compute_features
from duvhuman.humanize.score import FloatArray, Hints, IntArray, Score
from duvhuman.models.phrase_transformer import VELOCITY_CENTRE, VELOCITY_SCALE, PhraseTransformer

WINDOWS_PER_BATCH = 16


@dataclass(frozen=True)
class Distribution:
    """What the network says of N notes.

    Attributes
    ----------
    velocity_probabilities, duration_probabilities : (N, 16), rows sum to 1.
    velocity : (N,) regressed MIDI velocity, not clipped.
    articulation : (N,) regressed log2(performed / written duration).
    """

    velocity_probabilities: FloatArray
    velocity: FloatArray
    duration_probabilities: FloatArray
    articulation: FloatArray


def window_starts(n: int, max_len: int) -> IntArray:
    """Where the windows over n notes begin: every half window until one reaches the end."""
    hop = max(max_len // 2, 1)
    return np.arange(0, max(n - max_len, 0) + hop, hop)


def predict_distribution(model: PhraseTransformer, score: Score, hints: Hints) -> Distribution:
    """What `model` says of one part of N >= 1 notes (one segment)."""
    max_len = model.config.max_len
    device = next(model.parameters()).device
    features = compute_features(score, hints)
    starts = window_starts(len(score), max_len)
    index = starts[:, None] + np.arange(max_len)  # (W, max_len)
    mask = index < len(score)
    index = np.minimum(index, len(score) - 1)
    sums = [np.zeros((len(score), 16)), np.zeros(len(score)), np.zeros((len(score), 16)), np.zeros(len(score))]
    total = np.zeros(len(score))
    for first in range(0, len(starts), WINDOWS_PER_BATCH):
        rows, real = index[first : first + WINDOWS_PER_BATCH], mask[first : first + WINDOWS_PER_BATCH]
        with torch.inference_mode():
            out = model(
                *(torch.from_numpy(values[rows]).to(device) for values in (score.pitch, score.program, features)),
                None if real.all() else torch.from_numpy(real).to(device),
            )
            predicted = (
                out.velocity_logits.float().softmax(-1), out.velocity_value.float(),
                out.duration_logits.float().softmax(-1), out.duration_value.float(),
            )  # fmt: skip
        weight = (_window_weight(real) * real)[real]
        notes = rows[real]
        total += np.bincount(notes, weight, len(score))
        for column, values in zip(sums, predicted, strict=True):
            flat = values.cpu().numpy().astype(np.float64)[real]
            np.add.at(column, notes, flat * (weight[:, None] if flat.ndim == 2 else weight))
    velocity_p, velocity, duration_p, articulation = (
        column / (total[:, None] if column.ndim == 2 else total) for column in sums
    )
    return Distribution(velocity_p, VELOCITY_CENTRE + VELOCITY_SCALE * velocity, duration_p, articulation)


def _window_weight(real: NDArray[np.bool_]) -> FloatArray:
    """(W, max_len) triangular weights over the real notes of each window."""
    length = real.sum(axis=1, keepdims=True)
    place = np.arange(real.shape[1])
    weight: FloatArray = np.maximum(np.minimum(place + 1, length - place), 1e-3).astype(np.float64)
    return weight
