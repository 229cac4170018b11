"""Play one part: hints from the written velocities, the network, and its decoding. Validation calls this very code.

What a network says depends on the level it is told, for in its training the level told something of the player. Users
write a part at 64, 80 or 100 for reasons of their own. So it is told a level at which it plays well, or the one that it
would expect of such a part, and what it says is moved to the user's. What it expects tells recitals from songs, too.

Conventions
-----------
Arrays are (N,) over the notes of one part, in the order of its `Score`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from duvhuman.arrays import BoolArray, FloatArray, IntArray
from duvhuman.humanize.articulate import limit_durations, performed_beats
from duvhuman.humanize.balance import levelled, main_hands, with_room
from duvhuman.humanize.bars import equal_bars
from duvhuman.humanize.decode import (
    DETAIL_NOTES,
    decode_articulation,
    decode_velocity,
    keyed_uniform,
    livelier,
    local_mean,
    local_sd,
)
from duvhuman.humanize.grace import with_grace_notes
from duvhuman.humanize.loop import looped
from duvhuman.humanize.score import Hints, Score, contour, is_flat, longest_written
from duvhuman.humanize.windows import Distribution, predict_distribution
from duvhuman.humanize.written import as_written, how_little, tells_dynamics
from duvhuman.models.config import EXPECTED_LEVEL, ModelConfig
from duvhuman.models.phrase_transformer import PhraseTransformer

LEVEL_NOTES = 512
"""How many notes in the middle of a part tell which level is to be expected of it."""
RECITAL_LEVEL, SONG_LEVEL = 70.0, 76.0
"""A part is a recital if no more is expected of it than the former, none if the latter or more, and partly between."""


@dataclass(frozen=True)
class Played:
    """A part as it is played.

    Attributes
    ----------
    velocity : (N,) 1..127, not rounded.
    duration_beats : (N,) within what `limit_durations` allows.
    said : what the network said, moved to the level of the written velocities.
    followed : whether the company made any note louder or softer.
    """

    velocity: FloatArray
    duration_beats: FloatArray
    said: Distribution
    followed: bool

    def select(self, rows: BoolArray) -> Played:
        """Some of the notes."""
        return Played(self.velocity[rows], self.duration_beats[rows], self.said.select(rows), self.followed)


def hints_of(score: Score, velocity: FloatArray, config: ModelConfig, *, keep: bool) -> Hints:
    """The hints that written velocities give.

    The model's typical level, or their mean if it has none; the model's typical range; and, if `keep` and they are not
    flat, their contour.
    """
    n, mean = len(score), float(velocity.mean())
    swell, accent = np.full(n, np.nan), np.full(n, np.nan)
    if keep and not is_flat(velocity):
        swell, accent = contour(score.onset_beats, velocity, score.segment, np.full(n, mean))
    level = np.full(n, config.typical_level or mean)
    return Hints(level=level, range=np.full(n, config.typical_range), swell=swell, accent=accent)


def as_shown(score: Score) -> Score:
    """A part as networks are shown it: none of them has seen a note that is longer than a bar, or grace notes."""
    return with_grace_notes(score.replace(nominal_beats=np.minimum(score.nominal_beats, longest_written(score))))


def listen(model: PhraseTransformer, score: Score, velocity: FloatArray, *, keep: bool) -> Distribution:
    """What `model` says of a part with the hints that its written velocities give, at the level of these.

    Parameters
    ----------
    keep : whether it is told the contour of written velocities that are not flat.
    """
    config = model.config
    if config.typical_level == EXPECTED_LEVEL:
        config = replace(config, typical_level=expected_level(model, score))
    level, hints = float(velocity.mean()), hints_of(score, velocity, config, keep=keep)
    said = _said(model, score, hints).louder(level - hints.level[0])
    tilt = 0.0 if keep or model.config.typical_level != EXPECTED_LEVEL else tilt_of_recitals(config)
    return tilted(said, score, tilt, level=level) if tilt else said


def tilt_of_recitals(config: ModelConfig) -> float:
    """MIDI velocities per semitone, ``config.register_tilt`` or as much less as its level tells of a song.

    Most recitals that networks learn from were transcribed from recordings, in which bass is faint: of GiantMIDI's
    velocities the median part rises by 0.49 a semitone. Measured at the keys they rise by 0.25 to 0.35 (the recordings
    of hannds and of MAESTRO); those of songs are played and sequenced at keys.
    """
    recital = (SONG_LEVEL - config.typical_level) / (SONG_LEVEL - RECITAL_LEVEL)
    return config.register_tilt * float(np.clip(recital, 0.0, 1.0))


def tilted(said: Distribution, score: Score, tilt: float, *, level: float) -> Distribution:
    """What was said, softer by `tilt` for each semitone that a note lies above those around it, as lively as before.

    Parameters
    ----------
    level : MIDI velocity about which it is made as lively again.
    """
    expected = said.expected_velocity
    pitch = score.pitch.astype(np.float64)
    flatter = expected - tilt * (pitch - local_mean(pitch, DETAIL_NOTES))
    return said.louder(level + (flatter - level) * livelier(flatter, local_sd(expected)) - expected)


def expected_level(model: PhraseTransformer, score: Score) -> float:
    """The mean MIDI velocity that `model` expects of a part of N >= 1 notes when it is told nothing of its level.

    It hears `LEVEL_NOTES` in the middle. The mean is rounded so that an edit elsewhere in the part hardly ever moves
    what the network is told, and then mostly by one velocity.
    """
    first = max(len(score) - LEVEL_NOTES, 0) // 2
    middle = score.select(slice(first, first + LEVEL_NOTES))
    typical_range = np.full(len(middle), model.config.typical_range)
    said = _said(model, middle, replace(Hints.none(len(middle)), range=typical_range), overlapping=False)
    return float(np.round(said.expected_velocity.mean()))


def _said(model: PhraseTransformer, score: Score, hints: Hints, *, overlapping: bool = True) -> Distribution:
    loop = looped(score)
    return predict_distribution(model, loop.score, hints.select(loop.index), loop.own, overlapping=overlapping)


def perform(
    model: PhraseTransformer,
    score: Score,
    written_velocity: FloatArray,
    *,
    keep_dynamics: bool = True,
    by_contour: bool = False,
    hand: IntArray | None = None,
    lift: FloatArray | None = None,
    company: FloatArray | None = None,
    variation: float = 0.0,
    seed: int = 0,
) -> Played:
    """Play a part of N >= 1 notes.

    Written dynamics are kept as `duvhuman.humanize.written` tells.

    Parameters
    ----------
    written_velocity : (N,) as the user wrote them; without `keep_dynamics` their mean alone is used.
    by_contour : play by the contour of the written velocities, which is coarse, in place of themselves: where they are
        the player's, what is judged must not be what was given.
    hand : (N,) which hand plays a note, from 0; None: one plays all.
    lift : (N,) how far above the mean of all notes the user wants those of its hand, or layer, to lie
        (`duvhuman.humanize.balance`), which `written_velocity` is without. None: as the network has it.
    company : (N,) by how many SDs notes are louder since other parts are (`duvhuman.humanize.company`); heeded if
        what is written is flat or not kept, and the less, the more is written. None: the part is played alone.
    variation : 0 the expected performance .. 1 a drawn one; `seed` decides the draw.
    """
    hand = np.zeros(len(score), dtype=np.int64) if hand is None else hand
    flat = is_flat(written_velocity) or not keep_dynamics
    contour_given = not flat and by_contour
    said = listen(model, as_shown(score), written_velocity, keep=contour_given)
    alike = equal_bars(score, hand)
    draws = [keyed_uniform(score, seed, salt) if variation > 0 else None for salt in (1, 2)]

    def decoded(company: FloatArray | None) -> FloatArray:
        return decode_velocity(
            said, model.config, variation=variation, uniform=draws[0], alike=alike, company=company,
            contour_given=contour_given, level=float(written_velocity.mean()),
        )[0]

    alone = decoded(None)
    together = alone if company is None or not flat else decoded(company)
    velocity = levelled(together, lift, score)
    if keep_dynamics and not by_contour and tells_dynamics(written_velocity):
        hands = main_hands(hand)
        little = how_little(score, written_velocity, velocity, hands)
        if company is not None and not flat and little.any():
            together = decoded(little * company)
            velocity = levelled(together, lift, score)
        velocity = as_written(score, written_velocity, velocity, little, hands, detail=model.config.passage_detail)
    followed = bool(np.any(np.round(together) != np.round(alone)))
    velocity = with_room(velocity if lift is None else velocity + lift, hand)
    articulation = decode_articulation(said, model.config, variation=variation, uniform=draws[1], alike=alike)
    beats = performed_beats(score, articulation, hand, as_in_a_take=model.config.gain_is_all)
    duration = limit_durations(score, beats)
    return Played(velocity=velocity, duration_beats=duration, said=said, followed=followed)
