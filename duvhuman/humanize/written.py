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

from duvhuman.humanize.score import (
    FLAT_SD,
    FloatArray,
    IntArray,
    Score,
    chord_numbers,
    is_flat,
    neighbours,
)

RUN_FROM, RUN_NOTES = 16, 32
"""Beside accents nothing is written of a run of so many notes of a hand, or more, at one velocity; of a shorter one the
less is, the longer it is, from the former on."""
FAINT_SD = 4.0
"""Written velocities with an SD below it hardly vary."""
AS_LOUD = 2.0
"""Two chords are as loud as each other if their velocities differ by no more than this."""
FEWEST_ACCENTS = 0.2
"""Accents are written if more of the changes of loudness are undone at the next chord, or more of the notes lie above
or below their own chord."""
ACCENTS_DETAIL = 0.5
"""How much of ``ModelConfig.passage_detail`` is played where accents are written, and less is left to guess."""
MUCH_WRITTEN = 0.1
"""No more is left to guess than that where such a share of the notes is written apart, or more; all, as on a flat part,
where none is."""
BESIDE_ACCENTS = 0.05
"""All of that counts if such a share of the chords is accented, or more: a few accents make no passages flat."""
WIDE_GAP, FEWEST_AT_LEVEL = 25.0, 8
"""What is written at one velocity, so many notes at least, that lies so far from all others is played as if it were
flat: ghost notes say nothing of how loud the others are among themselves."""
ACCENT_SHARE = 0.5
"""An accent among hardly any is louder by such a share of what is written than the note would be without it."""
PASSAGE_BEATS, ALIKE = 8.0, 5.0
"""A note is compared with those within so many beats, or in all the part where accents are written or little is, whose
written velocities differ from its own by no more."""


def tells_dynamics(velocity: FloatArray) -> bool:
    """Whether written velocities are to be kept: they are not flat, or some stand out, a single accent at least."""
    return not is_flat(velocity) or bool(np.any(np.abs(velocity - np.median(velocity)) > ALIKE))


def run_lengths(velocity: FloatArray, hand: IntArray) -> IntArray:
    """(N,) how many notes of a hand in a row are written as loud as a note, but for what counts as flat."""
    lengths = np.empty(len(velocity), dtype=np.int64)
    for one in np.unique(hand):
        mine = np.flatnonzero(hand == one)
        begins, first = [], -np.inf
        for value in velocity[mine].tolist():
            begins.append(abs(value - first) >= FLAT_SD)
            first = value if begins[-1] else first
        run = np.cumsum(begins) - 1
        lengths[mine] = np.bincount(run)[run]
    return lengths


def tells_accents(score: Score, velocity: FloatArray, hand: IntArray | None = None) -> bool:
    """Whether written velocities tell of single notes, and not only of passages (p, f, a crescendo).

    An accent sets a chord apart from both those beside it, or a note from its chord; a passage does neither.

    Parameters
    ----------
    hand : (N,) which hand plays a note; each hand is compared with itself.
    """
    undone, changes, _, voiced = _changes(score, velocity, hand)
    return undone > FEWEST_ACCENTS * changes or voiced > FEWEST_ACCENTS


def accented_share(score: Score, velocity: FloatArray, hand: IntArray | None = None) -> float:
    """The share of the chords whose accent is undone at the next, or of the notes apart from theirs if that is more."""
    undone, _, chords, voiced = _changes(score, velocity, hand)
    return max(undone / chords, voiced)


