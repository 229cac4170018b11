"""How loud the hands of one player are, beside each other and on the whole.

What the network makes of it stands, unless the user has decided: hands, or layers of a hand (a melody over its chords),
that are each written flat, but not at one level, keep the levels that they are written at. All are softer than they are
written where there is no room for their dynamics below 127, or louder where there is none above `SOFTEST`.

Conventions
-----------
Arrays are (N,) over the notes of one part. A hand is what one track plays on one channel.
"""

from __future__ import annotations

from itertools import permutations

import numpy as np

from duvhuman.humanize.score import FLAT_SD, FloatArray, IntArray, Score, group_means, is_flat, neighbours
from duvhuman.midi.notes import NoteTable

SOFTEST = 8
"""No note is made softer than this MIDI velocity: many samplers hardly sound below it."""
FARTHEST_SHARE = 0.3
"""No more of the notes than this lie beyond 127, nor of those of a hand: what is written louder is played softer. Nor
lie more of those of a faint part or hand below `SOFTEST`."""
FAINT = 20.0
"""A part, or a hand, is faint of which half lies below this, and no more is it made louder: beyond, what is soft is a
ghost note beside others."""
MOST_LAYERS, FEWEST_OF_LAYER, LAYER_SHARE = 3, 8, 0.05
"""So many levels at most are layers of a hand, each of so many notes at least, and of such a share of all."""
NEARBY_BEATS, NEARLY_ALWAYS = 1.0, 0.9
"""Notes of a layer lie above, or below, the mean pitch of another's within so many beats, this share of them."""
HAND_SHARE = 0.25
"""What has fewer of a part's notes is no hand for that: a string of a guitar with a channel for each, a few notes."""


def hands_of(notes: NoteTable) -> IntArray:
    """The number of each note's hand, from 0."""
    return np.unique(notes.track * 16 + notes.channel, return_inverse=True)[1]


def layers_of(velocity: FloatArray, score: Score) -> IntArray:
    """(N,) the number of each note's layer, from 0, where a part is written at a few levels, one above the other.

    A louder note here and there is an accent. What is written at one level is a layer if most of it has notes of each
    other level nearby, and lies on the same side of their mean pitch nearly always.
    """
    levels = np.unique(velocity)
    layer = np.searchsorted(levels[1:][np.diff(levels) > 2 * FLAT_SD], velocity, side="right")
    notes = np.bincount(layer)
    if not 2 <= len(notes) <= MOST_LAYERS or notes.min() < max(FEWEST_OF_LAYER, LAYER_SHARE * len(velocity)):
        return np.zeros(len(velocity), dtype=np.int64)
    low, high = neighbours(score.onset_beats, NEARBY_BEATS)
    for one, other in permutations(range(len(notes)), 2):
        total, count = (np.append(0, np.cumsum((layer == other) * values)) for values in (score.pitch, 1))
        with_it = (layer == one) & (count[high] > count[low])
        above = score.pitch - ((total[high] - total[low]) / np.maximum(count[high] - count[low], 1))
        one_side = max(np.mean(above[with_it] > 0), np.mean(above[with_it] < 0)) if with_it.any() else 0.0
        if one_side < NEARLY_ALWAYS or with_it.sum() < notes[one] / 2:
            return np.zeros(len(velocity), dtype=np.int64)
    return layer


def written_balance(velocity: FloatArray, hand: IntArray, score: Score) -> FloatArray:
    """(N,) how far above the mean of all notes those of each hand, or else layer, are written.

    It is 0 throughout if that is nobody's decision.
    """
    for group in (hand, layers_of(velocity, score)):
        lift: FloatArray = group_means(velocity, group) - velocity.mean()
        if np.abs(lift).max() > FLAT_SD and all(is_flat(velocity[group == one]) for one in np.unique(group)):
            return lift
    return np.zeros(len(velocity))


def balanced(velocity: FloatArray, lift: FloatArray | None) -> FloatArray:
    """Played velocities moved so that the mean of those with the same `lift` lies so far above that of all."""
    if lift is None or not lift.any():
        return velocity
    return velocity - group_means(velocity, np.unique(lift, return_inverse=True)[1]) + velocity.mean() + lift


def with_room(velocity: FloatArray, hand: IntArray | None = None) -> FloatArray:
    """Played velocities within 1 to 127, all as much softer or louder, by a whole number, as `FARTHEST_SHARE` wants."""
    hands = [velocity] + ([] if hand is None else [velocity[hand == one] for one in np.unique(hand)])
    ends = (FARTHEST_SHARE, 0.5, 1 - FARTHEST_SHARE)
    soft, usual, loud = np.array([np.quantile(one, ends) for one in hands if len(one) >= HAND_SHARE * len(velocity)]).T
    room = 127 - loud.max()
    faint = np.minimum(SOFTEST - soft, FAINT - usual).max()
    by = np.floor(min(room, 0.0)) or np.ceil(np.clip(faint, 0.0, room))
    return np.clip(velocity + by, 1.0, 127.0)
