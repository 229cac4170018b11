"""How long a note may last: until its pitch is played again, or what it was not to hear; and until what it was to hear.

Conventions
-----------
Ticks throughout; arrays are (N,) over the notes of one part. A stream is what one channel of one port plays, on
whatever tracks; of files of format 2, what it plays on one track. Parts of other programs or titles have streams of
their own: many programs write every track on channel 1, and whoever reads the file keeps them apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from duvhuman.arrays import IntArray
from duvhuman.midi.hands import FEWEST_CHANNELS
from duvhuman.midi.notes import NoteTable, Part
from duvhuman.midi.programs import channel_messages, port_of
from duvhuman.midi.smf import CONTROL_CHANGE, PEDAL_DOWN, PITCH_BEND, SOSTENUTO, SUSTAIN, SmfFile

NEVER = int(np.iinfo(np.int64).max)
CHANNELS, PITCHES = 16, 128
UNBENT = 64 << 7


@dataclass(frozen=True)
class _Streams:
    """Who hears what.

    Attributes
    ----------
    own, common : (N,) of each note the stream of its part, and that of all parts on its channel.
    meant : (T, 16) the stream that a message is for, by its track and channel.
    """

    own: IntArray
    common: IntArray
    meant: IntArray

    def messages(self, smf: SmfFile, kind: int) -> IntArray:
        """(4, E) stream, tick, first and last data byte of the messages of a kind, sorted by stream and tick."""
        track, channel, tick, first, last = channel_messages(smf.tracks, kind)
        stream = self.meant[track, channel]
        return np.stack([stream, tick, first, last])[:, np.lexsort((tick, stream))]

    def next(self, stream: IntArray, tick: IntArray, since: IntArray) -> IntArray:
        """(N,) the tick of the first event (E,) that each note hears, at its tick `since` (N,) or later."""
        own, common = (_next(stream, tick, heard, since)[0] for heard in (self.own, self.common))
        return np.minimum(own, common)

    def last(self, stream: IntArray, tick: IntArray, after: IntArray, before: IntArray) -> IntArray:
        """(N,) that of the last event between its ticks `after` and `before`; `after` if there is none."""
        own, common = (_last(stream, tick, heard, after, before) for heard in (self.own, self.common))
        return np.maximum(own, common)


@dataclass(frozen=True)
class Room:
    """How many ticks the notes of a part may last.

    Attributes
    ----------
    least, most : (N,), 1 or more; `most` counts where they disagree, and is `NEVER` where nothing bounds a note.
    """

    least: IntArray
    most: IntArray


def room_to_ring(smf: SmfFile, parts: Sequence[Part]) -> list[Room]:
    """For every note of every part how many ticks it may last.

    A synthesizer hears one stream: a note-off of the left hand would end the right hand's note, a bend sounds on all
    notes of its channel, and a pedal holds all that sound when it goes down. So a note ends when its pitch is played
    again (a tick earlier where that is on an earlier track, whose events come first), and none that ends before a bend
    or a pedal is made to ring into it. One that a pedal catches is held until then; one that is bent while it sounds,
    for half of what is left of it at the last bend. A string of a guitar plays one note at a time: in a part on several
    channels none that ends before the next one of its channel is made to ring into it. Notes that begin together do not
    bound each other.

    Parameters
    ----------
    parts : those of the file, all of them, for those that stay as they are bound the others.
    """
    if not parts:
        return []
    tables = [part.notes for part in parts]
    onset, duration, pitch, channel, track = (
        np.concatenate([getattr(table, name) for table in tables])
        for name in ("onset_ticks", "duration_ticks", "pitch", "channel", "track")
    )
    streams = _streams(smf, parts, track, channel)
    stream = streams.own
    order = np.lexsort((track, onset, stream * PITCHES + pitch))
    again, row = _next(stream[order] * PITCHES + pitch[order], onset[order], stream * PITCHES + pitch, onset + 1)
    again -= (again < NEVER) & (track[order][row] < track)
    bent_stream, bent_tick, bend = _bends(streams.messages(smf, PITCH_BEND))
    pressed_stream, pressed_tick = _presses(streams.messages(smf, CONTROL_CHANGE))
    bent = streams.next(bent_stream, bent_tick, onset + duration)
    caught = streams.next(pressed_stream, pressed_tick, onset + duration)
    caught -= (caught < NEVER) & (caught > onset + duration)  # its track may come first
    until = np.minimum(np.minimum(again, _next_on_string(tables)), np.minimum(bent, caught))
    most = np.where(until < NEVER, np.maximum(until - onset, 1), NEVER)
    away = bend != UNBENT  # one that goes back to the middle may be made ready for the next note
    last_bend = streams.last(bent_stream[away], bent_tick[away], onset, onset + duration)
    last_press = streams.last(pressed_stream, pressed_tick, onset, onset + duration)
    heard = np.where(last_bend > onset, (last_bend + onset + duration) // 2, onset + 1)
    least = np.maximum(heard, last_press + 1) - onset
    cuts = np.cumsum([len(table) for table in tables])[:-1]
    return [Room(*one) for one in zip(np.split(least, cuts), np.split(most, cuts), strict=True)]


def _next_on_string(tables: Sequence[NoteTable]) -> IntArray:
    """(N,) of all notes when the next begins on their channel, if they end by then and their part is on several."""
    found = []
    for notes in tables:
        until = np.full(len(notes), NEVER)
        if len(np.unique(notes.channel)) >= FEWEST_CHANNELS:
            order = np.lexsort((notes.onset_ticks, notes.channel))
            channel, onset = notes.channel[order], notes.onset_ticks[order]
            until, _ = _next(channel, onset, notes.channel, notes.onset_ticks + 1)
            until[until < notes.onset_ticks + notes.duration_ticks] = NEVER
        found.append(until)
    return np.concatenate(found)


def _streams(smf: SmfFile, parts: Sequence[Part], track: IntArray, channel: IntArray) -> _Streams:
    """The streams of the notes of all parts, N of them."""
    ports = [index if smf.format == 2 else port_of(one) for index, one in enumerate(smf.tracks)]
    shared = np.array(ports, dtype=np.int64)[:, None] * CHANNELS + np.arange(CHANNELS)  # (T, 16)
    shared = np.unique(shared, return_inverse=True)[1].reshape(shared.shape)
    names = {key: number for number, key in enumerate(dict.fromkeys((part.program, part.name) for part in parts))}
    player = np.repeat([names[part.program, part.name] for part in parts], [len(part.notes) for part in parts])
    common = shared * (len(names) + 1) + len(names)
    own = shared[track, channel] * (len(names) + 1) + player
    meant = common.copy()  # a message on a track that plays one part's notes on its channel is meant for that part
    for one_track, one_channel in np.unique(np.stack([track, channel]), axis=1).T.tolist():
        of_track = np.unique(own[(track == one_track) & (channel == one_channel)])
        if len(of_track) == 1:
            meant[one_track, one_channel] = of_track[0]
    return _Streams(own, common[track, channel], meant)


def _bends(messages: IntArray) -> IntArray:
    """(3, B) stream, tick and bend of all changes of a bend, sorted; one that repeats what is in force is none."""
    stream, tick, low, high = messages
    bend = (high << 7) + low
    return np.stack([stream, tick, bend])[:, bend != _in_force_before(bend, stream, UNBENT)]


def _presses(changes: IntArray) -> IntArray:
    """(2, B) stream and tick of every time that a pedal goes down which holds what sounds then, sorted."""
    found = []
    for pedal in (SUSTAIN, SOSTENUTO):
        stream, tick, _, value = changes[:, changes[2] == pedal]
        down = (value >= PEDAL_DOWN).astype(np.int64)
        found.append(np.stack([stream, tick])[:, down > _in_force_before(down, stream, 0)])
    presses = np.concatenate(found, axis=1)
    return presses[:, np.lexsort((presses[1], presses[0]))]


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


def _last(keys: IntArray, ticks: IntArray, key: IntArray, after: IntArray, before: IntArray) -> IntArray:
    """(N,) tick of the last event of each `key` (N,) between its ticks `after` and `before`; `after` if there is none.

    Parameters
    ----------
    keys, ticks : (E,) of the events, sorted by key, then by tick.
    """
    if not len(keys):
        return after
    base = int(max(ticks.max(), before.max())) + 1
    row = np.maximum(np.searchsorted(keys * base + ticks, key * base + before) - 1, 0)
    found = (keys[row] == key) & (ticks[row] < before)
    return np.where(found, np.maximum(ticks[row], after), after)


def fit_lengths(notes: NoteTable, wanted: IntArray, room: Room) -> IntArray:
    """Lengths as near to `wanted` as can be in that room.

    Left as they are: notes of no length, those that no note-off ends, and those of one pitch that begin together on a
    channel of a track and end apart, where which note-off ends which of them is a convention only. If they end together
    they all last as long as the one that is to last longest.

    Parameters
    ----------
    notes : a part of N notes.
    wanted : (N,) ticks.
    """
    columns = np.stack([notes.onset_ticks, notes.pitch, notes.channel, notes.track])
    order = np.lexsort(columns)
    begins = np.append(True, (np.diff(columns[:, order]) != 0).any(axis=0))
    unison = np.empty(len(order), dtype=np.int64)
    unison[order] = np.cumsum(begins) - 1

    def of_unisons(which: np.ufunc, ticks: IntArray) -> IntArray:
        found: IntArray = which.reduceat(ticks[order], np.flatnonzero(begins))[unison]
        return found

    written, wanted = notes.duration_ticks, of_unisons(np.maximum, wanted)
    apart = of_unisons(np.minimum, written) != of_unisons(np.maximum, written)
    fixed = apart | (written == 0) | (notes.off_event < 0) | (wanted == written)
    return np.where(fixed, written, np.clip(wanted, room.least, room.most))
