"""What the columns of a phrase CSV are called, and the numbers that may stand in them.

Conventions
-----------
(N,) is the number of rows. Limits are legal themselves.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from duvhuman.arrays import BoolArray, FloatArray
from duvhuman.train.data.storage import TICKS_PER_BEAT

MOST_BARS, MOST_BAR_BEATS, MOST_BEATS = 100_000, 32, 4_000_000
LEAST_POSITIVE = math.ulp(0.0)


@dataclass(frozen=True)
class Number:
    """What a column of numbers may hold: ``low`` to ``high``, both legal."""

    low: float
    high: float
    whole: bool = True
    required: bool = True

    def __str__(self) -> str:
        low = "more than 0" if self.low == LEAST_POSITIVE else f"{self.low:g}"
        limits = low if self.high == math.inf else f"{low}..{self.high:g}"
        return f"{'a whole number' if self.whole else 'a number'}, {limits}"

    def read(self, texts: Sequence[str], *, decimal_comma: bool) -> tuple[FloatArray, BoolArray]:
        """(N,) the numbers in these cells, NaN where there is none that is legal; and (N,) which cells are wrong."""

        def number(text: str) -> float:
            try:
                return float(text.replace(",", ".") if decimal_comma else text)
            except ValueError:
                return math.nan

        values = np.array([number(text) for text in texts], dtype=np.float64)
        wrong = ~((values >= self.low) & (values <= self.high)) | np.isinf(values)
        if self.whole:
            wrong |= values != np.floor(values)
        values[wrong] = np.nan
        if not self.required:
            empty = [index for index in np.flatnonzero(wrong).tolist() if texts[index].strip().lower() in ("", "nan")]
            wrong[empty] = False
        return values, wrong


NUMBERS = {
    "pitch": Number(0, 127),
    "velocity": Number(1, 127),
    "duration": Number(LEAST_POSITIVE, math.inf, whole=False),
    "pos": Number(0, MOST_BAR_BEATS * TICKS_PER_BEAT - 1, whole=False),
    "bar": Number(0, MOST_BARS - 1),
    "program": Number(-1, 128, required=False),
    "onset": Number(-MOST_BEATS, MOST_BEATS, whole=False, required=False),
    "start": Number(-MOST_BEATS, MOST_BEATS, whole=False, required=False),
}
REQUIRED = (*(name for name, number in NUMBERS.items() if number.required), "instrument")
KNOWN = (*NUMBERS, "instrument", "song_id", "file", "boundary")
