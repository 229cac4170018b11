"""Which bars of performances are alike: they hold the same pitches at the same places.

Conventions
-----------
Arrays are (N,) over the notes of a score, or of several, one after another.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from duvhuman.arrays import FloatArray, IntArray
from duvhuman.humanize.score import GRIDLESS_BAR_BEATS, PLACES_PER_BEAT, Score, bars_and_places

SIXTEENTHS = 4
"""Places of a beat. Whoever learns from some bars and is judged by others must not know these, however loose."""


def bar_contents(scores: Sequence[Score], places_per_beat: int = PLACES_PER_BEAT) -> IntArray:
    """(N,) for each note the number of its bar's content, counted from 0 in the order of first appearance.

    Parameters
    ----------
    places_per_beat : onsets at the same of them are at the same place. With `SIXTEENTHS` bars are alike that were
        played more loosely.
    """
    known: dict[tuple[tuple[int, int], ...], int] = {}
    columns: list[IntArray] = []
    for score in scores:
        bar, place = bars_of(score)
        where = np.round(place * places_per_beat).astype(np.int64)
        edges = np.append(np.flatnonzero(np.append(True, np.diff(bar) != 0)), len(score))
        for start, stop in itertools.pairwise(edges):
            notes = tuple(sorted(zip(where[start:stop].tolist(), score.pitch[start:stop].tolist(), strict=True)))
            columns.append(np.full(stop - start, known.setdefault(notes, len(known))))
    return np.concatenate(columns)


def bars_of(score: Score) -> tuple[IntArray, FloatArray]:
    """(N,) the number of each note's bar, which never falls, and (N,) beats since it began."""
    if score.grid_known.all():
        begins, place = bars_and_places(score)
        return np.cumsum(np.append(True, np.diff(begins) != 0)) - 1, place / PLACES_PER_BEAT
    bar = np.floor(score.onset_beats / GRIDLESS_BAR_BEATS).astype(np.int64)
    return bar - bar[0], score.onset_beats - GRIDLESS_BAR_BEATS * bar
