"""What was played: a score and what the player did with it, before anything is made flat.

Conventions
-----------
Arrays and units are those of `duvhuman.humanize.score`; many phrases may stand one after another as segments.
"""

from __future__ import annotations

from dataclasses import dataclass

from duvhuman.arrays import BoolArray, FloatArray, Table
from duvhuman.humanize.score import Score


@dataclass(frozen=True)
class Performance(Table):
    """N performed notes: their score (``nominal_beats`` unset) and what the player did with them.

    Attributes
    ----------
    score : the written side; ``nominal_beats`` is NaN until `write_lengths` fills it.
    velocity : (N,) 1..127.
    duration_beats : (N,) performed.
    level, range : (N,) mean and SD of the velocities of the part that each note is from.
    released : (N,) whether a note ends when its key is released (`duvhuman.train.data.releases`).
    written_beats, written_bar_beats : (N,) where a part without a beat was written down by `duvhuman.train.notate`,
        when each note begins, counted from the beginning of the part's first bar, and how long a bar is; else NaN.
    wanted : (N,) notes that count in the loss; the others are context or repetitions.
    core : (N,) notes of the phrase itself; the others are context on either side.
    """

    score: Score
    velocity: FloatArray
    duration_beats: FloatArray
    level: FloatArray
    range: FloatArray
    released: BoolArray
    written_beats: FloatArray
    written_bar_beats: FloatArray
    wanted: BoolArray
    core: BoolArray
