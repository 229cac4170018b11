"""From events to notes: which note-off ends which note-on, where each note stands in time and in its bar, and which
part it belongs to.

Conventions
-----------
A beat is a quarter note, whatever the metre. Ticks are absolute within the file; seconds count from tick 0. Without
events that say otherwise the tempo is 120 beats per minute and the metre 4/4; a file in SMPTE time keeps 120 beats
per minute throughout. Bars count from 0; a change of metre starts a bar. Channels are 0..15, programs 0..127 with -1
where no program change came before. Tables are 1-D arrays of length N, sorted by onset tick, then pitch.

Notes pair first in, first out per track, channel and pitch. A note-on with velocity 0 is a note-off. A note-off
without a note sounding is ignored. Where there are more note-ons than note-offs, the first that none behind it would
end if each ended the latest have none: a note-off that was lost makes no later note longer. Such a note lasts until its
pitch is played again, or its track ends. Some programs write the note-off of a note of no length before its note-on, at
the same tick; it is found where that leaves fewer events over, and most notes of that pitch their lengths.

A part is what one player plays. A voice is the notes of one track and channel, split where the program moves to another
instrument (or a known program takes over from none); a part is one voice, or several where `duvhuman.midi.hands` finds
one player in them. Format 2 keeps its tracks apart: each has its own tempo, metre and programs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from duvhuman.arrays import BoolArray, FloatArray, IntArray, Table
from duvhuman.instruments import INSTRUMENTS, instrument_of_program
from duvhuman.midi.drums import drums_at
from duvhuman.midi.hands import players
from duvhuman.midi.programs import programs_at
from duvhuman.midi.smf import NOTE_OFF, NOTE_ON, TEMPO, TIME_SIGNATURE, TRACK_NAME, SmfFile, Track

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

DEFAULT_MICROSECONDS = 500_000
"""Microseconds per quarter note until a tempo event: 120 beats per minute."""
DEFAULT_METRE = (4, 4)
_MAX_DENOMINATOR_POWER = 7  # A 1/128 is the shortest note that notation knows; more is damage.


@dataclass(frozen=True, eq=False)
class NoteTable(Table):
    """The notes of a part, one row each; all arrays have shape (N,).

    Attributes
    ----------
    onset_ticks, duration_ticks : ticks.
    onset_beats, duration_beats : quarter notes.
    onset_seconds, duration_seconds : seconds, along the tempo map.
    pitch : MIDI note number, 0..127.
    velocity : 1..127.
    channel : 0..15.
    program : the General MIDI program at the onset, 0..127; -1 if none was set (`duvhuman.midi.programs`).
    bar : 0-based number of the bar.
    beat_in_bar : quarter notes since the bar began.
    bar_beats : the bar's length in quarter notes.
    tempo_bpm : quarter notes per minute at the onset.
    track : index of the track in the file.
    on_event, off_event : index of the note-on and the note-off among the track's events; -1 where none ends the note.
    """

    onset_ticks: IntArray
    duration_ticks: IntArray
    onset_beats: FloatArray
    duration_beats: FloatArray
    onset_seconds: FloatArray
    duration_seconds: FloatArray
    pitch: IntArray
    velocity: IntArray
    channel: IntArray
    program: IntArray
    bar: IntArray
    beat_in_bar: FloatArray
    bar_beats: FloatArray
    tempo_bpm: FloatArray
    track: IntArray
    on_event: IntArray
    off_event: IntArray


@dataclass(frozen=True, eq=False)
class Part:
    """What one player plays.

    Attributes
    ----------
    name : the title of its track; of several tracks, their titles joined by " / ".
    tracks : indices of its tracks, ascending.
    channel : 0..15; of several, the lowest.
    program : the program of most of its notes, -1 if none was set.
    is_drums : whether it is played on drums (`duvhuman.midi.drums`).
    notes : its notes; at least one.
    """

    name: str
    tracks: tuple[int, ...]
    channel: int
    program: int
    is_drums: bool
    notes: NoteTable


@dataclass(frozen=True, eq=False)
class Pairing:
    """Which note-off ends which note-on of a track; sorted by channel and pitch, then by file order.

    Attributes
    ----------
    on : (N,) event index of each note-on.
    off : (N,) event index of the note-off that ends it, -1 if none does.
    key : (N,) channel * 128 + pitch.
    stray : (S,) event index of each note-off that ends no note.
    """

    on: IntArray
    off: IntArray
    key: IntArray
    stray: IntArray


@dataclass(frozen=True, eq=False)
class Timeline:
    """The tempo and the metre of a file: one row per tempo (T,) and per metre (M,), the first at tick 0."""

    ticks_per_beat: int
    tempo_ticks: IntArray
    tempo_seconds: FloatArray
    seconds_per_beat: FloatArray
    metre_ticks: IntArray
    metre_bars: IntArray
    numerators: IntArray
    denominators: IntArray

    def beats(self, ticks: IntArray) -> FloatArray:
        """(N,) ticks as quarter notes."""
        return ticks / self.ticks_per_beat

    def seconds(self, ticks: IntArray) -> FloatArray:
        """(N,) ticks as seconds from the start of the file."""
        row = _row_at(self.tempo_ticks, ticks)
        return self.tempo_seconds[row] + self.beats(ticks - self.tempo_ticks[row]) * self.seconds_per_beat[row]

    def tempo_bpm(self, ticks: IntArray) -> FloatArray:
        """(N,) quarter notes per minute in force at these ticks."""
        return 60.0 / self.seconds_per_beat[_row_at(self.tempo_ticks, ticks)]

    def bars(self, ticks: IntArray) -> tuple[IntArray, FloatArray, FloatArray]:
        """(N,) bar number, quarter notes since the bar began, and the bar's length in quarter notes."""
        row = _row_at(self.metre_ticks, ticks)
        # In units of a tick divided by the denominator bars are whole numbers, so that no rounding moves a downbeat.
        whole = 4 * self.ticks_per_beat * self.numerators[row]
        bar, rest = np.divmod((ticks - self.metre_ticks[row]) * self.denominators[row], whole)
        unit = self.denominators[row] * self.ticks_per_beat
        return self.metre_bars[row] + bar, rest / unit, whole / unit


