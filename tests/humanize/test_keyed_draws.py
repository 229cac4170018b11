"""Draws that are keyed to what is played: how they fall, and what an edit changes of them."""

from __future__ import annotations

import numpy as np
import pytest
from builders import random_score, score

from duvhuman.humanize.decode import MOST_DRIFT, decode_velocity, inverse_cdf, keyed_uniform
from duvhuman.humanize.windows import Distribution
from duvhuman.models.config import ModelConfig

CONFIG = ModelConfig()


def test_inverse_cdf_by_hand() -> None:
    edges = np.array([0.0, 1.0, 3.0, 7.0])
    probabilities = np.tile([0.5, 0.25, 0.25], (6, 1))
    drawn = inverse_cdf(probabilities, edges, np.array([0.0, 0.25, 0.5, 0.625, 0.75, 1.0]))
    assert drawn == pytest.approx([0, 0.5, 1, 2, 3, 7])


def test_inverse_cdf_never_draws_an_impossible_bin() -> None:
    probabilities = np.tile([0.0, 1.0, 0.0], (1001, 1))
    drawn = inverse_cdf(probabilities, np.arange(4.0), np.linspace(0, 1, 1001))
    assert drawn[1:].min() >= 1
    assert drawn.max() <= 2


def test_inverse_cdf_draws_bins_as_often_as_they_are_likely() -> None:
    probabilities = np.array([0.1, 0.6, 0.3])
    drawn = inverse_cdf(np.tile(probabilities, (30_000, 1)), np.arange(4.0), np.random.default_rng(0).random(30_000))
    assert np.bincount(drawn.astype(int), minlength=3) / 30_000 == pytest.approx(probabilities, abs=0.01)


def looped(bars: int) -> np.ndarray:
    """The pitches of a bar of eighths, again and again."""
    return np.tile([50, 55, 59, 62, 55, 59, 62, 59], bars)


def distance_from_uniform(draws: np.ndarray) -> float:
    """The statistic of Kolmogorov and Smirnov."""
    ordered = np.sort(draws)
    steps = np.arange(len(ordered) + 1) / len(ordered)
    return float(max((steps[1:] - ordered).max(), (ordered - steps[:-1]).max()))


def test_draws_are_uniform() -> None:
    draws = keyed_uniform(random_score(20_000), 1, 1)
    assert draws.min() > 0
    assert draws.max() < 1
    assert distance_from_uniform(draws) < 0.02


@pytest.mark.parametrize("n", [1, 2])
def test_draws_of_very_short_parts_are_uniform_over_seeds(n: int) -> None:
    draws = [keyed_uniform(score(np.arange(n) * 1.0), seed, 1) for seed in range(600)]
    assert distance_from_uniform(np.concatenate(draws)) < 0.06


def test_what_is_drawn_for_lengths_tells_nothing_of_what_is_for_velocities() -> None:
    draws = np.array([[keyed_uniform(score(np.zeros(1)), seed, salt)[0] for salt in (1, 2)] for seed in range(900)])
    assert abs(np.corrcoef(draws.T)[0, 1]) < 0.12


def test_equal_bars_get_equal_draws() -> None:
    draws = keyed_uniform(score(np.arange(80) / 2, looped(10)), 1, 1).reshape(10, 8)
    assert np.array_equal(draws, np.tile(draws[0], (10, 1)))
    assert len(np.unique(draws[0])) == 8


def test_an_edit_in_bar_nine_does_not_change_the_draw_of_bar_one() -> None:
    part = score(np.arange(80) / 2, looped(10))
    pitch = part.pitch.copy()
    pitch[64] += 1
    before, after = keyed_uniform(part, 1, 1), keyed_uniform(part.replace(pitch=pitch), 1, 1)
    assert np.flatnonzero(before != after).tolist() == [64, 65, 66]  # the first of a bar, and two that hear of it
    keep = np.delete(np.arange(80), 64)
    assert np.array_equal(before[:64], keyed_uniform(part.select(keep), 1, 1)[:64])


