"""Run the network over a part of any length: overlapping windows, blended so that no seam is left.

Conventions
-----------
Windows have ``max_len`` notes, or all of a shorter part. Each has a block of bars in its middle, as a rule of half as
many notes at most, so that most notes are predicted twice or more; a window counts for most in its middle and for
nearly nothing at its ends.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from duvhuman.arrays import BoolArray, FloatArray, IntArray, concatenated_ranges
from duvhuman.humanize.features import CONTEXT_NOTES, compute_features
from duvhuman.humanize.score import Hints, Score
from duvhuman.models.config import (
    DURATION_BINS,
    VELOCITY_BIN_CENTRES,
    VELOCITY_BIN_WIDTH,
    VELOCITY_BINS,
    VELOCITY_CENTRE,
    VELOCITY_SCALE,
)
from duvhuman.models.phrase_transformer import PhraseTransformer

WINDOWS_PER_BATCH = 16


@dataclass(frozen=True)
class Distribution:
    """What the network says of N notes.

    Attributes
    ----------
    velocity_probabilities, duration_probabilities : (N, 16), rows sum to 1. The former are as the network said, at the
        level that it was told; `moved_velocity_probabilities` are those of MIDI velocities.
    velocity : (N,) regressed MIDI velocity, not clipped; what is played follows the bins.
    articulation : (N,) regressed log2(performed / written duration).
    louder_by : MIDI velocities, one number or (N,), that the velocity bins are to be moved up by.
    """

    velocity_probabilities: FloatArray
    velocity: FloatArray
    duration_probabilities: FloatArray
    articulation: FloatArray
    louder_by: float | FloatArray = 0.0

    @property
    def expected_velocity(self) -> FloatArray:
        """(N,) the mean of the velocity bins, MIDI, not clipped."""
        return self.velocity_probabilities @ np.array(VELOCITY_BIN_CENTRES) + self.louder_by

    @property
    def spread(self) -> FloatArray:
        """(N,) SD of the velocity bins, MIDI."""
        centres = np.array(VELOCITY_BIN_CENTRES)
        mean = self.velocity_probabilities @ centres
        return np.sqrt(np.maximum(self.velocity_probabilities @ centres**2 - mean**2, 0.0))

    def louder(self, velocities: float | FloatArray) -> Distribution:
        """The same, louder by so many MIDI velocities (softer if negative), one number or (N,)."""
        return replace(self, louder_by=self.louder_by + velocities, velocity=self.velocity + velocities)

    def select(self, rows: BoolArray) -> Distribution:
        """Some of the notes."""
        louder_by = self.louder_by if np.ndim(self.louder_by) == 0 else np.asarray(self.louder_by)[rows]
        return Distribution(
            self.velocity_probabilities[rows], self.velocity[rows], self.duration_probabilities[rows],
            self.articulation[rows], louder_by,
        )

    def moved_velocity_probabilities(self) -> FloatArray:
        """(N, 16) the probability of each bin of MIDI velocities.

        Of a bin that has been moved by a fraction of its width each of the two that it lies on takes its share; what
        would leave stays in the end bin.
        """
        moved, notes = np.zeros_like(self.velocity_probabilities), np.arange(len(self.articulation))
        for source, probability in enumerate(self.velocity_probabilities.T):
            target = np.clip(source + np.asarray(self.louder_by) / VELOCITY_BIN_WIDTH, 0, VELOCITY_BINS - 1)
            target = np.broadcast_to(target, notes.shape)
            low = np.floor(target).astype(np.int64)
            moved[notes, low] += probability * (1 - (target - low))
            moved[notes, np.minimum(low + 1, VELOCITY_BINS - 1)] += probability * (target - low)
        return moved


def window_starts(score: Score, width: int, most: int) -> IntArray:
    """Where the windows of `width` notes begin, each about one of the `blocks` of `most` notes; within the part."""
    bounds = blocks(score, most)
    middle = (bounds[:-1] + bounds[1:]) // 2
    return np.unique(np.clip(middle - width // 2, 0, len(score) - width))


def blocks(score: Score, most: int) -> IntArray:
    """Where the blocks of a part begin, and the number of its notes: no block has more than `most` notes.

    The part is divided at the bar line whose number holds the highest power of two, and what comes of it again, until
    no block has more notes. Only a bar with more notes than that is divided by their number. So an edit moves no block
    but its own, and passages that repeat every 2, 4 or 8 bars are divided alike.
    """
    begin = score.onset_beats - score.beat_in_bar
    first = np.flatnonzero(np.append(True, np.diff(begin) > score.bar_beats[:-1] / 4))  # the first of each bar
    bars = np.maximum(np.round(np.diff(begin[first]) / score.bar_beats[first[:-1]]), 1)
    number = (np.round(begin[0] / score.bar_beats[0]) + np.append(0, np.cumsum(bars))).astype(np.int64)
    # The higher the first bit in which the numbers of two bars differ, the higher a power of two lies between them.
    line, rank = first[1:], (number[1:] ^ number[:-1]).astype(np.uint64)

    def divided(low: int, high: int) -> list[int]:
        if high - low <= most:
            return [low]
        inside = slice(*np.searchsorted(line, [low + 1, high]))
        if not len(line[inside]):
            pieces = -(-(high - low) // most)
            return [low + (high - low) * k // pieces for k in range(pieces)]
        middle = int(line[inside][np.argmax(rank[inside])])
        return divided(low, middle) + divided(middle, high)

    return np.array([*divided(0, len(score)), len(score)])


def predict_distribution(
    model: PhraseTransformer, score: Score, hints: Hints, asked: slice = slice(None), *, overlapping: bool = True
) -> Distribution:
    """What `model` says of the notes `asked` for, of one part of N >= 1 notes (one segment).

    Parameters
    ----------
    overlapping : whether most notes are predicted twice or more. Else many are predicted once, and some near the end of
        a window, in little more than half the time: that suits figures of the whole part.
    """
    width = min(model.config.max_len, len(score))
    device = next(model.parameters()).device
    starts = window_starts(score, width, max(width // 2, 1) if overlapping else width)
    low, high, _ = asked.indices(len(score))
    starts = starts[(starts + width > low) & (starts < high)]
    weight = _window_weight(width)
    n = len(score)
    sums = [np.zeros((n, VELOCITY_BINS)), np.zeros(n), np.zeros((n, DURATION_BINS)), np.zeros(n)]
    total = np.zeros(len(score))
    for first in range(0, len(starts), WINDOWS_PER_BATCH):
        chosen = starts[first : first + WINDOWS_PER_BATCH]
        rows = chosen[:, None] + np.arange(width)  # (W, width)
        with torch.inference_mode(), torch.autocast(device.type, enabled=False):  # whatever is on around us
            features = window_features(score, hints, chosen, width)
            out = model(
                *(torch.from_numpy(values).to(device) for values in (score.pitch[rows], score.program[rows], features))
            )
            predicted = (
                out.velocity_logits.float().softmax(-1), out.velocity_value.float(),
                out.duration_logits.float().softmax(-1), out.duration_value.float(),
            )
        total += np.bincount(rows.ravel(), np.tile(weight, len(rows)), len(score))
        for column, values in zip(sums, predicted, strict=True):
            said = values.cpu().numpy().astype(np.float64)
            np.add.at(column, rows, said * (weight[:, None] if said.ndim == 3 else weight))
    velocity_bins, velocity, duration_bins, articulation = (
        column[asked] / (total[asked, None] if column.ndim == 2 else total[asked]) for column in sums
    )
    return Distribution(velocity_bins, VELOCITY_CENTRE + VELOCITY_SCALE * velocity, duration_bins, articulation)


def window_features(score: Score, hints: Hints, starts: IntArray, width: int) -> NDArray[np.float32]:
    """(W, width, F) features of the windows at `starts`, all within the part.

    As in training, a window sees `CONTEXT_NOTES` notes on either side and nothing of the part beyond them.
    """
    low, high = np.maximum(starts - CONTEXT_NOTES, 0), np.minimum(starts + width + CONTEXT_NOTES, len(score))
    index, window = concatenated_ranges(low, high)
    values = compute_features(score.select(index).replace(segment=window), hints.select(index))
    place = index - starts[window]
    return values[(place >= 0) & (place < width)].reshape(len(starts), width, -1)


def _window_weight(width: int) -> FloatArray:
    """(width,) how much each note of a window counts: a triangle."""
    return np.minimum(np.arange(1, width + 1), np.arange(width, 0, -1)).astype(np.float64)
