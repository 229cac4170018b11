"""What a band tends to do at the places of a bar, counted on songs whose beats are known.

Conventions
-----------
A song has C chords: what its tracks play together, drums too. Of each, `CUES` tell what is heard, as whole numbers from
0. A style divides a bar of four quarter notes into P places.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from duvhuman.arrays import FloatArray, IntArray
from duvhuman.rhythm import cues as pitch_cues
from duvhuman.rhythm.metre import UNITS, Metre

DRUMS: dict[str, tuple[int, ...]] = {
    "kick": (35, 36),
    "snare": (37, 38, 39, 40),
    "crash": (49, 52, 55, 57),
    "cymbals in time": (42, 44, 46, 51, 53, 59),
}
"""Pitches of General MIDI's drum channel; a chord has one of each kind or not."""
CUES = (*pitch_cues.CUES, *(2 for _ in DRUMS))
"""How many values each cue has: how low, how large, how new the pitches are (`duvhuman.rhythm.cues`), and each drum."""
BAR = 4 * UNITS
NEAR_UNITS = 1.0
"""A chord stands at a place if it is no further from it: a twelfth of a beat."""
RAREST, SUREST = 0.003, 0.97
"""Chances are not taken for less or more."""
PRIOR_CHORDS = 20.0
"""A place is taken to be like any other as if so many chords had been counted there."""


@dataclass(frozen=True, eq=False)
class Style:
    """Counts over some songs.

    Attributes
    ----------
    places : (P,) in units of a bar of four.
    bars : how many were counted.
    chords : (P,) in how many of them a chord stands at each place.
    cues : for each of `CUES` (P, values), how often it had each value there.
    """

    places: IntArray
    bars: int
    chords: IntArray
    cues: tuple[IntArray, ...]

    @staticmethod
    def empty(division: int) -> Style:
        """Nothing counted; a place at every `division` units."""
        places = np.arange(0, BAR, division)
        count = len(places)
        return Style(places, 0, np.zeros(count, np.int64), tuple(np.zeros((count, v), np.int64) for v in CUES))

    def counted(self, beats: FloatArray, cues: IntArray) -> Style:
        """With a song more, whose chords stand at `beats` (C,) since some bar began and have these cues (C, 7)."""
        units = beats * UNITS
        away = np.mod(units[:, None] - self.places + BAR / 2, BAR) - BAR / 2
        place = np.abs(away).argmin(axis=1)
        there = np.abs(away[np.arange(len(units)), place]) <= NEAR_UNITS
        bar = np.floor((units + 1.5) / BAR).astype(np.int64)
        chords, counts = self.chords.copy(), tuple(count.copy() for count in self.cues)
        found = np.unique(np.stack([bar[there], place[there]]), axis=1)
        np.add.at(chords, found[1], 1)
        for count, cue in zip(counts, cues.T, strict=True):
            np.add.at(count, (place[there], cue[there]), 1)
        return Style(self.places, self.bars + len(np.unique(bar)), chords, counts)

    def without_beat(self, beat: int) -> Style:
        """The same of a bar that is a beat shorter: the places of beat `beat`, counted from 0, are left out."""
        kept = self.places // UNITS != beat
        moved = self.places[kept] - UNITS * (self.places[kept] // UNITS > beat)
        return Style(moved, self.bars, self.chords[kept], tuple(count[kept] for count in self.cues))

    def metre(self, name: str, bar: int) -> Metre:
        """A metre of `bar` units in which chords stand where they do in these songs."""
        chance = np.clip(self.chords / max(self.bars, 1), RAREST, SUREST)
        return Metre(name, bar, self.places, chance)

    def log_likelihood(self, cues: IntArray, usual: Sequence[IntArray]) -> FloatArray:
        """(C, P) of each chord's cues (C, 7) where it stands at each place, against anywhere.

        `usual` says how often each cue has each value anywhere (values,).
        """
        total = np.zeros((len(cues), len(self.places)))
        for counts, anywhere, cue in zip(self.cues, usual, cues.T, strict=True):
            share = (anywhere + 1) / (anywhere + 1).sum()
            here = counts + PRIOR_CHORDS * share
            total += np.log(here / here.sum(axis=1, keepdims=True) / share)[:, cue].T
        return total

    def to_dict(self) -> dict[str, Any]:
        """Plain containers, for JSON."""
        return {
            "places": self.places.tolist(), "bars": self.bars, "chords": self.chords.tolist(),
            "cues": [count.tolist() for count in self.cues],
        }

    @staticmethod
    def from_dict(entry: Mapping[str, Any]) -> Style:
        """What `to_dict` gave."""
        cues = tuple(np.array(count, np.int64) for count in entry["cues"])
        return Style(np.array(entry["places"]), int(entry["bars"]), np.array(entry["chords"]), cues)
