"""Write a performance down that knows no beat: the tempo, the metre and the place of every chord in its bar.

A hidden Markov model of rhythm (Raphael 2002; Temperley 2007): its states are a place in the bar and a tempo, the next
chord stands at a place that the metre makes likely, and its time is the tempo's, more or less. Where bars begin is also
told by what tends to happen there: low notes, large chords, new harmonies; how much each tells is counted on parts
whose beats are known. Velocities and lengths, which are what is predicted later, are not looked at.

Conventions
-----------
A part has C chords, at `seconds` (C,) in order; ``chord`` (N,) is the number of each note's chord. Places are whole
`UNITS` of a quarter note. Levels (0..5) say how strong a place is: bar, half of it, beat, eighth, sixteenth, triplet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from duvhuman.humanize.score import FloatArray, IntArray

UNITS = 12
"""Parts of a quarter note: sixteenths are 3, eighth triplets 4."""
ONSET_CHANCES = (0.9, 0.85, 0.8, 0.5, 0.15, 0.01)
"""How likely a chord is to stand at a place of each level."""
BPM = 30.0 * 2.0 ** (np.arange(25) / 8)
"""The tempi, 30 to 240 quarter notes a minute."""
USUAL_BPM, BPM_OCTAVES, BPM_WEIGHT, FIRST_BPM_WEIGHT = 80.0, 0.6, 0.06, 2.0
"""Other tempi cost the square of their octaves from the usual one over this, halved, times a weight at every chord."""
TEMPO_STEPS = 2
"""The tempo moves by so many of its steps between two chords at most ..."""
TEMPO_DRIFT, LEAST_DRIFT = 1.0, 0.15
"""... and by about so many times the square root of the seconds between them (which count up to 1)."""
RUBATO_OCTAVES, JITTER_SECONDS = 0.25, 0.02
"""By how much a gap is off the tempo: a share of it, and fingers."""
WORST_GAP = -9.0
"""The log-likelihood of a gap that fits nothing; pauses and slips are survived."""
EXTRA_BAR = -1.0
"""The log-likelihood of a gap that goes on for a bar more, beside that of the places."""
ORNAMENT_SECONDS, ORNAMENT, ORNAMENT_SCALE = 0.12, -3.0, 0.06
"""Chords that follow so soon may stand at the same place: an ornament, a slow arpeggio."""
NEIGHBOURS, NEARBY_SECONDS, LOW_SEMITONES = 12, 1.2, 5.0
"""Chords are compared with so many to either side, if these are so near; low ones lie so far below the median."""
HARMONY_SECONDS = (1.5, 1.0)
"""Pitch classes of so long before a chord are compared with those from it on."""
CUES = (3, 3, 4)
"""How many values each cue has: how low, how large, how new."""
LEVELS = len(ONSET_CHANCES)
SAMPLE_CHORDS = 500
"""The metre of a part is chosen by the middle of it."""


class Metre:
    """A bar of some quarter notes and a beat, in `UNITS`; what is likely to follow each of its P places.

    Attributes
    ----------
    name : such as "3/4".
    bar, beat : in units.
    places : (P,) the places of the bar where chords may stand, in units.
    level : (P,) of each.
    step : (P, P) units from one place to the next chord's, 1 to `bar`.
    likely : (P, P) log-likelihood of the next chord's place; places that are passed by have none.
    log_units : (2 * bar, 1) log2 of 1, 2 .. units.
    """

    def __init__(self, name: str, bar: int, beat: int) -> None:
        self.name, self.bar, self.beat = name, bar, beat
        triplets = beat == UNITS
        self.places = np.array([p for p in range(bar) if p % 3 == 0 or (triplets and p % 4 == 0)])
        levels = np.array([self._level(p) for p in range(bar)])
        self.level = levels[self.places]
        chance = np.array(ONSET_CHANCES)[levels]
        passed = np.where((levels < LEVELS - 1) & np.isin(np.arange(bar), self.places), np.log(1 - chance), 0.0)
        self.step = (self.places[None] - self.places[:, None] - 1) % bar + 1
        between = [
            [passed[(place + np.arange(1, step)) % bar].sum() for step in steps]
            for place, steps in zip(self.places, self.step, strict=True)
        ]
        self.log_units = np.log2(np.arange(1, 2 * bar + 1, dtype=np.float32))[:, None]
        self.likely = np.log(chance[self.places])[None] + np.array(between)

    def _level(self, place: int) -> int:
        if place == 0:
            return 0
        if place % self.beat == 0:
            return 1 if self.bar == 4 * self.beat and place == 2 * self.beat else 2
        return 3 if place % 6 == 0 else 4 if place % 3 == 0 else 5


METRES = (
    Metre("4/4", 4 * UNITS, UNITS), Metre("3/4", 3 * UNITS, UNITS), Metre("6/8", 3 * UNITS, 3 * UNITS // 2),
)  # fmt: skip
"""2/4 is half of the first."""
COUNTED = METRES[0]
"""The metre of the parts that cues are counted on: there are enough of these."""


@dataclass(frozen=True)
class Rhythm:
    """How C chords are written.

    Attributes
    ----------
    onset : (C,) units since the bar of the first chord began; an ornament begins together with its neighbour.
    metre : of the part.
    log_likelihood : of the chords, to be compared with that of another metre.
    """

    onset: IntArray
    metre: Metre
    log_likelihood: float


def find_cues(seconds: FloatArray, chord: IntArray, pitch: IntArray) -> IntArray:
    """(C, 3) what each chord has of the cues: 0 to 2 for low, 0 to 2 for large, 0 to 3 for new harmonies."""
    count = len(seconds)
    bottom, size = np.full(count, 127.0), np.bincount(chord, minlength=count).astype(np.float64)
    np.minimum.at(bottom, chord, pitch)
    others = _around(bottom, seconds)
    others[:, NEIGHBOURS] = np.nan
    others[np.isnan(others).all(axis=1)] = 0.0  # none is near: it is not low
    deep = bottom < np.nanmedian(others, axis=1) - LOW_SEMITONES
    low = deep.astype(np.int64) + (deep & (bottom <= np.nanmin(others, axis=1)))
    usual = np.nanmean(_around(size, np.zeros(count)), axis=1)
    large = (size > usual).astype(np.int64) + (size > 1.5 * usual)

    classes = np.zeros((count + 1, 12))
    np.add.at(classes, (chord + 1, pitch % 12), 1.0)
    classes = np.cumsum(classes, axis=0)
    here = np.arange(count)
    before = classes[here] - classes[np.searchsorted(seconds, seconds - HARMONY_SECONDS[0])]
    after = classes[np.searchsorted(seconds, seconds + HARMONY_SECONDS[1], "right")] - classes[here]
    norms = np.linalg.norm(before, axis=1) * np.linalg.norm(after, axis=1)
    novelty = 1.0 - (before * after).sum(axis=1) / np.maximum(norms, 1e-9)
    ranked = _around(novelty, seconds)
    known = np.isfinite(ranked)
    rank = (known & (ranked < novelty[:, None])).sum(axis=1) / known.sum(axis=1)
    new = np.minimum(np.floor(CUES[2] * rank), CUES[2] - 1)
    return np.stack([low, large, new], axis=1).astype(np.int64)


def _around(values: FloatArray, seconds: FloatArray) -> FloatArray:
    """(C, 2 * NEIGHBOURS + 1) the values of the chords around each; NaN where these are not near in time."""
    padded = np.pad(values, NEIGHBOURS, constant_values=np.nan)
    times = np.pad(seconds, NEIGHBOURS, constant_values=np.nan)
    width = 2 * NEIGHBOURS + 1
    near = np.abs(sliding_window_view(times, width) - seconds[:, None]) <= NEARBY_SECONDS
    around: FloatArray = np.where(near, sliding_window_view(padded, width), np.nan)
    return around


class CueTable:
    """How much more often each cue comes at the places of each level than anywhere: counted, then asked."""

    def __init__(self) -> None:
        self._counts = [np.full((LEVELS, values), 5.0) for values in CUES]

    def count(self, cues: IntArray, beat_in_bar: FloatArray) -> None:
        """Count the cues (C, 3) of chords at these beats (C,) of a bar of `COUNTED`."""
        place = np.round(beat_in_bar * UNITS).astype(np.int64) % COUNTED.bar
        at = np.minimum(np.searchsorted(COUNTED.places, place), len(COUNTED.places) - 1)
        fits = COUNTED.places[at] == place
        for counts, cue in zip(self._counts, cues.T, strict=True):
            np.add.at(counts, (COUNTED.level[at[fits]], cue[fits]), 1.0)

    def log_likelihood(self, cues: IntArray) -> FloatArray:
        """(C, LEVELS) of each chord's cues (C, 3) where it stands at a place of each level, against anywhere."""
        total = np.zeros((len(cues), LEVELS))
        for counts, cue in zip(self._counts, cues.T, strict=True):
            share = counts / counts.sum(axis=1, keepdims=True)
            total += np.log(share / (counts.sum(axis=0) / counts.sum()))[:, cue].T
        return total


