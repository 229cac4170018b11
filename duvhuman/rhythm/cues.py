"""What tells where bars begin: low notes, large chords, new harmonies.

Conventions
-----------
A performance has C chords, at `seconds` (C,) in order; ``chord`` (N,) is the number of each note's chord.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from duvhuman.arrays import FloatArray, IntArray

NEIGHBOURS, NEARBY_SECONDS, LOW_SEMITONES = 12, 1.2, 5.0
"""Chords are compared with so many to either side, if these are so near; low ones lie so far below the median."""
HARMONY_SECONDS = (1.5, 1.0)
"""Pitch classes of so long before a chord are compared with those from it on."""
CUES = (3, 3, 4)
"""How many values each cue has: how low, how large, how new."""


def find_cues(seconds: FloatArray, chord: IntArray, pitch: IntArray) -> IntArray:
    """(C, 3) what each chord has of the cues: 0 to 2 for low, 0 to 2 for large, 0 to 3 for new harmonies."""
    count = len(seconds)
    bottom, size = np.full(count, 127.0), np.bincount(chord, minlength=count).astype(np.float64)
    np.minimum.at(bottom, chord, pitch)
    others = _around(bottom, seconds)
    others[:, NEIGHBOURS] = np.nan
    others[np.isnan(others).all(axis=1)] = 0.0  # none is near: it is not low
    deep = bottom < np.nanmedian(others, axis=1) - LOW_SEMITONES
    low = deep.astype(np.int64) + (deep & (bottom <= np.nanmin(others, axis=1)))
    usual = np.nanmean(_around(size, np.zeros(count)), axis=1)
    large = (size > usual).astype(np.int64) + (size > 1.5 * usual)

    classes = np.zeros((count + 1, 12))
    np.add.at(classes, (chord + 1, pitch % 12), 1.0)
    classes = np.cumsum(classes, axis=0)
    here = np.arange(count)
    before = classes[here] - classes[np.searchsorted(seconds, seconds - HARMONY_SECONDS[0])]
    after = classes[np.searchsorted(seconds, seconds + HARMONY_SECONDS[1], "right")] - classes[here]
    norms = np.linalg.norm(before, axis=1) * np.linalg.norm(after, axis=1)
    novelty = 1.0 - (before * after).sum(axis=1) / np.maximum(norms, 1e-9)
    ranked = _around(novelty, seconds)
    known = np.isfinite(ranked)
    rank = (known & (ranked < novelty[:, None])).sum(axis=1) / known.sum(axis=1)
    new = np.minimum(np.floor(CUES[2] * rank), CUES[2] - 1)
    return np.stack([low, large, new], axis=1).astype(np.int64)


def _around(values: FloatArray, seconds: FloatArray) -> FloatArray:
    """(C, 2 * NEIGHBOURS + 1) the values of the chords around each; NaN where these are not near in time."""
    padded = np.pad(values, NEIGHBOURS, constant_values=np.nan)
    times = np.pad(seconds, NEIGHBOURS, constant_values=np.nan)
    width = 2 * NEIGHBOURS + 1
    near = np.abs(sliding_window_view(times, width) - seconds[:, None]) <= NEARBY_SECONDS
    return np.where(near, sliding_window_view(padded, width), np.nan)