def test_the_notes_of_a_chord_draw_alike_but_not_the_same() -> None:
    part = score(np.repeat(np.arange(3000.0), 2), np.random.default_rng(0).integers(40, 80, 6000))
    low, high = keyed_uniform(part, 1, 1).reshape(-1, 2).T
    assert np.corrcoef(low, high)[0, 1] == pytest.approx(0.8, abs=0.05)
    assert (low != high).mean() > 0.9


def test_neighbouring_chords_draw_somewhat_alike() -> None:
    draws = keyed_uniform(random_score(5000), 1, 1)
    part = random_score(5000)
    single = np.flatnonzero(np.diff(part.onset_beats) > 0)
    assert 0.2 < np.corrcoef(draws[single], draws[single + 1])[0, 1] < 0.8


def test_seeds_and_purposes_draw_differently() -> None:
    part = random_score(2000)
    first = keyed_uniform(part, 1, 1)
    assert np.array_equal(first, keyed_uniform(part, 1, 1))
    for seed, salt in ((2, 1), (1, 2), (0, 1), (2**63 - 1, 1)):
        assert abs(np.corrcoef(first, keyed_uniform(part, seed, salt))[0, 1]) < 0.1


def test_where_in_the_bar_a_note_is_does_not_matter_without_a_grid() -> None:
    free = score(np.arange(20) * 0.9, looped(3)[:20], grid=False)
    moved = free.replace(beat_in_bar=free.beat_in_bar + 0.5)
    assert np.array_equal(keyed_uniform(free, 1, 1), keyed_uniform(moved, 1, 1))
    kept = score(np.arange(20) * 0.9, looped(3)[:20])
    assert not np.array_equal(keyed_uniform(kept, 1, 1), keyed_uniform(free, 1, 1))


@pytest.mark.parametrize("variation", [0.5, 1.0])
def test_draws_of_a_loop_leave_its_level(variation: float) -> None:
    blurred = np.zeros((64, 16))
    blurred[:, 4:14] = 0.1
    said = Distribution(blurred, np.full(64, 72.0), blurred, np.zeros(64))
    for seed in range(8):
        loop = keyed_uniform(score(np.arange(64) * 4.0), seed, 1)  # a chord to a bar, drawn alike each time
        velocity = decode_velocity(said, CONFIG, variation=variation, uniform=loop, level=80.0)[0]
        assert abs(velocity.mean() - 80) <= MOST_DRIFT + 1


@pytest.mark.parametrize("variation", [0.0, 0.5, 1.0])
def test_what_is_drawn_follows_others_as_what_is_expected_does(variation: float) -> None:
    rough = np.random.default_rng(0).dirichlet(np.ones(16), 600)
    said, together = Distribution(rough, np.full(600, 64.0), rough, np.zeros(600)), np.repeat([-1.0, 1.0], 300)
    draws = keyed_uniform(random_score(600), 1, 1)
    alone, followed = (
        decode_velocity(said, CONFIG, variation=variation, uniform=draws, company=company)[0]
        for company in (None, together)
    )
    louder = followed - alone
    assert louder[:300].mean() < -2
    assert louder[300:].mean() > 2


def test_small_drifts_of_the_level_stay_so_that_an_edit_moves_nothing_elsewhere() -> None:
    blurred = np.zeros((400, 16))
    blurred[:, 6:10] = 0.25
    said = Distribution(blurred, np.full(400, 64.0), blurred, np.zeros(400))
    part = random_score(400, seed=2)
    pitch = part.pitch.copy()
    pitch[200] += 1
    before, after = (
        decode_velocity(said, CONFIG, variation=1.0, uniform=keyed_uniform(one, 1, 1), level=80.0)[0]
        for one in (part, part.replace(pitch=pitch))
    )
    assert 0 < np.count_nonzero(before != after) < 12


def test_a_downbeat_played_early_draws_what_one_on_time_does() -> None:
    part = score(np.arange(16) * 1.0)
    early = np.where(part.beat_in_bar == 0, 3.99, part.beat_in_bar)
    np.testing.assert_array_equal(keyed_uniform(part, 1, 1), keyed_uniform(part.replace(beat_in_bar=early), 1, 1))
