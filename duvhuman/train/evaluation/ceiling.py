"""The ceiling: how well a player's own repetition of a bar tells how they play it.

Conventions
-----------
Bars are compared that hold the same pitches at the same places. A repetition with the very same velocities and lengths
is a copy, not a performance, and tells nothing.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from duvhuman.arrays import IntArray
from duvhuman.humanize.score import PLACES_PER_BEAT
from duvhuman.train.evaluation.metrics import articulation_metrics, mean_over_parts, velocity_metrics
from duvhuman.train.evaluation.predictors import Rendition
from duvhuman.train.pairs.bars import bar_contents, bars_of
from duvhuman.train.pairs.deadpan import Pair

FEWEST_NOTES = 32
"""Parts with fewer repeated notes are left out."""


def repetition_ceiling(
    pairs: Sequence[Pair], performances: Sequence[Rendition]
) -> tuple[dict[str, float], dict[str, float]] | None:
    """The mean metrics of a bar "predicted" by the same player's previous playing of it, and those of the performances
    of the pairs on the same notes; both with ``parts``.

    None if no part repeats itself. Only parts on a grid have bars.
    """
    ceiling, there = [], []
    for pair, ours in zip(pairs, performances, strict=True):
        earlier, later = repeated_notes(pair)
        if len(later) < FEWEST_NOTES or pair.played.velocity[later].std() < 1:
            continue
        velocity, articulation = pair.played.velocity, pair.articulation
        known = np.isfinite(articulation[earlier])  # of the later ones `articulation_metrics` sees to it
        released = np.where(known, articulation[later], np.nan)
        ceiling.append(
            velocity_metrics(velocity[later], velocity[earlier]) | articulation_metrics(released, articulation[earlier])
        )
        there.append(
            velocity_metrics(velocity[later], ours.velocity[later])
            | articulation_metrics(released, ours.articulation[later])
        )
    parts = {"parts": float(len(ceiling))}
    return (mean_over_parts(ceiling) | parts, mean_over_parts(there) | parts) if ceiling else None


def repeated_notes(pair: Pair) -> tuple[IntArray, IntArray]:
    """Indices (K,) of notes and (K,) of the same notes in the next bar of the same content that is no copy."""
    score, played = pair.score, pair.played
    nothing = np.zeros(0, dtype=np.int64)
    if not score.grid_known.all():
        return nothing, nothing
    (bar, place), content = bars_of(score), bar_contents([score])
    edges = np.append(np.flatnonzero(np.append(True, np.diff(bar) != 0)), len(bar))
    alike: dict[int, list[IntArray]] = defaultdict(list)
    for start, stop in itertools.pairwise(edges):
        notes = np.arange(start, stop)
        order = np.lexsort((score.pitch[notes], np.round(place[notes] * PLACES_PER_BEAT)))
        alike[int(content[start])].append(notes[order])
    earlier, later = [nothing], [nothing]
    for bars in alike.values():
        for one, other in itertools.pairwise(bars):
            same_velocity = np.array_equal(played.velocity[one], played.velocity[other])
            if not (same_velocity and np.allclose(played.duration_beats[one], played.duration_beats[other])):
                earlier.append(one)
                later.append(other)
    return np.concatenate(earlier), np.concatenate(later)
