"""How loud the hands of one player are, beside each other and on the whole.

What the network makes of it stands, unless the user has decided: hands that are each written flat, but not at one
level, keep the levels that they are written at. All are softer than they are written where there is no room for their
dynamics below 127, or louder where there is none above `SOFTEST`.

Conventions
-----------
Arrays are (N,) over the notes of one part. A hand is what one track plays on one channel.
"""

from __future__ import annotations

import numpy as np

from duvhuman.humanize.score import FLAT_SD, FloatArray, IntArray, group_means, is_flat
from duvhuman.midi.notes import NoteTable

SOFTEST = 8
"""No note is made softer than this MIDI velocity: many samplers hardly sound below it."""
FARTHEST_SHARE = 0.3
"""No more of the notes than this lie beyond 127, nor of those of a hand: what is written louder is played softer. Nor
lie more of those of a faint part or hand below `SOFTEST`."""
FAINT = 20.0
"""A part, or a hand, is faint of which half lies below this, and no more is it made louder: beyond, what is soft is a
ghost note beside others."""
HAND_SHARE = 0.25
"""What has fewer of a part's notes is no hand for that: a string of a guitar with a channel for each, a few notes."""


def hands_of(notes: NoteTable) -> IntArray:
    """The number of each note's hand, from 0."""
    return np.unique(notes.track * 16 + notes.channel, return_inverse=True)[1]


def written_balance(velocity: FloatArray, hand: IntArray) -> FloatArray:
    """How far above the mean of all notes each note's hand is written; 0 throughout if that is nobody's decision."""
    lift: FloatArray = group_means(velocity, hand) - velocity.mean()
    decided = np.abs(lift).max() > FLAT_SD and all(is_flat(velocity[hand == one]) for one in np.unique(hand))
    return lift if decided else np.zeros(len(velocity))


def balanced(velocity: FloatArray, hand: IntArray | None, lift: FloatArray | None) -> FloatArray:
    """Played velocities moved so that the mean of each hand lies `lift` above that of all; as they are if it is 0."""
    if hand is None or lift is None or not lift.any():
        return velocity
    return velocity - group_means(velocity, hand) + velocity.mean() + lift


def with_room(velocity: FloatArray, hand: IntArray | None = None) -> FloatArray:
    """Played velocities within 1 to 127, all as much softer or louder, by a whole number, as `FARTHEST_SHARE` wants."""
    hands = [velocity] + ([] if hand is None else [velocity[hand == one] for one in np.unique(hand)])
    ends = (FARTHEST_SHARE, 0.5, 1 - FARTHEST_SHARE)
    soft, usual, loud = np.array([np.quantile(one, ends) for one in hands if len(one) >= HAND_SHARE * len(velocity)]).T
    room = 127 - loud.max()
    faint = np.minimum(SOFTEST - soft, FAINT - usual).max()
    by = np.floor(min(room, 0.0)) or np.ceil(np.clip(faint, 0.0, room))
    return np.clip(velocity + by, 1.0, 127.0)