def read_parts(
    smf: SmfFile, *, instrument: str | None = None, chosen: Collection[int] | None = None
) -> list[Part]:
    """Every part of the file that has at least one note, drums included.

    Parameters
    ----------
    smf : the file.
    instrument : the name of what parts are that name no instrument themselves; None if that is not known. It decides
        which voices are hands of one player, and nothing else.
    chosen : the tracks of which `instrument` is said; None: all.

    Returns
    -------
    list of Part
        In the order of their first track, then of their channel.
    """
    indices = range(len(smf.tracks))
    scopes = [[index] for index in indices] if smf.format == 2 else [indices]
    return [part for scope in scopes for part in _read_scope(smf, scope, instrument, chosen)]


def read_timeline(smf: SmfFile, tracks: Iterable[Track]) -> Timeline:
    """The tempo and metre map that these tracks of the file make together."""
    tracks = list(tracks)
    ticks_per_beat = smf.ticks_per_beat
    tempi: dict[int, float] = {}
    if smf.ticks_per_second is None:
        tempi.update((tick, int.from_bytes(data, "big")) for tick, data in _metas(tracks, TEMPO)
                     if len(data) == 3 and any(data))
    else:
        tempi[0] = ticks_per_beat / smf.ticks_per_second * 1e6
    tempo_ticks = np.array(sorted({0, *tempi}), dtype=np.int64)
    tempi.setdefault(0, DEFAULT_MICROSECONDS)
    seconds_per_beat = np.array([tempi[tick] / 1e6 for tick in tempo_ticks.tolist()])
    spans = np.diff(tempo_ticks) / ticks_per_beat * seconds_per_beat[:-1]
    metre_ticks, bars, numerators, denominators = _metre_rows(tracks, ticks_per_beat)
    return Timeline(ticks_per_beat, tempo_ticks, np.concatenate([[0.0], np.cumsum(spans)]), seconds_per_beat,
                    metre_ticks, bars, numerators, denominators)


