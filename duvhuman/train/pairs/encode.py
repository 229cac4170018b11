"""From performed phrases to what the network is trained on: a random flat version, its features and its targets.

Conventions
-----------
A batch has B phrases of at most T notes, padded at their ends.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from duvhuman.humanize.features import compute_features
from duvhuman.humanize.score import Hints, contour, separate_segments
from duvhuman.train.pairs.deadpan import TEMPO_OCTAVES, deadpan
from duvhuman.train.pairs.draws import Draws
from duvhuman.train.pairs.performance import Performance

BOUNDARY_REST_BEATS = 0.5
HINT_CHANCES: Mapping[str, float] = {"level": 0.7, "range": 0.7, "contour": 0.35}
"""How often each hint is given in training."""
RANGES = (8.5, 23.0)
"""Velocity SDs that parts are rescaled to; other range hints the network does not know."""
NARROWEST_RANGE = 4.0
"""A part whose velocities vary less is taken for one that varies so much: its noise is not blown up."""


class Batch(NamedTuple):
    """B phrases of T notes, padded; all (B, T) but ``features`` (B, T, F) and ``taught``.

    ``mask`` is True for real notes, ``weight`` 1 for those that count in the loss; ``velocity`` is MIDI,
    ``articulation`` log2, NaN where it is not known, ``boundary`` 1 where a rest follows; ``taught`` (B, T, K) is what
    teachers expect (`duvhuman.train.run.teachers.TAUGHT`), K is 0 without any.
    """

    pitch: Tensor
    program: Tensor
    features: Tensor
    mask: Tensor
    velocity: Tensor
    articulation: Tensor
    boundary: Tensor
    weight: Tensor
    taught: Tensor

    def to(self, device: torch.device) -> Batch:
        """The same batch on another device."""
        return Batch(*(tensor.to(device, non_blocking=True) for tensor in self))


def encode(
    played: Performance, draws: Draws, *, width: int, hint_chances: Mapping[str, float] = HINT_CHANCES,
    rescale: bool = False, tempo_octaves: float = TEMPO_OCTAVES,
) -> Batch:
    """A random flat version of S phrases and what was played on them.

    Parameters
    ----------
    played : the notes of the phrases, a segment each, with those around them (``core`` tells them apart).
    draws : of S phrases.
    width : T, to which phrases are padded; at least their longest.
    rescale : whether to play every phrase as a player of some other range would (`with_random_range`).
    tempo_octaves : how far tempos are changed (`deadpan`).
    """
    played = with_random_range(played, draws) if rescale else played
    pair = deadpan(played, draws, tempo_octaves=tempo_octaves)
    score, played = pair.score, pair.played
    hints = random_hints(played, draws, hint_chances)
    features = compute_features(score, hints)
    core, segment = played.core, score.segment
    row = segment[core]
    column = np.arange(len(row)) - np.searchsorted(row, row, "left")

    def padded(values: NDArray[np.generic], dtype: torch.dtype) -> Tensor:
        out = np.zeros((len(draws), width, *values.shape[1:]), dtype=values.dtype)
        out[row, column] = values[core]
        return torch.from_numpy(out).to(dtype)

    return Batch(
        pitch=padded(score.pitch, torch.int64),
        program=padded(score.program, torch.int64),
        features=padded(features, torch.float32),
        mask=padded(np.ones(len(score), dtype=np.bool_), torch.bool),
        velocity=padded(played.velocity, torch.float32),
        articulation=padded(pair.articulation, torch.float32),
        boundary=padded(phrase_ends(played), torch.float32),
        weight=padded(played.wanted, torch.float32),
        taught=torch.zeros(len(draws), width, 0),
    )


def with_random_range(played: Performance, draws: Draws) -> Performance:
    """The phrases with their velocities stretched about the level of their parts to SDs drawn from one distribution.

    All players then weigh the same in the loss, those of a wide range and those of a narrow one, and the range hint
    comes to mean a factor.
    """
    drawn_range = 2.0 ** draws.uniform(*np.log2(RANGES))[played.score.segment]
    factor = drawn_range / np.maximum(played.range, NARROWEST_RANGE)
    stretched = played.level + factor * (played.velocity - played.level)
    return replace(played, velocity=np.clip(np.round(stretched), 1, 127), range=factor * played.range)


def random_hints(played: Performance, draws: Draws, chances: Mapping[str, float] = HINT_CHANCES) -> Hints:
    """The hints of each segment, each given or withheld at random."""
    segment = played.score.segment
    given = {name: draws.chance(chance)[segment] for name, chance in chances.items()}
    swell, accent = contour(played.score.onset_beats, played.velocity, segment, played.level)
    return Hints(
        level=np.where(given["level"], played.level, np.nan),
        range=np.where(given["range"], played.range, np.nan),
        swell=np.where(given["contour"], swell, np.nan),
        accent=np.where(given["contour"], accent, np.nan),
    )


def phrase_ends(played: Performance) -> NDArray[np.bool_]:
    """(N,) whether a note is followed by a rest: nothing sounds for half a beat or more."""
    score = played.score
    time = separate_segments(score.onset_beats, score.segment)
    silence = np.append(time[1:], np.inf) - np.maximum.accumulate(time + played.duration_beats)
    last = np.append(np.diff(score.segment) != 0, True)
    return (silence >= BOUNDARY_REST_BEATS) & ~last
