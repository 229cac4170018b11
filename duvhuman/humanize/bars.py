"""Where notes stand in their bars, and which stand at the same place of bars that are written alike.

Players repeat themselves, sequencers copy, and whoever writes a bar twice wants it played twice. What is expected of
its notes differs only for what stands around it, and a little: stretched, 3 velocities between the ends of a section
were 25.
"""

from __future__ import annotations

import numpy as np

from duvhuman.arrays import FloatArray, IntArray
from duvhuman.humanize.articulate import own_gap
from duvhuman.humanize.keyed import KeyArray, mix
from duvhuman.humanize.score import PLACES_PER_BEAT, SHORTEST_BEATS, Score, bars_and_places

TOLD_APART_BEATS = 0.175
"""Lengths, and gaps to the next onset, are others from here on, and from each doubling of it: half of a note's value is
another one, three quarters of it are not, nor is a triplet's."""
TEMPI_PER_OCTAVE = 2
"""Tempi are told apart by half octaves, from the part's usual one: no ritardando makes equal bars others."""


def equal_bars(score: Score, hand: IntArray | None = None) -> IntArray:
    """(N,) numbers that notes have in common which are equal, at equal places of bars of equal notes.

    Bars are equal if the same pitches begin at the same places, with the same programs, metre and, more or less, tempo;
    of their notes those are that are written more or less as long, before more or less as long a gap. A part without a
    grid has no bars: each note has a number of its own.

    Parameters
    ----------
    hand : (N,) which hand plays a note, as in `duvhuman.humanize.articulate.performed_beats`.
    """
    if not score.grid_known.all():
        return np.arange(len(score))
    begins, place = bars_and_places(score)
    starts = np.flatnonzero(np.append(True, np.diff(begins) != 0))
    octaves = np.log2(score.tempo_bpm / np.median(score.tempo_bpm))
    bar_length = score.bar_beats * PLACES_PER_BEAT
    note = _key_of(score.pitch, score.program, octaves * TEMPI_PER_OCTAVE, place, bar_length)
    bar = np.repeat(np.add.reduceat(note, starts), np.diff(np.append(starts, len(note))))
    lengths = (_octave(score.nominal_beats), _octave(np.minimum(own_gap(score, hand), score.bar_beats)))
    return np.unique(mix(mix(bar) ^ note) ^ _key_of(*lengths), return_inverse=True)[1]


def _octave(beats: FloatArray) -> FloatArray:
    return np.floor(np.log2(np.maximum(np.nan_to_num(beats), SHORTEST_BEATS) / TOLD_APART_BEATS))


def _key_of(*columns: FloatArray | IntArray) -> KeyArray:
    """(N,) a key for what (N,) columns hold, rounded to whole numbers."""
    key = np.zeros(len(columns[0]), dtype=np.uint64)
    for column in columns:
        key = mix(key ^ np.round(column).astype(np.int64).astype(np.uint64))
    return key
