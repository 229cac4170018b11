"""What the user has written of a part's dynamics, and how it is kept: marks, accents, what was played by hand.

Written velocities stay. To them is added a share of what would set each note apart from others that are written as loud
if the part were flat. Where much is written that is ``ModelConfig.passage_detail``, or half of it beside accents, which
leave the swells of the whole part to guess; where little is, it is all.

Conventions
-----------
Arrays are (N,) over the notes of one part, in the order of its `Score`; velocities are MIDI's. A hand is what
`duvhuman.humanize.balance` calls so: what is written for one tells nothing of how little is for the other. "Around" a
note are `AROUND` notes of its hand: a verse that was played by hand says nothing of a chorus that is flat.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from duvhuman.humanize.score import (
    FLAT_SD,
    FloatArray,
    IntArray,
    Score,
    chord_numbers,
    is_flat,
    neighbours,
)

AROUND = 128
"""So many notes of a hand around each tell how little is written there: of a shorter part, all."""
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
SOME_WRITTEN = 0.025
"""So it is where such a share of the notes around one is written apart, whatever is written in the rest of the part."""
PASSAGE_BEATS, ALIKE = 8.0, 5.0
"""A note is compared with those within so many beats, or in all the part where accents are written or little is, whose
written velocities differ from its own by no more."""


def tells_dynamics(velocity: FloatArray) -> bool:
    """Whether written velocities are to be kept: they are not flat, or some stand out, a single accent at least."""
    return not is_flat(velocity) or bool(np.any(np.abs(velocity - np.median(velocity)) > ALIKE))


def hardly_varies(velocity: FloatArray, hand: IntArray) -> bool:
    """Whether so little is written somewhere, if anything, that the rest may follow other parts (`how_little`)."""
    faint, rare = _around(velocity, hand, _sd) < FAINT_SD, _around(velocity, hand, _share_apart) < MUCH_WRITTEN
    return bool((faint | rare).any())


def _sd(windows: FloatArray) -> FloatArray:
    return np.std(windows, axis=1)


def _median(windows: FloatArray) -> FloatArray:
    return np.median(windows, axis=1)


def _share_apart(windows: FloatArray) -> FloatArray:
    return np.mean(np.abs(windows - _median(windows)[:, None]) > ALIKE, axis=1)


def _around(values: FloatArray, hand: IntArray, of: Callable[[FloatArray], FloatArray]) -> FloatArray:
    """(N,) what `of` makes, (M,), of the (M, W) values around each note of a hand."""
    made = np.empty(len(values))
    for one in np.unique(hand):
        mine = np.flatnonzero(hand == one)
        width = min(AROUND, len(mine))
        first = np.clip(np.arange(len(mine)) - width // 2, 0, len(mine) - width)
        made[mine] = of(sliding_window_view(values[mine], width))[first]
    return made


def tells_accents(score: Score, velocity: FloatArray, hand: IntArray | None = None) -> bool:
    """Whether written velocities tell of single notes, and not only of passages (p, f, a crescendo).

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
    undone = np.count_nonzero(step[:-1] * step[1:] < 0)
    voiced = np.mean(np.abs(velocity - loud[chord]) > AS_LOUD)
    return bool(undone > FEWEST_ACCENTS * np.count_nonzero(step) or voiced > FEWEST_ACCENTS)


def detail_of(played: FloatArray, written: FloatArray, score: Score, beats: float) -> FloatArray:
    """(N,) how much louder each note is played than those within so many beats that are written as loud."""
    low, high = neighbours(score.onset_beats, beats)
    detail = np.empty(len(played))
    for level in np.unique(written):
        alike, here = np.abs(written - level) <= ALIKE, written == level
        total, count = (np.append(0.0, np.cumsum(np.where(alike, one, 0.0))) for one in (played, 1.0))
        detail[here] = (played - (total[high] - total[low]) / np.maximum(count[high] - count[low], 1.0))[here]
    return detail


def how_little(written: FloatArray, played: FloatArray, hand: IntArray, *, accents: bool) -> FloatArray:
    """(N,) how little is written, from 0, much, to 1, nothing: in the whole part, or, beside accents, around a note.

    A note is written apart that lies as far from the median as those of the flat part usually do, as `played`; one that
    lies half as far counts half. Much is `MUCH_WRITTEN` of the part, or `SOME_WRITTEN` around a note. What hardly
    varies is little, too: from nothing at `FLAT_SD` on it counts for more, up to `FAINT_SD`.

    Parameters
    ----------
    accents : whether written velocities tell of single notes (`tells_accents`). Else a long passage is as loud as it is
        written to be.
    """
    usual = max(float(np.abs(played - np.median(played)).mean()), 1e-6)

    def share_apart(windows: FloatArray) -> FloatArray:
        return np.minimum(np.abs(windows - _median(windows)[:, None]) / usual, 1.0).mean(axis=1)

    def little(shares: FloatArray, sds: FloatArray, much: float) -> FloatArray:
        return np.clip(np.maximum(1 - shares / much, (FAINT_SD - sds) / (FAINT_SD - FLAT_SD)), 0.0, 1.0)

    whole = little(share_apart(written[None]), _sd(written[None]), MUCH_WRITTEN)
    if not accents:
        return np.repeat(whole, len(written))
    return np.maximum(whole, little(_around(written, hand, share_apart), _around(written, hand, _sd), SOME_WRITTEN))


def as_written(
    velocity: FloatArray, written: FloatArray, little: FloatArray, score: Score, hand: IntArray, *, accents: bool,
    passage_detail: float,
) -> FloatArray:
    """(N,) velocities of a part whose written dynamics are kept.

    Parameters
    ----------
    velocity : those of the part if it were flat.
    written : those that are kept.
    little, accents : how little is written, and whether it tells of single notes (`how_little`).
    """
    least, detail = passage_detail, detail_of(velocity, written, score, np.inf)
    if accents:
        least *= ACCENTS_DETAIL
    else:
        near = detail_of(velocity, written, score, PASSAGE_BEATS)
        detail = near + little * (detail - near)
    usual = _around(written, hand, _median)
    apart = np.abs(written - usual) > ALIKE
    free = least + (1 - least) * little
    kept = written + free * detail
    if not little.any() or apart.all():
        return kept
    # accents among hardly any are not softer than the notes would be without them
    plain = usual + free * (velocity - velocity[~apart].mean())
    beyond = np.where(written > usual, np.maximum(plain - kept, 0), np.minimum(plain - kept, 0))
    return kept + little * np.where(apart, beyond, 0)
