"""From probabilities to velocities and lengths, and draws that are keyed to what is played."""

from __future__ import annotations

import numpy as np
import pytest
from builders import random_score, score

from duvhuman.humanize.decode import (
    MOST_DRIFT,
    STRETCH_NOTES,
    decode_articulation,
    decode_velocity,
    duration_bin,
    duration_centres,
    inverse_cdf,
    keep_detail,
    keyed_uniform,
    limit_durations,
    local_mean,
    most_growth,
    not_too_far,
    performed_beats,
    stretched,
    velocity_bin,
)
from duvhuman.humanize.windows import Distribution
from duvhuman.models.config import DURATION_EDGES, VELOCITY_BIN_CENTRES, ModelConfig

CONFIG = ModelConfig()


def certain(velocity_bins: list[int], duration_bins: list[int] | None = None) -> Distribution:
    """A network that is sure of its bins, and whose regressions agree with the middle of them."""
    v = np.array(velocity_bins)
    d = np.array(duration_bins or [8] * len(v))
    return Distribution(np.eye(16)[v], np.array(VELOCITY_BIN_CENTRES)[v], np.eye(16)[d], duration_centres(CONFIG)[d])


# Bins


def test_velocity_bins() -> None:
    assert velocity_bin(np.array([0, 1, 7, 8, 64, 119, 120, 127])).tolist() == [0, 0, 0, 1, 8, 14, 15, 15]
    assert [VELOCITY_BIN_CENTRES[k] for k in (0, 8, 15)] == [3.5, 67.5, 123.5]
    assert velocity_bin(np.array(VELOCITY_BIN_CENTRES)).tolist() == list(range(16))


def test_duration_bins() -> None:
    assert duration_bin(np.array([-9.0, -3.0, -0.06, -0.05, 0.0, 0.049, 0.05, 2.5, 9.0]), CONFIG).tolist() == [
        0, 1, 8, 9, 9, 9, 10, 15, 15,
    ]  # fmt: skip
    centres = duration_centres(CONFIG)
    assert centres[9] == pytest.approx(0)
    assert centres[[0, 1]].tolist() == pytest.approx([-3.4, -2.6])
    assert centres[[14, 15]].tolist() == pytest.approx([2.1, 2.9])
    assert duration_bin(centres, CONFIG).tolist() == list(range(16))
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
    articulation = decode_articulation(said, ModelConfig(articulation_gain=0.0))
    assert np.ptp(articulation) == pytest.approx(0, abs=0.01)


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


def test_velocities_stay_midi_velocities() -> None:
    said, config = certain([4, 11] * 20), ModelConfig(velocity_gain=5.0)
    loud, soft = (decode_velocity(said, config, level=level)[0] for level in (118.0, 10.0))
    assert (loud.max(), soft.min()) == (127, 1)


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


# Draws


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
    assert np.array_equal(draws[1:-1], np.tile(draws[1], (8, 1)))  # the outermost have other neighbours
    assert len(np.unique(draws[1])) == 8


def test_an_edit_in_bar_nine_does_not_change_the_draw_of_bar_one() -> None:
    part = score(np.arange(80) / 2, looped(10))
    pitch = part.pitch.copy()
    pitch[64] += 1
    before, after = keyed_uniform(part, 1, 1), keyed_uniform(part.replace(pitch=pitch), 1, 1)
    assert np.flatnonzero(before != after).tolist() == [63, 64, 65, 66]  # a note, its neighbours, and one more behind
    keep = np.delete(np.arange(80), 64)
    assert np.array_equal(before[:63], keyed_uniform(part.select(keep), 1, 1)[:63])


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


# A written staccato


def test_a_written_staccato_grows_by_at_most_a_tenth() -> None:
    part = score([0, 1, 2, 3], [60, 61, 62, 63], length=[0.5, 0.74, 0.76, 0.76])
    assert performed_beats(part, np.full(4, 2.0)) == pytest.approx([0.55, 0.814, 3.04, 3.04])
    assert most_growth(part) == pytest.approx([1.1, 1.1, 1e6, 1e6])


@pytest.mark.parametrize("share", [0.2, 0.6, 1.0])
def test_a_written_staccato_is_not_shortened_once_more(share: float) -> None:
    part = score([0, 1, 2, 3], length=0.125)
    assert performed_beats(part, np.log2(np.full(4, share))) == pytest.approx([0.125 * (0.85 + 0.25 * share)] * 4)


def test_the_last_note_before_a_rest_lasts_as_it_would_if_it_were_written_up_to_the_next() -> None:
    part = score([0, 0.25, 0.5, 3.0], length=[0.25, 0.25, 0.25, 2.5])
    for share, lasts in ((0.4, 0.25 * 0.95), (0.08, 0.08 * 2.5), (0.01, 0.025)):  # the last one is a player's stab
        played = performed_beats(part, np.log2([0.9, 0.9, share, 0.9]))
        assert played == pytest.approx([0.225, 0.225, lasts, 2.25])


