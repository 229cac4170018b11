"""Bars: how long one is, and how likely a chord is to stand at each of its places.

Conventions
-----------
Places are whole `UNITS` of a quarter note, counted from the beginning of the bar.
"""

from __future__ import annotations

import numpy as np

from duvhuman.arrays import FloatArray, IntArray

UNITS = 12
"""Parts of a quarter note: sixteenths are 3, eighth triplets 4."""
CHORD_SECONDS = 0.035
"""Notes that begin within this time belong to one chord."""
NOTICED = 0.02
"""A place where chords are rarer than this is not missed when it is passed by."""


class Metre:
    """A bar, and what is likely to follow each of its P places.

    Attributes
    ----------
    name : such as "3/4".
    bar : units.
    places : (P,) the places of the bar where chords may stand, in units, rising.
    step : (P, P) units from one place to the next chord's, 1 to `bar`.
    likely : (P, P) log-likelihood of the next chord's place; places that are passed by have none.
    log_units : (2 * bar, 1) log2 of 1, 2 .. units.
    """

    def __init__(self, name: str, bar: int, places: IntArray, chance: FloatArray) -> None:
        """`chance` (P,) says how likely a chord is to stand at each place, more than 0 and less than 1."""
        self.name, self.bar, self.places = name, bar, places
        passed = np.zeros(bar)
        passed[places] = np.where(chance > NOTICED, np.log(1 - chance), 0.0)
        self.step = (places[None] - places[:, None] - 1) % bar + 1
        between = [
            [passed[(place + np.arange(1, step)) % bar].sum() for step in steps]
            for place, steps in zip(places, self.step, strict=True)
        ]
        self.log_units = np.log2(np.arange(1, 2 * bar + 1, dtype=np.float32))[:, None]
        self.likely = np.log(chance)[None] + np.array(between)
