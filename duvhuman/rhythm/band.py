"""The beats of a file whose players keep none, found in what all its tracks play together.

A band that played freely, or whose sound was turned into notes, has bars, but its file does not know where. The network
plays by the place of a note in its bar; one part alone hardly tells it, but drums, or several parts together, mostly
do. Only onsets and pitches are looked at, never velocities or lengths.

Conventions
-----------
A file has C chords: notes of any track that begin within `CHORD_SECONDS`. A beat is a quarter note; they count from the
bar of the first chord.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources

import numpy as np

from duvhuman.arrays import FloatArray, IntArray, window_mean
from duvhuman.midi.notes import Part
from duvhuman.rhythm import model
from duvhuman.rhythm.cues import find_cues
from duvhuman.rhythm.grid import has_grid, keep_to_grid, late_by
from duvhuman.rhythm.metre import CHORD_SECONDS, UNITS, Metre
from duvhuman.rhythm.style import BAR, DRUMS, Style

TIMING = model.Timing(
    bpm=40.0 * 2.0 ** (np.arange(35) / 16), usual_bpm=100.0, bpm_octaves=0.35, bpm_weight=0.2,
    drift=0.3, least_drift=0.15, rubato_octaves=0.15, jitter_seconds=0.015,
)
"""Tempi of 40 to 174 quarter notes a minute, which a band keeps more steadily than one player alone. What is faster is
heard at half its tempo, and what is slower at twice it: players feel the beat there, too."""
IN_TRIPLETS = replace(TIMING, bpm=40.0 * 2.0 ** (np.arange(47) / 16))
"""Up to 293: swung eighths at half their tempo stand at no place of a bar, in triplets or straight."""
CUE_WEIGHT = 0.7
"""What is heard together is not independent: all that the cues tell counts so much."""
THIRD_BEAT = 2
"""A bar of three is taken for a bar of four without its third beat: kick on one, snare on the others."""
FEWEST_CHORDS, MOST_NOTES = 32, 100_000
"""Beats are not looked for in fewer chords, which could not tell, or in more notes, which would take too long."""
FEWEST_PARTS, FEWEST_NOTES = 4, 64
"""So many notes of `DRUMS`, or so many parts of so many notes, tell where the beats are; less does too rarely."""
GRID_NOTES = 200
"""A part of so many notes that is on the grid is not there by chance: the file knows its beats."""
NEARBY_CHORDS, PAUSE_SECONDS = 16, 4.0
"""Tempo and place of a chord are those of a straight line through so many chords to either side, up to a pause."""
LEAST_WIDTH = 1e-2
"""The variance in square seconds of fewer chords that tell no tempo of their own; they have the usual one."""
SLOWEST, FASTEST = 30.0, 300.0
"""Quarter notes a minute that such a line may have."""
TRIPLETS_HANDICAP, THREE_HANDICAP, WALTZ_HANDICAP = 5.0, 30.0, 10.0
"""By how much these must be likelier (ln) than straight bars of four, in which most bands play."""
COUNTS_FILE = "styles.json"


@dataclass(frozen=True, eq=False)
class Beats:
    """Where the beats of a file are.

    Attributes
    ----------
    seconds : (C,) when each chord begins.
    beats : (C,) how many beats that is after the first bar began; never falls.
    bpm : (C,) the tempo there.
    bar_beats : the length of all bars.
    metre : its name.
    """

    seconds: FloatArray
    beats: FloatArray
    bpm: FloatArray
    bar_beats: float
    metre: str

    def __str__(self) -> str:
        return f"{self.metre} at about {np.median(self.bpm):.0f} bpm"

    def at(self, seconds: FloatArray) -> tuple[FloatArray, FloatArray]:
        """(N,) beats and (N,) bpm at these times (N,); before the first chord and after the last the tempo goes on."""
        bpm = np.interp(seconds, self.seconds, self.bpm)
        beyond = seconds - np.clip(seconds, self.seconds[0], self.seconds[-1])
        return np.interp(seconds, self.seconds, self.beats) + beyond * bpm / 60, bpm


def find_beats(parts: Sequence[Part], *, tracks_apart: bool = False) -> Beats | None:
    """The beats of a file that keeps none; None if it does, and if too little is heard to tell.

    Parameters
    ----------
    parts : all parts of the file, drums included.
    tracks_apart : whether each track has a clock of its own (format 2); then there is nothing to be found.
    """
    if tracks_apart or not is_band(parts) or _keeps_beats(parts) or sum(len(p.notes) for p in parts) > MOST_NOTES:
        return None
    seconds, cues = chords_of(parts)
    if len(seconds) < FEWEST_CHORDS:
        return None
    known, usual = _known(drums=has_drums(parts))
    rhythm = model.write_down(seconds, [
        model.Choice(metre, CUE_WEIGHT * style.log_likelihood(cues, usual), timing, handicap)
        for metre, style, timing, handicap in known
    ])
    beats, bpm = _straightened(seconds, rhythm.onset / UNITS)
    return Beats(seconds, beats, bpm, rhythm.metre.bar / UNITS, rhythm.metre.name)


def is_band(parts: Sequence[Part]) -> bool:
    """Whether there are drums, or parts enough, to tell where the beats are."""
    return has_drums(parts) or sum(len(part.notes) >= FEWEST_NOTES for part in parts) >= FEWEST_PARTS


def has_drums(parts: Sequence[Part]) -> bool:
    """Whether more than a count-in is played on drums that tell where the beats are."""
    pitches = [pitch for kind in DRUMS.values() for pitch in kind]
    return sum(int(np.isin(part.notes.pitch, pitches).sum()) for part in parts if part.is_drums) >= FEWEST_NOTES


def _keeps_beats(parts: Sequence[Part]) -> bool:
    """Whether all onsets together, late or not, or those of a large part, are on the beats of their file."""
    onsets = [part.notes.onset_beats for part in parts]
    together = np.concatenate(onsets)
    on_time = together - (late_by(together) or 0.0)
    if keep_to_grid(together) or keep_to_grid(on_time):
        return True
    return any(has_grid(part) for part in onsets if len(part) >= GRID_NOTES)


def chords_of(parts: Sequence[Part]) -> tuple[FloatArray, IntArray]:
    """When the C chords of a file begin, and what is heard of each: (C, 7) of `duvhuman.rhythm.style.CUES`."""
    onset = np.concatenate([part.notes.onset_seconds for part in parts])
    pitch = np.concatenate([part.notes.pitch for part in parts])
    drum = np.concatenate([np.full(len(part.notes), part.is_drums) for part in parts])
    order = np.argsort(onset, kind="stable")
    onset, pitch, drum = onset[order], pitch[order], drum[order]
    first = [0]
    while (following := int(np.searchsorted(onset, onset[first[-1]] + CHORD_SECONDS, "right"))) < len(onset):
        first.append(following)
    seconds = onset[first]
    chord = np.searchsorted(first, np.arange(len(onset)), "right") - 1
    cues = [find_cues(seconds, chord[~drum], pitch[~drum])]
    for pitches in DRUMS.values():
        heard = np.zeros((len(seconds), 1), dtype=np.int64)
        heard[chord[drum & np.isin(pitch, pitches)]] = 1
        cues.append(heard)
    return seconds, np.concatenate(cues, axis=1)


@cache
def _known(*, drums: bool) -> tuple[list[tuple[Metre, Style, model.Timing, float]], list[IntArray]]:
    """What bands play in, with drums or without: metres, what was counted of each, their tempi and handicaps.

    And how often each cue has each value anywhere.
    """
    file = resources.files(__package__).joinpath(COUNTS_FILE)
    counts = json.loads(file.read_text(encoding="utf-8"))["with drums" if drums else "without drums"]
    straight, triplets = Style.from_dict(counts["straight"]), Style.from_dict(counts["triplets"])
    three, waltz = straight.without_beat(THIRD_BEAT), triplets.without_beat(THIRD_BEAT)
    usual = [one.sum(axis=0) + other.sum(axis=0) for one, other in zip(straight.cues, triplets.cues, strict=True)]
    return [
        (straight.metre("4/4", BAR), straight, TIMING, 0.0),
        (triplets.metre("4/4 in triplets", BAR), triplets, IN_TRIPLETS, TRIPLETS_HANDICAP),
        (three.metre("3/4", BAR - UNITS), three, TIMING, THREE_HANDICAP),
        (waltz.metre("3/4 in triplets", BAR - UNITS), waltz, IN_TRIPLETS, WALTZ_HANDICAP),
    ], usual


def _straightened(seconds: FloatArray, beats: FloatArray) -> tuple[FloatArray, FloatArray]:
    """(C,) beats and (C,) bpm of lines of least squares through the `NEARBY_CHORDS` to either side of each chord."""
    here = np.arange(len(seconds))
    edges = np.concatenate([[0], np.flatnonzero(np.diff(seconds) > PAUSE_SECONDS) + 1, [len(seconds)]])
    stretch = np.searchsorted(edges, here, "right")
    low = np.maximum(here - NEARBY_CHORDS, edges[stretch - 1])
    high = np.minimum(here + NEARBY_CHORDS + 1, edges[stretch])
    x, y = seconds - seconds.mean(), beats - beats.mean()
    around, level, product, square = (window_mean(values, low, high) for values in (x, y, x * y, x * x))
    rise, width = product - around * level, square - around**2
    told = width > LEAST_WIDTH
    slope = 60 * rise / np.where(told, width, 1.0)
    usual = np.median(slope[told]) if told.any() else TIMING.usual_bpm
    bpm = np.clip(np.where(told, slope, usual), SLOWEST, FASTEST)
    line = level + bpm / 60 * (x - around) + beats.mean()
    return np.maximum.accumulate(line), bpm
