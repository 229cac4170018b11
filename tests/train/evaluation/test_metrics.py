"""How agreement with a player is measured."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon

from duvhuman.train.evaluation.metrics import (
    articulation_metrics,
    bootstrap_interval,
    correlation,
    js_distance,
    mean_over_parts,
    velocity_metrics,
)


def array(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float64)


def test_correlation_by_hand() -> None:
    assert correlation(array(1, 2, 3), array(10, 30, 50)) == pytest.approx(1.0)
    assert correlation(array(1, 2, 3), array(5, 3, 1)) == pytest.approx(-1.0)
    # Deviations (-1, 0, 1) and (-1, 1, 0): 1 / sqrt(2 * 2).
    assert correlation(array(1, 2, 3), array(1, 3, 2)) == pytest.approx(0.5)


@pytest.mark.parametrize("constant", [0.0, 64.0, 0.1, 1e6 + 0.1])
def test_a_constant_side_correlates_with_nothing(constant: float) -> None:
    varied = np.arange(1000.0)
    flat = np.full(1000, constant)
    assert correlation(varied, flat) == 0.0
    assert correlation(flat, varied) == 0.0
    assert correlation(flat, flat) == 0.0


def test_velocity_metrics_by_hand() -> None:
    metrics = velocity_metrics(array(50, 60, 70, 80), array(64, 60, 72, 68))
    # Differences 14, 0, 2, -12 with mean 1; deviations (-15, -5, 5, 15) and (-2, -6, 6, 2): 120 / sqrt(500 * 80).
    assert metrics["vel_r"] == pytest.approx(0.6)
    assert metrics["vel_mae"] == pytest.approx(7.0)
    assert metrics["vel_mae_centred"] == pytest.approx((13 + 1 + 1 + 13) / 4)
    assert metrics["vel_sd_ratio"] == pytest.approx(math.sqrt(80 / 500))
    # One of four velocities is in common: both histograms differ from their middle in 3/4 of their mass, by a bit each.
    assert metrics["vel_js"] == pytest.approx(math.sqrt(3 / 4))


def test_an_error_of_level_alone_disappears_when_centred() -> None:
    metrics = velocity_metrics(array(50, 60, 70), array(60, 70, 80))
    assert (metrics["vel_mae"], metrics["vel_mae_centred"], metrics["vel_r"]) == pytest.approx((10, 0, 1))


def test_lengths_whose_release_is_not_known_are_left_out() -> None:
    played, predicted = np.tile(array(0, -0.5, -1), 8), np.tile(array(0, 0, -0.5), 8)
    hidden, wild = np.insert(played, 5, [math.nan] * 40), np.insert(predicted, 5, [9.0] * 40)
    assert articulation_metrics(hidden, wild) == pytest.approx(articulation_metrics(played, predicted))
    few = articulation_metrics(np.append(played[:15], [math.nan] * 40), np.zeros(55))
    assert all(math.isnan(value) for value in few.values())


def test_the_mean_over_parts_leaves_out_unknown_lengths_and_nothing_else() -> None:
    rows = [{"vel_r": 0.5, "art_mae": math.nan}, {"vel_r": 0.3, "art_mae": 0.25}]
    assert mean_over_parts(rows) == pytest.approx({"vel_r": 0.4, "art_mae": 0.25})
    assert math.isnan(mean_over_parts([*rows, {"vel_r": math.nan, "art_mae": 0.25}])["vel_r"])
    assert math.isnan(mean_over_parts(rows[:1])["art_mae"])


def test_articulation_metrics_by_hand() -> None:
    metrics = articulation_metrics(array(0, -0.5, -1), array(0, 0, -0.5))
    # Deviations (0.5, 0, -0.5) and (1/6, 1/6, -1/3): 0.25 / sqrt(1/2 * 1/6).
    assert metrics == pytest.approx({"art_r": math.sqrt(3) / 2, "art_mae": math.log(2) / 3})


def test_js_distance_ends() -> None:
    assert js_distance(array(10, 20, 30), array(30, 10, 20)) == 0.0
    assert js_distance(array(10, 20, 30), array(11, 21, 31)) == pytest.approx(1.0)
    assert js_distance(array(0.2, 140), array(1, 127)) == 0.0  # clipped to 1..127
    assert js_distance(array(63.6), array(64.4)) == 0.0  # rounded


@pytest.mark.parametrize("seed", range(5))
def test_js_distance_is_scipys(seed: int) -> None:
    rng = np.random.default_rng(seed)
    one, other = rng.integers(20, 90, 300), np.round(rng.normal(70, 15, 500)).clip(1, 127)
    histograms = [np.histogram(values, bins=np.arange(1, 129))[0] for values in (one, other)]
    expected = jensenshannon(*histograms, base=2)
    assert js_distance(one.astype(np.float64), other) == pytest.approx(expected, abs=1e-12)
    assert js_distance(other, one.astype(np.float64)) == pytest.approx(expected, abs=1e-12)


def test_predictions_that_are_no_numbers_give_metrics_that_are_none() -> None:
    metrics = velocity_metrics(array(50, 60), array(50, math.nan))
    assert math.isnan(metrics["vel_mae"])
    assert math.isnan(metrics["vel_js"])


def test_the_mean_is_over_parts() -> None:
    assert mean_over_parts([{"a": 1.0, "b": 0.0}, {"a": 2.0, "b": 4.0}, {"a": 6.0, "b": 2.0}]) == {"a": 3.0, "b": 2.0}
    assert mean_over_parts([]) == {}


def test_the_bootstrap_interval_of_equal_values_is_their_value() -> None:
    assert bootstrap_interval([0.25] * 7) == (0.25, 0.25)


def test_the_bootstrap_interval_is_that_of_the_mean() -> None:
    values = np.random.default_rng(1).normal(0.3, 0.1, 400).tolist()
    low, high = bootstrap_interval(values)
    standard_error = np.std(values) / math.sqrt(400)
    assert low == pytest.approx(np.mean(values) - 1.96 * standard_error, abs=0.3 * standard_error)
    assert high == pytest.approx(np.mean(values) + 1.96 * standard_error, abs=0.3 * standard_error)
    assert bootstrap_interval(values) == (low, high)


def test_parts_of_one_song_are_drawn_together() -> None:
    values = [0.0] * 10 + [1.0] * 10
    low, high = bootstrap_interval(values)
    assert 0.2 < low < high < 0.8
    assert bootstrap_interval(values, ["one"] * 10 + ["other"] * 10) == (0.0, 1.0)
    assert bootstrap_interval(values, list("abcdefghijklmnopqrst")) == (low, high)