def pair_notes(track: Track) -> Pairing:
    """Find the note-off of every note-on of a track, first in, first out per channel and pitch.

    Within one channel and pitch, count note-ons up and note-offs down: a note-off that takes the count to a new low
    below zero has nothing to end, and so has, read backwards, a note-on none to end it. The i-th of the other note-ons
    belongs to the i-th of the other note-offs.
    """
    kind = track.statuses & 0xF0
    events = np.flatnonzero((kind == NOTE_ON) | (kind == NOTE_OFF))
    pitch = track.first_data(events)
    velocity = track.last_data(events)
    sound = (pitch < 128) & (velocity < 128)  # Anything else is damage: no note, passed through.
    events, pitch, velocity = events[sound], pitch[sound], velocity[sound]

    key = (track.statuses[events] & 0x0F) * 128 + pitch
    order = np.argsort(key, kind="stable")
    events, key = events[order], key[order]
    is_on = (kind[events] == NOTE_ON) & (velocity[order] > 0)
    step = np.where(is_on, 1, -1)
    on_rows, off_rows = _of_no_length(step, key, track.ticks[events])
    rest = np.ones(len(events), dtype=np.bool_)
    rest[on_rows] = rest[off_rows] = False
    stray, hangs = rest.copy(), rest.copy()
    stray[rest], hangs[rest] = _left_over(step[rest], key[rest])

    off = np.full(len(events), -1, dtype=np.int64)
    off[is_on & rest & ~hangs] = events[~is_on & rest & ~stray]  # As many of each key, in the same order.
    off[on_rows] = events[off_rows]
    return Pairing(events[is_on], off[is_on], key[is_on], np.sort(events[stray]))


def _left_over(step: IntArray, key: IntArray) -> tuple[BoolArray, BoolArray]:
    """(E,) which note-offs (a step of -1) end no note, and which note-ons (1) none ends; keys stand together."""
    return _new_lows(step, key), _new_lows(-step[::-1], key[::-1])[::-1]


def _of_no_length(step: IntArray, key: IntArray, ticks: IntArray) -> tuple[IntArray, IntArray]:
    """Rows of the note-ons that a note-off before them ends, at the same tick, and rows of these note-offs."""
    stray, hangs = _left_over(step, key)
    found: list[tuple[int, int]] = []
    for one in np.intersect1d(key[stray], key[hangs]).tolist():
        first, end = np.searchsorted(key, [one, one + 1]).tolist()
        pairs: list[tuple[int, int]] = []
        early: list[int] = []  # note-offs that end nothing before them
        sounding = 0
        for row in range(first, end):
            if step[row] < 0:
                early += [row] * (not sounding)
                sounding -= bool(sounding)
            elif early and ticks[early[-1]] == ticks[row]:
                pairs.append((row, early.pop()))
            else:
                sounding += 1
        legato = 2 * len(pairs) > (step[first:end] > 0).sum() > 2  # a row without gaps, cut out of a longer one
        if not legato and len(early) + sounding < (stray | hangs)[first:end].sum():
            found += pairs
    rows = np.array(found, dtype=np.int64).reshape(-1, 2)
    return rows[:, 0], rows[:, 1]


def _new_lows(step: IntArray, key: IntArray) -> BoolArray:
    """(E,) which steps down (-1) take the count of their key's to a new low below zero; keys stand together."""
    count = len(step)
    begins = np.ones(count, dtype=np.bool_)
    begins[1:] = key[1:] != key[:-1]
    group = np.cumsum(begins) - 1
    total = np.cumsum(step)
    # Each group's counts lie below all those of the groups before it, so that one running minimum serves them all.
    base = -group * (2 * count + 2)
    level = total - (total - step)[begins][group] + base
    lowest = np.minimum.accumulate(np.minimum(level, base))
    lowest_before = np.where(begins, base, np.concatenate([[0], lowest[:-1]])) if count else lowest
    return (step < 0) & (level < lowest_before)


def _row_at(starts: IntArray, ticks: IntArray) -> NDArray[np.intp]:
    """The last row of a map that starts at or before each tick."""
    return np.searchsorted(starts, ticks, side="right") - 1


def _metas(tracks: Sequence[Track], kind: int) -> list[tuple[int, bytes]]:
    """Tick and content of all meta events of a kind, by tick; at the same tick in file order."""
    return sorted((meta for track in tracks for meta in track.metas(kind)), key=lambda meta: meta[0])


