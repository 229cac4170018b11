"""Which program sounds where: the program changes of a file's tracks, and the ports that keep tracks apart.

Conventions
-----------
A channel has one program, whichever track sets it. But a track that plays notes and sets a program means that one for
its own notes: many programs export each part on channel 1 with a program change of its own, and count on whoever reads
the file to keep the parts apart. A track that plays nothing on a channel sets it for all. Tracks of different ports
share no channel. What else is said to a channel, such as its bank, is in force in the same way.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from duvhuman.arrays import IntArray
from duvhuman.midi.smf import PORT, PROGRAM_CHANGE, Track

NOT_SET = -1


def port_of(track: Track) -> int:
    """The MIDI port, 0 to 127, that a track is sent to (a meta event of old, still written); 0 if it names none."""
    return next((data[0] & 0x7F for _, data in track.metas(PORT) if len(data) == 1), 0)


def programs_at(tracks: Sequence[Track], owner: IntArray, channel: IntArray, ticks: IntArray) -> IntArray:
    """(N,) the program, 0..127, that sounds at each note, `NOT_SET` where none was set; a change at its tick counts.

    It is the latest of the track's own changes and of those of tracks that play no notes on the channel; if there is
    none yet, the latest of any track.

    Parameters
    ----------
    tracks : those that sound together.
    owner, channel, ticks : (N,) of each note the index of its track in `tracks`, its channel and its onset.
    """
    return in_force(changes_of(tracks, PROGRAM_CHANGE), tracks, owner, channel, ticks)


def in_force(
    changes: IntArray, tracks: Sequence[Track], owner: IntArray, channel: IntArray, ticks: IntArray
) -> IntArray:
    """(N,) the value, 0..127, that is in force at each note, `NOT_SET` where there was none, as `programs_at` tells.

    Parameters
    ----------
    changes : (4, P) index of the track in `tracks`, channel, tick and value of every change.
    tracks, owner, channel, ticks : as for `programs_at`.
    """
    ports = np.array([port_of(track) for track in tracks], dtype=np.int64)
    value = np.full(len(ticks), NOT_SET, dtype=np.int64)
    for number in np.unique(changes[1]).tolist():
        of_channel = changes[:, changes[1] == number]
        playing = np.unique(owner[channel == number])
        for place in playing.tolist():
            here = of_channel[:, ports[of_channel[0]] == ports[place]]
            meant = here[:, (here[0] == place) | ~np.isin(here[0], playing)]
            mine = np.flatnonzero((channel == number) & (owner == place))
            latest = _latest(meant, ticks[mine])
            value[mine] = np.where(latest == NOT_SET, _latest(here, ticks[mine]), latest)
    return value


def changes_of(tracks: Sequence[Track], kind: int, number: int | None = None) -> IntArray:
    """(4, P) index of the track, channel, tick and last data byte of every channel message of a kind (its upper four
    bits), of control changes those of one controller, track by track, in file order.
    """
    messages = channel_messages(tracks, kind)
    return np.delete(messages if number is None else messages[:, messages[3] == number], 3, axis=0)


def channel_messages(tracks: Sequence[Track], kind: int) -> IntArray:
    """(5, E) index of the track, channel, tick, first and last data byte of the channel messages of a kind (its upper
    four bits), track by track, in file order.
    """
    found: list[IntArray] = [np.zeros((5, 0), dtype=np.int64)]
    for index, track in enumerate(tracks):
        rows = np.flatnonzero((track.statuses & 0xF0) == kind)
        first, last = track.first_data(rows), track.last_data(rows)
        columns = (np.full(len(rows), index), track.statuses[rows] & 0x0F, track.ticks[rows], first, last)
        found.append(np.stack(columns)[:, (first < 128) & (last < 128)])  # anything else is damage
    return np.concatenate(found, axis=1)


def _latest(changes: IntArray, ticks: IntArray) -> IntArray:
    """(N,) the value of the latest of these changes (4, P) at each tick; of two at one, the later in the file."""
    order = np.argsort(changes[2], kind="stable")
    when, value = changes[2:, order]
    row = np.searchsorted(when, ticks, side="right") - 1
    return np.where(row >= 0, np.append(value, NOT_SET)[row], NOT_SET)
