"""What the user has written of a part's dynamics, and how it is kept: marks, accents, what was played by hand.

Written velocities stay. To them is added a share of what would set each note apart from others that are written as loud
if the part were flat. Where much is written that is ``ModelConfig.passage_detail``, or half of it beside accents, which
leave the swells of the whole part to guess; where little is, it is all.

Conventions
-----------
Arrays are (N,) over the notes of one part, in the order of its `Score`; velocities are MIDI's. A hand is what
`duvhuman.humanize.balance` calls so: what is written for one tells nothing of how little is for the other, nor does a
verse that was played by hand tell anything of a chorus that is flat.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from duvhuman.arrays import BoolArray, FloatArray, IntArray, neighbours, window_mean
from duvhuman.humanize.score import FLAT_SD, Score, chord_numbers, is_flat

RUN_NOTES, RUN_SHARE = 32, 0.9
"""Beside accents so many notes of a hand in a row are flat if all are at one velocity, less so the fewer are, and not
at all if only this share is."""
FAINT_SD = 4.0
"""Written velocities with an SD below it hardly vary."""
AS_LOUD = 2.0
"""Two chords are as loud as each other if their velocities differ by no more than this."""
ACCENTS_DETAIL = 0.5
"""How much of ``ModelConfig.passage_detail`` is played where accents are written, and less is left to guess."""
MUCH_WRITTEN = 0.1
"""Where such a share of the notes or more is written apart, no more is left to guess than that; where none is, all,
as on a flat part."""
MANY_ACCENTS = 0.05
"""Single notes are written if such a share of the chords is accented, or more, and the less, the fewer are."""
GHOST_SHARE = 0.5
"""What is softer than that share of the median is a ghost note, and says nothing of how loud the others are."""
ACCENT_SHARE = 0.5
"""An accent among hardly any is louder by such a share of what is written than the note would be without it."""
PASSAGE_BEATS, ALIKE = 8.0, 5.0
"""A note is compared with those whose written velocities differ from its own by no more than `ALIKE`: within so many
beats, or in all the part where accents are written, or little is."""


def tells_dynamics(velocity: FloatArray) -> bool:
    """Whether written velocities are to be kept: they are not flat, or some stand out, a single accent at least."""
    return not is_flat(velocity) or bool(np.any(np.abs(velocity - np.median(velocity)) > ALIKE))


def ghosts(velocity: FloatArray) -> BoolArray:
    """(N,) whether a note is a ghost note."""
    return velocity < GHOST_SHARE * np.median(velocity)


def flatness(velocity: FloatArray, hand: IntArray) -> FloatArray:
    """(N,) how flat the flattest `RUN_NOTES` notes of a hand are that a note is one of: to 1, all at one velocity."""
    flat = np.empty(len(velocity))
    for one in np.unique(hand):
        mine = velocity[hand == one]
        width = min(RUN_NOTES, len(mine))
        runs = sliding_window_view(mine, width)
        share = np.mean(np.abs(runs - np.median(runs, axis=1, keepdims=True)) <= FLAT_SD, axis=1)
        ends = np.full(width - 1, -np.inf)
        flat[hand == one] = sliding_window_view(np.concatenate([ends, share, ends]), width).max(axis=1)
    return np.clip((flat - RUN_SHARE) / (1 - RUN_SHARE), 0.0, 1.0)


def accents_told(score: Score, velocity: FloatArray, hand: IntArray | None = None) -> float:
    """How much written velocities tell of single notes, from 0, of passages alone (p, f, a crescendo), to 1.

    An accent sets a chord apart from both those beside it, or a note from its chord; a passage does neither.

    Parameters
    ----------
    hand : (N,) which hand plays a note; each hand is compared with itself.
    """
    hand = np.zeros(len(velocity), dtype=np.int64) if hand is None else hand
    number = chord_numbers(score)
    chords, chord = np.unique(hand * len(score) + number, return_inverse=True)  # hand after hand, each in time
    loud = np.bincount(chord, velocity) / np.bincount(chord)
    step = np.where(np.diff(chords // len(score)) == 0, np.diff(loud), 0.0)
    step[np.abs(step) <= AS_LOUD] = 0.0
    undone = np.count_nonzero(step[:-1] * step[1:] < 0) / len(chords)
    voiced = float(np.mean(np.abs(velocity - loud[chord]) > AS_LOUD))
    return float(min(max(undone, voiced) / MANY_ACCENTS, 1.0))


def detail_of(played: FloatArray, written: FloatArray, score: Score, beats: float) -> FloatArray:
    """(N,) how much louder each note is played than those within so many beats that are written as loud."""
    low, high = neighbours(score.onset_beats, beats)
    detail = np.empty(len(played))
    for level in np.unique(written):
        here = written == level
        detail[here] = (played - window_mean(played, low, high, np.abs(written - level) <= ALIKE))[here]
    return detail


def how_little(score: Score, written: FloatArray, played: FloatArray, hand: IntArray) -> FloatArray:
    """(N,) how little is written, from 0, much, to 1, nothing: in the whole part or, beside accents, in a run of notes.

    A note is written apart that lies as far from the median as those of the flat part usually do, as `played`; one that
    lies half as far counts half. What hardly varies is little, too: from nothing at `FLAT_SD` on it counts for more, up
    to `FAINT_SD`. Without accents a long run is a passage, as loud as it is written to be. Ghost notes do not count.
    """
    rest = ~ghosts(written)
    others, usual = written[rest], float(np.abs(played - np.median(played)).mean())
    apart = np.abs(others - np.median(others))
    rare = 1.0 - float(np.minimum(apart / max(usual, 1e-6), 1.0).mean()) / MUCH_WRITTEN
    faint = (FAINT_SD - float(np.std(others))) / (FAINT_SD - FLAT_SD)
    runs = accents_told(score, written, hand) * flatness(others, hand[rest])
    little = np.zeros(len(written))
    little[rest] = np.clip(np.maximum(max(rare, faint), runs), 0.0, 1.0)
    return little


def as_written(
    score: Score, written: FloatArray, velocity: FloatArray, little: FloatArray, hand: IntArray, *, detail: float
) -> FloatArray:
    """(N,) velocities of a part whose written dynamics are kept.

    Parameters
    ----------
    written, velocity : those that are kept, and those of the part if it were flat.
    little : how little is written (`how_little`).
    detail : ``ModelConfig.passage_detail``.
    """
    accents = accents_told(score, written, hand)
    near, of_all = (detail_of(velocity, written, score, beats) for beats in (PASSAGE_BEATS, np.inf))
    least = detail * (1 - (1 - ACCENTS_DETAIL) * accents)
    share = least + (1 - least) * little
    kept, usual = written + share * (near + np.maximum(little, accents) * (of_all - near)), float(np.median(written))
    rare = np.abs(written - usual) > ALIKE
    if not little.any() or rare.all():
        return kept
    # accents among hardly any are not softer than the notes would be without them, but louder
    plain = usual + share * (velocity - velocity[~rare].mean()) + ACCENT_SHARE * (written - usual)
    beyond = np.where(written > usual, np.maximum(plain - kept, 0), np.minimum(plain - kept, 0))
    return kept + little * np.where(rare, beyond, 0)
