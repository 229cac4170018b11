"""The written side of a part, and the hints a user may give: all that the network is told.

Conventions
-----------
All arrays are 1-D over N notes, sorted by segment, then onset. A *segment* is a stretch of one part; several may
stand one after another in one `Score`, and nothing looks across their borders. A beat is a quarter note.

`Score` has no field for a performed velocity or duration: what is predicted cannot become an input. The one exception
is declared: `Hints`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from duvhuman.arrays import BoolArray, FloatArray, IntArray, Table, neighbours, window_mean
from duvhuman.instruments import Instrument, usual_program
from duvhuman.midi.notes import NoteTable
from duvhuman.rhythm.band import Beats
from duvhuman.rhythm.grid import lateness
from duvhuman.rhythm.metre import CHORD_SECONDS

UNKNOWN_PROGRAM = 128
CHORD_BEATS = 0.02
SWELL_BEATS = 2.0
SWELL_STEP = 4.0
ACCENT_STEP = 8.0
SHORTEST_BEATS = 1 / 8
"""Onsets nearer than this count as one (strums, rolled chords)."""
GRIDLESS_BAR_BEATS = 4.0
PLACES_PER_BEAT = 12
"""Notes in one twelfth of a beat stand at one place: sixteenths and triplets do not."""
FLAT_SD = 1.5
"""Written velocities with an SD below it are flat."""


@dataclass(frozen=True)
class Score(Table):
    """The written side of N notes: everything that may be known before anybody plays.

    Attributes
    ----------
    onset_beats, nominal_beats : (N,) beats; nominal is NaN where how long a note is written is unknown.
    pitch, program : (N,) MIDI numbers; program 128 is unknown.
    tempo_bpm : (N,) quarter notes per minute at the onset.
    beat_in_bar, bar_beats : (N,) beats since the bar began, and its length.
    grid_known : (N,) whether beats and bars mean anything; else only seconds are looked at.
    segment : (N,) non-decreasing.
    """

    onset_beats: FloatArray
    nominal_beats: FloatArray
    pitch: IntArray
    program: IntArray
    tempo_bpm: FloatArray
    beat_in_bar: FloatArray
    bar_beats: FloatArray
    grid_known: BoolArray
    segment: IntArray

    def replace(self, **columns: NDArray[np.generic]) -> Score:
        """A copy with some columns exchanged."""
        return replace(self, **columns)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Hints(Table):
    """What may be told to the network of the velocities, each (N,) and NaN where it is not told.

    Attributes
    ----------
    level, range : mean and SD of the part's velocities.
    swell, accent : the user's own dynamics, as `contour` makes them.
    """

    level: FloatArray
    range: FloatArray
    swell: FloatArray
    accent: FloatArray

    @classmethod
    def none(cls, n: int) -> Hints:
        """No hint for any of n notes."""
        nothing = np.full(n, np.nan)
        return cls(nothing, nothing, nothing, nothing)


def is_flat(velocity: FloatArray) -> bool:
    """Whether written velocities tell nothing of dynamics: SD under 1.5. Two velocities are enough to tell accents."""
    return bool(np.std(velocity) < FLAT_SD)


def contour(
    onset_beats: FloatArray, velocity: NDArray[np.generic], segment: IntArray, level: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Dynamics coarsened to what a user would write: a swell, and accents on chords that stand out of it.

    Parameters
    ----------
    onset_beats, velocity, segment : (N,), sorted by segment, then onset.
    level : (N,) the mean velocity of the part that each segment is from.

    Returns
    -------
    swell : (N,) the mean velocity within `SWELL_BEATS` of each note minus `level`, in steps of 4.
    accent : (N,) -1, 0 or 1: whether the note lies 8 or more under or over the swell.
    """
    values = np.asarray(velocity, dtype=np.float64)
    low, high = neighbours(separate_segments(onset_beats, segment), SWELL_BEATS)
    local = window_mean(values, low, high)
    swell = SWELL_STEP * np.round((local - level) / SWELL_STEP)
    accent = np.clip(np.trunc((values - local) / ACCENT_STEP), -1, 1)
    return swell, accent


def onset_seconds(score: Score) -> FloatArray:
    """(N,) when each note begins, in seconds since the first; between segments by the tempo of the later one."""
    steps = np.maximum(np.diff(score.onset_beats), 0.0) * (60.0 / score.tempo_bpm[1:])
    return np.append(0.0, np.cumsum(steps))


def segment_bounds(segment: IntArray) -> tuple[IntArray, IntArray]:
    """For every note, where its segment starts and stops (stop exclusive)."""
    return np.searchsorted(segment, segment, "left"), np.searchsorted(segment, segment, "right")


def separate_segments(time: FloatArray, segment: IntArray) -> FloatArray:
    """`time` with the segments moved so far apart that no distance across a border matters."""
    if not len(time):
        return time
    starts = np.append(True, np.diff(segment) != 0)
    first = np.flatnonzero(starts)
    last = np.append(first[1:], len(time)) - 1
    shift = np.concatenate([[0.0], np.cumsum((time[last] - time[first])[:-1] + 1e4)])
    number = np.cumsum(starts) - 1
    return time - time[first][number] + shift[number]


