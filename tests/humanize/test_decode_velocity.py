"""From probabilities to velocities, and to lengths beside what is written."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from duvhuman.humanize.decode import (
    STRETCH_NOTES,
    decode_articulation,
    decode_velocity,
    duration_bin,
    keep_detail,
    local_mean,
    not_too_far,
    stretched,
    velocity_bin,
)
from duvhuman.humanize.windows import Distribution
from duvhuman.models.config import DURATION_EDGES, VELOCITY_BIN_CENTRES, ModelConfig

CONFIG = ModelConfig()
DURATION_CENTRES = np.convolve(CONFIG.closed_duration_edges, [0.5, 0.5], mode="valid")


def certain(velocity_bins: list[int], duration_bins: list[int] | None = None) -> Distribution:
    """A network that is sure of its bins, and whose regressions agree with the middle of them."""
    v = np.array(velocity_bins)
    d = np.array(duration_bins or [8] * len(v))
    return Distribution(np.eye(16)[v], np.array(VELOCITY_BIN_CENTRES)[v], np.eye(16)[d], DURATION_CENTRES[d])


# Bins


def test_velocity_bins() -> None:
    assert velocity_bin(np.array([0, 1, 7, 8, 64, 119, 120, 127])).tolist() == [0, 0, 0, 1, 8, 14, 15, 15]
    assert [VELOCITY_BIN_CENTRES[k] for k in (0, 8, 15)] == [3.5, 67.5, 123.5]
    assert velocity_bin(np.array(VELOCITY_BIN_CENTRES)).tolist() == list(range(16))


def test_duration_bins() -> None:
    assert duration_bin(np.array([-9.0, -3.0, -0.06, -0.05, 0.0, 0.049, 0.05, 2.5, 9.0]), CONFIG).tolist() == [
        0, 1, 8, 9, 9, 9, 10, 15, 15,
    ]
    assert DURATION_CENTRES[9] == pytest.approx(0)
    assert DURATION_CENTRES[[0, 1]].tolist() == pytest.approx([-3.4, -2.6])
    assert DURATION_CENTRES[[14, 15]].tolist() == pytest.approx([2.1, 2.9])
    assert duration_bin(DURATION_CENTRES, CONFIG).tolist() == list(range(16))
    assert len(DURATION_EDGES) == 15


# Decoding


def test_velocity_is_the_mean_of_the_bins_and_length_between_their_median_and_the_regression() -> None:
    said = Distribution(np.eye(16)[[8, 8]], np.array([73.5, 73.5]), np.eye(16)[[9, 9]], np.array([0.2, 0.2]))
    velocity, spread = decode_velocity(said, CONFIG)
    assert velocity == pytest.approx([67.5, 67.5])
    assert spread == pytest.approx([0, 0], abs=1e-6)
    assert decode_articulation(said, CONFIG) == pytest.approx([0.1] * 2)  # the bins' median is 0


@pytest.mark.parametrize(("share", "expected"), [(0.0, 0.2), (0.25, 0.15), (1.0, 0.0)])
def test_lengths_lie_between_median_and_regression_where_the_config_says(share: float, expected: float) -> None:
    said = Distribution(np.eye(16)[[8]], np.array([73.5]), np.eye(16)[[9]], np.array([0.2]))
    assert decode_articulation(said, ModelConfig(median_share=share)) == pytest.approx([expected])


def test_spread_is_the_sd_of_the_bins() -> None:
    half = np.zeros((1, 16))
    half[0, [4, 6]] = 0.5  # 35.5 or 51.5
    _, spread = decode_velocity(Distribution(half, np.array([43.5]), half, np.zeros(1)), CONFIG)
    assert spread == pytest.approx([8])


def test_gain_stretches_about_the_local_mean() -> None:
    said = certain([7, 9], [8, 10])
    plain = decode_velocity(said, CONFIG)[0]
    middle = local_mean(plain)
    wide = decode_velocity(said, ModelConfig(velocity_gain=2.0))[0]
    assert wide == pytest.approx(middle + 2 * (plain - middle))
    assert np.diff(wide) == pytest.approx(2 * np.diff(plain), rel=0.02)


def test_dynamics_that_the_user_wrote_are_not_blown_up() -> None:
    config, said = ModelConfig(velocity_gain=2.5, contour_gain=1.25), certain([7, 9] * 20)
    flat, kept = (decode_velocity(said, config, contour_given=given)[0] for given in (False, True))
    assert np.ptp(flat) == pytest.approx(2.5 * 16, rel=0.05)
    assert np.ptp(kept) == pytest.approx(1.25 * 16, rel=0.05)


def test_detail_is_what_sets_a_note_apart_from_those_around_it() -> None:
    swell = certain([6] * 200 + [9] * 200)  # long enough that far from the step all notes around are alike
    assert decode_velocity(swell, ModelConfig(velocity_detail=0.0))[0][[0, -1]] == pytest.approx([51.5, 75.5])
    pairs = certain([6, 8] * 200)
    whole, half, none = (decode_velocity(pairs, ModelConfig(velocity_detail=d))[0][100:300] for d in (1.0, 0.5, 0.0))
    assert np.ptp(whole) == pytest.approx(16)
    assert np.ptp(half) == pytest.approx(8, abs=0.1)
    assert np.ptp(none) == pytest.approx(0, abs=0.1)


def test_detail_comes_before_the_gain() -> None:
    said, config = certain([6, 8] * 200), ModelConfig(velocity_detail=0.5, velocity_gain=3.0)
    assert np.ptp(decode_velocity(said, config)[0][100:300]) == pytest.approx(3 * 8, abs=0.3)


def test_accents_that_the_user_wrote_keep_all_their_detail() -> None:
    said = certain([6, 8, 7, 9] * 20)
    faint, whole = (ModelConfig(velocity_detail=detail, contour_gain=1.25) for detail in (0.25, 1.0))
    kept, plain = (decode_velocity(said, config, contour_given=True)[0] for config in (faint, whole))
    assert np.array_equal(kept, plain)


def test_with_all_detail_expected_velocities_stay_bit_for_bit() -> None:
    values = np.random.default_rng(0).normal(64, 20, size=300)
    assert np.array_equal(keep_detail(values, 1.0), values)


SOFT_AND_LOUD = np.repeat([62.0, 70.0], 1200)
"""Two passages, longer than any neighbourhood."""


def test_passages_lie_as_many_times_as_far_from_the_level_as_the_swell_gain_says() -> None:
    wide = stretched(SOFT_AND_LOUD, np.zeros(2400), gain=1.0, swell_gain=2.5, level=64.0)
    assert wide[[0, 600, 1800, 2399]] == pytest.approx([59, 59, 79, 79])
    assert np.ptp(np.diff(wide)[1100:1199]) < 0.2  # a swell, and no step but the one that was expected
    assert wide == pytest.approx(stretched(SOFT_AND_LOUD, np.zeros(2400), gain=1.0, swell_gain=2.5, level=66.0) + 3)
    assert wide.mean() - 3 == pytest.approx(stretched(SOFT_AND_LOUD, np.zeros(2400), gain=1.0, swell_gain=2.5).mean())


def test_the_swell_gain_stretches_no_single_notes() -> None:
    expected = np.tile([58.0, 62.0], 200)
    wide = stretched(expected, np.zeros(400), gain=1.5, swell_gain=5.0)
    assert wide == pytest.approx(stretched(expected, np.zeros(400), gain=1.5), abs=0.2)


def test_where_a_part_is_as_loud_as_written_swells_are_stretched_about_that() -> None:
    said = certain([7] * 1200 + [8] * 1200)
    velocity, _ = decode_velocity(said, ModelConfig(swell_gain=2.0), level=80.0)
    assert velocity[[0, 2399]] == pytest.approx([72, 88], abs=0.5)
    assert velocity.mean() == pytest.approx(80, abs=0.5)


def test_a_part_is_moved_to_its_level_by_whole_velocities_so_that_an_edit_elsewhere_moves_no_note() -> None:
    bins = np.random.default_rng(0).integers(5, 11, 4000).tolist()
    free, _ = decode_velocity(certain(bins), CONFIG)
    level, louder = float(free.mean()) + 12.3, [*bins[:-9], *[10] * 9]
    moved, edited = (decode_velocity(certain(notes), CONFIG, level=level)[0] for notes in (bins, louder))
    assert moved == pytest.approx(free + 12)
    assert edited.mean() > moved.mean() + 0.01
    assert edited[:2000] == pytest.approx(moved[:2000], abs=1e-9)


def test_where_the_users_dynamics_are_kept_swells_are_not_stretched_further() -> None:
    said = certain([7] * 1200 + [8] * 1200)
    kept, plain = (
        decode_velocity(said, ModelConfig(swell_gain=gain), contour_given=True)[0] for gain in (4.0, 1.0)
    )
    assert np.array_equal(kept, plain)


def test_a_passage_far_away_moves_no_swell() -> None:
    values = np.random.default_rng(0).normal(64, 20, size=4000)
    edited = values + 9 * (np.arange(4000) > 3500)
    before, after = (stretched(v, np.full(4000, 9.0), gain=2, swell_gain=3, level=64) for v in (values, edited))
    assert after[:1500] == pytest.approx(before[:1500])


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_velocities_vary_as_the_expectation_does_and_as_the_bins_spread_about_it(share: float) -> None:
    expected = np.tile([58.0, 62.0], 200)  # a variance of 4 ...
    wide = stretched(expected, np.full(400, 6.0), gain=1.5, spread_share=share)  # ... and 36 about it
    assert np.diff(wide[150:250]) == pytest.approx(1.5 * 10 ** (share / 2) * np.diff(expected[150:250]), rel=0.01)


def test_what_the_network_is_less_sure_of_is_stretched_more() -> None:
    expected = np.tile([58.0, 62.0], 3000)
    unsure = np.repeat([6.0, 12.0], 3000)
    wide = stretched(expected, unsure, gain=1.0, spread_share=1.0)
    assert np.ptp(wide[1000:1100]) == pytest.approx(4 * (1 + 36 / 4) ** 0.5, rel=0.01)
    assert np.ptp(wide[-1100:-1000]) == pytest.approx(4 * (1 + 144 / 4) ** 0.5, rel=0.01)


def test_what_does_not_vary_is_not_made_to() -> None:
    assert stretched(np.full(50, 64.0), np.full(50, 12.0), gain=3.0, spread_share=1.0) == pytest.approx(64)


def test_the_spread_of_the_bins_has_no_say_where_the_users_dynamics_are_kept() -> None:
    blurred = np.zeros((40, 16))
    blurred[::2, [5, 7]] = blurred[1::2, [7, 9]] = 0.5
    said = Distribution(blurred, np.full(40, 60.0), blurred, np.zeros(40))
    flat, kept = (
        decode_velocity(said, ModelConfig(spread_share=1.0), contour_given=given)[0] for given in (False, True)
    )
    assert np.ptp(kept) == pytest.approx(16, rel=0.05)  # SD 8, and 8 about it
    assert np.ptp(flat) == pytest.approx(16 * 2**0.5, rel=0.05)


def test_what_is_far_away_has_its_say_in_where_the_part_lies() -> None:
    said = certain(([7] * 4 + [10]) * 40)
    for company in (None, np.sin(np.arange(200))):
        config = ModelConfig(velocity_gain=2.5, spread_share=0.01)
        velocity = decode_velocity(said, config, level=80.0, company=company)[0]
        assert abs(velocity.mean() - 80) <= 0.5


def test_a_note_that_is_far_away_is_so_in_company() -> None:
    bins = np.full(200, 7)
    bins[100] = 10
    company = np.random.default_rng(0).normal(size=200)
    company[100] = 0.0
    said, config = certain(bins.tolist()), ModelConfig(velocity_gain=2.0, spread_share=0.01)
    for others in (None, company):
        velocity = decode_velocity(said, config, level=80.0, company=others)[0]
        assert 22 < velocity[100] - np.median(velocity) < 38
    taught = decode_velocity(said, ModelConfig(velocity_gain=2.0), level=80.0)[0]
    assert taught[100] - np.median(taught) > 46  # by a take, which tells how far this player goes


def test_variation_goes_from_the_expected_value_to_the_drawn_one() -> None:
    said, uniform = certain([8, 8, 8]), np.array([1e-9, 0.5, 1.0])
    assert decode_velocity(said, CONFIG, variation=1.0, uniform=uniform)[0] == pytest.approx([64.2, 68, 71.8])
    assert decode_velocity(said, CONFIG, variation=0.5, uniform=uniform)[0] == pytest.approx([65.85, 67.75, 69.65])
    low, _, high = decode_articulation(certain([8] * 3, [9] * 3), CONFIG, variation=1.0, uniform=uniform)
    assert (low, high) == pytest.approx((-0.0475, 0.0475))  # what is drawn leaves the tails out


@pytest.mark.parametrize("variation", [0.3, 0.5, 0.7])
def test_a_part_that_is_partly_drawn_is_as_lively_as_one_that_is_not_and_one_that_is(variation: float) -> None:
    rng = np.random.default_rng(0)
    said, config = certain(rng.integers(5, 11, 600).tolist()), ModelConfig(velocity_gain=1.2)
    wide = replace(said, velocity_probabilities=sum(
        np.roll(said.velocity_probabilities, by, axis=1) for by in (-2, 0, 2)
    ) / 3)
    uniform, shares = rng.random(600), (0.0, variation, 1.0)
    sd = [decode_velocity(wide, config, variation=share, uniform=uniform)[0].std() for share in shares]
    assert sd[1] == pytest.approx((1 - variation) * sd[0] + variation * sd[2], rel=0.05)


def test_draws_from_the_open_bins_reach_as_far_as_their_neighbours() -> None:
    said, uniform = certain([8] * 4, [0, 0, 15, 15]), np.array([1e-9, 1.0, 1e-9, 1.0])
    drawn = decode_articulation(said, CONFIG, variation=1.0, uniform=uniform)
    assert drawn == pytest.approx([-3.78, -3.02, 2.52, 3.28])


def test_a_stretch_takes_no_note_too_far_from_those_around_it() -> None:
    expected = np.full(200, 70.0)
    expected[100], expected[150] = 88.0, 60.0
    wide = 70 + 3 * (expected - 70)
    near = not_too_far(wide, expected)
    assert 94 < near[100] < 106
    assert 40 < near[150] < 48
    assert near[0] == pytest.approx(wide[0], abs=1e-9)
    known = np.where(np.arange(200) == 100, 115.0, 70.0)
    assert not_too_far(known, known) == pytest.approx(known)  # of a note of which so much is expected nothing is taken
    order = not_too_far(np.where(np.arange(200) < 100, 70.0, np.linspace(70, 140, 200)), np.full(200, 70.0))
    assert (np.diff(order[110:]) > 0).all()


def test_local_mean_by_hand() -> None:
    assert local_mean(np.array([0.0, 0, 8, 0, 0]), reach=2) == pytest.approx([0, 2, 4, 2, 0])  # weights 1 2 1
    assert local_mean(np.array([3.0, 0]), reach=2) == pytest.approx([2, 1])  # at the ends only what is there
    assert local_mean(np.full(500, 7.0)) == pytest.approx(np.full(500, 7.0))


def test_local_mean_looks_no_further_than_its_reach() -> None:
    values = np.random.default_rng(0).normal(size=1400)
    changed = values.copy()
    changed[700] += 50
    differs = np.flatnonzero(local_mean(values) != local_mean(changed))
    assert (differs.min(), differs.max()) == (700 - STRETCH_NOTES + 1, 700 + STRETCH_NOTES - 1)
