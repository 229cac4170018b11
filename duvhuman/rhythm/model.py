"""A hidden Markov model of rhythm (Raphael 2002; Temperley 2007): where in its bar each chord stands.

Its states are a place in the bar and a tempo; the next chord stands at a place that the metre makes likely, and its
time is the tempo's, more or less. What else speaks for a place is given.

Conventions
-----------
A performance has C chords, at `seconds` (C,) in order. Places are whole `UNITS` of a quarter note (`metre`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from duvhuman.arrays import FloatArray, IntArray
from duvhuman.rhythm.metre import UNITS, Metre

TEMPO_STEPS = 2
"""The tempo moves by so many of its steps between two chords at most."""
FIRST_BPM_WEIGHT = 2.0
"""How much an unusual tempo costs at the first chord."""
WORST_GAP = -9.0
"""The log-likelihood of a gap that fits nothing; pauses and slips are survived."""
EXTRA_BAR = -1.0
"""The log-likelihood of a gap that goes on for a bar more, beside that of the places."""
ORNAMENT_SECONDS, ORNAMENT, ORNAMENT_SCALE = 0.12, -3.0, 0.06
"""Chords that follow so soon may stand at the same place: an ornament, a slow arpeggio."""
SAMPLE_CHORDS = 500
"""The metre of a performance is chosen by the middle of it."""

M = TypeVar("M", bound=Metre)


@dataclass(frozen=True, eq=False)
class Timing:
    """What tempi there are, and how they are kept.

    Attributes
    ----------
    bpm : (K,) the tempi, quarter notes a minute, in equal steps of their logarithm.
    usual_bpm, bpm_octaves, bpm_weight : other tempi cost the square of their octaves from the usual one over
        `bpm_octaves`, halved, times the weight at every chord.
    drift, least_drift : between two chords the tempo moves by about `drift` of its steps times the square root of the
        seconds between them (which count up to 1), but not less than by `least_drift`.
    rubato_octaves, jitter_seconds : by how much a gap is off the tempo: a share of it, and fingers.
    """

    bpm: FloatArray
    usual_bpm: float
    bpm_octaves: float
    bpm_weight: float
    drift: float
    least_drift: float
    rubato_octaves: float
    jitter_seconds: float


@dataclass(frozen=True, eq=False)
class Choice(Generic[M]):
    """What C chords may be written in.

    Attributes
    ----------
    metre : with P places.
    by_place : (C, P) what else speaks for each place, a log-likelihood.
    timing : how the tempo is kept.
    handicap : by how much it must be likelier than a choice with none.
    """

    metre: M
    by_place: FloatArray
    timing: Timing
    handicap: float = 0.0


@dataclass(frozen=True)
class Rhythm(Generic[M]):
    """How C chords are written.

    Attributes
    ----------
    onset : (C,) units since the bar of the first chord began; an ornament begins together with its neighbour.
    metre : of the performance.
    log_likelihood : of the chords, to be compared with that of another metre.
    """

    onset: IntArray
    metre: M
    log_likelihood: float


def write_down(seconds: FloatArray, choices: Sequence[Choice[M]]) -> Rhythm[M]:
    """The likeliest rhythm of C chords, which begin at `seconds` (C,), in the choice that fits their middle best."""
    first = max(len(seconds) - SAMPLE_CHORDS, 0) // 2
    sample = slice(first, first + SAMPLE_CHORDS)
    fits = [likeliest(seconds[sample], one.by_place[sample], one.metre, one.timing) for one in choices]
    best = int(np.argmax([fit.log_likelihood - one.handicap for fit, one in zip(fits, choices, strict=True)]))
    if len(seconds) <= SAMPLE_CHORDS:
        return fits[best]
    return likeliest(seconds, choices[best].by_place, choices[best].metre, choices[best].timing)


def likeliest(seconds: FloatArray, by_place: FloatArray, metre: M, timing: Timing) -> Rhythm[M]:
    """The likeliest path (Viterbi 1967): all scores are kept, and the way to the best one is found from them."""
    bpm = timing.bpm
    count, states = len(seconds), (len(metre.places), len(bpm))
    gaps = np.maximum(np.diff(seconds), 1e-3)
    usual_tempo = (-0.5 * (np.log2(bpm / timing.usual_bpm) / timing.bpm_octaves) ** 2).astype(np.float32)
    by_place = by_place.astype(np.float32)
    scores = np.empty((count, *states), dtype=np.float32)
    scores[0] = by_place[0][:, None] + FIRST_BPM_WEIGHT * usual_tempo
    total = 0.0  # of the best paths; scores are below it
    step, likely = metre.step - 1, metre.likely[:, :, None].astype(np.float32)
    sums = np.empty((states[0], *states), dtype=np.float32)
    for index, gap in enumerate(gaps):
        arrived = _best_tempo(scores[index], gap, timing)
        fit = _gap_fits(gap, metre, bpm, timing)
        np.add(likely, fit[step], out=sums)
        sums += arrived[:, None, :]
        best = sums.max(axis=0)
        if gap < ORNAMENT_SECONDS:
            np.maximum(best, arrived + _ornament(gap), out=best)
        best += by_place[index + 1][:, None] + timing.bpm_weight * usual_tempo
        total += float(best.max())
        scores[index + 1] = best - best.max()
    place, tempo = divmod(int(scores[-1].argmax()), len(bpm))
    steps = np.zeros(count, dtype=np.int64)
    for index in range(count - 2, -1, -1):
        gap = gaps[index]
        tempi = np.arange(max(tempo - TEMPO_STEPS, 0), min(tempo + TEMPO_STEPS + 1, len(bpm)))
        moved = scores[index][:, tempi] + _drift_cost(tempi - tempo, gap, timing)  # (P, tempi)
        kept = moved.max(axis=1)
        fit = _gap_fits(gap, metre, bpm[[tempo]], timing)
        ways = kept + metre.likely[:, place] + fit[metre.step[:, place] - 1, 0]
        before = int(ways.argmax())
        steps[index + 1] = metre.step[before, place]
        wanted = gap * bpm[tempo] / 60 * UNITS
        if abs(np.log2(wanted / (steps[index + 1] + metre.bar))) < abs(np.log2(wanted / steps[index + 1])):
            steps[index + 1] += metre.bar
        if gap < ORNAMENT_SECONDS and kept[place] + _ornament(gap) > ways[before]:
            before, steps[index + 1] = place, 0
        place, tempo = before, int(tempi[moved[before].argmax()])
    return Rhythm(metre.places[place] + np.cumsum(steps), metre, total)


def _best_tempo(scores: NDArray[np.float32], gap: float, timing: Timing) -> NDArray[np.float32]:
    """(P, K) the scores (P, K) of the chord before, by the tempo after it."""
    best = scores.copy()
    for move in range(1, TEMPO_STEPS + 1):
        moved = scores + _drift_cost(np.array(move), gap, timing)
        np.maximum(best[:, move:], moved[:, :-move], out=best[:, move:])
        np.maximum(best[:, :-move], moved[:, move:], out=best[:, :-move])
    return best


def _drift_cost(steps: IntArray, gap: float, timing: Timing) -> NDArray[np.float32]:
    """Log-likelihood of a tempo that moved by so many steps during a gap."""
    drift = max(timing.drift * np.sqrt(min(gap, 1.0)), timing.least_drift)
    return np.asarray(-0.5 * (steps / drift) ** 2, dtype=np.float32)


def _gap_fits(gap: float, metre: Metre, bpm: FloatArray, timing: Timing) -> NDArray[np.float32]:
    """(bar, K) log-likelihood of a gap in seconds that is 1, 2 .. `bar` units long, or a bar longer, at K tempi."""
    variance = timing.rubato_octaves**2 + (timing.jitter_seconds / np.log(2) / gap) ** 2
    played = np.log2(gap * bpm / 60 * UNITS).astype(np.float32)[None]
    off = (played - metre.log_units) ** 2 * np.float32(-0.5 / variance)  # (2 * bar, K)
    fit = np.maximum(off[: metre.bar], off[metre.bar :] + np.float32(EXTRA_BAR))
    return np.maximum(fit, np.float32(WORST_GAP))


def _ornament(gap: float) -> float:
    return float(ORNAMENT - (gap / ORNAMENT_SCALE) ** 2)
