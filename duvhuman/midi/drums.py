"""Which notes are drums: those of channel 10, and of channels of which a file makes further drum kits.

Conventions
-----------
A message makes a channel a drum kit from its tick on, or takes that back; which tracks it is said to is as for programs
(`duvhuman.midi.programs`). In the words of the standards, bytes in hexadecimal, `mm` 0 for melodies:

- Roland's GS: "use for rhythm part", 41 dev 42 12 40 1p 15 mm sum F7; p is 0 for channel 10, 1 to F for the others.
- Yamaha's XG: "part mode", 43 1n 4C 08 pp 07 mm F7; and the banks 126 and 127 of sound effects and drums.
- General MIDI 2: the bank 120 of drums.

Banks are those of controller 0, and count where a file switches the synthesizer to XG (43 1n 4C 00 00 7E 00 F7) or to
General MIDI 2 (7E dev 09 03 F7) and says nothing in GS (41 dev 42 12): elsewhere, in GS above all, the same numbers are
melodies. No message makes channel 10 melodic here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from duvhuman.arrays import IntArray
from duvhuman.instruments import DRUM_CHANNEL
from duvhuman.midi.programs import changes_of, in_force
from duvhuman.midi.smf import CONTROL_CHANGE, Track

BANK = 0
"""The controller that selects a bank, its upper seven bits."""
DRUM_BANKS = {
    re.compile(rb"\x43[\x10-\x1f]\x4c\x00\x00\x7e\x00\xf7", re.DOTALL): (126, 127),
    re.compile(rb"\x7e.\x09\x03\xf7", re.DOTALL): (120,),
}
"""The message that switches a synthesizer to XG, to General MIDI 2, and the banks that hold drums there."""
GS = re.compile(rb"\x41.\x42\x12", re.DOTALL)
GS_RHYTHM = re.compile(rb"\x41.\x42\x12\x40([\x10-\x1f])\x15([\x00-\x02]).\xf7", re.DOTALL)
XG_PART_MODE = re.compile(rb"\x43[\x10-\x1f]\x4c\x08([\x00-\x0f])\x07(.)\xf7", re.DOTALL)
GS_CHANNELS = (DRUM_CHANNEL, *range(DRUM_CHANNEL), *range(DRUM_CHANNEL + 1, 16))
"""The channel of each of GS's parts, both from 0."""


def drums_at(tracks: Sequence[Track], owner: IntArray, channel: IntArray, ticks: IntArray) -> NDArray[np.bool_]:
    """(N,) whether each note is one of drums.

    Parameters
    ----------
    tracks : those that sound together.
    owner, channel, ticks : (N,) of each note the index of its track in `tracks`, its channel, 0..15, and its onset.
    """
    drums: NDArray[np.bool_] = channel == DRUM_CHANNEL
    messages = [(index, tick, data) for index, track in enumerate(tracks) for tick, data in track.sysexes()]
    if not messages:
        return drums
    kits = np.array([row for message in messages for row in _kits(*message)], dtype=np.int64).reshape(-1, 4).T
    drums |= in_force(kits, tracks, owner, channel, ticks) > 0
    banks = [bank for switch, known in DRUM_BANKS.items() if any(switch.fullmatch(data) for *_, data in messages)
             for bank in known]
    if banks and not any(GS.match(data) for *_, data in messages):
        drums |= np.isin(in_force(changes_of(tracks, CONTROL_CHANGE, BANK), tracks, owner, channel, ticks), banks)
    return drums


def _kits(index: int, tick: int, data: bytes) -> Iterator[tuple[int, int, int, int]]:
    """The row for `in_force` of a message that makes a channel a drum kit, or a melodic one."""
    if found := GS_RHYTHM.fullmatch(data):
        yield index, GS_CHANNELS[found[1][0] & 0x0F], tick, found[2][0]
    elif found := XG_PART_MODE.fullmatch(data):
        yield index, found[1][0], tick, found[2][0]
