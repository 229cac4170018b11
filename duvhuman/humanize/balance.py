"""How loud the hands of one player are beside each other.

What the network makes of it stands, unless the user has decided: hands that are each written flat, but not at one
level, keep the levels that they are written at.

Conventions
-----------
Arrays are (N,) over the notes of one part. A hand is what one track plays on one channel.
"""

from __future__ import annotations

import numpy as np

from duvhuman.humanize.perform import FLAT_SD, is_flat
from duvhuman.humanize.score import FloatArray, IntArray
from duvhuman.midi.notes import NoteTable


def hands_of(notes: NoteTable) -> IntArray:
    """The number of each note's hand, from 0."""
    hand: IntArray = np.unique(notes.track * 16 + notes.channel, return_inverse=True)[1]
    return hand


def written_balance(velocity: FloatArray, hand: IntArray) -> FloatArray:
    """How far above the mean of all notes each note's hand is written; 0 throughout if that is nobody's decision."""
    lift: FloatArray = _means(velocity, hand) - velocity.mean()
    decided = np.abs(lift).max() > FLAT_SD and all(is_flat(velocity[hand == one]) for one in np.unique(hand))
    return lift if decided else np.zeros(len(velocity))


def balanced(velocity: FloatArray, hand: IntArray, lift: FloatArray) -> FloatArray:
    """Played velocities moved so that the mean of each hand lies `lift` above that of all; as they are if it is 0."""
    return velocity - _means(velocity, hand) + velocity.mean() + lift if lift.any() else velocity


def _means(values: FloatArray, hand: IntArray) -> FloatArray:
    """The mean over the hand of each note."""
    means: FloatArray = (np.bincount(hand, values) / np.bincount(hand))[hand]
    return means