def test_long_notes_are_held_where_the_part_has_rests() -> None:
    onset = np.arange(100) / 4 + np.repeat([0.0, 4.0], [60, 40])  # sixteenths, a note of two beats, sixteenths
    length = np.full(100, 0.25)
    length[59] = 2.0
    stab = np.log2(np.full(100, 0.1))
    legato = score(np.where(np.arange(100) > 59, onset - 2.25, onset), length=length)
    assert performed_beats(legato, stab)[59] == pytest.approx(0.24)  # every note fills its gap: nothing is meant by it
    for rests in (np.arange(100) // 10, (np.arange(100) + 5) // 10):  # before one of them, and between two
        part = legato.replace(onset_beats=legato.onset_beats + rests)
        assert performed_beats(part, stab)[59] == pytest.approx(1.0)
        assert performed_beats(part, stab)[0] == pytest.approx(0.025)
    few = legato.replace(onset_beats=legato.onset_beats + np.arange(100) // 50)
    assert 0.24 < performed_beats(few, stab)[59] < 0.3  # one rest more or less hardly matters


def test_a_last_long_chord_is_held() -> None:
    part = score([0, 1, 2, 2], length=[1.0, 1.0, 4.0, 4.0])
    assert performed_beats(part, np.log2(np.full(4, 0.3))) == pytest.approx([0.3, 0.3, 2.0, 2.0])
    part = score([0, 1, 2, 2], length=[1.0, 1.0, 0.9, 0.9])
    assert performed_beats(part, np.log2(np.full(4, 0.3)))[3] == pytest.approx(0.3)


def test_a_note_of_a_beat_or_more_is_no_click() -> None:
    """At 120 beats per minute 0.12 s are 0.24 beats."""
    part = score([0, 0, 1, 3, 3.5], length=[1.0, 1.0, 2.0, 0.5, 1.0])
    assert performed_beats(part, np.log2(np.full(5, 0.1)))[:4] == pytest.approx([0.24, 0.24, 0.24, 0.05])
    assert performed_beats(part, np.log2(np.full(5, 0.3)))[:4] == pytest.approx([0.3, 0.3, 0.6, 0.15])
    fast = part.replace(tempo_bpm=np.full(5, 480.0))
    assert performed_beats(fast, np.log2(np.full(5, 0.1)))[:3] == pytest.approx([0.5, 0.5, 0.96])


def test_a_bar_before_a_long_rest_tells_nothing_of_how_long_others_are_meant() -> None:
    part = score([0, 2, 4, 24, 28], length=[2.0, 2.0, 4.0, 4.0, 4.0])  # so training and evaluation write it
    played = performed_beats(part, np.log2([0.15, 0.15, 0.15, 2.0, 0.15]))
    assert played[:3] == pytest.approx([0.3, 0.3, 0.6])
    assert performed_beats(part, np.log2([1, 1, 2.0, 1, 1]))[2] == pytest.approx(4.4)  # but it does not ring into it


def test_the_gap_before_a_rest_of_many_bars_is_one_bar() -> None:
    part = score([0, 20], length=[0.75, 1.0])
    assert performed_beats(part, np.log2([0.1, 1.0]))[0] == pytest.approx(0.4)


def test_what_is_written_a_little_into_the_next_onset_stays_slurred() -> None:
    line = score([0, 0.5, 1.0, 2.0], [60, 62, 64, 65], length=[0.55, 0.5, 1.5, 1.0])
    assert performed_beats(line, np.full(4, -1.0)) == pytest.approx([0.55, 0.25, 0.75, 0.5])
    assert performed_beats(line, np.full(4, 1.0)) == pytest.approx([1.1, 1.0, 3.0, 2.0])
    thirds = score([0, 0, 0.5, 0.5, 1.0], [60, 64, 62, 65, 64], length=[0.55, 0.5, 0.502, 0.502, 1.0])
    assert performed_beats(thirds, np.full(5, -1.0)) == pytest.approx([0.55, 0.25, 0.502, 0.502, 0.5])
    whole = score([0, 4.0, 8.0], [60, 62, 64], length=[4.01, 4.0, 4.0])
    assert performed_beats(whole, np.full(3, -1.0))[0] == pytest.approx(4.01)


def test_a_note_written_up_to_the_next_onset_ends_there_or_rings_clearly_on() -> None:
    line = score([0, 1.0, 2.0, 3.0], [60, 62, 64, 65], length=1.0)
    assert performed_beats(line, np.log2([1.05, 1.2, 0.9, 1.0])) == pytest.approx([1.0, 1.2, 0.9, 1.0])


def test_a_note_that_ends_a_little_before_the_next_is_not_shortened_twice() -> None:
    """What was played once and is played again stays as it is."""
    line = score([0, 1.0, 2.0, 3.0], [60, 62, 64, 65], length=[0.8, 0.9, 1.0, 1.0])
    assert performed_beats(line, np.log2([0.85, 0.5, 0.85, 1.0]))[:2] == pytest.approx([0.8, 0.5])
    assert performed_beats(line, np.log2([1.5, 1.5, 1.5, 1.0]))[:2] == pytest.approx([1.2, 1.35])


def test_each_hand_has_slurs_and_a_last_chord_of_its_own() -> None:
    onset, hand = np.repeat(np.arange(8.0), 2), np.tile([0, 1], 8)
    part = score(onset, np.where(hand == 0, 76, 40), length=np.where(hand == 0, 1.1, 1.0))
    played = performed_beats(part, np.full(16, -1.0), hand)
    assert played[hand == 0] == pytest.approx([1.1] * 7 + [0.55])  # nothing follows the last
    assert played[hand == 1] == pytest.approx([0.5] * 8)
    left = score([0, 0, 1, 2, 3, 4, 4.5], [40, 76, 76, 76, 76, 76, 76], length=[4.0, 1, 1, 1, 1, 0.5, 0.5])
    assert performed_beats(left, np.full(7, -3.0), np.array([1, 0, 0, 0, 0, 0, 0]))[0] == pytest.approx(2.0)
    assert performed_beats(left, np.full(7, -3.0))[0] == pytest.approx(0.5)


def test_a_last_stab_is_staccato_beside_the_gap_before_it() -> None:
    part = score([0, 1, 2, 2], [60, 61, 62, 65], length=[1.0, 1.0, 0.2, 0.2])
    assert performed_beats(part, np.full(4, 2.0)) == pytest.approx([4, 4, 0.22, 0.22])
    assert performed_beats(score([5.0], length=0.2), np.array([2.0])) == pytest.approx([0.8])  # beside what?


def test_a_hand_that_plays_staccato_over_a_busy_one_does() -> None:
    right, left = np.arange(8.0), np.arange(32) / 4
    onset = np.concatenate([right, left])
    order = np.argsort(onset, kind="stable")
    hand = np.repeat([0, 1], [8, 32])[order]
    part = score(onset[order], np.where(hand == 0, 76, 40 + np.arange(40) % 5), length=0.25)
    wanted = np.full(40, np.log2(3.6))
    alone = performed_beats(part, wanted, hand)
    assert alone[hand == 0] == pytest.approx([0.275] * 8)
    assert (alone[hand == 1] > 0.275).any()
    assert performed_beats(part, wanted)[hand == 0] == pytest.approx([0.9] * 8)  # in one hand they may be held
    lone = score([0, 1, 2, 2, 3], [76, 76, 40, 76, 76], length=[1.0, 1.0, 0.2, 1.0, 1.0])
    stab = performed_beats(lone, np.full(5, 2.0), np.array([0, 0, 1, 0, 0]))
    assert stab[2] == pytest.approx(0.22)  # a hand of one chord goes by the other
    assert np.array_equal(performed_beats(part, wanted, hand + np.arange(40) % 4), performed_beats(part, wanted))


def test_a_note_longer_than_a_bar_ends_as_much_earlier_as_one_of_a_bar_and_never_later() -> None:
    part = score([0, 4, 20, 40], length=[4.0, 4.0, 16.0, 16.0])
    articulation = np.log2([0.75, 1.5, 0.75, 1.5])
    assert performed_beats(part, articulation) == pytest.approx([3, 4.4, 15, 16])  # the second stands before a rest
    waltz = score([0, 4], length=[3.0, 16.0], bar=3.0)
    assert performed_beats(waltz, np.log2([0.5, 0.5])) == pytest.approx([1.5, 14.5])
    free = score([0, 4], length=[3.5, 16.0], bar=3.0, grid=False)  # whose bars mean nothing
    assert performed_beats(free, np.log2([2.0, 0.5])) == pytest.approx([7, 14])


def test_the_gap_of_a_strummed_note_is_that_of_its_chord() -> None:
    strum = score([0, 0.05, 0.1, 1], [40, 47, 52, 40], length=[1, 0.95, 0.9, 1])
    assert (most_growth(strum) > 2).all()
    assert limit_durations(strum, np.full(4, 2.0)) == pytest.approx([1, 2, 2, 2])  # 40 is played again


def test_a_note_ends_before_its_pitch_begins_again() -> None:
    part = score([0, 1, 1.5, 3], [60, 62, 60, 62], length=[1, 0.5, 1.5, 1.2])
    assert limit_durations(part, np.full(4, 9.0)) == pytest.approx([1.5, 2, 9, 9])
    assert limit_durations(part, np.full(4, 0.3)) == pytest.approx([0.3] * 4)


def test_notes_of_one_pitch_that_begin_together_do_not_bound_each_other() -> None:
    unison = score([0, 0, 2], [60, 60, 60], length=2.0)
    assert limit_durations(unison, np.array([3.0, 3.0, 3.0])) == pytest.approx([2, 2, 3])


def test_repeated_pitches_of_another_segment_bound_nothing() -> None:
    two = score([0, 1], [60, 60], length=1.0, segment=[0, 1])
    assert limit_durations(two, np.array([5.0, 5.0])) == pytest.approx([5, 5])


def test_a_downbeat_played_early_draws_what_one_on_time_does() -> None:
    part = score(np.arange(16) * 1.0)
    early = np.where(part.beat_in_bar == 0, 3.99, part.beat_in_bar)
    np.testing.assert_array_equal(keyed_uniform(part, 1, 1), keyed_uniform(part.replace(beat_in_bar=early), 1, 1))
