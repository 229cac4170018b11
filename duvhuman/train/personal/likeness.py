"""What makes two notes alike to a player: how much each feature weighs in a personal adapter's memory.

A player makes notes equally loud that stand alike in their chords and at one pitch, and equally long that leave alike
gaps. How much what counts was learnt on training parts, of which the first half is the take: with these weights, here
rounded, it tells most of the second half. `benchmarks/likeness.py` learns them anew; fewer parts give other weights,
which tell as much.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

NOT_REMEMBERED = ("nominal", "legato", "level", "range", "swell", "accent")
"""Features of written lengths, which users write otherwise than they are rebuilt from takes, and of hints: they are not
compared."""
FAMILIES: dict[str, tuple[str, ...]] = {
    "within the chord": ("after_chord_onset",),
    "chord size": ("chord_size",),
    "place in the chord": ("rank_", "is_"),
    "two chords away": ("second_",),
    "gap after": ("next_gap", "voice_next_beats", "voice_next_seconds"),
    "what follows": ("next_", "voice_next_interval"),
    "the same pitch": ("pitch_next", "pitch_previous"),
    "gap before": ("previous_gap", "voice_previous_beats", "voice_previous_seconds"),
    "what came before": ("previous_", "voice_previous_interval"),
    "pitch": ("pitch", "height_1s"),
    "height": ("height",),
    "how busy": ("notes_",),
    "rests": ("since_rest", "until_rest"),
    "place in the bar": ("bar_", "on_downbeat"),
    "place in the beat": ("beat_", "on_beat", "off_"),
    "all else": ("",),
}
"""The beginnings of the names of the features in each family; a feature is of the first that knows it."""
IMPORTANCE: dict[str, tuple[float, float]] = {
    "within the chord": (80.0, 1.5),
    "chord size": (2.0, 6.0),
    "place in the chord": (7.0, 6.0),
    "two chords away": (0.75, 1.5),
    "gap after": (3.0, 150.0),
    "what follows": (0.3, 20.0),
    "the same pitch": (1.0, 6.0),
    "gap before": (3.0, 6.0),
    "what came before": (2.0, 1.5),
    "pitch": (20.0, 2.0),
    "height": (3.0, 1.0),
    "how busy": (2.0, 0.5),
    "rests": (0.3, 0.2),
    "place in the bar": (0.6, 0.3),
    "place in the beat": (1.2, 2.0),
    "all else": (0.7, 1.0),
}
"""What the features of a family weigh for velocity and for articulation."""


def remembered(names: Sequence[str]) -> Tensor:
    """(C,) int64, the columns of the features `names` that are compared."""
    return torch.tensor([column for column, name in enumerate(names) if not name.startswith(NOT_REMEMBERED)])


def family_of(name: str) -> str:
    """The family of a feature."""
    return next(family for family, beginnings in FAMILIES.items() if name.startswith(beginnings))


def importance_of(names: Sequence[str]) -> Tensor:
    """(2, len(names)) what the features `names` weigh for velocity and for articulation."""
    return torch.tensor([IMPORTANCE[family_of(name)] for name in names], dtype=torch.float32).T
