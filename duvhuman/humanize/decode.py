"""From what the network says to velocities and lengths a player would give.

Conventions
-----------
Arrays are (N,) over the notes of one part. What is played on a note follows from no more than some 2,000 notes to
either side (a few means over `STRETCH_NOTES`, of each other), but for means over the part (its level, its share of
short notes, its equal bars), whether it is written in layers or with accents, its last chord, and the next onset of a
note's own pitch, wherever that is. Random draws are keyed to what is played: an edit elsewhere changes nothing, and
equal bars are played alike.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from duvhuman.arrays import FloatArray, IntArray, group_means
from duvhuman.humanize.keyed import mix, normal, normal_cdf
from duvhuman.humanize.score import Score, bars_and_places, chord_numbers
from duvhuman.humanize.windows import Distribution
from duvhuman.models.config import VELOCITY_BIN_EDGES, VELOCITY_BIN_WIDTH, ModelConfig

STRETCH_NOTES = 512
"""How many notes to either side the mean is taken of that velocities are stretched about."""
LEAST_VARIANCE = 0.1
"""An expectation that varies less, in squared MIDI velocities, is not stretched further for it."""
DETAIL_NOTES = 32
"""How many notes to either side are a note's surroundings, from which `ModelConfig.velocity_detail` sets it apart, and
`ModelConfig.register_tilt` its pitch."""
SWELL_NOTES = 64
"""How many notes to either side make up the swell, which `ModelConfig.swell_gain` stretches, and which no note is too
far away from."""
FAR, FURTHER = 24.0, 12.0
"""A stretch may take a note `FAR` MIDI velocities away from the notes around it; what goes beyond is bent to `FURTHER`
more at most. The one note that differs in an ostinato would be as loud as can be."""
MOST_DRIFT = 2.0
"""What is drawn moves the mean of a part by no more MIDI velocities, give or take a half: a loop of one bar draws alike
each time."""
MOST_LIVELY = 2.0
"""What is left once it is tilted, or drawn, is stretched by no more than this."""
TAILS = 0.025
"""So much of the prediction at either end is never drawn: it would come back in every bar that is played alike."""
CHORD_SHARE = 0.8
"""How much of the variance of the random draw is shared by the notes of a chord."""


def velocity_bin(velocity: NDArray[np.generic]) -> IntArray:
    """The bin of MIDI velocities 0..127."""
    return np.asarray(velocity, dtype=np.int64) // VELOCITY_BIN_WIDTH


def duration_bin(articulation: FloatArray, config: ModelConfig) -> IntArray:
    """The bin of articulations, edges from the config."""
    return np.searchsorted(np.array(config.duration_edges), articulation, side="right")


def decode_velocity(
    said: Distribution, config: ModelConfig, *, variation: float = 0.0, uniform: FloatArray | None = None,
    alike: IntArray | None = None, company: FloatArray | None = None, contour_given: bool = False,
    level: float | None = None,
) -> tuple[FloatArray, FloatArray]:
    """Velocities and their spread.

    The expected velocity is the mean of the bins, which agrees better with players than the regression does. It varies
    less than a player does, so it is `stretched`, once only a share of ``config.velocity_detail`` is kept of what sets
    each note apart from those around it. Where the network was told the contour of what the user wrote, all of that is
    kept as it is, and stretched by ``config.contour_gain``, swells no more than the rest.

    Parameters
    ----------
    variation : 0 is the expected performance, 1 a draw from the predicted bins.
    uniform : (N,) the draws in 0..1, needed if `variation` is not 0.
    alike : (N,) numbers of notes that are played alike (`duvhuman.humanize.bars`): those of one number have the
        mean of what they would have, so that no seam with other music, near or far, sets equal bars apart. None: each
        note for itself.
    company : (N,) by how many SDs notes are louder in company (`duvhuman.humanize.company`); None: played alone.
    contour_given : whether the network was given the contour hint; then the company is not heeded.
    level : where the mean of all lies that is expected, give or take half a velocity, or a draw's `MOST_DRIFT`: it is
        moved there by a whole number, so that an edit elsewhere hardly ever moves a note, but in short loops. None:
        wherever the network says.

    Returns
    -------
    velocity : (N,) MIDI, neither rounded nor clipped.
    spread : (N,) SD of the predicted bins, in MIDI velocities.
    """
    mean, spread = said.expected_velocity, said.spread

    def beside_others(values: FloatArray) -> FloatArray:
        values = values if alike is None else group_means(values, alike)
        return values if company is None or contour_given else in_company(values, company)

    if contour_given:
        velocity = stretched(mean, spread, gain=config.contour_gain)
    else:
        kept = keep_detail(mean, config.velocity_detail)
        velocity = beside_others(stretched(
            kept, spread, gain=config.velocity_gain, spread_share=config.spread_share, swell_gain=config.swell_gain,
            level=level,
        ))
        if not config.gain_is_all:  # else a take tells how far this player goes
            velocity = not_too_far(velocity, kept)
    louder = 0.0 if level is None else np.round(level - velocity.mean())
    if variation > 0 and uniform is not None:
        drawn = inverse_cdf(said.velocity_probabilities, np.array(VELOCITY_BIN_EDGES), no_tails(uniform))
        drawn = beside_others(drawn + said.louder_by)
        varied = (1 - variation) * velocity + variation * drawn
        sd = (1 - variation) * local_sd(velocity) + variation * local_sd(drawn)
        middle = local_mean(varied)  # the two agree little, and vary less together than each of them
        varied = middle + (varied - middle) * livelier(varied, sd)
        away = varied.mean() - velocity.mean()
        louder -= 0.0 if level is None else np.sign(away) * np.round(max(abs(away) - MOST_DRIFT, 0.0))
        velocity = varied
    if config.gain_is_all and not contour_given:
        velocity = within_reach(velocity, config)
    return velocity + louder, spread


def decode_articulation(
    said: Distribution, config: ModelConfig, *, variation: float = 0.0, uniform: FloatArray | None = None,
    alike: IntArray | None = None,
) -> FloatArray:
    """(N,) log2(performed / written duration); parameters as in `decode_velocity`.

    The expected articulation lies between the median of the bins, where the error is least on parts like those trained
    on, and the regression, where the correlation is highest; ``config.median_share`` says where.
    """
    edges = np.array(config.closed_duration_edges)
    median = inverse_cdf(said.duration_probabilities, edges, np.full(len(said.articulation), 0.5))
    articulation = config.median_share * median + (1 - config.median_share) * said.articulation
    if variation > 0 and uniform is not None:
        drawn = inverse_cdf(said.duration_probabilities, edges, no_tails(uniform))
        articulation = (1 - variation) * articulation + variation * drawn
    return articulation if alike is None else group_means(articulation, alike)


def stretched(
    expected: FloatArray, spread: FloatArray, *, gain: float, spread_share: float = 0.0, swell_gain: float = 1.0,
    level: float | None = None,
) -> FloatArray:
    """(N,) expected velocities, stretched about their local mean, and their swell about the level of the part.

    The expectation varies, and about it the velocity does: the variances add up (the law of total variance). The less
    sure the network is, the less its expectation varies beside the player. How passages differ it expects least of
    all, for it sees hardly more than one of them, and is told the level of the whole part for it.

    Parameters
    ----------
    spread : (N,) SD of the predicted bins.
    gain, spread_share : they are stretched by `gain` times the SD that the network says velocities have over the SD of
        their expectation, both in the neighbourhood, to the power of `spread_share` (0..1).
    swell_gain : the mean of the notes within `SWELL_NOTES` is moved on from the level by `swell_gain` - 1 times as much
        as it is expected to lie from there, beside the stretch.
    level : MIDI velocity of the part; another one moves all notes alike. None: the mean of all that is expected.
    """
    middle = local_mean(expected)
    varies, spreads = local_mean((expected - middle) ** 2), local_mean(spread**2)
    factor = (1 + spreads / np.maximum(varies, LEAST_VARIANCE)) ** (spread_share / 2)
    swell = local_mean(expected, SWELL_NOTES) - (expected.mean() if level is None else level)
    return middle + gain * factor * (expected - middle) + (swell_gain - 1) * swell


def in_company(velocity: FloatArray, company: FloatArray) -> FloatArray:
    """(N,) velocities of a part played alone, louder by `company` (N,) times their SD nearby.

    That SD stays where the company is louder and softer elsewhere than the part alone; where both agree it grows.
    """
    middle, sd = local_mean(velocity), local_sd(velocity)
    return middle + (velocity - middle + sd * company) / np.sqrt(1 + local_mean(company**2))


def not_too_far(velocity: FloatArray, expected: FloatArray) -> FloatArray:
    """(N,) stretched velocities, those nearer to the notes around them that a stretch took further away than `FAR`.

    What is expected itself to be as far away stays.
    """
    middle = local_mean(velocity, SWELL_NOTES)
    away, own = velocity - middle, np.abs(expected - local_mean(expected, SWELL_NOTES))
    beyond = np.maximum(np.abs(away) - FAR, 0.0)
    near = np.maximum(np.minimum(np.abs(away), FAR) + beyond / (1 + beyond / FURTHER), np.minimum(np.abs(away), own))
    return middle + np.copysign(near, away)


def within_reach(velocity: FloatArray, config: ModelConfig) -> FloatArray:
    """(N,) velocities no further from what their mean was than the player of a take went: what takes tell little of is
    stretched far, most of all what they do not hold.
    """
    middle = float(velocity.mean())
    return np.clip(velocity, middle - config.furthest_below, middle + config.furthest_above)


def keep_detail(expected: FloatArray, detail: float) -> FloatArray:
    """(N,) expected velocities with a share `detail` (0..1) of what sets each apart from the notes around it."""
    return expected - (1 - detail) * (expected - local_mean(expected, DETAIL_NOTES))


def local_mean(values: FloatArray, reach: int = STRETCH_NOTES) -> FloatArray:
    """The mean of `values` within `reach` notes, near notes weighing more (a triangle)."""
    kernel = np.concatenate([np.arange(1, reach + 1), np.arange(reach - 1, 0, -1)]).astype(np.float64)
    total = np.convolve(values, kernel)[reach - 1 : reach - 1 + len(values)]
    weight = np.convolve(np.ones(len(values)), kernel)[reach - 1 : reach - 1 + len(values)]
    return total / weight


def local_sd(values: FloatArray) -> FloatArray:
    """The SD of `values` about their `local_mean`, of the notes that make up that mean."""
    return np.sqrt(local_mean((values - local_mean(values)) ** 2))


def livelier(values: FloatArray, sd: FloatArray) -> FloatArray:
    """(N,) how far values are to be stretched to vary by `sd` (N,) around each note; `MOST_LIVELY` at most."""
    return sd / np.maximum(local_sd(values), np.maximum(sd / MOST_LIVELY, 1e-6))


def inverse_cdf(probabilities: FloatArray, edges: FloatArray, uniform: FloatArray) -> FloatArray:
    """Draw from bins (N, K) with K + 1 edges, evenly within a bin, at (N,) uniform numbers."""
    cdf = np.cumsum(probabilities, axis=1)
    cdf /= cdf[:, -1:]
    chosen = np.minimum((cdf < uniform[:, None]).sum(axis=1), probabilities.shape[1] - 1)
    rows = np.arange(len(uniform))
    below = np.where(chosen > 0, cdf[rows, chosen - 1], 0.0)
    inside = np.clip((uniform - below) / np.maximum(cdf[rows, chosen] - below, 1e-12), 0.0, 1.0)
    return edges[chosen] + inside * (edges[chosen + 1] - edges[chosen])


def no_tails(uniform: FloatArray) -> FloatArray:
    """(N,) numbers in 0..1 that leave out `TAILS`."""
    return TAILS + (1 - 2 * TAILS) * uniform


def keyed_uniform(score: Score, seed: int, salt: int) -> FloatArray:
    """(N,) numbers in 0..1 that depend on the seed and on what is played: chord, place in the bar, chords beside it.

    The notes of a chord share most of their draw, and neighbouring chords of a bar some of it; other bars have no say.
    """
    chord = chord_numbers(score)
    begins, place = bars_and_places(score)
    note_key = mix(score.pitch.astype(np.uint64) * np.uint64(1024) + place.astype(np.uint64))
    chord_key = np.zeros(chord[-1] + 1, dtype=np.uint64)
    np.bitwise_xor.at(chord_key, chord, note_key)
    turns = np.diff(begins[np.searchsorted(chord, np.arange(chord[-1] + 1))]) != 0
    first, last = np.append(True, turns), np.append(turns, True)
    start = mix(mix(np.array([seed], dtype=np.uint64)) ^ np.uint64(salt))
    before_it = np.where(first, np.uint64(0), np.append(np.uint64(0), chord_key[:-1]))
    chord_key = mix(chord_key ^ mix(before_it) ^ start)
    chord_draw = normal(chord_key)
    beyond, behind = normal(mix(chord_key ^ np.uint64(1))), normal(mix(chord_key ^ np.uint64(2)))  # the bar's ends
    before = np.where(first, beyond, np.append(0.0, chord_draw[:-1]))
    after = np.where(last, behind, np.append(chord_draw[1:], 0.0))
    chord_draw = (chord_draw + 0.5 * before + 0.5 * after) / np.sqrt(1.5)
    own = normal(mix(chord_key[chord] ^ note_key))
    return normal_cdf(np.sqrt(CHORD_SHARE) * chord_draw[chord] + np.sqrt(1 - CHORD_SHARE) * own)
