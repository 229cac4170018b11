"""Objects of pretty_midi and symusic that take over how the files which were made of them are played.

Conventions
-----------
An object comes back as a copy of which velocities and ends (or durations) of notes changed, and nothing else: times
that lie between ticks, the order of notes and silent notes stay. "Before" is the file that was made of the object,
"after" the same file as it is played; in both the object's own tracks come first. Rows of notes are (N, 4) integers:
pitch, onset tick, velocity, end tick.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from duvhuman.arrays import FloatArray, IntArray
from duvhuman.errors import MidiError
from duvhuman.midi.notes import pair_notes, read_timeline
from duvhuman.midi.smf import MAX_DELTA, SUSTAIN, SmfFile, Track, parse_smf


def rolled(data: bytes, by: int) -> bytes:
    """The file with its first track last (1), its last track first (-1), and so on."""
    smf = parse_smf(data)
    return SmfFile(smf.header, smf.chunks[by:] + smf.chunks[:by]).to_bytes()


def played_pretty_midi(midi: Any, before: SmfFile, after: SmfFile) -> Any:
    """The pretty_midi object as it is played.

    Returns None if it cannot be copied, or the file is not as pretty_midi writes one: a track for each instrument, with
    a note for each of its notes, and one for what all share.
    """
    try:
        new = copy.deepcopy(midi)
    except (copy.Error, TypeError, AttributeError, NotImplementedError):  # a class of the user's own
        return None
    if len(before.tracks) != len(new.instruments) + 1:
        return None
    timeline = read_timeline(before, before.tracks)  # pretty_midi tells no times of ticks beyond its MAX_TICK
    for instrument, old, now in zip(new.instruments, before.tracks, after.tracks, strict=False):
        heard = [note for note in instrument.notes if note.velocity > 0]  # others are written as note-offs
        rows = [(n.pitch, new.time_to_tick(n.start), n.velocity, new.time_to_tick(n.end)) for n in heard]
        was = np.array(rows, dtype=np.int64).reshape(-1, 4)
        played = _played(was, old, now)
        if played is None:
            return None
        lasts = (timeline.seconds(played[:, 3]) - timeline.seconds(played[:, 1])).tolist()
        moved = (played[:, 3] != was[:, 3]).tolist()
        for note, velocity, seconds, is_moved in zip(heard, played[:, 2].tolist(), lasts, moved, strict=True):
            note.velocity = velocity
            if is_moved:
                note.end = note.start + seconds
    return new


def check_score(score: Any, name: str) -> None:
    """Refuse what symusic writes wrongly: times and pitches beyond the format move or spoil what is behind them.

    Raises
    ------
    MidiError
        If anything but texts stands before tick 0 or beyond `MAX_DELTA`, or a pitch is below 0.
    """
    ticks, unit = score.to("tick"), type(score).__name__.removeprefix("Score").lower()
    places = [("", score, ticks)]
    places += [(f"track {number} ({track.name!r}): ", track, ticks.tracks[number])
               for number, track in enumerate(score.tracks)]
    for where, *place in places:
        lowest = place[0].notes.numpy()["pitch"].min(initial=0) if where else 0
        if lowest < 0:
            raise MidiError(f"{name}: {where}a note of pitch {lowest}; pitches are 0 to 127. Correct or remove it.")
        for kind in ("notes", "controls", "pitch_bends", "pedals", "tempos", "time_signatures"):
            own, written = (_times(getattr(one, kind, None)) for one in place)
            low, high = own.min(initial=0), own.max(initial=0)
            # Ticks beyond what symusic counts are below 0; seconds below 0 are its tick 0.
            if not (low >= 0 and high < np.inf and written.min(initial=0) >= 0 and written.max(initial=0) <= MAX_DELTA):
                reach = f"{where}{kind.replace('_', ' ')} reach {unit} {high if low >= 0 else low:.10g}"
                raise MidiError(f"{name}: {reach}; a MIDI file holds ticks 0 to {MAX_DELTA}. Move or remove them.")


def score_bytes(score: Any) -> bytes:
    """The file of a score, with what symusic does not write (pedals) and without what is not heard."""
    import symusic

    ticks = score.to("tick")
    ticks.markers, ticks.key_signatures = [], []
    for track in ticks.tracks:
        track.lyrics = []
        track.notes = [note for note in track.notes if note.velocity > 0]  # others are written as note-offs
        if not any(control.number == SUSTAIN for control in track.controls):  # of a file symusic keeps both
            ends = [(pedal.time + pedal.duration, 0) for pedal in track.pedals]
            for time, value in sorted(ends + [(pedal.time, 127) for pedal in track.pedals]):
                track.controls.append(symusic.ControlChange(time, SUSTAIN, value))
    return ticks.dumps_midi()


def played_score(score: Any, before: SmfFile, after: SmfFile, name: str) -> Any:
    """The symusic score as it is played.

    Raises
    ------
    MidiError
        If the file has other notes than the score.
    """
    new, ticks = score.copy(), score.to("tick")
    moved = []
    for number, (track, old, now) in enumerate(zip(ticks.tracks, before.tracks, after.tracks, strict=False)):
        notes = {key: column.astype(np.int64) for key, column in track.notes.numpy().items()}
        end = notes["time"] + notes["duration"]
        was = np.stack([notes["pitch"], notes["time"], notes["velocity"], end], axis=1)
        heard = np.flatnonzero(notes["velocity"] > 0)
        played = _played(was[heard], old, now)
        if played is None:
            raise MidiError(f"{name}: track {number} ({track.name!r}) has other notes than those that were played. "
                            "Leave it as it is until it is humanized.")
        for row, velocity, duration in zip(heard, played[:, 2], played[:, 3] - played[:, 1], strict=True):
            new.tracks[number].notes[row].velocity = int(velocity)
            if duration != notes["duration"][row]:
                track.notes[row].duration = int(duration)
                moved.append((number, row))
    again = ticks.to(score.ttype)
    for number, row in moved:
        new.tracks[number].notes[row].duration = again.tracks[number].notes[row].duration
    return new


def _played(notes: IntArray, old: Track, new: Track) -> IntArray | None:
    """These rows of notes as they are in the new track; None if they are not the notes of the old one."""
    was, now = pair_notes(old), pair_notes(new)  # both by pitch, then by time
    columns = (old.first_data(was.on), old.ticks[was.on], old.last_data(was.on), old.ticks[was.off])
    written = np.stack(columns, axis=1)
    mine, theirs = np.lexsort(notes.T[::-1]), np.lexsort(written.T[::-1])
    if not np.array_equal(notes[mine, :3], written[theirs, :3]):
        return None
    played = notes.copy()
    played[mine, 2] = new.last_data(now.on)[theirs]
    # Of notes that overlap one of their pitch the file's note-offs are in another order; they keep their ends.
    own = (was.off[theirs] >= 0) & (written[theirs, 3] == notes[mine, 3])
    played[mine[own], 3] = new.ticks[now.off[theirs[own]]]
    return played


def _times(events: Any) -> FloatArray:
    """The times at which these events of symusic begin, and end."""
    columns = {} if events is None else events.numpy()
    time = np.asarray(columns.get("time", []), dtype=np.float64)
    return np.concatenate([time, time + columns.get("duration", 0)])
