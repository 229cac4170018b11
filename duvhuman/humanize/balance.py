"""How loud the hands of one player are, beside each other and on the whole.

What the network makes of it stands, unless the user has decided: hands, or layers of a hand (a melody over its chords),
that are each written flat, but not at one level, keep the levels that they are written at. All are softer than they are
written where there is no room for their dynamics below 127, or louder where there is none above `SOFTEST`.

Conventions
-----------
Arrays are (N,) over the notes of one part. A hand is what one track plays on one channel.
"""

from __future__ import annotations

import numpy as np

from duvhuman.arrays import BoolArray, FloatArray, IntArray, group_means, neighbours, window_mean
from duvhuman.humanize.score import CHORD_BEATS, FLAT_SD, Score
from duvhuman.humanize.written import ALIKE
from duvhuman.midi.notes import NoteTable

SOFTEST = 8
"""No note is made softer than this MIDI velocity: many samplers hardly sound below it."""
FARTHEST_SHARE = 0.3
"""No more of the notes than this lie beyond 127, nor of those of a hand: what is written louder is played softer. Nor
lie more of those of a faint part or hand below `SOFTEST`."""
FAINT = 20.0
"""A part, or a hand, is faint if half of it lies below this, and is made louder no further than until it does not: what
is soft beside louder notes is a ghost note."""
MOST_LAYERS, FEWEST_OF_LAYER, LAYER_SHARE = 3, 8, 0.1
"""So many levels at most are layers of a hand, each of so many notes at least, and of such a share of all."""
NEARBY_BEATS, NEARLY_ALWAYS = 1.0, 0.8
"""This share of the notes lies nearest to the mean pitch of its own layer within so many beats, of all layers."""
OFTEN_TOGETHER = 0.5
"""At such a share of its notes' onsets a note of another layer sounds: a line alone has accents and no layers."""
MOST_APART = 0.3
"""No level is that of a hand, or layer, of which more is written apart from it."""
COMPANY_BEATS = 4.0
"""A hand or layer plays alone where no other plays within so many beats."""
HAND_SHARE = 0.25
"""What has fewer of a part's notes is no hand for that: a string of a guitar with a channel for each, a few notes."""


def hands_of(notes: NoteTable) -> IntArray:
    """The number of each note's hand, from 0."""
    return np.unique(notes.track * 16 + notes.channel, return_inverse=True)[1]


def layers_of(velocity: FloatArray, score: Score) -> IntArray:
    """(N,) the number of each note's layer, from 0, where a part is written at a few levels, one above the other.

    A louder note here and there is an accent. What most of the notes are written at are layers if four in five of those
    that have the others nearby lie nearer to their own mean pitch there; the rest are accents in the nearest layer.
    """
    level, notes = np.unique(velocity, return_counts=True)
    near = np.cumsum(np.diff(level, prepend=level[0]) > 2 * FLAT_SD)  # levels that jitter are one
    level, notes = np.bincount(near, level * notes) / np.bincount(near, notes), np.bincount(near, notes)
    many = np.count_nonzero(notes >= max(FEWEST_OF_LAYER, LAYER_SHARE * len(velocity)))
    usual = np.argsort(-notes, kind="stable")[:many]
    for layers in range(min(len(usual), MOST_LAYERS), 1, -1):  # the rarest level may be that of accents
        layer = _layers_at(np.sort(level[usual[:layers]]), velocity, score)
        if layer is not None:
            return layer
    return np.zeros(len(velocity), dtype=np.int64)


