"""Which notes stand at the same place of bars that are written alike.

Players repeat themselves, sequencers copy, and whoever writes a bar twice wants it played twice. What is expected of
its notes differs only for what stands around it, and a little: stretched, 3 velocities between the ends of a section
were 25.
"""

from __future__ import annotations

import numpy as np

from duvhuman.humanize.keyed import KeyArray, mix
from duvhuman.humanize.score import SHORTEST_BEATS, FloatArray, IntArray, Score

PLACES_PER_BEAT = 12
"""Notes in one twelfth of a beat stand at one place: sixteenths and triplets do not."""
TOLD_APART_BEATS = 0.175
"""Lengths are others from here on, and from each doubling of it: half of a note's value is another one, three quarters
of it are not, nor is a triplet's."""
TEMPI_PER_OCTAVE = 2
"""Tempi are told apart by half octaves, from the part's usual one: no ritardando makes equal bars others."""


def equal_bars(score: Score) -> IntArray:
    """(N,) numbers that notes have in common which are equal, at equal places of bars of equal notes.

    Bars are equal if the same pitches begin at the same places, with the same programs, metre and, more or less, tempo;
    of their notes those are that are written more or less as long. A part without a grid has no bars: each note has a
    number of its own.
    """
    if not score.grid_known.all():
        return np.arange(len(score))
    begins = score.onset_beats - score.beat_in_bar
    starts = np.flatnonzero(np.append(True, np.abs(np.diff(begins)) > 1 / PLACES_PER_BEAT))
    octaves = np.log2(score.tempo_bpm / np.median(score.tempo_bpm))
    note = _key_of(
        score.pitch, score.program, octaves * TEMPI_PER_OCTAVE, score.beat_in_bar * PLACES_PER_BEAT,
        score.bar_beats * PLACES_PER_BEAT,
    )  # fmt: skip
    bar = np.repeat(np.add.reduceat(note, starts), np.diff(np.append(starts, len(note))))
    length = np.floor(np.log2(np.maximum(np.nan_to_num(score.nominal_beats), SHORTEST_BEATS) / TOLD_APART_BEATS))
    return np.unique(mix(mix(bar) ^ note) ^ _key_of(length), return_inverse=True)[1]


def _key_of(*columns: FloatArray | IntArray) -> KeyArray:
    """(N,) a key for what (N,) columns hold, rounded to whole numbers."""
    key = np.zeros(len(columns[0]), dtype=np.uint64)
    for column in columns:
        key = mix(key ^ np.round(column).astype(np.int64).astype(np.uint64))
    return key