def _changes(score: Score, velocity: FloatArray, hand: IntArray | None) -> tuple[int, int, int, float]:
    """How many changes of loudness are undone at the next chord, of how many, between how many chords; and the share of
    the notes that lie above or below their own chord.
    """
    hand = np.zeros(len(velocity), dtype=np.int64) if hand is None else hand
    number = chord_numbers(score)
    chords, chord = np.unique(hand * len(score) + number, return_inverse=True)  # hand after hand, each in time
    loud = np.bincount(chord, velocity) / np.bincount(chord)
    step = np.where(np.diff(chords // len(score)) == 0, np.diff(loud), 0.0)
    step[np.abs(step) <= AS_LOUD] = 0.0
    voiced = float(np.mean(np.abs(velocity - loud[chord]) > AS_LOUD))
    return int(np.count_nonzero(step[:-1] * step[1:] < 0)), int(np.count_nonzero(step)), len(chords), voiced


def detail_of(played: FloatArray, written: FloatArray, score: Score, beats: float) -> FloatArray:
    """(N,) how much louder each note is played than those within so many beats that are written as loud."""
    low, high = neighbours(score.onset_beats, beats)
    detail = np.empty(len(played))
    for level in np.unique(written):
        alike, here = np.abs(written - level) <= ALIKE, written == level
        total, count = (np.append(0.0, np.cumsum(np.where(alike, one, 0.0))) for one in (played, 1.0))
        detail[here] = (played - (total[high] - total[low]) / np.maximum(count[high] - count[low], 1.0))[here]
    return detail


def how_little(score: Score, written: FloatArray, played: FloatArray, hand: IntArray) -> FloatArray:
    """(N,) how little is written, from 0, much, to 1, nothing: in the whole part or, beside accents, in a run of notes.

    A note is written apart that lies as far from the median as those of the flat part usually do, as `played`; one that
    lies half as far counts half. What hardly varies is little, too: from nothing at `FLAT_SD` on it counts for more, up
    to `FAINT_SD`. Without accents a long run is a passage, as loud as it is written to be.
    """
    apart, usual = np.abs(written - np.median(written)), float(np.abs(played - np.median(played)).mean())
    rare = 1.0 - float(np.minimum(apart / max(usual, 1e-6), 1.0).mean()) / MUCH_WRITTEN
    faint = (FAINT_SD - float(np.std(written))) / (FAINT_SD - FLAT_SD)
    flat = np.clip((run_lengths(written, hand) - RUN_FROM) / (RUN_NOTES - RUN_FROM), 0.0, 1.0)
    beside = min(accented_share(score, written, hand) / BESIDE_ACCENTS, 1.0)
    return np.clip(np.maximum(max(rare, faint), beside * flat), 0.0, 1.0)


def alone_at_its_level(written: FloatArray) -> FloatArray:
    """(N,) 1 where many notes are written at one velocity and none nearer to it than `WIDE_GAP`, less where these are
    soft, else 0.
    """
    level, of, notes = np.unique(written, return_inverse=True, return_counts=True)
    gap = np.diff(level, prepend=-np.inf, append=np.inf)
    alone = (np.minimum(gap[:-1], gap[1:]) >= WIDE_GAP) & (notes >= FEWEST_AT_LEVEL)
    return np.where(alone[of], 1.0, 0.0) * np.minimum(written / max(float(np.median(written)), 1.0), 1.0)


def as_written(
    score: Score, written: FloatArray, velocity: FloatArray, little: FloatArray, hand: IntArray | None, *, detail: float
) -> FloatArray:
    """(N,) velocities of a part whose written dynamics are kept.

    Parameters
    ----------
    written, velocity : those that are kept, and those of the part if it were flat.
    little : how little is written (`how_little`).
    detail : ``ModelConfig.passage_detail``.
    """
    accents, apart = tells_accents(score, written, hand), detail_of(velocity, written, score, np.inf)
    if not accents:
        near = detail_of(velocity, written, score, PASSAGE_BEATS)
        apart = near + little * (apart - near)
    least = detail * ACCENTS_DETAIL if accents else detail
    share = least + (1 - least) * (np.maximum(little, alone_at_its_level(written)) if accents else little)
    kept, usual = written + share * apart, float(np.median(written))
    rare = np.abs(written - usual) > ALIKE
    if not little.any() or rare.all():
        return kept
    # accents among hardly any are not softer than the notes would be without them, but louder
    plain = usual + share * (velocity - velocity[~rare].mean()) + ACCENT_SHARE * (written - usual)
    beyond = np.where(written > usual, np.maximum(plain - kept, 0), np.minimum(plain - kept, 0))
    return kept + little * np.where(rare, beyond, 0)
