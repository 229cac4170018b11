"""Which program sounds where: the program changes of a file's tracks, and the ports that keep tracks apart.

Conventions
-----------
A channel has one program, whichever track sets it. But a track that plays notes and sets a program means that one for
its own notes: many programs export each part on channel 1 with a program change of its own, and count on whoever reads
the file to keep the parts apart. A track that plays nothing on a channel sets it for all. Tracks of different ports
share no channel.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from duvhuman.midi.smf import PORT, PROGRAM_CHANGE, IntArray, Track

NO_PROGRAM = -1


def port_of(track: Track) -> int:
    """The MIDI port, 0 to 127, that a track is sent to (a meta event of old, still written); 0 if it names none."""
    return next((data[0] & 0x7F for _, data in track.metas(PORT) if len(data) == 1), 0)


def programs_at(tracks: Sequence[Track], owner: IntArray, channel: IntArray, ticks: IntArray) -> IntArray:
    """(N,) the program, 0..127, that sounds at each note, `NO_PROGRAM` where none was set; a change at its tick counts.

    It is the latest of the track's own changes and of those of tracks that play no notes on the channel; if there is
    none yet, the latest of any track.

    Parameters
    ----------
    tracks : those that sound together.
    owner, channel, ticks : (N,) of each note the index of its track in `tracks`, its channel and its onset.
    """
    changes = _changes(tracks)
    ports = np.array([port_of(track) for track in tracks], dtype=np.int64)
    program = np.full(len(ticks), NO_PROGRAM, dtype=np.int64)
    for number in np.unique(changes[1]).tolist():
        of_channel = changes[:, changes[1] == number]
        playing = np.unique(owner[channel == number])
        for place in playing.tolist():
            here = of_channel[:, ports[of_channel[0]] == ports[place]]
            meant = here[:, (here[0] == place) | ~np.isin(here[0], playing)]
            mine = np.flatnonzero((channel == number) & (owner == place))
            latest = _latest(meant, ticks[mine])
            program[mine] = np.where(latest == NO_PROGRAM, _latest(here, ticks[mine]), latest)
    return program


def _changes(tracks: Sequence[Track]) -> IntArray:
    """(4, P) index of the track, channel, tick and program of every program change; track by track, in file order."""
    found: list[IntArray] = [np.zeros((4, 0), dtype=np.int64)]
    for index, track in enumerate(tracks):
        rows = np.flatnonzero((track.statuses & 0xF0) == PROGRAM_CHANGE)
        value = track.first_data(rows)
        columns = (np.full(len(rows), index), track.statuses[rows] & 0x0F, track.ticks[rows], value)
        found.append(np.stack(columns)[:, value < 128])  # anything else is damage
    return np.concatenate(found, axis=1)


def _latest(changes: IntArray, ticks: IntArray) -> IntArray:
    """(N,) the program of the latest of these changes (4, P) at each tick; of two at one, the later in the file."""
    order = np.argsort(changes[2], kind="stable")
    when, value = changes[2:, order]
    row = np.searchsorted(when, ticks, side="right") - 1
    return np.where(row >= 0, np.append(value, NO_PROGRAM)[row], NO_PROGRAM)
