"""What makes a part worth training on, and how one becomes columns: shared by every reader of data.

Conventions
-----------
Arrays are (N,) over the notes of one part, sorted by onset. Times are in beats (quarter notes).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from duvhuman.arrays import BoolArray, FloatArray, IntArray
from duvhuman.humanize.keyed import KeyArray, mix
from duvhuman.humanize.score import UNKNOWN_PROGRAM
from duvhuman.instruments import Instrument
from duvhuman.rhythm.grid import grid_share, has_grid
from duvhuman.train.data.storage import TEMPO_UNIT, TICKS_PER_BEAT, PartRow, StoredPart

ALIVE_NOTES, ALIVE_DISTINCT, ALIVE_SD = 64, 12, 6.0
"""A part teaches something if it has this many notes, distinct velocities, and this velocity SD."""
HEARD_DISTINCT, HEARD_SD = 3, 2.0
"""A part with fewer distinct velocities, or a smaller SD, is flat; between this and alive it teaches a little."""
PLAYED_EXACT, PLAYED_NEAR = 0.5, 0.4
"""Played by hand: less than half of the onsets exactly on a sixteenth, over 40 % within a tenth of one."""
BAR_OCCURRENCES = 2
"""A bar that repeats (pitch, time and velocity) counts this often."""
SHARED_BAR_NOTES = 8
"""A bar tells a song by if it has this many notes."""
VALID_SHARE = 0.06
"""Of all songs so many are held out, unless another share is asked for."""
SHORTEST_PHRASE, FEWEST_WANTED = 32, 16
"""A phrase is trained on if it has this many notes, and this many of them count in the loss."""


@dataclass(frozen=True)
class PerformedNotes:
    """The notes of one part as somebody played them.

    Attributes
    ----------
    onset_beats, duration_beats : (N,) beats; onsets do not fall.
    pitch, velocity : (N,) 0..127, 1..127.
    program : (N,) 0..127, or -1 where none was set.
    tempo_bpm : (N,)
    bar : (N,) number of the bar.
    beat_in_bar, bar_beats : (N,) beats since the bar began, and its length.
    released : (N,) whether a note ends when its key is released (`duvhuman.train.data.releases`).
    """

    onset_beats: FloatArray
    duration_beats: FloatArray
    pitch: IntArray
    velocity: IntArray
    program: IntArray
    tempo_bpm: FloatArray
    bar: IntArray
    beat_in_bar: FloatArray
    bar_beats: FloatArray
    released: BoolArray

    def __len__(self) -> int:
        return len(self.pitch)


@dataclass(frozen=True)
class RawPart(StoredPart):
    """A part as one file gives it (``split`` empty), and what identifies it.

    Attributes
    ----------
    fingerprint : 64 bits, equal for parts with the same pitches, velocities and intervals between onsets.
    bars : digests of its bars (pitch and time) with `SHARED_BAR_NOTES` notes or more: versions of a song share some.
    """

    fingerprint: int
    bars: NDArray[np.uint64]


def not_alive(velocity: IntArray) -> str:
    """Why a part with these velocities (N,) has too little to be judged by, or an empty string."""
    if len(velocity) < ALIVE_NOTES:
        return f"fewer than {ALIVE_NOTES} notes"
    if len(np.unique(velocity)) < ALIVE_DISTINCT or velocity.std() < ALIVE_SD:
        return "velocities nearly flat"
    return ""


def teaches_nothing(velocity: IntArray) -> bool:
    """Whether velocities (N,) hold no dynamics at all: such a part teaches nothing."""
    return len(np.unique(velocity)) < HEARD_DISTINCT or float(velocity.std()) < HEARD_SD


def raw_part(
    notes: PerformedNotes, instrument: Instrument, *, pack: str, song: str, source: str, grid: bool | None = None,
    played: bool | None = None, extra: bool = False,
) -> RawPart:
    """The part in columns.

    Parameters
    ----------
    pack, song, source, extra : see `PartRow`.
    grid : whether its beats mean something; None to tell by its onsets.
    played : whether it was played by hand; None to tell by its onsets.
    """
    if grid is None:
        grid = has_grid(notes.onset_beats)
    if played is None:
        sixteenths = notes.onset_beats * 4
        exact = float(np.mean(np.abs(sixteenths - np.round(sixteenths)) < 1e-3))
        played = not grid or (exact < PLAYED_EXACT and grid_share(notes.onset_beats, 4) > PLAYED_NEAR)
    position = np.round(notes.beat_in_bar * 48).astype(np.int64)
    bar = notes.bar if grid else np.zeros(len(notes), dtype=np.int64)
    starts = np.flatnonzero(np.append(True, np.diff(bar) != 0))
    sizes = np.diff(np.append(starts, len(bar)))
    written_bars = _bar_keys(starts, sizes, position, notes.pitch)[sizes >= SHARED_BAR_NOTES]
    program = np.where(notes.program < 0, instrument.default_program, np.minimum(notes.program, UNKNOWN_PROGRAM))
    columns: dict[str, NDArray[np.generic]] = {
        "onset": np.round((notes.onset_beats - notes.onset_beats[0]) * TICKS_PER_BEAT).astype(np.int32),
        "duration": np.clip(np.round(notes.duration_beats * TICKS_PER_BEAT), 0, 65535).astype(np.uint16),
        "pitch": notes.pitch.astype(np.uint8),
        "velocity": notes.velocity.astype(np.uint8),
        "program": program.astype(np.uint8),
        "tempo": np.clip(np.round(notes.tempo_bpm / TEMPO_UNIT), 10 / TEMPO_UNIT, 65535).astype(np.uint16),
        "beat_in_bar": np.clip(np.round(notes.beat_in_bar * TICKS_PER_BEAT), 0, 65535).astype(np.uint16),
        "bar_beats": np.clip(np.round(notes.bar_beats * TICKS_PER_BEAT), 120, 65535).astype(np.uint16),
        "wanted": np.ones(len(notes), dtype=np.bool_),
        "released": notes.released,
    }
    if grid:
        played_bars = _bar_keys(starts, sizes, position, notes.pitch, notes.velocity)
        columns["wanted"] = np.repeat(_rare_enough(played_bars), sizes)
    order = np.lexsort((columns["pitch"], columns["onset"]))
    columns = {name: values[order] for name, values in columns.items()}
    row = PartRow(
        pack=pack, song=song, source=source, instrument=instrument.name, split="", start=0, stop=0, grid=grid,
        played=played, level=round(float(notes.velocity.mean()), 2), range=round(float(notes.velocity.std()), 2),
        extra=extra,
    )
    fingerprint = _digest(columns["pitch"], columns["velocity"], np.diff(columns["onset"].astype(np.int64)))
    return RawPart(row, columns, fingerprint, np.unique(written_bars) if grid else np.zeros(0, dtype=np.uint64))


def fraction_of(text: str) -> float:
    """A number in 0..1 that follows from the text alone: songs are held out by it."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big") / 2**48


def _bar_keys(starts: IntArray, sizes: IntArray, *columns: IntArray) -> KeyArray:
    """(B,) a key for the content of each bar: `sizes` notes from `starts` on, in their order."""
    key = mix((np.arange(sizes.sum()) - np.repeat(starts, sizes)).astype(np.uint64))
    for column in columns:
        key = mix(key ^ column.astype(np.uint64))
    return np.add.reduceat(key, starts)


def _rare_enough(keys: KeyArray) -> BoolArray:
    """(B,) False for a bar whose key has been seen `BAR_OCCURRENCES` times before."""
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    rare = np.empty(len(keys), dtype=np.bool_)
    rare[order] = np.arange(len(keys)) - np.searchsorted(ordered, ordered) < BAR_OCCURRENCES
    return rare


def _digest(*columns: NDArray[np.generic]) -> int:
    content = b"|".join(np.ascontiguousarray(column, dtype=np.int64).tobytes() for column in columns)
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "big")
