"""Play one part: hints from the written velocities, the network, and its decoding. Validation calls this very code.

What a network says depends on the level it is told, for in its training the level told something of the player. Users
write a part at 64, 80 or 100 for reasons of their own. So it is told a level at which it plays well, and what it says
is moved to the user's.

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
from duvhuman.models.config import VELOCITY_BIN_WIDTH, ModelConfig
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
    said : what the network said, moved to the level of the written velocities.
    """

    velocity: FloatArray
    duration_beats: FloatArray
    spread: FloatArray
    said: Distribution


def is_flat(velocity: FloatArray) -> bool:
    """Whether written velocities tell nothing of dynamics: SD under 1.5 or fewer than 3 distinct values."""
    return bool(np.std(velocity) < FLAT_SD or len(np.unique(velocity)) < FLAT_DISTINCT)


def bins_to_written_level(velocity: FloatArray, config: ModelConfig) -> int:
    """How many velocity bins the mean of written velocities lies above ``config.typical_level``; 0 if that is 0."""
    above = float(np.mean(velocity)) - config.typical_level if config.typical_level else 0.0
    return round(above / VELOCITY_BIN_WIDTH)


def hints_of(score: Score, velocity: FloatArray, config: ModelConfig, *, keep: bool) -> Hints:
    """The hints that written velocities give.

    A mean near the model's typical level, by whole bins (`bins_to_written_level`) from their own; the model's typical
    range; and, if `keep` and they are not flat, their contour.
    """
    n = len(score)
    level, swell, accent = np.full(n, velocity.mean()), np.full(n, np.nan), np.full(n, np.nan)
    if keep and not is_flat(velocity):
        swell, accent = contour(score.onset_beats, velocity, score.segment, level)
    level -= VELOCITY_BIN_WIDTH * bins_to_written_level(velocity, config)
    return Hints(level=level, range=np.full(n, config.typical_range), swell=swell, accent=accent)


def listen(model: PhraseTransformer, score: Score, hints: Hints, velocity: FloatArray) -> Distribution:
    """What `model` says of a part with hints from written velocities, at the level of these."""
    return predict_distribution(model, score, hints).louder(bins_to_written_level(velocity, model.config))


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
    hints = hints_of(score, written_velocity, model.config, keep=keep_dynamics)
    said = listen(model, score, hints, written_velocity)
    draws = [keyed_uniform(score, seed, salt) if variation > 0 else None for salt in (1, 2)]
    velocity, spread = decode_velocity(
        said, model.config, variation=variation, uniform=draws[0], register=register_of(score),
        contour_given=bool(np.isfinite(hints.swell).any()),
    )  # fmt: skip
    articulation = decode_articulation(said, model.config, variation=variation, uniform=draws[1])
    duration = limit_durations(score, score.nominal_beats * 2.0**articulation)
    return Played(velocity=velocity, duration_beats=duration, spread=spread, said=said)
