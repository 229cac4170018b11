"""Whether onsets keep to the beats that their file says."""

from __future__ import annotations

import numpy as np

from duvhuman.midi.notes import FloatArray

GRID_UNITS = (4, 6)
"""Notes per beat of the grids that a beat may be divided into: sixteenths and eighth triplets."""
GRID_TOLERANCE = 0.1
LATE_AGREEMENT, LEAST_SURE = 0.25, 9.0
"""Onsets that all come late, or early, keep to a grid of their own if their places in its units agree so well (the
length of their mean as directions: 1 if all are the same, 0 if any is as likely), and their number times the square of
that is so large (by chance it is once in e to that power)."""
GRID_SHARE = 0.35
"""A grid means something if this share of onsets lies within a tenth of a unit of it (0.2 would by chance)."""


def grid_share(onset_beats: FloatArray, unit: int) -> float:
    """The share of onsets within a tenth of a grid unit of the grid with `unit` notes per beat."""
    position = np.asarray(onset_beats) * unit
    return float(np.mean(np.abs(position - np.round(position)) < GRID_TOLERANCE)) if len(position) else 1.0


def has_grid(onset_beats: FloatArray) -> bool:
    """Whether the onsets keep to the beats of their file at all; a free recording into a sequencer does not."""
    return any(grid_share(onset_beats, unit) >= GRID_SHARE for unit in GRID_UNITS)


def late_by(onset_beats: FloatArray) -> float | None:
    """By how many beats, fewer than half a unit, onsets come later than the grid that they keep to best.

    An interface that is late, a player who lays back or a clip that was cut badly moves all of them; how loosely they
    are played beside does not matter. None if they keep to no grid at all.
    """
    onset = np.asarray(onset_beats)
    if not len(onset):
        return None
    means = {unit: complex(np.exp(2j * np.pi * unit * onset).mean()) for unit in GRID_UNITS}
    unit, mean = max(means.items(), key=lambda one: abs(one[1]))
    if abs(mean) < LATE_AGREEMENT or len(onset) * abs(mean) ** 2 < LEAST_SURE:
        return None
    return float(np.angle(mean)) / (2 * np.pi * unit)
