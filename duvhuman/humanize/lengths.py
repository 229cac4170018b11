"""How long a note may get: until its pitch is played again, its channel is bent or a pedal catches it; never nothing.

Conventions
-----------
Ticks throughout; arrays are (N,) over the notes of one part. A stream is what one channel of one port plays, on
whatever tracks; of files of format 2, what it plays on one track.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from duvhuman.humanize.score import IntArray
from duvhuman.midi.notes import NoteTable
from duvhuman.midi.programs import port_of
from duvhuman.midi.smf import CONTROL_CHANGE, PEDAL_DOWN, PITCH_BEND, SOSTENUTO, SUSTAIN, SmfFile

NEVER = int(np.iinfo(np.int64).max)
CHANNELS, PITCHES = 16, 128
UNBENT = 64 << 7


def room_to_ring(smf: SmfFile, tables: Sequence[NoteTable]) -> list[IntArray]:
    """For every note of every table the most ticks that it may last, at least 1.

    A synthesizer hears one stream: a note-off of the left hand would end the right hand's note, a bend sounds on all
    notes of its channel, and a pedal holds all that sound when it goes down. So a note ends when its pitch is played
    again (a tick earlier where that is on an earlier track, whose events come first), and none that ends before a bend
    or a pedal is made to ring into it. Notes that begin together do not bound each other.

    Parameters
    ----------
    tables : the parts of the file, all of them, for those that stay as they are bound the others.

    Returns
    -------
    list of (N,) arrays, one for each table; `NEVER` where nothing bounds a note.
    """
    if not tables:
        return []
    onset, duration, pitch, channel, track = (
        np.concatenate([getattr(table, name) for table in tables])
        for name in ("onset_ticks", "duration_ticks", "pitch", "channel", "track")
    )
    stream = _stream_of_track(smf)[track] * CHANNELS + channel
    order = np.lexsort((track, onset, stream * PITCHES + pitch))
    again, row = _next(stream[order] * PITCHES + pitch[order], onset[order], stream * PITCHES + pitch, onset + 1)
    again -= (again < NEVER) & (track[order][row] < track)
    bent, _ = _next(*_bends(smf), stream, onset + duration)
    caught, _ = _next(*_presses(smf), stream, onset + duration)
    caught -= (caught < NEVER) & (caught > onset + duration)  # its track may come first
    until = np.minimum(again, np.minimum(bent, caught))
    room = np.where(until < NEVER, np.maximum(until - onset, 1), NEVER)
    return np.split(room, np.cumsum([len(table) for table in tables])[:-1])


def _stream_of_track(smf: SmfFile) -> IntArray:
    """(T,) a number for each track, the same for those that share their channels."""
    return np.array([index if smf.format == 2 else port_of(track) for index, track in enumerate(smf.tracks)])


def _bends(smf: SmfFile) -> tuple[IntArray, IntArray]:
    """(B,) stream and tick of all changes of a pitch bend, sorted; one that repeats what is in force is none."""
    stream, tick, low, high = _messages(smf, PITCH_BEND)
    bend = (high << 7) + low
    changed = bend != _in_force_before(bend, stream, UNBENT)
    return stream[changed], tick[changed]


def _presses(smf: SmfFile) -> tuple[IntArray, IntArray]:
    """(B,) stream and tick of every time that a pedal goes down which holds what sounds then, sorted."""
    messages = _messages(smf, CONTROL_CHANGE)
    found = []
    for pedal in (SUSTAIN, SOSTENUTO):
        stream, tick, _, value = messages[:, messages[2] == pedal]
        down = (value >= PEDAL_DOWN).astype(np.int64)
        found.append(np.stack([stream, tick])[:, down > _in_force_before(down, stream, 0)])
    stream, tick = np.concatenate(found, axis=1)
    order = np.lexsort((tick, stream))
    return stream[order], tick[order]


def _messages(smf: SmfFile, kind: int) -> IntArray:
    """(4, E) stream, tick, first and last data byte of all channel messages of a kind, sorted by stream and tick."""
    found: list[IntArray] = [np.zeros((4, 0), dtype=np.int64)]
    for number, track in zip(_stream_of_track(smf), smf.tracks, strict=True):
        rows = np.flatnonzero((track.statuses & 0xF0) == kind)
        stream = number * CHANNELS + (track.statuses[rows] & 0x0F)
        found.append(np.stack([stream, track.ticks[rows], track.first_data(rows), track.last_data(rows)]))
    messages = np.concatenate(found, axis=1)
    return messages[:, np.lexsort((messages[1], messages[0]))]


def _in_force_before(value: IntArray, stream: IntArray, at_first: int) -> IntArray:
    """(E,) the value before each event of a stream (E,); events are sorted by stream, then by tick."""
    before = np.append(at_first, value)[:-1]
    return np.where(np.append(True, np.diff(stream) != 0)[: len(stream)], at_first, before)


def _next(keys: IntArray, ticks: IntArray, key: IntArray, since: IntArray) -> tuple[IntArray, IntArray]:
    """(N,) tick and row of the first event of each `key` (N,) at its tick `since` (N,) or later; `NEVER`, 0 if none is.

    Parameters
    ----------
    keys, ticks : (E,) of the events, sorted by key, then by tick.
    """
    if not len(keys):
        return np.full(len(key), NEVER), np.zeros(len(key), dtype=np.int64)
    base = int(max(ticks.max(), since.max())) + 1
    row = np.searchsorted(keys * base + ticks, key * base + since)
    inside = np.minimum(row, len(keys) - 1)
    found = (row < len(keys)) & (keys[inside] == key)
    return np.where(found, ticks[inside], NEVER), np.where(found, inside, 0)


def fit_lengths(notes: NoteTable, wanted: IntArray, room: IntArray) -> IntArray:
    """Lengths as near to `wanted` as can be: at least a tick, at most `room`.

    Left as they are: notes of no length, those that no note-off ends, and those of one pitch that begin together on a
    channel of a track, where which note-off ends which of them is a convention only.

    Parameters
    ----------
    notes : a part of N notes.
    wanted, room : (N,) ticks.
    """
    columns = (notes.onset_ticks, notes.pitch, notes.channel, notes.track)
    order = np.lexsort(columns)
    together = np.ones(len(order) - 1, dtype=np.bool_)
    for column in columns:
        together &= np.diff(column[order]) == 0
    fixed = (notes.duration_ticks == 0) | (notes.off_event < 0) | (wanted == notes.duration_ticks)
    fixed[order[:-1][together]] = fixed[order[1:][together]] = True
    return np.where(fixed, notes.duration_ticks, np.clip(wanted, 1, room))
