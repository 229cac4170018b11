"""Rebuild from a performance what a user would have written: the input side of a training pair.

Conventions
-----------
Arrays and units are those of `duvhuman.humanize.score`; many phrases are handled at once as segments. Written lengths
come from onsets, pitches and metre alone and never from the performed durations, which are what is predicted.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from duvhuman.arrays import BoolArray, FloatArray, IntArray
from duvhuman.humanize.score import (
    SHORTEST_BEATS,
    Score,
    gap_to_next_onset,
    longest_written,
    segment_bounds,
    separate_segments,
)
from duvhuman.train.pairs.draws import Draws
from duvhuman.train.pairs.performance import Performance
from duvhuman.train.pairs.straighten import Straightening, straighten

VOICE_SEMITONES = 7
VOICE_LOOKAHEAD = 16
TEMPO_OCTAVES = 0.3
"""How far the tempo of half of the phrases with a beat is changed at most, up or down."""


def gap_to_next_in_voice(score: Score) -> FloatArray:
    """(N,) beats to the next onset of nearby pitch at least `SHORTEST_BEATS` away; where none is near, of any pitch."""
    n = len(score)
    time = separate_segments(score.onset_beats, score.segment)
    gap = np.full(n, np.nan)
    index = np.arange(n)
    for step in range(1, min(VOICE_LOOKAHEAD, n - 1) + 1):
        other = np.minimum(index + step, n - 1)
        distance = time[other] - time
        fits = (distance >= SHORTEST_BEATS - 1e-6) & (np.abs(score.pitch[other] - score.pitch) <= VOICE_SEMITONES)
        fits &= np.isnan(gap) & (score.segment[other] == score.segment)
        gap[fits] = distance[fits]
    return np.where(np.isnan(gap), gap_to_next_onset(score), gap)


def write_lengths(score: Score, gap_beats: FloatArray) -> Score:
    """`score` with every note written up to `gap_beats` later, at most a bar; a last note lasts a bar."""
    bar = longest_written(score)
    nominal = np.minimum(np.where(np.isnan(gap_beats), bar, gap_beats), bar)
    return score.replace(nominal_beats=np.maximum(nominal, SHORTEST_BEATS / 2))


@dataclass(frozen=True)
class Pair:
    """A flat score and what was played: (N,) each.

    ``articulation`` = log2(performed / written duration) in -6..4, NaN where the key's release, or the gap that
    it would be written up to, is not known. ``song`` tells which parts are of one, "" where nobody asks.
    """

    score: Score
    played: Performance
    articulation: FloatArray
    song: str = ""


def pair_as_written(played: Performance, gap_beats: FloatArray) -> Pair:
    """The pair in which every note is written `gap_beats` long.

    Where that is NaN, behind the last chord, which nothing follows, a note is written as long as the one before it, and
    its articulation is not known.
    """
    known = np.flatnonzero(np.isfinite(gap_beats))
    before = np.searchsorted(known, np.arange(len(gap_beats)), side="right") - 1
    score = write_lengths(played.score, gap_beats[known[before]] if len(known) else gap_beats)
    articulation = np.where(np.isfinite(gap_beats), _articulation(played, score.nominal_beats), np.nan)
    return Pair(score, played, articulation)


def deadpan(played: Performance, draws: Draws, *, tempo_octaves: float = TEMPO_OCTAVES) -> Pair:
    """A random flat version of each of the S segments of `played`, with what was played on it.

    The segments are thinned out, transposed, their tempo changed, onsets quantised, straightened or left alone, the
    grid forgotten, and lengths written up to the next onset of the part or of the voice; sometimes staccato, sometimes
    unknown. The result is sorted anew by segment, onset and pitch.

    Parameters
    ----------
    tempo_octaves : how far the tempo of half of the segments with a beat is changed at most, up or down.
    """
    played = straighten(_drop_notes(played, draws), Straightening.drawn(draws))
    score = played.score
    per_note = score.segment

    def chance(probability: float) -> BoolArray:
        return draws.chance(probability)[per_note]

    def uniform(low: float, high: float) -> FloatArray:
        return draws.uniform(low, high)[per_note]

    # Without a grid the beat is notional: any tempo will do, and seconds stay what they are.
    stretch = np.where(score.grid_known, 1.0, 2 ** uniform(-0.7, 0.7))
    tempo = score.tempo_bpm * stretch * np.where(
        score.grid_known & chance(0.5), 2 ** uniform(-tempo_octaves, tempo_octaves), 1.0
    )
    onset = score.onset_beats * stretch
    step = np.where(chance(0.7), 1 / 4, 1 / 12)
    to_grid = np.round(score.beat_in_bar / step) * step - score.beat_in_bar
    quantised = np.where(chance(0.4) & score.grid_known, onset + to_grid, onset)
    late_bar = np.where(chance(0.08), np.floor(uniform(1, 4)), 0.0)
    shift = np.where(chance(0.7), draws.integers(-6, 7)[per_note], 0)
    changed = score.replace(
        onset_beats=quantised,
        pitch=np.clip(score.pitch + shift, 0, 127),
        tempo_bpm=tempo,
        beat_in_bar=np.mod(score.beat_in_bar + (quantised - onset) + late_bar, score.bar_beats),
        grid_known=score.grid_known & ~chance(0.15),
    )
    order = np.lexsort((changed.pitch, quantised, per_note))
    played = replace(played, score=changed, duration_beats=played.duration_beats * stretch)
    return _write(played.select(order), draws)


def _write(played: Performance, draws: Draws) -> Pair:
    """Choose for each segment how its notes are written."""
    score, per_note = played.score, played.score.segment
    by_voice = draws.chance(0.5)[per_note]
    score = write_lengths(score, np.where(by_voice, gap_to_next_in_voice(score), gap_to_next_onset(score)))
    snapped = draws.chance(0.4)[per_note] & score.grid_known
    nominal = np.where(snapped, np.maximum(np.round(score.nominal_beats * 4) / 4, 1 / 4), score.nominal_beats)
    articulation = _articulation(played, nominal)

    # A run written staccato is played staccato: written and performed length shrink together, the target stays.
    start, length = draws.random()[per_note], draws.uniform(0.1, 1.0)[per_note]
    place = _place_in_segment(per_note)
    run = draws.chance(0.25)[per_note] & (place >= start) & (place < start + length)
    nominal = np.where(run, nominal * draws.uniform(0.2, 0.7)[per_note], nominal)

    # Where the written length is hidden the target still refers to it: the onsets tell it nearly as well.
    hidden = draws.chance(0.1)[per_note]
    return Pair(score.replace(nominal_beats=np.where(hidden, np.nan, nominal)), played, articulation)


def _articulation(played: Performance, nominal_beats: FloatArray) -> FloatArray:
    articulation = np.clip(np.log2(np.maximum(played.duration_beats, 1e-3) / nominal_beats), -6.0, 4.0)
    return np.where(played.released, articulation, np.nan)


def _place_in_segment(segment: IntArray) -> FloatArray:
    first, last = segment_bounds(segment)
    return (np.arange(len(segment)) - first) / np.maximum(last - first, 1)


def _drop_notes(played: Performance, draws: Draws) -> Performance:
    """Leave out some notes of some segments: users thin out, and edit."""
    segment = played.score.segment
    share = np.where(draws.chance(0.15), draws.uniform(0.05, 0.35), 0.0)
    return played.select(draws.per_note(segment) >= share[segment])
