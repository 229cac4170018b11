"""Run the network over a part of any length: overlapping windows, blended so that no seam is left.

Conventions
-----------
Windows of ``max_len`` notes begin every half window, so that every note but the outermost is predicted twice; a
window counts for most in its middle and for nearly nothing at its ends.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from numpy.typing import NDArray

from duvhuman.humanize.features import CONTEXT_NOTES, compute_features
from duvhuman.humanize.score import FloatArray, Hints, IntArray, Score, concatenated_ranges
from duvhuman.models.config import VELOCITY_BIN_WIDTH, VELOCITY_BINS
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

    def select(self, notes: slice) -> Distribution:
        """What it says of some of the notes."""
        return Distribution(*(getattr(self, field.name)[notes] for field in fields(self)))

    def louder(self, bins: float | FloatArray) -> Distribution:
        """The same, its velocities moved up by so many bins (down if negative), one number or (N,).

        What would leave stays in the end bin. Of what moves by a fraction each of the two bins takes its share, so that
        the mean moves by as much.
        """
        moved, notes = np.zeros_like(self.velocity_probabilities), np.arange(len(self.velocity))
        for source, probability in enumerate(self.velocity_probabilities.T):
            target = np.broadcast_to(np.clip(source + np.asarray(bins), 0, VELOCITY_BINS - 1), notes.shape)
            low = np.floor(target).astype(np.int64)
            moved[notes, low] += probability * (1 - (target - low))
            moved[notes, np.minimum(low + 1, VELOCITY_BINS - 1)] += probability * (target - low)
        return replace(self, velocity_probabilities=moved, velocity=self.velocity + bins * VELOCITY_BIN_WIDTH)


def window_starts(n: int, max_len: int) -> IntArray:
    """Where the windows over n notes begin: every half window until one reaches the end."""
    hop = max(max_len // 2, 1)
    return np.arange(0, max(n - max_len, 0) + hop, hop)


def predict_distribution(model: PhraseTransformer, score: Score, hints: Hints) -> Distribution:
    """What `model` says of one part of N >= 1 notes (one segment)."""
    width = min(model.config.max_len, len(score))
    device = next(model.parameters()).device
    starts = window_starts(len(score), width)
    index = starts[:, None] + np.arange(width)  # (W, width)
    mask = index < len(score)
    index = np.minimum(index, len(score) - 1)
    sums = [np.zeros((len(score), 16)), np.zeros(len(score)), np.zeros((len(score), 16)), np.zeros(len(score))]
    total = np.zeros(len(score))
    for first in range(0, len(starts), WINDOWS_PER_BATCH):
        rows, real = index[first : first + WINDOWS_PER_BATCH], mask[first : first + WINDOWS_PER_BATCH]
        with torch.inference_mode():
            features = window_features(score, hints, starts[first : first + WINDOWS_PER_BATCH], width)
            out = model(
                *(torch.from_numpy(values).to(device) for values in (score.pitch[rows], score.program[rows], features)),
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


def window_features(score: Score, hints: Hints, starts: IntArray, width: int) -> NDArray[np.float32]:
    """(W, width, F) features of the windows at `starts`, 0 past the end of the part.

    As in training, a window sees `CONTEXT_NOTES` notes on either side and nothing of the part beyond them.
    """
    low, high = np.maximum(starts - CONTEXT_NOTES, 0), np.minimum(starts + width + CONTEXT_NOTES, len(score))
    index, window = concatenated_ranges(low, high)
    values = compute_features(score.select(index).replace(segment=window), hints.select(index))
    place = index - starts[window]
    core = (place >= 0) & (place < width)
    features = np.zeros((len(starts), width, values.shape[1]), dtype=np.float32)
    features[window[core], place[core]] = values[core]
    return features


def _window_weight(real: NDArray[np.bool_]) -> FloatArray:
    """(W, width) triangular weights over the real notes of each window."""
    length = real.sum(axis=1, keepdims=True)
    place = np.arange(real.shape[1])
    weight: FloatArray = np.maximum(np.minimum(place + 1, length - place), 1e-3).astype(np.float64)
    return weight
