"""Play one part: hints from the written velocities, the network, and its decoding. Validation calls this very code.

Conventions
-----------
Arrays are (N,) over the notes of one part, in the order of its `Score`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from duvhuman.humanize.decode import decode_articulation, decode_velocity, keyed_uniform, limit_durations, register_of
from duvhuman.humanize.score import FloatArray, Hints, Score, contour
from duvhuman.humanize.windows import Distribution, predict_distribution
from duvhuman.models.phrase_transformer import PhraseTransformer

FLAT_SD = 1.5
FLAT_DISTINCT = 3


@dataclass(frozen=True)
class Played:
    """A part as it is played.

    Attributes
    ----------
    velocity : (N,) 1..127, not rounded.
    duration_beats : (N,) within what `limit_durations` allows.
    spread : (N,) SD of the predicted velocity bins.
    said : what the network said.
    """

    velocity: FloatArray
    duration_beats: FloatArray
    spread: FloatArray
    said: Distribution


def is_flat(velocity: FloatArray) -> bool:
    """Whether written velocities tell nothing of dynamics: SD under 1.5 or fewer than 3 distinct values."""
    return bool(np.std(velocity) < FLAT_SD or len(np.unique(velocity)) < FLAT_DISTINCT)


def hints_of(score: Score, velocity: FloatArray, *, typical_range: float, keep: bool) -> Hints:
    """The hints that written velocities give: their mean, the instrument's usual range, and, if `keep`, a contour."""
    n = len(score)
    hints = Hints.none(n)
    level = np.full(n, velocity.mean())
    swell, accent = hints.swell, hints.accent
    if keep and not is_flat(velocity):
        swell, accent = contour(score.onset_beats, velocity, score.segment, level)
    return Hints(level=level, range=np.full(n, typical_range), swell=swell, accent=accent)


def perform(
    model: PhraseTransformer,
    score: Score,
    written_velocity: FloatArray,
    *,
    keep_dynamics: bool = True,
    variation: float = 0.0,
    seed: int = 0,
) -> Played:
    """Play a part of N >= 1 notes.

    Parameters
    ----------
    written_velocity : (N,) as the user wrote them; only their mean and, with `keep_dynamics`, their contour are used.
    variation : 0 the expected performance .. 1 a drawn one; `seed` decides the draw.
    """
    hints = hints_of(score, written_velocity, typical_range=model.config.typical_range, keep=keep_dynamics)
    said = predict_distribution(model, score, hints)
    draws = [keyed_uniform(score, seed, salt) if variation > 0 else None for salt in (1, 2)]
    velocity, spread = decode_velocity(
        said, model.config, variation=variation, uniform=draws[0], register=register_of(score),
        contour_given=bool(np.isfinite(hints.swell).any()),
    )  # fmt: skip
    articulation = decode_articulation(said, model.config, variation=variation, uniform=draws[1])
    duration = limit_durations(score, score.nominal_beats * 2.0**articulation)
    return Played(velocity=velocity, duration_beats=duration, spread=spread, said=said)
