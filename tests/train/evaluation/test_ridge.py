"""The ridge floor: what any model has to beat."""

from __future__ import annotations

import math

import numpy as np
from builders import random_score, score
from toys import pair

from duvhuman.train.evaluation.ridge import RidgeFloor, ridge_features


def test_ridge_features_by_hand() -> None:
    line = score([0, 0, 0, 1.5], [48, 60, 72, 60], length=[1, 1, 2, 0.5])
    raw = np.array([
        # pitch/12, its square, top, bottom, ln chord size, ln length, over the mean pitch of those around, on a beat
        [4, 16, 0, 1, math.log(3), 0, -1, 1],
        [5, 25, 0, 0, math.log(3), 0, 0, 1],
        [6, 36, 1, 0, math.log(3), math.log(2), 1, 1],
        [5, 25, 1, 1, 0, -math.log(2), 0, 0],
    ])
    np.testing.assert_allclose(ridge_features(line), raw - raw.mean(axis=0), atol=1e-12)


def test_height_is_over_the_25_notes_around() -> None:
    pitch = np.random.default_rng(0).integers(40, 80, 60)
    height = ridge_features(score(np.arange(60.0), pitch))[:, 6]
    expected = np.array([pitch[i] - pitch[max(i - 12, 0) : i + 13].mean() for i in range(60)]) / 12
    np.testing.assert_allclose(height, expected - expected.mean(), atol=1e-12)


def test_a_chord_is_one_onset_not_a_strum() -> None:
    strum = ridge_features(score([0, 1 / 480, 2 / 480, 1], [40, 47, 52, 40]))
    assert np.ptp(strum[:, 2:5], axis=0).tolist() == [0.0, 0.0, 0.0]  # each the top and the bottom of its own chord


def test_the_ridge_finds_a_linear_rule() -> None:
    weights = np.array([10.0, 0.0, 4.0, -3.0, 5.0, 2.0, 6.0, 8.0])
    lines = [random_score(2000, seed=seed) for seed in range(4)]
    pairs = [pair(line, 64 + ridge_features(line) @ weights) for line in lines]
    floor = RidgeFloor.fit(pairs[:3])
    said = floor(lines[3], np.full(2000, 64.0))
    np.testing.assert_allclose(said.velocity, pairs[3].played.velocity, atol=1.0)
    assert not said.articulation.any()


def test_the_ridge_is_damped_by_ten() -> None:
    line = score(np.arange(8.0) + np.array([0, 0.25] * 4), 60)  # of the eight features only "on a beat" varies: +-0.5
    played = pair(line, 64 + 16 * (np.arange(8) % 2 == 0))  # loud on the beat: +-8 about the mean
    expected = np.zeros(8)
    expected[7] = 8 * 0.5 * 8 / (8 * 0.25 + 10)
    np.testing.assert_allclose(RidgeFloor.fit([played]).weights, expected, atol=1e-12)


def test_the_ridge_learns_nothing_from_levels() -> None:
    line = random_score(300)
    quiet = pair(line, 40 + 10 * (line.pitch > 60))
    loud = pair(line, 80 + 10 * (line.pitch > 60))
    np.testing.assert_allclose(RidgeFloor.fit([quiet]).weights, RidgeFloor.fit([loud]).weights, atol=1e-9)


def test_the_ridge_stays_within_midi() -> None:
    line = random_score(300)
    floor = RidgeFloor(np.full(8, 1e3))
    predicted = floor(line, np.full(300, 64.0)).velocity
    assert (predicted.min(), predicted.max()) == (1.0, 127.0)
