"""Random numbers for many phrases at once, each phrase's following from its own key alone.

Conventions
-----------
S phrases (segments) have S keys. A phrase is therefore given the same flat version in whatever batch, on whichever
machine and after whichever interruption it is trained on.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from duvhuman.arrays import BoolArray, FloatArray, IntArray
from duvhuman.humanize.keyed import KeyArray, mix, unit


def phrase_keys(seed: int, epoch: int, phrases: IntArray) -> KeyArray:
    """(P,) a key for each of the phrases (P, K), whose numbers identify them within an epoch."""
    key = mix(np.full(len(phrases), seed, dtype=np.uint64))
    for column in (np.full(len(phrases), epoch), *phrases.T):
        key = mix(key ^ column.astype(np.uint64))
    return key


class Draws:
    """Independent draws for each of S phrases; every call draws anew.

    Parameters
    ----------
    keys : (S,)
    """

    def __init__(self, keys: KeyArray) -> None:
        self._keys = keys
        self._calls = 0

    def __len__(self) -> int:
        return len(self._keys)

    def _next(self) -> KeyArray:
        self._calls += 1
        return mix(self._keys ^ mix(np.array([self._calls], dtype=np.uint64)))

    def random(self) -> FloatArray:
        """(S,) numbers in 0..1."""
        return unit(self._next())

    def uniform(self, low: float, high: float) -> FloatArray:
        """(S,) numbers from `low` to `high`."""
        return low + (high - low) * self.random()

    def chance(self, probability: float) -> BoolArray:
        """(S,) True with this probability."""
        return self.random() < probability

    def integers(self, low: int, high: int) -> IntArray:
        """(S,) whole numbers from `low` to below `high`."""
        return low + np.floor((high - low) * self.random()).astype(np.int64)

    def per_note(self, segment: IntArray) -> FloatArray:
        """(N,) numbers in 0..1, one for each note, of segments in order."""
        place = np.arange(len(segment)) - np.searchsorted(segment, segment, "left")
        key: NDArray[np.uint64] = self._next()[segment]
        return unit(mix(key ^ mix(place.astype(np.uint64))))
