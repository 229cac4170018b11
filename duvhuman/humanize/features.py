"""What the network sees of each note: the one definition that training and inference share.

Conventions
-----------
Arrays and units are those of `duvhuman.humanize.score`. Distances in time are given as ``log2`` of beats or seconds,
scaled to about -1..1; values that do not exist are 0 and have a flag beside them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from duvhuman.arrays import FloatArray, IntArray, neighbours, window_mean
from duvhuman.errors import ModelError
from duvhuman.humanize.score import (
    UNKNOWN_PROGRAM,
    Hints,
    Score,
    chords,
    onset_seconds,
    segment_bounds,
    separate_segments,
)
from duvhuman.models.config import VELOCITY_CENTRE, VELOCITY_SCALE, ModelConfig

FARTHEST = 16.0
"""Gaps are no longer, in beats or seconds, and so long where nothing follows, or comes before."""
VOICE_SEMITONES = 5
VOICE_LOOKAHEAD = 12
LOCAL_NOTES = 12
"""Half the width, in notes, of the neighbourhood that pitch is compared with (25 notes in all)."""
REST_SECONDS = 0.7
CONTEXT_NOTES = 32
"""Notes on either side of a phrase, or of a window, that its features are computed with; none beyond them are seen."""


def check_features(config: ModelConfig, source: object) -> None:
    """ModelError that names `source` if its network was made for other features than those of this version."""
    if config.feature_names != feature_names():
        raise ModelError(
            f"{source}: made for other features than this version of duvhuman computes; train it anew, or use the "
            "version it was made with"
        )


def feature_names() -> tuple[str, ...]:
    """The names of the columns of `compute_features`, in order."""
    one = Score(
        np.zeros(1), np.ones(1), np.array([60]), np.array([UNKNOWN_PROGRAM]), np.full(1, 120.0), np.zeros(1),
        np.full(1, 4.0), np.ones(1, bool), np.zeros(1, np.int64),
    )
    return tuple(_columns(one, Hints.none(1)))


def compute_features(score: Score, hints: Hints) -> NDArray[np.float32]:
    """The numeric features of N notes, shape (N, F), columns as `feature_names` says."""
    return np.stack([np.asarray(c, dtype=np.float32) for c in _columns(score, hints).values()], axis=1)


def _columns(score: Score, hints: Hints) -> dict[str, NDArray[np.generic]]:
    n = len(score)
    pitch = score.pitch.astype(np.float64)
    seconds_per_beat = 60.0 / score.tempo_bpm
    grid = score.grid_known.astype(np.float64)
    time = separate_segments(score.onset_beats, score.segment)
    columns: dict[str, NDArray[np.generic]] = {}

    # How long the note is written.
    known = np.isfinite(score.nominal_beats)
    nominal = np.where(known, score.nominal_beats, 1.0)
    columns["nominal_known"] = known
    columns["nominal_beats"] = _log_time(nominal) * known * grid
    columns["nominal_seconds"] = _log_time(nominal * seconds_per_beat) * known

    # Chords: size, place in it, the way to the chords around it.
    first, chord = chords(score)
    size = np.diff(np.append(first, n))
    order = np.lexsort((score.pitch, chord))
    rank = np.empty(n, dtype=np.int64)
    rank[order] = np.arange(n) - first[chord[order]]
    from_top = size[chord] - 1 - rank
    columns["chord_size"] = np.log2(size[chord]) / 2
    columns["rank_bottom"] = np.minimum(rank, 6) / 3
    columns["rank_top"] = np.minimum(from_top, 6) / 3
    columns["is_bottom"] = (rank == 0) & (size[chord] > 1)
    columns["is_top"] = (from_top == 0) & (size[chord] > 1)
    columns["is_single"] = size[chord] == 1
    columns["after_chord_onset"] = np.minimum((time - time[first][chord]) * seconds_per_beat, 0.2) * 10

    chord_time, chord_segment = time[first], score.segment[first]
    top = np.maximum.reduceat(score.pitch, first)
    bottom = np.minimum.reduceat(score.pitch, first)
    middle = np.add.reduceat(pitch, first) / size
    for step, name in ((-1, "previous"), (1, "next"), (-2, "second_previous"), (2, "second_next")):
        other = np.clip(np.arange(len(first)) + step, 0, len(first) - 1)
        exists = (chord_segment[other] == chord_segment) & (other == np.arange(len(first)) + step)
        gap = np.where(exists, np.abs(chord_time[other] - chord_time), FARTHEST)[chord]
        columns[f"{name}_gap_beats"] = _log_time(gap) * grid
        columns[f"{name}_gap_seconds"] = _log_time(gap * seconds_per_beat)
        columns[f"{name}_top_interval"] = _interval((top[other] - top) * exists)[chord]
        if abs(step) == 1:
            columns[f"{name}_exists"] = exists[chord]
            columns[f"{name}_bottom_interval"] = _interval((bottom[other] - bottom) * exists)[chord]
            columns[f"{name}_middle_interval"] = _interval((middle[other] - middle) * exists)[chord]
            columns[f"{name}_size"] = (np.log2(size[other]) * exists)[chord] / 2
            if name == "next":
                columns["legato"] = np.clip(np.log2(nominal / np.maximum(gap, 1e-3)), -4, 4) / 2 * known * exists[chord]

    # The note's voice: the nearest note of nearby pitch before and after; and its own pitch before and after.
    for direction, name in ((-1, "previous"), (1, "next")):
        gap, interval = _voice(score.pitch, time, chord, score.segment, direction)
        columns[f"voice_{name}_beats"] = _log_time(gap) * grid
        columns[f"voice_{name}_seconds"] = _log_time(gap * seconds_per_beat)
        columns[f"voice_{name}_interval"] = interval / VOICE_SEMITONES
        gap = _same_pitch(score, time, direction)
        columns[f"pitch_{name}_beats"] = _log_time(gap) * grid
        columns[f"pitch_{name}_seconds"] = _log_time(gap * seconds_per_beat)

    # Height in the neighbourhood, and how busy it is.
    index = np.arange(n)
    start, stop = segment_bounds(score.segment)
    low, high = np.maximum(index - LOCAL_NOTES, start), np.minimum(index + LOCAL_NOTES + 1, stop)
    columns["height"] = (pitch - window_mean(pitch, low, high)) / 12
    columns["pitch"] = (pitch - 60) / 24
    clock = separate_segments(onset_seconds(score), score.segment)
    for width in (1.0, 4.0):
        low, high = neighbours(clock, width)
        columns[f"height_{width:g}s"] = (pitch - window_mean(pitch, low, high)) / 12
        columns[f"notes_{width:g}s"] = np.log2(high - low) / 4
        columns[f"notes_before_{width:g}s"] = np.log2(index - low + 1) / 4
        columns[f"notes_after_{width:g}s"] = np.log2(high - index) / 4

    # Rests: how long since the last one and until the next.
    chord_gap = np.where(np.diff(chord_segment) == 0, np.diff(chord_time), 1e9)
    rest_before = np.append(True, chord_gap * seconds_per_beat[first][1:] > REST_SECONDS)
    begins, phrase = np.flatnonzero(rest_before), np.cumsum(rest_before) - 1
    ends = np.append(begins[1:], len(first)) - 1
    for name, edge in (("since_rest", begins[phrase]), ("until_rest", ends[phrase])):
        span = np.abs(chord_time - chord_time[edge])[chord] * seconds_per_beat
        columns[f"{name}_seconds"] = _log_time(span)
        columns[f"{name}_is_edge"] = (edge == np.arange(len(first)))[chord]

    # Place in bar and beat, only where the grid means something.
    columns["grid_known"] = grid
    columns["tempo"] = np.clip(np.log2(score.tempo_bpm / 120), -2, 2) * grid
    bar_phase = score.beat_in_bar / score.bar_beats
    for name, phase in (("bar", bar_phase), ("beat", score.beat_in_bar)):
        for k in (1, 2, 3, 4):
            columns[f"{name}_sin{k}"] = np.sin(2 * np.pi * k * phase) * grid
            columns[f"{name}_cos{k}"] = np.cos(2 * np.pi * k * phase) * grid
    columns["bar_beats"] = (score.bar_beats / 4 - 1) * grid
    distance = {unit: score.beat_in_bar * unit - np.round(score.beat_in_bar * unit) for unit in (1, 4, 6)}
    columns["on_downbeat"] = (np.minimum(score.beat_in_bar, score.bar_beats - score.beat_in_bar) < 0.08) * grid
    columns["on_beat"] = (np.abs(distance[1]) < 0.08) * grid
    columns["off_sixteenth"] = distance[4] * grid
    columns["off_triplet"] = distance[6] * grid

    for name, value, centre, scale in (
        ("level", hints.level, VELOCITY_CENTRE, VELOCITY_SCALE), ("range", hints.range, 14, 8),
        ("swell", hints.swell, 0, 12), ("accent", hints.accent, 0, 1),
    ):
        given = np.isfinite(value)
        columns[f"{name}_given"] = given
        columns[name] = np.where(given, (value - centre) / scale, 0.0)
    return columns


def _log_time(value: FloatArray) -> FloatArray:
    """log2 of a time in beats or seconds, between 1/64 and `FARTHEST`, scaled to -1.5..1."""
    return np.log2(np.clip(value, 1 / 64, FARTHEST)) / 4


def _interval(semitones: NDArray[np.generic]) -> FloatArray:
    return np.clip(np.asarray(semitones, dtype=np.float64), -24, 24) / 12


def _voice(
    pitch: IntArray, time: FloatArray, chord: IntArray, segment: IntArray, direction: int
) -> tuple[FloatArray, FloatArray]:
    """Gap in beats and interval to the nearest note of nearby pitch outside the own chord."""
    n = len(pitch)
    gap, interval = np.full(n, FARTHEST), np.zeros(n)
    open_ = np.ones(n, dtype=bool)
    index = np.arange(n)
    for step in range(1, min(VOICE_LOOKAHEAD, n - 1) + 1):
        other = np.clip(index + direction * step, 0, n - 1)
        distance = pitch[other] - pitch
        found = open_ & (segment[other] == segment) & (chord[other] != chord) & (np.abs(distance) <= VOICE_SEMITONES)
        gap[found] = np.abs(time[other] - time)[found]
        interval[found] = distance[found]
        open_ &= ~found
    return gap, interval


def _same_pitch(score: Score, time: FloatArray, direction: int) -> FloatArray:
    """Gap in beats to the next (`direction` 1) or previous (-1) note of the same pitch; 0 if they begin together."""
    order = np.lexsort((time, score.pitch, score.segment))
    same = (np.diff(score.pitch[order]) == 0) & (np.diff(score.segment[order]) == 0)
    gaps = np.where(same, np.diff(time[order]), FARTHEST)
    result = np.empty(len(score))
    result[order] = np.append(FARTHEST, gaps) if direction < 0 else np.append(gaps, FARTHEST)
    return result
