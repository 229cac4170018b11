"""Turn recordings without a beat into what there is of a score in them.

A recording tells what no score does: which note of a chord leads, where the player holds back; both go along with
loudness, and a network that sees them waits for them in vain where a user gives it a score.

Conventions
-----------
Arrays are those of `duvhuman.train.pairs.performance`: N notes in S segments, which make C chords.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from duvhuman.arrays import BoolArray, FloatArray, IntArray
from duvhuman.humanize.score import SHORTEST_BEATS, chords, separate_segments
from duvhuman.train.pairs.draws import Draws
from duvhuman.train.pairs.performance import Performance

HALVED, DOUBLED = 0.2, 0.1
"""How often what `duvhuman.train.notate` wrote down is written in notes half, or twice, as long: composers do."""
OTHER_TEMPO = 0.5
"""How often a performance is written down in a tempo up to twice, or half, as fast as it was played: many files say 120
whatever they hold."""
STRAIGHTENED, WRITTEN_DOWN = 0.7, 0.7
"""How many performances without a beat are straightened, and how many of these get a tempo and a metre: scores have."""
STRAIGHTEN_CHORDS = 8
"""Half the width, in chords, of the neighbourhood in which gaps are made alike ..."""
STRAIGHTEN_OCTAVES = 0.3
"""... if they differ by about so many octaves."""
NOTE_VALUES = np.array([1 / 8, 1 / 4, 1 / 2, 3 / 4, 1, 3 / 2, 2, 3, 4])
"""Gaps, in beats, that a straightened performance is written with; the shortest are ornaments."""
SIXTEENTH = 1 / 4
USUAL_BPM = 100.0


@dataclass(frozen=True)
class Straightening:
    """What happens to each of S segments.

    Attributes
    ----------
    straight : (S,) whether it is straightened, if it has no beat.
    written : (S,) whether it is given a tempo and a metre then.
    factor : (S,) what was written down is shown in notes so many times as long.
    pace : (S,) the tempo that is written is so many times that of the recording.
    bpm, phase, triple : (S,) of segments that nobody wrote down the wanted tempo, the beat of a bar that they begin on,
        and whether a bar has three beats.
    """

    straight: BoolArray
    written: BoolArray
    factor: FloatArray
    pace: FloatArray
    bpm: FloatArray
    phase: IntArray
    triple: BoolArray

    @classmethod
    def drawn(cls, draws: Draws) -> Straightening:
        """Chosen at random."""
        straight, written = draws.chance(STRAIGHTENED), draws.chance(WRITTEN_DOWN)
        bpm = USUAL_BPM * 2.0 ** draws.uniform(-0.4, 0.4)
        phase, triple, length = draws.integers(0, 4), draws.chance(0.3), draws.random()
        factor = np.where(length < HALVED, 0.5, np.where(length > 1 - DOUBLED, 2.0, 1.0))
        pace = np.where(draws.chance(OTHER_TEMPO), 2.0 ** draws.uniform(-1, 1), 1.0)
        return cls(straight, written, factor, pace, bpm, phase, triple)

    @classmethod
    def always(cls, segments: int) -> Straightening:
        """Everything as it was written down."""
        yes, one = np.ones(segments, dtype=np.bool_), np.ones(segments)
        return cls(yes, yes, one, one, USUAL_BPM * one, np.zeros(segments, dtype=np.int64), ~yes)


def straighten(played: Performance, plan: Straightening) -> Performance:
    """What there is of a score in segments that have no beat; those with one stay as they are.

    Chords stand where `duvhuman.train.notate` wrote them down, in an even tempo. Where it did not, they begin together,
    and gaps between chords that are nearly alike in a neighbourhood become alike; where they are given a metre, these
    are note values. Note-offs move along.
    """
    score, number = played.score, played.score.segment
    straight = plan.straight[number] & ~score.grid_known
    written = straight & plan.written[number]
    if not straight.any():
        return played
    time = separate_segments(score.onset_beats, number)
    first, chord = chords(score)
    segment = number[first]  # (C,) of each chord
    within = np.append(np.diff(segment) == 0, False)  # (C,) a gap to a chord of the same segment follows
    gap = np.append(np.diff(time[first]), 1.0)
    known = np.isfinite(played.written_beats)
    beats = np.where(known, played.written_beats, 0.0) * plan.factor[number]
    log_even = _smoothed(np.log2(np.maximum(gap, 1e-3)), segment, within)

    # Written beats to a notional one. Where nothing was written down the usual gap becomes a sixteenth, an eighth or a
    # beat, whichever is nearest to the tempo drawn.
    scale = np.ones(len(plan.straight))
    for one in np.unique(segment[within & straight[first]]):
        own = np.flatnonzero(within & (segment == one))
        begin, end = first[own[0]], first[own[-1] + 1]
        if known[begin]:
            scale[one] = max(beats[end] - beats[begin], SHORTEST_BEATS) / (time[end] - time[begin])
        else:
            usual = np.median(log_even[own])
            octaves = np.clip(np.round(np.log2(plan.bpm[one] / score.tempo_bpm[begin]) + usual), -2, 0)
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
    bar = np.where(known, played.written_bar_beats * plan.factor[number], np.where(plan.triple[number], 3.0, 4.0))
    guessed = np.round((since_start + plan.phase[number]) / SHORTEST_BEATS) * SHORTEST_BEATS
    beat_in_bar = np.mod(np.where(known, beats[first[chord]], guessed), bar)
    changed = score.replace(
        onset_beats=np.where(straight, score.onset_beats[segment_start] + since_start, score.onset_beats),
        tempo_bpm=np.where(written, score.tempo_bpm * scale[number] * plan.pace[number], score.tempo_bpm),
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
    return total / np.maximum(weight, 1e-9)


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
    return value + np.where(short, 0.0, np.round(before / SIXTEENTH) * SIXTEENTH - before)
