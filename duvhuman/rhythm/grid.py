"""Whether onsets keep to the beats that their file says."""

from __future__ import annotations

import numpy as np

from duvhuman.midi.notes import FloatArray

GRID_UNITS = (4, 6)
"""Notes per beat of the grids that a beat may be divided into: sixteenths and eighth triplets."""
GRID_TOLERANCE = 0.1
GRID_SHARE = 0.35
"""A grid means something if this share of onsets lies within a tenth of a unit of it (0.2 would by chance)."""


def grid_share(onset_beats: FloatArray, unit: int) -> float:
    """The share of onsets within a tenth of a grid unit of the grid with `unit` notes per beat."""
    position = np.asarray(onset_beats) * unit
    return float(np.mean(np.abs(position - np.round(position)) < GRID_TOLERANCE)) if len(position) else 1.0


def has_grid(onset_beats: FloatArray) -> bool:
    """Whether the onsets keep to the beats of their file at all; a free recording into a sequencer does not."""
    return any(grid_share(onset_beats, unit) >= GRID_SHARE for unit in GRID_UNITS)
