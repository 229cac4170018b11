"""How long a note may get: until its pitch is played again, and never nothing.

Conventions
-----------
Ticks throughout; arrays are (N,) over the notes of one part.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from duvhuman.humanize.score import IntArray
from duvhuman.midi.notes import NoteTable

NEVER = int(np.iinfo(np.int64).max)


def ticks_until_repeated(tables: Sequence[NoteTable], *, tracks_apart: bool = False) -> list[IntArray]:
    """For every note of every table the ticks until its channel next plays its pitch, on whatever track.

    A synthesizer hears one stream: a note-off of the left hand would end the right hand's note. Notes that begin
    together do not bound each other.

    Parameters
    ----------
    tables : the parts of a file, all of them, for those that stay as they are bound the others.
    tracks_apart : whether tracks are streams of their own (format 2).

    Returns
    -------
    list of (N,) arrays, one for each table; `NEVER` where the pitch does not come again.
    """
    if not tables:
        return []
    onset, pitch, channel, track = (
        np.concatenate([getattr(table, name) for table in tables])
        for name in ("onset_ticks", "pitch", "channel", "track")
    )
    stream = (track if tracks_apart else 0) * 2048 + channel * 128 + pitch
    base = int(onset.max()) + 1
    codes = stream * base + onset
    following = np.append(np.sort(codes), NEVER)[np.searchsorted(np.sort(codes), codes, side="right")]
    room = np.where(following // base == stream, following % base - onset, NEVER)
    return np.split(room, np.cumsum([len(table) for table in tables])[:-1])


def fit_lengths(notes: NoteTable, wanted: IntArray, room: IntArray) -> IntArray:
    """Lengths as near to `wanted` as can be: at least a tick, at most `room`.

    Left as they are: notes of no length, those that no note-off ends, and those of one pitch that begin together on a
    track, where which note-off ends which of them is a convention only.

    Parameters
    ----------
    notes : a part of N notes.
    wanted, room : (N,) ticks.
    """
    order = np.lexsort((notes.onset_ticks, notes.pitch, notes.track))
    together = np.ones(len(order) - 1, dtype=np.bool_)
    for column in (notes.onset_ticks, notes.pitch, notes.track):
        together &= np.diff(column[order]) == 0
    fixed = (notes.duration_ticks == 0) | (notes.off_event < 0) | (wanted == notes.duration_ticks)
    fixed[order[:-1][together]] = fixed[order[1:][together]] = True
    return np.where(fixed, notes.duration_ticks, np.clip(wanted, 1, room))