def write_down(seconds: FloatArray, by_level: FloatArray, metres: Sequence[Metre] = METRES) -> Rhythm:
    """The likeliest rhythm of C chords, in the metre that fits their middle best.

    Parameters
    ----------
    seconds : (C,) when the chords begin, rising.
    by_level : (C, LEVELS) what else speaks for a place of each level (`CueTable.log_likelihood`).
    """
    first = max(len(seconds) - SAMPLE_CHORDS, 0) // 2
    sample = slice(first, first + SAMPLE_CHORDS)
    best = max((_viterbi(seconds[sample], by_level[sample], metre) for metre in metres), key=lambda r: r.log_likelihood)
    return best if len(seconds) <= SAMPLE_CHORDS else _viterbi(seconds, by_level, best.metre)


def _viterbi(seconds: FloatArray, by_level: FloatArray, metre: Metre) -> Rhythm:
    """The likeliest path (Viterbi 1967): all scores are kept, and the way to the best one is found from them."""
    count, states = len(seconds), (len(metre.places), len(BPM))
    gaps = np.maximum(np.diff(seconds), 1e-3)
    usual_tempo = (-0.5 * (np.log2(BPM / USUAL_BPM) / BPM_OCTAVES) ** 2).astype(np.float32)
    by_place = by_level[:, metre.level].astype(np.float32)  # (C, P)
    scores = np.empty((count, *states), dtype=np.float32)
    scores[0] = by_place[0][:, None] + FIRST_BPM_WEIGHT * usual_tempo
    total = 0.0  # of the best paths; scores are below it
    step, likely = metre.step - 1, metre.likely[:, :, None].astype(np.float32)
    sums = np.empty((states[0], *states), dtype=np.float32)
    for index, gap in enumerate(gaps):
        arrived = _best_tempo(scores[index], gap)
        fit = _gap_fits(gap, metre, BPM)
        np.add(likely, fit[step], out=sums)
        sums += arrived[:, None, :]
        best = sums.max(axis=0)
        if gap < ORNAMENT_SECONDS:
            np.maximum(best, arrived + _ornament(gap), out=best)
        best += by_place[index + 1][:, None] + BPM_WEIGHT * usual_tempo
        total += float(best.max())
        scores[index + 1] = best - best.max()
    place, tempo = divmod(int(scores[-1].argmax()), len(BPM))
    steps = np.zeros(count, dtype=np.int64)
    for index in range(count - 2, -1, -1):
        gap = gaps[index]
        tempi = np.arange(max(tempo - TEMPO_STEPS, 0), min(tempo + TEMPO_STEPS + 1, len(BPM)))
        moved = scores[index][:, tempi] + _drift_cost(tempi - tempo, gap)  # (P, tempi)
        kept = moved.max(axis=1)
        ways = kept + metre.likely[:, place] + _gap_fits(gap, metre, BPM[[tempo]])[metre.step[:, place] - 1, 0]
        before = int(ways.argmax())
        steps[index + 1] = metre.step[before, place]
        wanted = gap * BPM[tempo] / 60 * UNITS
        if abs(np.log2(wanted / (steps[index + 1] + metre.bar))) < abs(np.log2(wanted / steps[index + 1])):
            steps[index + 1] += metre.bar
        if gap < ORNAMENT_SECONDS and kept[place] + _ornament(gap) > ways[before]:
            before, steps[index + 1] = place, 0
        place, tempo = before, int(tempi[moved[before].argmax()])
    return Rhythm(metre.places[place] + np.cumsum(steps), metre, total)


