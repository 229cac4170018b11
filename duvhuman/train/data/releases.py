"""Which notes end when their key is released, and which ring on under the pedal.

Conventions
-----------
A keyboard sends when a key is released, whatever the pedal does. A transcription of a recording hears when a note stops
sounding: under the pedal that is when the pedal is lifted, and nothing says when the finger was. Such lengths are
the pedal's, not the player's touch, and teach none.
"""

from __future__ import annotations

import numpy as np

from duvhuman.arrays import BoolArray, FloatArray, IntArray, window_mean
from duvhuman.midi.notes import NoteTable, read_timeline
from duvhuman.midi.programs import changes_of
from duvhuman.midi.smf import CONTROL_CHANGE, PEDAL_DOWN, SUSTAIN, SmfFile

AT_LIFT_SECONDS = 0.02
"""A note that ends so near to a lifting of the pedal ends with it."""
FEWEST_HELD = 16
"""Fewer notes that end under the pedal tell nothing of how a part was recorded."""
PASSAGE_NOTES, MOST_HELD = 50, 0.5
"""What is known of the lengths in a passage (so many notes to either side) of which more than this share end under the
pedal is no fair sample of them."""
MORE_THAN_BY_CHANCE = 0.15
"""A part was heard, not recorded from keys, if so many more of the notes that end under the pedal end as it is lifted
than would by chance."""


def keys_released(smf: SmfFile, notes: NoteTable) -> BoolArray:
    """(N,) whether each note of a part ends when its key is released.

    All do in a part that was recorded from keys. In one that was transcribed from its sound those do that end while
    the pedal is up, in passages where most do: elsewhere these are the few that outlast the pedal, no fair sample.

    Parameters
    ----------
    smf, notes : a file and one of its parts.
    """
    every: BoolArray = np.ones(len(notes), dtype=np.bool_)
    down, up = pedal_spans(smf, np.unique(notes.channel))
    if not len(down):
        return every
    end = notes.onset_seconds + notes.duration_seconds
    span = np.searchsorted(down, end, "right") - 1
    under = (span >= 0) & (end < up[span])
    after = np.searchsorted(up, end)
    distances = np.stack([np.abs(end - up[np.clip(near, 0, len(up) - 1)]) for near in (after - 1, after)])
    at_lift = distances.min(axis=0) <= AT_LIFT_SECONDS
    held = under | at_lift
    by_chance = 2 * AT_LIFT_SECONDS * len(up) / max(float((up - down).sum()), 1e-9)
    if held.sum() < FEWEST_HELD or at_lift.sum() / held.sum() < by_chance + MORE_THAN_BY_CHANCE:
        return every
    index = np.arange(len(notes))
    low, high = np.maximum(index - PASSAGE_NOTES, 0), np.minimum(index + PASSAGE_NOTES + 1, len(notes))
    return ~held & (window_mean(held.astype(np.float64), low, high) <= MOST_HELD)


def pedal_spans(smf: SmfFile, channels: IntArray) -> tuple[FloatArray, FloatArray]:
    """(P,) when the sustain pedal of a player's channels goes down and (P,) when it is lifted, in seconds; one that
    stays down is lifted when the last track ends. All channels, (C,), have one pedal between them.
    """
    _, channel, tick, value = changes_of(smf.tracks, CONTROL_CHANGE, SUSTAIN)
    own = np.flatnonzero(np.isin(channel, channels))
    order = own[np.argsort(tick[own], kind="stable")]
    is_down = value[order] >= PEDAL_DOWN
    changes = np.flatnonzero(is_down != np.append(False, is_down[:-1]))
    when = tick[order][changes]
    if len(when) % 2:
        when = np.append(when, max(int(track.ticks[-1]) for track in smf.tracks if len(track.ticks)))
    seconds = read_timeline(smf, smf.tracks).seconds(when)
    return seconds[::2], seconds[1::2]
