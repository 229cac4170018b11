"""Random numbers that follow from keys alone: equal keys, equal draws, whatever is drawn beside them.

Conventions
-----------
Keys are ``uint64`` arrays of any shape; what comes out has that shape. Nothing here has a state.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from duvhuman.arrays import FloatArray

KeyArray = NDArray[np.uint64]


def mix(x: KeyArray) -> KeyArray:
    """The finaliser of splitmix64 (Steele, Lea and Flood 2014): every input bit changes half of the output bits."""
    with np.errstate(over="ignore"):
        x = x + np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        mixed: KeyArray = x ^ (x >> np.uint64(31))
    return mixed


def unit(key: KeyArray) -> FloatArray:
    """Keys as numbers strictly between 0 and 1."""
    return ((key >> np.uint64(11)).astype(np.float64) + 0.5) / 2.0**53


def normal(key: KeyArray) -> FloatArray:
    """Keys as draws of a standard normal (Box and Muller 1958)."""
    return np.sqrt(-2 * np.log(unit(key))) * np.cos(2 * np.pi * unit(mix(key)))


def normal_cdf(x: FloatArray) -> FloatArray:
    """The normal distribution function by a logistic approximation (Page 1977; error under 2e-4)."""
    return 1.0 / (1.0 + np.exp(-(1.5957691216 * x + 0.07056 * x**3)))


def seed_of_player(seed: int, number: int) -> int:
    """The seed of one of several players, from 0, whose own draws are to differ; that of the first is `seed` itself."""
    return seed if number == 0 else int(mix(np.array([seed], dtype=np.uint64) ^ mix(np.array([number], np.uint64)))[0])
