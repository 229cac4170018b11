"""How loud a flat part is where other parts of its file are played with dynamics: a band swells and accents together.

The network of an instrument hears one part alone. To what it says is added what a second, small network
(`duvhuman.models.company`) makes of how loud the others are at each note and around it, and of how they play together.

Conventions
-----------
Arrays are (N,) over the notes of one part, which begin at `seconds`. How loud a note of another part is counts from the
mean of that part, over its SD; a drum's from its own mean. What is added counts in SDs of the part's own velocities.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from duvhuman.arrays import FloatArray, IntArray, group_means, window_mean
from duvhuman.instruments import INSTRUMENTS, instrument_of_program
from duvhuman.midi.notes import NoteTable, Part
from duvhuman.models.company import load_company
from duvhuman.rhythm.metre import CHORD_SECONDS

LEAST_NOTES, LEAST_SD, LEAST_DISTINCT = 32, 3.0, 5
"""A part is played with dynamics if it has so many notes, of velocities that vary so much."""
REACHES = (CHORD_SECONDS, 0.12, 0.3, 1.0, 4.0, 16.0)
"""So many seconds around a note others are heard: what begins with it, a beat, a bar, a passage, a section."""
LOUDNESS = (*(f"within {reach} s" for reach in REACHES), "same pitch", "any drum")
"""How loud another part is: the mean over what it begins, over notes of the same pitch in any octave that begin with a
note, and over drums that do, as they are struck."""
LOUDEST = 4.0
"""So many SDs from its mean a part is heard at most: one note out of line is no dynamics."""
RELATION = (
    "share of notes it begins with", "share of its notes that begin with one", "share of notes with its pitch", "SD",
    "distinct velocities", "notes", "octaves above",
)
"""How another part is played and how the two play together: shares, counts by their logarithm, all of about 0 to 1."""
FAMILIES = (*INSTRUMENTS, "other", "drums")
COLUMNS = (*LOUDNESS, *(f"{name}: known" for name in LOUDNESS), *RELATION, *FAMILIES)
TAKE_SHARE = 0.5
"""So much of it is added where a take tells how this player plays, and what is said is surer."""
CHUNK = 4096
"""Notes that the network is shown at a time."""


def has_dynamics(part: Part) -> bool:
    """Whether a part is played with dynamics that others can follow."""
    return len(part.notes.velocity) >= LEAST_NOTES and varies(part.notes.velocity)


def varies(velocity: IntArray | FloatArray) -> bool:
    """Whether somebody played these velocities, so that there is something to follow, or to learn."""
    return bool(velocity.std() >= LEAST_SD and len(np.unique(velocity)) >= LEAST_DISTINCT)


def company(others: Sequence[Part], seconds: FloatArray, pitch: IntArray, instrument: str) -> FloatArray:
    """(N,) by how many SDs notes of these pitches are louder in company of `others`, each of which `has_dynamics`.

    Their mean is 0; so is everything if there are no others.
    """
    if not others or not len(seconds):
        return np.zeros(len(seconds))
    network, heard = load_company(), torch.from_numpy(what_is_heard(others, seconds, pitch))
    with torch.inference_mode(), torch.autocast("cpu", enabled=False):
        louder = torch.cat([network(chunk, instrument) for chunk in torch.split(heard, CHUNK)]).double()
    return (louder - louder.mean()).numpy()


def what_is_heard(others: Sequence[Part], seconds: FloatArray, pitch: IntArray) -> NDArray[np.float32]:
    """(N, K, C) the `COLUMNS` of K other parts; what is not known, since nothing is played there, is 0."""
    return np.stack([_one_part(part, seconds, pitch) for part in others], axis=1)


def _one_part(part: Part, seconds: FloatArray, pitch: IntArray) -> NDArray[np.float32]:
    """(N, C) the columns of one other part."""
    notes, nothing = part.notes, np.full(len(seconds), np.nan)
    struck = (notes.velocity - notes.velocity.mean()) / notes.velocity.std()
    loud = struck - group_means(struck, notes.pitch) if part.is_drums else struck  # whichever drums are struck
    around = [_around(notes.onset_seconds, loud, seconds, reach) for reach in REACHES]
    same = nothing if part.is_drums else _of_same_pitch(notes, loud, seconds, pitch)
    any_drum = _around(notes.onset_seconds, struck, seconds, CHORD_SECONDS) if part.is_drums else nothing
    loudness = np.stack([*around, same, any_drum], axis=1)
    known = np.isfinite(loudness)
    relation = [
        float(known[:, 0].mean()), _share_together(notes.onset_seconds, seconds), float(np.isfinite(same).mean()),
        float(notes.velocity.std()) / 20, np.log(len(np.unique(notes.velocity))) / 4, np.log(len(notes)) / 7,
        0.0 if part.is_drums else float(np.clip((notes.pitch.mean() - pitch.mean()) / 12, -3, 3)),
    ]
    known_as = instrument_of_program(part.program)
    family = "drums" if part.is_drums else known_as.name if known_as else "other"
    constant = [*relation, *(float(name == family) for name in FAMILIES)]
    return np.column_stack(
        [np.where(known, np.clip(loudness, -LOUDEST, LOUDEST), 0.0), known, np.tile(constant, (len(seconds), 1))]
    ).astype(np.float32)


def _share_together(onset: FloatArray, seconds: FloatArray) -> float:
    """The share of those of a part's onsets (M,) that lie within the other's time that begin with one of its notes."""
    own = np.sort(seconds)
    onset = onset[(onset >= own[0] - 1) & (onset <= own[-1] + 1)]
    after = np.searchsorted(own, onset)
    nearest = np.minimum(
        np.abs(own[np.minimum(after, len(own) - 1)] - onset), np.abs(own[np.maximum(after - 1, 0)] - onset)
    )
    return float((nearest <= CHORD_SECONDS).mean()) if len(onset) else 0.0


def _of_same_pitch(notes: NoteTable, loud: FloatArray, seconds: FloatArray, pitch: IntArray) -> FloatArray:
    """(N,) how loud notes of the same pitch are, in any octave, that begin together with each; NaN where none does."""
    found = np.full(len(seconds), np.nan)
    for tone in np.unique(pitch % 12):
        mine, theirs = pitch % 12 == tone, notes.pitch % 12 == tone
        found[mine] = _around(notes.onset_seconds[theirs], loud[theirs], seconds[mine], CHORD_SECONDS)
    return found


def _around(onset: FloatArray, loud: FloatArray, seconds: FloatArray, reach: float) -> FloatArray:
    """(N,) the mean of `loud` (M,) of those notes whose `onset` (M,) lies within `reach`; NaN where none does."""
    order = np.argsort(onset, kind="stable")
    onset, loud = onset[order], loud[order]
    return window_mean(loud, np.searchsorted(onset, seconds - reach), np.searchsorted(onset, seconds + reach, "right"))
