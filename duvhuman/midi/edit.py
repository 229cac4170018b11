"""Put a performance back into a file: new velocities into its note-ons, new lengths through its note-offs.

Nothing else changes. Every other event keeps its tick, its bytes and its place in the order; the End of Track moves
only if a note-off passes it; chunk lengths follow. An event whose surroundings did not change keeps its very bytes,
down to running status and the way its delta time is written.

Conventions
-----------
Ticks are absolute. Velocities clip to 1..127. Lengths are clamped so that the notes still pair as they did
(`duvhuman.midi.notes`): a note-off that moves stays behind its note-on, does not pass the next
note-on of its pitch (at its tick it goes before it), and does not overtake the note-off of another note of its pitch.
A note that no note-off ends, or one before it, keeps its length.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from duvhuman.arrays import IntArray
from duvhuman.midi.notes import NoteTable, Pairing, pair_notes
from duvhuman.midi.smf import MAX_DELTA, SYSEX, SmfFile, Track, encode_number

if TYPE_CHECKING:
    from collections.abc import Sequence

_MAX_LENGTH = 0xFFFFFFFF
_NEVER = np.iinfo(np.int64).max


def apply_performance(smf: SmfFile, changes: Sequence[tuple[NoteTable, IntArray, IntArray]]) -> SmfFile:
    """The same file with other velocities and lengths.

    Parameters
    ----------
    smf : the file that the tables were read from.
    changes : for each table of N notes, the velocity (N,) of each (clipped to 1..127) and its duration (N,) in ticks
        (clamped, see the module).

    Returns
    -------
    SmfFile
        A new file; `smf` is left as it is. With every value as it was, its bytes are those of `smf`.
    """
    velocities: dict[int, dict[int, int]] = defaultdict(dict)
    durations: dict[int, dict[int, int]] = defaultdict(dict)
    for notes, velocity, duration in changes:
        new_velocity = np.clip(velocity, 1, 127).astype(np.int64)
        for row in np.flatnonzero(new_velocity != notes.velocity).tolist():
            velocities[int(notes.track[row])][int(notes.on_event[row])] = int(new_velocity[row])
        moved = (np.asarray(duration) != notes.duration_ticks) & (notes.off_event > notes.on_event)
        for row in np.flatnonzero(moved).tolist():
            durations[int(notes.track[row])][int(notes.on_event[row])] = int(duration[row])

    chunks: list[Track | bytes] = []
    index, running = 0, 0
    for chunk in smf.chunks:
        if isinstance(chunk, Track):
            track = _edit_track(chunk, velocities[index], durations[index], running)
            running = track.running_out
            index += 1
            chunks.append(track)
        else:
            chunks.append(chunk)
    return SmfFile(smf.header, tuple(chunks))


def _edit_track(track: Track, velocities: dict[int, int], durations: dict[int, int], running: int) -> Track:
    """The track with these velocities and durations by note-on event; `running` is the status in force before it."""
    if velocities:
        body = bytearray(track.body)
        for event, velocity in velocities.items():
            body[int(track.ends[event]) - 1] = velocity
        track = replace(track, body=bytes(body))
    moved = _new_offsets(track, durations) if durations else {}
    if moved:
        moved = _still_paired(track, moved)
    if moved or running != track.running_in:
        track = _rewrite(track, moved, running)
    return track


def _still_paired(track: Track, moved: dict[int, int]) -> dict[int, int]:
    """What may move without changing, of a pitch whose note-ons and note-offs do not match, which belong together."""
    edited = _rewrite(track, moved, track.running_in)
    before, after = pair_notes(track), pair_notes(edited)
    ticks = track.ticks.copy()
    ticks[list(moved)] = list(moved.values())
    ends, found = (np.where(one.off >= 0, when[one.off], -1) for one, when in ((before, ticks), (after, edited.ticks)))
    kept = set(before.off[~np.isin(before.key, before.key[ends != found])].tolist())
    return {event: tick for event, tick in moved.items() if event in kept}


def _new_offsets(track: Track, durations: dict[int, int]) -> dict[int, int]:
    """The new tick of each note-off that moves, by its event index."""
    pairing = pair_notes(track)
    latest = _latest_ticks(track, pairing)
    ticks = track.ticks
    on_ticks, off_ticks = ticks[pairing.on].tolist(), ticks[pairing.off].tolist()
    on, off, key = pairing.on.tolist(), pairing.off.tolist(), pairing.key.tolist()
    wanted = [durations.get(event) for event in on]

    # Backwards: no note-off may pass one of its pitch that comes later and stays.
    following = _NEVER
    for row in reversed(range(len(on))):
        if row + 1 == len(on) or key[row + 1] != key[row]:
            following = _NEVER
        latest[row] = min(latest[row], following)
        if wanted[row] is None and off[row] >= 0:
            following = off_ticks[row]

    # Forwards: nor may it come before one of its pitch that comes earlier.
    moved: dict[int, int] = {}
    preceding = 0
    for row, duration in enumerate(wanted):
        if row == 0 or key[row - 1] != key[row]:
            preceding = 0
        if off[row] < 0:
            continue
        earliest = max(on_ticks[row] + 1, preceding)
        tick = off_ticks[row]
        # Where nothing is legal (its pitch overlaps notes that stay as they are), the note stays as it is.
        if duration is not None and earliest <= latest[row]:
            tick = min(max(on_ticks[row] + min(duration, MAX_DELTA), earliest), latest[row])
            if tick != off_ticks[row]:
                moved[off[row]] = tick
        preceding = tick
    return moved


def _latest_ticks(track: Track, pairing: Pairing) -> list[int]:
    """The last tick that each note (rows of `pairing`) may end at.

    It is that of the next note-on of its pitch (of those at a later tick: notes struck together do not bound each
    other), and that of the next note-off that ends no note so far: it would end a note that sounded on past it. Before
    a note-on that none ends it is a tick less: a note-off at its tick could be taken for its own.
    """
    on_ticks, events = track.ticks[pairing.on], len(track)
    end = int(track.ticks.max()) + 1
    next_on = _ticks_behind(pairing.key * end + on_ticks, pairing.key * end + on_ticks, end)
    hanging = pairing.on[pairing.off < 0]
    left_over = np.concatenate([pairing.stray, hanging])
    key = (track.statuses[left_over] & 0x0F) * 128 + track.first_data(left_over)
    latest = track.ticks.copy()
    latest[hanging] -= 1
    next_left_over = _ticks_behind(pairing.key * events + pairing.on, np.sort(key * events + left_over), events, latest)
    return np.minimum(next_on, next_left_over).tolist()


def _ticks_behind(codes: IntArray, bounds: IntArray, base: int, ticks: IntArray | None = None) -> IntArray:
    """The place (an index into `ticks`, if given) of the first of `bounds` behind each code that has the same key.

    Codes and bounds are `key * base + place`; bounds are sorted. Without one: `_NEVER`.
    """
    behind = np.append(bounds, _NEVER)[np.searchsorted(bounds, codes, side="right")]
    place = behind % base
    return np.where(behind // base == codes // base, place if ticks is None else ticks[place], _NEVER)


def _rewrite(track: Track, moved: dict[int, int], running: int) -> Track:
    """The track with these note-offs at their new ticks, written behind a track that left `running` in force."""
    count = len(track)
    ticks, rank = track.ticks.copy(), np.ones(count, dtype=np.int64)
    events = np.array(list(moved), dtype=np.int64)
    ticks[events] = list(moved.values())
    rank[events] = 0  # At its new tick a note-off goes before everything else.
    if track.ended:
        ticks[-1], rank[-1] = ticks.max(), 2
    order = np.lexsort((np.arange(count), rank, ticks))

    body, starts_of, offsets, ends = track.body, track.starts.tolist(), track.offsets.tolist(), track.ends.tolist()
    statuses, explicit, old_deltas = track.statuses.tolist(), track.explicit.tolist(), track.deltas.tolist()
    deltas = np.diff(ticks[order], prepend=0).tolist()
    if moved and max(deltas) > MAX_DELTA:
        return _rewrite(track, {}, running)  # Taking a note-off away left a gap that the format cannot express.
    out = bytearray()
    starts: list[int] = []
    in_force = running
    cleared = True  # Strict readers forget the running status at meta and sysex events, and where a track starts.
    before = -1
    for event, delta in zip(order.tolist(), deltas, strict=True):
        starts.append(len(out))
        offset, status = offsets[event], statuses[event]
        out += body[starts_of[event] : offset] if delta == old_deltas[event] else encode_number(delta)
        if not explicit[event] and (status != in_force or (cleared and before != event - 1)):
            out.append(status)
        out += body[offset : ends[event]]
        if status < SYSEX:
            in_force, cleared = status, False
        elif status < 0xF8 or status == 0xFF:
            cleared = True
        before = event
    readable = len(out)
    out += body[track.readable :]
    length = int.from_bytes(track.header[4:], "big") + len(out) - len(body)
    header = track.header[:4] + min(max(length, 0), _MAX_LENGTH).to_bytes(4, "big")
    return Track(header, bytes(out), np.array(starts, dtype=np.int64), readable, running)
