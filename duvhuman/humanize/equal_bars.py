"""Which notes stand at the same place of bars that are written alike.

Players repeat themselves, sequencers copy, and whoever writes a bar twice wants it played twice. What is expected of
its notes differs only for what stands around it, and a little: stretched, 3 velocities between the ends of a section
were 25.
"""

from __future__ import annotations

import numpy as np

from duvhuman.humanize.keyed import mix
from duvhuman.humanize.score import IntArray, Score

PLACES_PER_BEAT = 12
"""Notes in one twelfth of a beat stand at one place: sixteenths and triplets do not."""
LENGTHS_PER_BEAT = 4
"""A staccato and a held note differ by a quarter of a beat in what is written, or more; a gate of 95 % makes none."""


def equal_bars(score: Score) -> IntArray:
    """(N,) numbers that notes have in common which are equal, at equal places of bars of equal notes.

    Bars are equal if the same pitches begin at the same places; of their notes those are that are written as long. A
    part without a grid has no bars: each note has a number of its own.
    """
    if not score.grid_known.all():
        return np.arange(len(score))
    begins = score.onset_beats - score.beat_in_bar
    starts = np.flatnonzero(np.append(True, np.abs(np.diff(begins)) > 1 / PLACES_PER_BEAT))
    place, length = (
        np.round(np.nan_to_num(beats) * steps).astype(np.int64).astype(np.uint64)
        for beats, steps in ((score.beat_in_bar, PLACES_PER_BEAT), (score.nominal_beats, LENGTHS_PER_BEAT))
    )
    note = mix(mix(place) ^ score.pitch.astype(np.uint64))
    bar = np.repeat(np.add.reduceat(note, starts), np.diff(np.append(starts, len(note))))
    numbers: IntArray = np.unique(mix(mix(bar) ^ note) ^ length, return_inverse=True)[1]
    return numbers
