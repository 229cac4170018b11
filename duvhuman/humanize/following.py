"""How loud a flat part is where other parts of its file are played with dynamics: a band swells and accents together.

The network hears one part alone. To what it says is added how loud the others are at the moment and around it, each
reach with a weight of its own; `benchmarks/following.py` fitted these to songs that its networks had not seen.

Conventions
-----------
Arrays are (N,) over the notes of one part, which begin at `seconds`. How loud a note of another part is counts from the
mean of that part, over its SD. What is added counts in SDs of the part's own velocities.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from duvhuman.humanize.score import FloatArray, IntArray
from duvhuman.midi.notes import NoteTable, Part

LEAST_NOTES, LEAST_SD, LEAST_DISTINCT = 32, 3.0, 5
"""A part is played with dynamics if it has so many notes, of velocities that vary so much."""
DOUBLE_SHARE = 0.5
"""A part that begins the same pitch, in any octave, at so many of a part's notes doubles it."""
TOGETHER = 0.035
DOUBLES, OTHERS, DRUMS = (4.0,), (TOGETHER, 1.0, 4.0, 16.0), (4.0, 16.0)
"""So many seconds around a note others are heard: what begins with it, a bar, a passage, a section."""
COLUMNS = (
    "double of the note", *(f"doubles, {reach} s" for reach in DOUBLES), *(f"others, {reach} s" for reach in OTHERS),
    f"drums, {TOGETHER} s", *(f"drums from their own means, {reach} s" for reach in DRUMS),
)  # fmt: skip
WEIGHTS = (1.6, 0.7, 0.4, 0.5, 0.6, 0.45, 0.3, 0.75, 0.3)
"""By how much each column makes a note louder, in SDs of the part as it is played alone."""
TAKE_SHARE = 0.5
"""So much of it is added where a take tells how this player plays, and what is said is surer."""


def has_dynamics(part: Part) -> bool:
    """Whether a part is played with dynamics that others can follow."""
    velocity = part.notes.velocity
    return bool(
        len(velocity) >= LEAST_NOTES and velocity.std() >= LEAST_SD and len(np.unique(velocity)) >= LEAST_DISTINCT
    )


def company(others: Sequence[Part], seconds: FloatArray, pitch: IntArray) -> FloatArray:
    """(N,) by how many SDs notes of these pitches are louder in company of `others`, each of which `has_dynamics`."""
    louder: FloatArray = what_is_heard(others, seconds, pitch) @ np.array(WEIGHTS)
    return louder


def what_is_heard(others: Sequence[Part], seconds: FloatArray, pitch: IntArray) -> FloatArray:
    """(N, 9) how loud the others are, a column for each of `COLUMNS`; 0 where they are as ever, or nothing is heard.

    Parts that double this one, and others with pitches, count equally among themselves, however many notes they have.
    Drums count as one; further around, each drum from its own mean, so that it does not matter which are struck.
    """
    doubles: list[list[FloatArray]] = []
    apart: list[list[FloatArray]] = []
    for notes in (part.notes for part in others if not part.is_drums):
        loud = _standardised(notes.velocity)
        same = _of_same_pitch(notes, loud, seconds, pitch)
        doubling = np.isfinite(same).mean() >= DOUBLE_SHARE
        around = [_around(notes.onset_seconds, loud, seconds, reach) for reach in (DOUBLES if doubling else OTHERS)]
        if doubling:
            doubles.append([same, *around])
        else:
            apart.append(around)
    drums = [part.notes for part in others if part.is_drums]
    columns = [
        *_mean_of_parts(doubles, 1 + len(DOUBLES), len(seconds)), *_mean_of_parts(apart, len(OTHERS), len(seconds)),
        *_mean_of_parts([_drums(drums, seconds)] if drums else [], 1 + len(DRUMS), len(seconds)),
    ]  # fmt: skip
    return np.stack(columns, axis=1)


def _of_same_pitch(notes: NoteTable, loud: FloatArray, seconds: FloatArray, pitch: IntArray) -> FloatArray:
    """(N,) how loud notes of the same pitch are, in any octave, that begin together with each; NaN where none does."""
    found = np.full(len(seconds), np.nan)
    for tone in np.unique(pitch % 12):
        mine, theirs = pitch % 12 == tone, notes.pitch % 12 == tone
        found[mine] = _around(notes.onset_seconds[theirs], loud[theirs], seconds[mine], TOGETHER)
    return found


def _drums(drums: Sequence[NoteTable], seconds: FloatArray) -> list[FloatArray]:
    """The columns of all drums."""
    onset = np.concatenate([notes.onset_seconds for notes in drums])
    loud = np.concatenate([_standardised(notes.velocity) for notes in drums])
    drum = np.unique(np.concatenate([notes.pitch for notes in drums]), return_inverse=True)[1]
    from_own_mean = loud - (np.bincount(drum, loud) / np.bincount(drum))[drum]
    return [
        _around(onset, loud, seconds, TOGETHER), *(_around(onset, from_own_mean, seconds, reach) for reach in DRUMS)
    ]  # fmt: skip


def _mean_of_parts(heard: Sequence[Sequence[FloatArray]], columns: int, notes: int) -> FloatArray:
    """(columns, N) the mean over the parts that are heard at each note; 0 where none is."""
    values = np.array(heard).reshape(len(heard), columns, notes)
    known = np.isfinite(values)
    mean: FloatArray = np.where(known, values, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    return mean


def _standardised(velocity: IntArray) -> FloatArray:
    loud: FloatArray = (velocity - velocity.mean()) / velocity.std()
    return loud


def _around(onset: FloatArray, loud: FloatArray, seconds: FloatArray, reach: float) -> FloatArray:
    """(N,) the mean of `loud` (M,) of those notes whose `onset` (M,) lies within `reach`; NaN where none does."""
    order = np.argsort(onset, kind="stable")
    total = np.append(0.0, np.cumsum(loud[order]))
    first = np.searchsorted(onset[order], seconds - reach)
    last = np.searchsorted(onset[order], seconds + reach, "right")
    mean: FloatArray = np.where(last > first, (total[last] - total[first]) / np.maximum(last - first, 1), np.nan)
    return mean
