"""Rebuild from a performance what a user would have written: the input side of a training pair.

Conventions
-----------
Arrays and units are those of `duvhuman.humanize.score`; many phrases are handled at once as segments. Written lengths
come from onsets, pitches and metre alone and never from the performed durations, which are what is predicted.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np

from duvhuman.humanize.score import (
    SHORTEST_BEATS,
    BoolArray,
    FloatArray,
    IntArray,
    Score,
    chord_starts,
    gap_to_next_onset,
    separate_segments,
)
from duvhuman.train.draws import Draws

VOICE_SEMITONES = 7
VOICE_LOOKAHEAD = 16
GRIDLESS_BAR_BEATS = 4.0
HALVED, DOUBLED = 0.2, 0.1
"""How often what `duvhuman.train.notate` wrote down is written in notes half, or twice, as long: composers do."""
STRAIGHTENED, WRITTEN_DOWN = 0.7, 0.7
"""How many performances without a beat are straightened, and how many of these get a tempo and a metre: scores have."""
STRAIGHTEN_CHORDS = 8
"""Half the width, in chords, of the neighbourhood in which gaps are made alike ..."""
STRAIGHTEN_OCTAVES = 0.3
"""... if they differ by about so many octaves."""
NOTE_VALUES = np.array([1 / 8, 1 / 4, 1 / 2, 3 / 4, 1, 3 / 2, 2, 3, 4])
"""Gaps, in beats, that a straightened performance is written with; the shortest are ornaments."""
SIXTEENTH = 1 / 4


@dataclass(frozen=True)
class Performance:
    """N performed notes: their score (``nominal_beats`` unset) and what the player did with them.

    Attributes
    ----------
    score : the written side; ``nominal_beats`` is NaN until `write_lengths` fills it.
    velocity : (N,) 1..127.
    duration_beats : (N,) performed.
    level, range : (N,) mean and SD of the velocities of the part that each note is from.
    expected_velocity : (N,) what a teacher (`duvhuman.train.teacher`) expects of any player; NaN where it is silent.
    released : (N,) whether a note ends when its key is released (`duvhuman.train.releases`).
    written_beats, written_bar_beats : (N,) where a part without a beat was written down by `duvhuman.train.notate`,
        when each note begins, counted from the beginning of a bar, and how long its bar is; else NaN.
    wanted : (N,) notes that count in the loss; the others are context or repetitions.
    core : (N,) notes of the phrase itself; the others are context on either side.
    """

    score: Score
    velocity: FloatArray
    duration_beats: FloatArray
    level: FloatArray
    range: FloatArray
    expected_velocity: FloatArray
    released: BoolArray
    written_beats: FloatArray
    written_bar_beats: FloatArray
    wanted: BoolArray
    core: BoolArray

    def __len__(self) -> int:
        return len(self.score)

    def select(self, index: IntArray | BoolArray) -> Performance:
        """The notes at `index`, in that order."""
        columns = {field.name: getattr(self, field.name)[index] for field in fields(self) if field.name != "score"}
        return Performance(score=self.score.select(index), **columns)


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
    bar = np.where(score.grid_known, score.bar_beats, GRIDLESS_BAR_BEATS)
    nominal = np.minimum(np.where(np.isnan(gap_beats), bar, gap_beats), bar)
    return score.replace(nominal_beats=np.maximum(nominal, SHORTEST_BEATS / 2))


@dataclass(frozen=True)
class Pair:
    """A flat score and what was played: (N,) each.

    ``articulation`` = log2(performed / written duration) in -6..4, NaN where the key's release is not known.
    """

    score: Score
    played: Performance
    articulation: FloatArray


def pair_as_written(played: Performance, gap_beats: FloatArray) -> Pair:
    """The pair in which every note is written `gap_beats` long."""
    score = write_lengths(played.score, gap_beats)
    return Pair(score, played, _articulation(played, score.nominal_beats))


def deadpan(played: Performance, draws: Draws) -> Pair:
    """A random flat version of each of the S segments of `played`, with what was played on it.

    The segments are thinned out, transposed, their tempo changed, onsets quantised, straightened or left alone, the
    grid forgotten, and lengths written up to the next onset of the part or of the voice; sometimes staccato, sometimes
    unknown. The result is sorted anew by segment, onset and pitch.
    """
    played = _straighten(_drop_notes(played, draws), draws)
    score = played.score
    per_note = score.segment

    def chance(probability: float) -> BoolArray:
        return draws.chance(probability)[per_note]

    def uniform(low: float, high: float) -> FloatArray:
        return draws.uniform(low, high)[per_note]

    # Without a grid the beat is notional: any tempo will do, and seconds stay what they are.
    stretch = np.where(score.grid_known, 1.0, 2 ** uniform(-0.7, 0.7))
    tempo = score.tempo_bpm * stretch * np.where(score.grid_known & chance(0.5), 2 ** uniform(-0.3, 0.3), 1.0)
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


def _straighten(played: Performance, draws: Draws) -> Performance:
    """What there is of a score in some of the segments that have no beat; the others stay as they are.

    Chords stand where `duvhuman.train.notate` wrote them down, in an even tempo. Where it did not, they begin together,
    and gaps between chords that are nearly alike in a neighbourhood become alike: a score says nothing of the melody's
    lead in a chord or of a ritardando, both of which go along with loudness. Most of these segments are then given
    their tempo and metre; where nothing was written down, one in which the gaps are note values and bars begin
    anywhere. Note-offs move along.
    """
    score, number = played.score, played.score.segment
    straight = draws.chance(STRAIGHTENED)[number] & ~score.grid_known
    written = straight & draws.chance(WRITTEN_DOWN)[number]
    wanted_bpm = 100.0 * 2.0 ** draws.uniform(-0.4, 0.4)
    phase, triple = draws.integers(0, 4)[number], draws.chance(0.3)[number]
    drawn = draws.random()
    factor = np.where(drawn < HALVED, 0.5, np.where(drawn > 1 - DOUBLED, 2.0, 1.0))
    if not straight.any():
        return played
    time = separate_segments(score.onset_beats, number)
    starts = chord_starts(score)
    chord, first = np.cumsum(starts) - 1, np.flatnonzero(starts)
    segment = number[first]  # (C,) of each chord
    within = np.append(np.diff(segment) == 0, False)  # (C,) a gap to a chord of the same segment follows
    gap = np.append(np.diff(time[first]), 1.0)
    known = np.isfinite(played.written_beats)
    beats = np.where(known, played.written_beats, 0.0) * factor[number]
    log_even = _smoothed(np.log2(np.maximum(gap, 1e-3)), segment, within)

    # Written beats to a notional one. Where nothing was written down the usual gap becomes a sixteenth, an eighth or a
    # beat, whichever is nearest to the tempo drawn.
    scale = np.ones(len(draws))
    for one in np.unique(segment[within & straight[first]]):
        own = np.flatnonzero(within & (segment == one))
        begin, end = first[own[0]], first[own[-1] + 1]
        if known[begin]:
            scale[one] = max(beats[end] - beats[begin], SHORTEST_BEATS) / (time[end] - time[begin])
        else:
            usual = np.median(log_even[own])
            octaves = np.clip(np.round(np.log2(wanted_bpm[one] / score.tempo_bpm[begin]) + usual), -2, 0)
            scale[one] = 2.0 ** (octaves - usual)
    notional = np.where(written, 1.0, scale[number])[first]  # what is not given a tempo stays in notional beats
    even = np.where(written[first], _note_values(2.0**log_even * scale[segment], within), 2.0**log_even)
    even = np.where(known[first], np.append(np.diff(beats[first]), 1.0) / notional, even)
    even = np.where(within & straight[first], even, gap)
    begins = np.concatenate([[0.0], np.cumsum(even[:-1])])  # (C,) when chords begin now

    stop = np.searchsorted(segment, number, "right") - 1  # (N,) the last chord of the note's segment

    def moved(duration: FloatArray) -> FloatArray:
        off = time + duration
        inside = np.minimum(off, time[first[stop]])
        after = (off - inside) * np.where(written, scale[number], 1.0)
        return np.where(
            straight, np.maximum(np.interp(inside, time[first], begins) + after - begins[chord], 1e-3), duration
        )

    segment_start = np.searchsorted(number, number)
    since_start = begins[chord] - begins[chord[segment_start]]
    bar = np.where(known, played.written_bar_beats * factor[number], np.where(triple, 3.0, 4.0))
    guessed = np.round((since_start + phase) / SHORTEST_BEATS) * SHORTEST_BEATS
    beat_in_bar = np.mod(np.where(known, beats[first[chord]], guessed), bar)
    changed = score.replace(
        onset_beats=np.where(straight, score.onset_beats[segment_start] + since_start, score.onset_beats),
        tempo_bpm=np.where(written, score.tempo_bpm * scale[number], score.tempo_bpm),
        bar_beats=np.where(written, bar, score.bar_beats),
        beat_in_bar=np.where(written, beat_in_bar, score.beat_in_bar),
        grid_known=score.grid_known | written,
    )
    return replace(played, score=changed, duration_beats=moved(played.duration_beats))


def _smoothed(log_gap: FloatArray, segment: IntArray, within: BoolArray) -> FloatArray:
    """(C,) each gap as the mean of those gaps around it, of its segment, that are nearly as long (a bilateral filter:
    Tomasi and Manduchi 1998).
    """
    index = np.arange(len(log_gap))
    total, weight = np.zeros(len(log_gap)), np.zeros(len(log_gap))
    for step in range(-STRAIGHTEN_CHORDS, STRAIGHTEN_CHORDS + 1):
        other = np.clip(index + step, 0, len(log_gap) - 1)
        alike = np.exp(-(((log_gap[other] - log_gap) / STRAIGHTEN_OCTAVES) ** 2))
        alike *= within[other] & (segment[other] == segment) & (other == index + step)
        total, weight = total + alike * log_gap[other], weight + alike
    smoothed: FloatArray = total / np.maximum(weight, 1e-9)
    return smoothed


def _note_values(gap_beats: FloatArray, within: BoolArray) -> FloatArray:
    """(C,) the nearest note value of each gap; the gap after ornaments makes up for them, so that it ends on a grid of
    sixteenths.

    Parameters
    ----------
    within : (C,) whether a chord of the same segment follows the gap.
    """
    nearest = np.abs(np.log2(gap_beats)[:, None] - np.log2(NOTE_VALUES)).argmin(axis=1)
    value = NOTE_VALUES[nearest]
    short = (value < SIXTEENTH) & within
    ornaments = np.concatenate([[0.0], np.cumsum(value * short)])[:-1]  # before each gap
    at_last_long = np.maximum.accumulate(np.where(short, 0.0, ornaments + value * short))
    before = ornaments - np.concatenate([[0.0], at_last_long[:-1]])  # since the last long gap
    on_grid: FloatArray = value + np.where(short, 0.0, np.round(before / SIXTEENTH) * SIXTEENTH - before)
    return on_grid


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
    first = np.searchsorted(segment, segment, "left")
    last = np.searchsorted(segment, segment, "right")
    place: FloatArray = (np.arange(len(segment)) - first) / np.maximum(last - first, 1)
    return place


def _drop_notes(played: Performance, draws: Draws) -> Performance:
    """Leave out some notes of some segments: users thin out, and edit."""
    segment = played.score.segment
    share = np.where(draws.chance(0.15), draws.uniform(0.05, 0.35), 0.0)
    return played.select(draws.per_note(segment) >= share[segment])