def _metre_rows(tracks: Sequence[Track], ticks_per_beat: int) -> tuple[IntArray, IntArray, IntArray, IntArray]:
    """First tick, first bar, numerator and denominator of every stretch of one metre."""
    metres = {tick: (data[0], 1 << data[1]) for tick, data in _metas(tracks, TIME_SIGNATURE)
              if len(data) >= 2 and data[0] and data[1] <= _MAX_DENOMINATOR_POWER}
    rows = [(0, 0, *metres.pop(0, DEFAULT_METRE))]
    for tick, (numerator, denominator) in metres.items():
        since, bar, old_numerator, old_denominator = rows[-1]
        if (numerator, denominator) != (old_numerator, old_denominator):
            bars = -(-(tick - since) * old_denominator // (4 * ticks_per_beat * old_numerator))
            rows.append((tick, bar + bars, numerator, denominator))
    ticks, bars_, numerators, denominators = np.array(rows, dtype=np.int64).T
    return ticks, bars_, numerators, denominators


def _family_table() -> IntArray:
    """(129,) number of the family of program p at p + 1: 0 no program, 1 other instruments, then ours."""
    names = list(INSTRUMENTS)
    rows = [instrument_of_program(program) for program in range(128)]
    return np.array([0] + [2 + names.index(row.name) if row else 1 for row in rows], dtype=np.int64)


_FAMILY = _family_table()
_DRUMS = -1


def _read_scope(
    smf: SmfFile, scope: Sequence[int], instrument: str | None, chosen: Collection[int] | None
) -> list[Part]:
    """The parts of tracks that share their tempo, metre and programs."""
    tracks = [smf.tracks[index] for index in scope]
    pairings = [pair_notes(track) for track in tracks]
    sizes = [len(pairing.on) for pairing in pairings]
    if not sum(sizes):
        return []
    pairs = list(zip(tracks, pairings, strict=True))
    on_event, off_event, key = (
        np.concatenate([getattr(pairing, column) for pairing in pairings]) for column in ("on", "off", "key")
    )
    onset = np.concatenate([owner.ticks[pairing.on] for owner, pairing in pairs])
    offset = np.concatenate([_ends(owner, pairing) for owner, pairing in pairs])
    velocity = np.concatenate([owner.last_data(pairing.on) for owner, pairing in pairs])
    channel, pitch = key // 128, key % 128
    place = np.repeat(np.arange(len(tracks)), sizes)
    track = np.array(scope, dtype=np.int64)[place]
    program = programs_at(tracks, place, channel, onset)

    is_drums = drums_at(tracks, place, channel, onset)
    family = np.where(is_drums, _DRUMS, _FAMILY[program + 1])

    order = np.lexsort((on_event, pitch, onset, family, channel, track))
    timeline = read_timeline(smf, tracks)
    start, end = timeline.seconds(onset), timeline.seconds(offset)
    bar, beat_in_bar, bar_beats = timeline.bars(onset)
    table = NoteTable(
        onset_ticks=onset, duration_ticks=offset - onset,
        onset_beats=timeline.beats(onset), duration_beats=timeline.beats(offset - onset),
        onset_seconds=start, duration_seconds=end - start,
        pitch=pitch, velocity=velocity, channel=channel, program=program,
        bar=bar, beat_in_bar=beat_in_bar, bar_beats=bar_beats, tempo_bpm=timeline.tempo_bpm(onset),
        track=track, on_event=on_event, off_event=off_event,
    ).select(order)
    voice = np.stack([track, channel, family])[:, order]
    borders = np.flatnonzero((voice[:, 1:] != voice[:, :-1]).any(axis=0)) + 1
    rows = np.split(np.arange(len(table)), borders)
    voices = [_part(smf, table.select(mine), is_drums=bool(is_drums[order[mine[0]]])) for mine in rows]
    return [
        voices[members[0]] if len(members) == 1
        else _part(smf, _in_order(table.select(np.concatenate([rows[member] for member in members]))),
                   is_drums=all(voices[member].is_drums for member in members))
        for members in players(voices, instrument, chosen)
    ]


def _ends(track: Track, pairing: Pairing) -> IntArray:
    """The tick at which each note of a track ends."""
    ends = track.ticks[pairing.off]  # Index -1, of a note that nothing ends, is the track's last event.
    again = np.flatnonzero((pairing.off[:-1] < 0) & (pairing.key[1:] == pairing.key[:-1]))
    ends[again] = track.ticks[pairing.on[again + 1]]
    return ends


def _in_order(notes: NoteTable) -> NoteTable:
    """The notes by onset and pitch, then by track and event."""
    return notes.select(np.lexsort((notes.on_event, notes.track, notes.pitch, notes.onset_ticks)))


def _part(smf: SmfFile, notes: NoteTable, *, is_drums: bool) -> Part:
    tracks = tuple(np.unique(notes.track).tolist())
    titles = dict.fromkeys(title for index in tracks if (title := _title(smf.tracks[index])))
    channel = int(notes.channel.min())
    program = int(np.bincount(notes.program + 1).argmax()) - 1
    return Part(" / ".join(titles), tracks, channel, program, is_drums, notes)


def _title(track: Track) -> str:
    """The track's title: its first that is not blank."""
    for _, data in track.metas(TRACK_NAME):
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError:
            text = data.decode("latin-1")
        if text := text.strip("\0 \t\r\n"):
            return text
    return ""