def chords(score: Score) -> tuple[IntArray, IntArray]:
    """(C,) the first note of each chord, and (N,) the number of each note's chord, from 0."""
    gap = np.diff(score.onset_beats)
    apart = (gap * 60.0 / score.tempo_bpm[1:] > CHORD_SECONDS) & (gap > CHORD_BEATS)
    starts = np.append(True, apart | (np.diff(score.segment) != 0))
    return np.flatnonzero(starts), np.cumsum(starts) - 1


def chord_numbers(score: Score) -> IntArray:
    """(N,) the number of each note's chord, from 0."""
    return chords(score)[1]


def gap_to_next_onset(score: Score) -> FloatArray:
    """(N,) beats to the next onset at least `SHORTEST_BEATS` away, of any pitch; NaN at a segment's end."""
    time = separate_segments(score.onset_beats, score.segment)
    following = np.searchsorted(time, time + SHORTEST_BEATS - 1e-6)
    inside = np.minimum(following, len(time) - 1)
    exists = (following < len(time)) & (score.segment[inside] == score.segment)
    return np.where(exists, time[inside] - time, np.nan)


def longest_written(score: Score) -> FloatArray:
    """(N,) beats, a bar: no longer note has been shown to a network, however late the next onset."""
    return np.where(score.grid_known, score.bar_beats, GRIDLESS_BAR_BEATS)


def bars_and_places(score: Score) -> tuple[IntArray, IntArray]:
    """(N,) where the bar of each note begins and (N,) where in it the note stands, in twelfths of a beat.

    A note that is played a little early belongs to the bar that it begins. Without a grid both are 0.
    """
    if not score.grid_known.all():
        return np.zeros(len(score), dtype=np.int64), np.zeros(len(score), dtype=np.int64)
    begins, place, length = (
        np.round(beats * PLACES_PER_BEAT).astype(np.int64)
        for beats in (score.onset_beats - score.beat_in_bar, score.beat_in_bar, score.bar_beats)
    )
    early = place >= length
    return np.where(early, begins + length, begins), np.where(early, 0, place)


def gap_to_later_same_pitch(score: Score) -> FloatArray:
    """(N,) beats until the note's pitch begins again in its segment, later than the note itself; infinite if never."""
    voices = np.stack([score.segment, score.pitch, score.onset_beats], axis=1)
    onsets, note = np.unique(voices, axis=0, return_inverse=True)  # sorted
    same = (np.diff(onsets[:, :2], axis=0) == 0).all(axis=1)
    gaps: FloatArray = np.append(np.where(same, np.diff(onsets[:, 2]), np.inf), np.inf)
    return gaps[note.ravel()]


def score_of(
    notes: NoteTable, instrument: Instrument | None = None, beats: Beats | None = None, *, name: str = ""
) -> Score:
    """The written side of a part as a user's file gives it: each note lasts as long as it is written. A part that comes
    late throughout stands where it would be on time.

    Parameters
    ----------
    notes : N notes.
    instrument : what plays them; a note without a program change, or with the program of another instrument, is taken
        for its usual program, for networks know those of their own instrument only. None: programs are as written.
    beats : where the beats of the file were found to be; None: where the file says.
    name : what the part is called, which may tell its usual program.
    """
    if instrument is None:
        program = np.where(notes.program < 0, UNKNOWN_PROGRAM, notes.program)
    else:
        own = np.isin(notes.program, list(instrument.programs))
        program = np.where(own, notes.program, usual_program(instrument, name))
    grid = lateness(notes.onset_beats)
    late = grid or 0.0
    score = Score(
        onset_beats=notes.onset_beats - late,
        nominal_beats=np.maximum(notes.duration_beats, 1e-3),
        pitch=notes.pitch,
        program=program,
        tempo_bpm=notes.tempo_bpm,
        beat_in_bar=np.mod(np.round(notes.beat_in_bar - late, 9), notes.bar_beats) if late else notes.beat_in_bar,
        bar_beats=notes.bar_beats,
        grid_known=np.full(len(notes), grid is not None),
        segment=np.zeros(len(notes), dtype=np.int64),
    )
    return score if beats is None else on_beats(score, beats, notes.onset_seconds, notes.duration_seconds)


def on_beats(score: Score, beats: Beats, onset_seconds: FloatArray, duration_seconds: FloatArray) -> Score:
    """A score of N notes whose file keeps no beat on the beats that were found, in the seconds (N,) that it took."""
    onset, bpm = beats.at(onset_seconds)
    end, _ = beats.at(onset_seconds + duration_seconds)  # what ends at an onset does so on these beats, too
    return score.replace(
        onset_beats=onset,
        nominal_beats=np.maximum(end - onset, 1e-3),
        tempo_bpm=bpm,
        beat_in_bar=np.mod(onset, beats.bar_beats),
        bar_beats=np.full(len(score), beats.bar_beats),
        grid_known=np.ones(len(score), dtype=np.bool_),
    )