def _best_tempo(scores: NDArray[np.float32], gap: float) -> NDArray[np.float32]:
    """(P, K) the scores (P, K) of the chord before, by the tempo after it."""
    best = scores.copy()
    for move in range(1, TEMPO_STEPS + 1):
        moved = scores + _drift_cost(np.array(move), gap)
        np.maximum(best[:, move:], moved[:, :-move], out=best[:, move:])
        np.maximum(best[:, :-move], moved[:, move:], out=best[:, :-move])
    return best


def _drift_cost(steps: IntArray, gap: float) -> NDArray[np.float32]:
    """Log-likelihood of a tempo that moved by so many steps during a gap."""
    drift = max(TEMPO_DRIFT * np.sqrt(min(gap, 1.0)), LEAST_DRIFT)
    return np.asarray(-0.5 * (steps / drift) ** 2, dtype=np.float32)


def _gap_fits(gap: float, metre: Metre, bpm: FloatArray) -> NDArray[np.float32]:
    """(bar, K) log-likelihood of a gap in seconds that is 1, 2 .. `bar` units long, or a bar longer, at K tempi."""
    variance = RUBATO_OCTAVES**2 + (JITTER_SECONDS / np.log(2) / gap) ** 2
    played = np.log2(gap * bpm / 60 * UNITS).astype(np.float32)[None]
    off = (played - metre.log_units) ** 2 * np.float32(-0.5 / variance)  # (2 * bar, K)
    fit = np.maximum(off[: metre.bar], off[metre.bar :] + np.float32(EXTRA_BAR))
    floored: NDArray[np.float32] = np.maximum(fit, np.float32(WORST_GAP))
    return floored


def _ornament(gap: float) -> float:
    return float(ORNAMENT - (gap / ORNAMENT_SCALE) ** 2)
