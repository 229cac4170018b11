"""Songs as the rows of a phrase CSV, and what was read of them, for tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from duvhuman.train.data.storage import PartRow
from duvhuman.train.dataset import PhraseData

COLUMNS = ("pitch", "velocity", "duration", "pos", "boundary", "bar", "instrument")
Row = dict[str, Any]
Read = Callable[..., PhraseData]
Part = Callable[[list[Row]], tuple[PartRow, dict[str, np.ndarray]]]


def song(bars: int = 8, *, seed: int = 0, ordinals: bool = False, per_bar: int = 8, **given: Any) -> list[Row]:
    """Notes evenly over bars of 4 beats, of random pitch, velocity and duration; 64 unless told otherwise."""
    rng = np.random.default_rng(seed)
    return [
        {
            "pitch": rng.integers(45, 80), "velocity": rng.integers(40, 110), "duration": round(rng.uniform(0.1, 2), 3),
            "pos": place if ordinals else place * 1920 // per_bar, "boundary": 0, "bar": bar, "instrument": "guitar",
        } | given
        for bar in range(bars)
        for place in range(per_bar)
    ]


def text_of(rows: list[Row], *, delimiter: str = ",", end: str = "\n") -> str:
    columns = [*COLUMNS, *(name for name in rows[0] if name not in COLUMNS)]
    lines = [columns, *([str(row[name]) for name in columns] for row in rows)]
    return "".join(delimiter.join(line) + end for line in lines)


def sizes(data: PhraseData, split: str) -> list[int]:
    return sorted(row.stop - row.start for row in data.select(split=split))


def tellings(log: list[str], name: str) -> str:
    """The one line that the log has of a file."""
    (line,) = (line for line in log if name in line and not line.startswith("warning"))
    return line