def _layers_at(level: FloatArray, velocity: FloatArray, score: Score) -> IntArray | None:
    """The layers that are written at these levels; None if they are no layers."""
    away = np.abs(velocity[:, None] - level)
    written, certain = away.argmin(axis=1), away.min(axis=1) <= 2 * FLAT_SD
    if certain.mean() < 1 - MOST_APART:
        return None
    low, high = neighbours(score.onset_beats, NEARBY_BEATS)
    far = np.empty(away.shape)
    for one in range(len(level)):
        far[:, one] = np.abs(score.pitch - window_mean(score.pitch, low, high, (written == one) & certain))
    met = np.isfinite(far).all(axis=1)
    sounds = _with_others(score, written)
    layer = np.where(met, np.nan_to_num(far).argmin(axis=1), written)
    for one in range(len(level)):
        mine = certain & (written == one)
        judged = layer[mine & met] == one
        if len(judged) < FEWEST_OF_LAYER or judged.mean() < NEARLY_ALWAYS or sounds[mine].mean() < OFTEN_TOGETHER:
            return None
    return layer


def _with_others(score: Score, group: IntArray) -> BoolArray:
    """(N,) whether a note of another group sounds when a note begins."""
    end = score.onset_beats + score.nominal_beats
    together = np.zeros(len(group), dtype=np.int64)
    for one in np.unique(group):
        others = group != one
        begun = np.searchsorted(score.onset_beats[others], score.onset_beats + CHORD_BEATS, side="right")
        ended = np.searchsorted(np.sort(end[others]), score.onset_beats + CHORD_BEATS, side="right")
        together[group == one] = (begun - ended)[group == one]
    return together > 0


def main_hands(hand: IntArray) -> IntArray:
    """(N,) which hand plays a note, from 0; one that plays too little (`HAND_SHARE`) is counted with hand 0."""
    return np.where(np.bincount(hand)[hand] >= HAND_SHARE * len(hand), hand, 0)


def written_balance(velocity: FloatArray, hand: IntArray, score: Score) -> FloatArray:
    """(N,) how far above the mean of all notes those of each hand, or else layer, are written.

    It is 0 throughout if that is nobody's decision: if they are written at one level, or too many notes at others.
    """
    for group in (hand, layers_of(velocity, score)):
        level = np.empty(len(velocity))
        for one in np.unique(group):
            level[group == one] = np.median(velocity[group == one])
        apart = np.abs(velocity - level) > ALIKE
        if np.ptp(level) > FLAT_SD and all(np.mean(apart[group == one]) < MOST_APART for one in np.unique(group)):
            return level - velocity.mean()
    return np.zeros(len(velocity))


def levelled(velocity: FloatArray, lift: FloatArray | None, score: Score) -> FloatArray:
    """Played velocities without what sets hands or layers apart that the user has written at levels of their own.

    Each has the mean of all, where the others play, too, and where they do not: a melody does not get louder when an
    accompaniment joins it.
    """
    if lift is None or not lift.any():
        return velocity
    group = np.unique(lift, return_inverse=True)[1]
    low, high = neighbours(score.onset_beats, COMPANY_BEATS)
    before = np.stack([np.append(0, np.cumsum(group == one)) for one in range(group.max() + 1)])
    alone = before[group, high] - before[group, low] == high - low
    state = 2 * group + alone
    few = np.bincount(state)[state] < FEWEST_OF_LAYER
    return velocity - group_means(velocity, np.where(few, 2 * group, state)) + velocity.mean()


def with_room(velocity: FloatArray, hand: IntArray | None = None) -> FloatArray:
    """Played velocities within 1 to 127, all as much softer or louder, by a whole number, as `FARTHEST_SHARE` wants."""
    hands = [velocity] + ([] if hand is None else [velocity[hand == one] for one in np.unique(hand)])
    ends = (FARTHEST_SHARE, 0.5, 1 - FARTHEST_SHARE)
    soft, usual, loud = np.array([np.quantile(one, ends) for one in hands if len(one) >= HAND_SHARE * len(velocity)]).T
    room = 127 - loud.max()
    faint = np.minimum(SOFTEST - soft, FAINT - usual).max()
    by = np.floor(min(room, 0.0)) or np.ceil(np.clip(faint, 0.0, room))
    return np.clip(velocity + by, 1.0, 127.0)
