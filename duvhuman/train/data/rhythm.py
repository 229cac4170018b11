"""Write one part down that was played without a beat: the tempo, the metre and the place of every chord in its bar.

The rhythm is the likeliest one of `duvhuman.rhythm.model`. Where bars begin is also told by what tends to happen there
(`duvhuman.rhythm.cues`); how much each cue tells is counted on parts whose beats are known. Velocities and lengths,
which are what is predicted later, are not looked at.

Conventions
-----------
A part has C chords, at `seconds` (C,) in order. Levels (0..5) say how strong a place is: bar, half of it, beat, eighth,
sixteenth, triplet.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from duvhuman.arrays import FloatArray, IntArray
from duvhuman.rhythm import model
from duvhuman.rhythm.cues import CUES
from duvhuman.rhythm.metre import UNITS, Metre

ONSET_CHANCES = (0.9, 0.85, 0.8, 0.5, 0.15, 0.01)
"""How likely a chord is to stand at a place of each level."""
LEVELS = len(ONSET_CHANCES)
TIMING = model.Timing(
    bpm=30.0 * 2.0 ** (np.arange(25) / 8), usual_bpm=80.0, bpm_octaves=0.6, bpm_weight=0.06,
    drift=1.0, least_drift=0.15, rubato_octaves=0.25, jitter_seconds=0.02,
)
"""Tempi of 30 to 240 quarter notes a minute, which one player alone keeps as he likes."""


class LevelMetre(Metre):
    """A metre whose places differ by their level alone.

    Attributes
    ----------
    beat : in units.
    level : (P,) of each place.
    """

    def __init__(self, name: str, bar: int, beat: int) -> None:
        self.beat = beat
        triplets = beat == UNITS
        places = np.array([p for p in range(bar) if p % 3 == 0 or (triplets and p % 4 == 0)])
        self.level = np.array([_level(p, bar, beat) for p in places.tolist()])
        super().__init__(name, bar, places, np.array(ONSET_CHANCES)[self.level])


def _level(place: int, bar: int, beat: int) -> int:
    if place == 0:
        return 0
    if place % beat == 0:
        return 1 if bar == 4 * beat and place == 2 * beat else 2
    return 3 if place % 6 == 0 else 4 if place % 3 == 0 else 5


METRES = (
    LevelMetre("4/4", 4 * UNITS, UNITS),
    LevelMetre("3/4", 3 * UNITS, UNITS),
    LevelMetre("6/8", 3 * UNITS, 3 * UNITS // 2),
)
"""2/4 is half of the first."""
COUNTED = METRES[0]
"""The metre of the parts that cues are counted on: there are enough of these."""


class CueTable:
    """How much more often each cue comes at the places of each level than anywhere: counted, then asked."""

    def __init__(self) -> None:
        self._counts = [np.full((LEVELS, values), 5.0) for values in CUES]

    def count(self, cues: IntArray, beat_in_bar: FloatArray) -> None:
        """Count the cues (C, 3) of chords at these beats (C,) of a bar of `COUNTED`."""
        place = np.round(beat_in_bar * UNITS).astype(np.int64) % COUNTED.bar
        at = np.minimum(np.searchsorted(COUNTED.places, place), len(COUNTED.places) - 1)
        fits = COUNTED.places[at] == place
        for counts, cue in zip(self._counts, cues.T, strict=True):
            np.add.at(counts, (COUNTED.level[at[fits]], cue[fits]), 1.0)

    def log_likelihood(self, cues: IntArray) -> FloatArray:
        """(C, LEVELS) of each chord's cues (C, 3) where it stands at a place of each level, against anywhere."""
        total = np.zeros((len(cues), LEVELS))
        for counts, cue in zip(self._counts, cues.T, strict=True):
            share = counts / counts.sum(axis=1, keepdims=True)
            total += np.log(share / (counts.sum(axis=0) / counts.sum()))[:, cue].T
        return total


def write_down(
    seconds: FloatArray, by_level: FloatArray, metres: Sequence[LevelMetre] = METRES
) -> model.Rhythm[LevelMetre]:
    """The likeliest rhythm of C chords, in the metre that fits their middle best.

    Parameters
    ----------
    seconds : (C,) when the chords begin, rising.
    by_level : (C, LEVELS) what else speaks for a place of each level (`CueTable.log_likelihood`).
    """
    return model.write_down(seconds, [model.Choice(metre, by_level[:, metre.level], TIMING) for metre in metres])
