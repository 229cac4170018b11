"""Whether onsets keep to the beats that their file says."""

from __future__ import annotations

import numpy as np

from duvhuman.arrays import FloatArray

GRID_UNITS = (4, 6)
"""Notes per beat of the grids that a beat may be divided into: sixteenths and eighth triplets."""
GRID_TOLERANCE = 0.1
LATE_AGREEMENT, LEAST_SURE = 0.25, 9.0
"""Onsets that all come late, or early, keep to a grid of their own if their places in its units agree so well (the
length of their mean as directions: 1 if all are the same, 0 if any is as likely), and their number times the square of
that is so large (by chance it is once in e to that power)."""
LATE_UNITS, NEARLY = (1, 2, 3, 4, 6), 0.8
"""Notes per beat of the grids that onsets may be late on, and how nearly as well as any they keep to a coarser one."""
STRUM_BEATS = 0.05
"""Onsets no further apart are those of one chord."""
GRID_SHARE, LATE_SHARE = 0.35, 0.5
"""A grid means something if this share of onsets lies within a tenth of a unit of it (0.2 would by chance), one that
was looked for if the second does."""


def grid_share(onset_beats: FloatArray, unit: int) -> float:
    """The share of onsets within a tenth of a grid unit of the grid with `unit` notes per beat."""
    position = np.asarray(onset_beats) * unit
    return float(np.mean(np.abs(position - np.round(position)) < GRID_TOLERANCE)) if len(position) else 1.0


def keep_to_grid(onset_beats: FloatArray) -> bool:
    """Whether these onsets keep to the beats of their file at all; a free recording into a sequencer does not."""
    return any(grid_share(onset_beats, unit) >= GRID_SHARE for unit in GRID_UNITS)


def has_grid(onset_beats: FloatArray) -> bool:
    """Whether the onsets of a part keep to the beats of its file, however its chords are strummed."""
    return keep_to_grid(_chords(onset_beats))


def lateness(onset_beats: FloatArray) -> float | None:
    """By how many beats, half of a sixteenth at most, the grid that onsets keep to is later than that of their file,
    mostly 0; None if they keep to no grid.
    """
    if has_grid(onset_beats):
        return 0.0
    late = late_by(onset_beats)
    if late is None:
        return None
    late -= round(4 * late) / 4  # what is off the beat throughout is meant so
    on_time = _chords(np.asarray(onset_beats) - late)
    return late if any(grid_share(on_time, unit) >= LATE_SHARE for unit in GRID_UNITS) else None


def late_by(onset_beats: FloatArray) -> float | None:
    """By how many beats, less than half a unit, onsets come later than the grid that they keep to.

    An interface that is late, a player who lays back or a clip that was cut badly moves all of them; how loosely they
    are played beside does not matter. The coarsest grid tells that they keep to nearly as well as to any: quarters say
    more than sixteenths. 0 if as many stand on the file's own grid; None if they keep to no grid at all.
    """
    onset = _chords(onset_beats)
    if not len(onset):
        return None
    means = [(unit, complex(np.exp(2j * np.pi * unit * onset).mean())) for unit in LATE_UNITS]
    best = max(abs(mean) for _, mean in means)
    if best < LATE_AGREEMENT or len(onset) * best**2 < LEAST_SURE:
        return None
    unit, mean = next((unit, mean) for unit, mean in means if abs(mean) >= NEARLY * best)
    late = float(np.angle(mean)) / (2 * np.pi * unit)
    on_time, then = (max(grid_share(onset - by, unit) for unit in GRID_UNITS) for by in (0.0, late))
    return 0.0 if on_time >= then else late


def _chords(onset_beats: FloatArray) -> FloatArray:
    """When each chord begins, which tells once."""
    onset = np.sort(np.asarray(onset_beats, dtype=np.float64))
    return onset[np.diff(onset, prepend=-np.inf) > STRUM_BEATS + 1e-6]
