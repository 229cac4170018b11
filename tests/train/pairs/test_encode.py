"""Batches: flat versions of phrases, their features and targets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from builders import score
from toys import numbered, performance, same_batch, seeded_draws, write_data

from duvhuman.humanize.features import CONTEXT_NOTES, compute_features, feature_names
from duvhuman.humanize.score import Hints
from duvhuman.train.dataset import PhraseData
from duvhuman.train.pairs import encode as module
from duvhuman.train.pairs.deadpan import Pair, pair_as_written
from duvhuman.train.pairs.draws import Draws
from duvhuman.train.pairs.encode import (
    HINT_CHANCES,
    RANGES,
    Batch,
    phrase_ends,
    random_hints,
    with_random_range,
)
from duvhuman.train.pairs.performance import Performance

NO_HINTS = dict.fromkeys(HINT_CHANCES, 0.0)
ALL_HINTS = dict.fromkeys(HINT_CHANCES, 1.0)


def as_written(played: Performance, draws: Draws, *, tempo_octaves: float) -> Pair:
    """Instead of `deadpan`: every note is written a beat long, nothing else is touched."""
    return pair_as_written(played, np.ones(len(played)))


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches without chance: no hints, nothing changed but the velocities and lengths taken off."""
    monkeypatch.setattr(module, "deadpan", as_written)
    monkeypatch.setattr(module, "with_random_range", lambda played, draws: played)
    for name in HINT_CHANCES:
        monkeypatch.setitem(HINT_CHANCES, name, 0.0)


def batch(data: PhraseData, phrases: Sequence[Sequence[int]], *, width: int = 12) -> Batch:
    return data.batch(np.array(phrases), data.parts, seed=0, epoch=0, width=width)


def test_a_batch_has_the_shapes_and_types_that_the_network_takes(data: PhraseData) -> None:
    one = data.batch(np.array([[0, 128, 0], [300, 340, 1]]), data.parts, seed=0, epoch=0, width=128)
    assert one.features.shape == (2, 128, len(feature_names()))
    assert {tuple(getattr(one, name).shape) for name in one._fields[:-1] if name != "features"} == {(2, 128)}
    assert one.taught.shape == (2, 128, 0)  # nobody teaches
    assert one.pitch.dtype == one.program.dtype == torch.int64
    assert one.mask.dtype == torch.bool
    assert {getattr(one, n).dtype for n in ("features", "velocity", "articulation", "boundary", "weight")} == {
        torch.float32
    }
    for name, values in one._asdict().items():
        assert torch.isfinite(values[one.mask]).all(), name
    assert one.to(torch.device("cpu")).pitch.equal(one.pitch)


@pytest.mark.usefixtures("plain")
def test_padding_is_zero_and_weighs_nothing(tmp_path: Path) -> None:
    data = write_data(tmp_path, [({}, numbered(40, pitch=60))])
    one = batch(data, [[0, 12, 0], [20, 25, 0]])
    assert one.mask.tolist() == [[True] * 12, [True] * 5 + [False] * 7]
    for name in one._fields:
        assert not getattr(one, name)[1, 5:].any(), name
    assert one.weight.tolist() == [[1.0] * 12, [1.0] * 5 + [0.0] * 7]


@pytest.mark.usefixtures("plain")
def test_repeated_bars_are_seen_and_weigh_nothing(tmp_path: Path) -> None:
    wanted = np.arange(40) % 3 > 0
    data = write_data(tmp_path, [({}, numbered(40, wanted=wanted))])
    one = batch(data, [[10, 22, 0]])
    assert one.mask.all()
    assert one.weight[0].tolist() == wanted[10:22].astype(float).tolist()


@pytest.mark.usefixtures("plain")
def test_the_targets_are_what_was_played(tmp_path: Path) -> None:
    duration = np.tile([480, 240, 960, 30], 10)
    data = write_data(tmp_path, [({}, numbered(40, duration=duration))])
    one = batch(data, [[4, 12, 0]])
    assert one.pitch[0, :8].tolist() == list(range(4, 12))
    assert one.velocity[0, :8].tolist() == list(range(5, 13))
    assert one.articulation[0, :8].tolist() == [0.0, -1.0, 1.0, -4.0] * 2  # of notes written a beat long
    assert one.program[0, :8].tolist() == [25] * 8


@pytest.mark.usefixtures("plain")
def test_context_is_heard_but_not_trained_on(tmp_path: Path) -> None:
    data = write_data(tmp_path, [({}, numbered(200))])
    one = batch(data, [[100, 112, 0]])
    around = slice(100 - CONTEXT_NOTES, 112 + CONTEXT_NOTES)
    whole = score(np.arange(200)[around] / 2, np.arange(200)[around] % 128)
    expected = compute_features(whole, Hints.none(len(whole)))[CONTEXT_NOTES:-CONTEXT_NOTES]
    np.testing.assert_array_equal(one.features[0].numpy(), expected)
    assert one.pitch[0].tolist() == list(range(100, 112))


def test_batches_follow_from_their_seed_alone(data: PhraseData) -> None:
    def drawn(seed: int) -> Batch:
        return data.batch(np.array([[0, 128, 0], [240, 300, 1]]), data.parts, seed=seed, epoch=0, width=128)

    assert same_batch(drawn(1), drawn(1))
    assert not drawn(1).features.equal(drawn(2).features)


# Players of a wide and of a narrow range.


def wide_and_narrow(spread: float) -> Performance:
    """A thousand phrases whose notes lie so many velocities over and under 64 in turn."""
    line = score(np.tile([0.0, 1.0], 1000), segment=np.repeat(np.arange(1000), 2))
    return replace(performance(line, velocity=np.tile([64 - spread, 64 + spread], 1000)), level=np.full(2000, 64.0))


@pytest.mark.parametrize("spread", [6.0, 14.0, 30.0])
def test_every_player_is_given_ranges_from_the_same_distribution(spread: float) -> None:
    after = with_random_range(wide_and_narrow(spread), seeded_draws(0, 1000))
    low, high = np.log2(RANGES)
    octaves = np.log2(after.range)
    assert low <= octaves.min() < octaves.max() <= high
    assert np.std(octaves) == pytest.approx((high - low) / np.sqrt(12), rel=0.05)
    played = 64 + np.tile([-1, 1], 1000) * after.range
    assert np.array_equal(after.velocity, np.round(played))  # the hint tells the truth


def test_a_part_that_is_nearly_flat_is_not_blown_up() -> None:
    after = with_random_range(wide_and_narrow(1.0), seeded_draws(0, 1000))
    assert after.range.max() <= RANGES[1] / 4
    assert np.array_equal(np.sign(after.velocity - 64), np.tile([-1, 1], 1000))


def test_rescaled_velocities_stay_midi_velocities() -> None:
    loud = replace(wide_and_narrow(6.0), level=np.full(2000, 120.0))
    after = with_random_range(replace(loud, velocity=loud.velocity + 56), seeded_draws(0, 1000))
    assert set(after.velocity[1::2]) == {127.0}
    assert after.velocity.min() >= 120 - RANGES[1]
    assert np.array_equal(after.velocity, np.round(after.velocity))


# Hints and phrase ends.


def two_phrases() -> Performance:
    played = performance(score([0, 1, 2, 3, 0, 1], segment=[0, 0, 0, 0, 1, 1]), velocity=[60, 60, 60, 100, 50, 54])
    return replace(played, level=np.array([66.0] * 4 + [52.0] * 2), range=np.array([12.0] * 4 + [3.0] * 2))


def test_hints_are_those_of_the_part_that_the_phrase_is_from() -> None:
    hints = random_hints(two_phrases(), seeded_draws(0, 2), ALL_HINTS)
    assert hints.level.tolist() == [66.0] * 4 + [52.0] * 2
    assert hints.range.tolist() == [12.0] * 4 + [3.0] * 2
    # Within two beats: means 60, 70, 70, 73.3 and 52; less the level -6, 4, 4, 7.3 and 0, in steps of 4.
    assert hints.swell.tolist() == [-8.0, 4.0, 4.0, 8.0, 0.0, 0.0]
    assert hints.accent.tolist() == [0.0, -1.0, -1.0, 1.0, 0.0, 0.0]


def test_hints_may_be_withheld() -> None:
    hints = random_hints(two_phrases(), seeded_draws(0, 2), NO_HINTS)
    assert all(np.isnan(values).all() for values in (hints.level, hints.range, hints.swell, hints.accent))


def test_each_hint_is_given_to_a_whole_phrase_or_not_at_all_and_as_often_as_its_chance() -> None:
    segments = np.repeat(np.arange(1000), 2)
    played = performance(score(np.tile([0.0, 1.0], 1000), segment=segments))
    hints = random_hints(played, seeded_draws(0, 1000))
    for name, column in (("level", hints.level), ("range", hints.range), ("contour", hints.swell)):
        given = np.isfinite(column).reshape(1000, 2)
        assert (given[:, 0] == given[:, 1]).all()
        assert given[:, 0].mean() == pytest.approx(HINT_CHANCES[name], abs=0.05)
    assert np.array_equal(np.isfinite(hints.swell), np.isfinite(hints.accent))


def test_a_phrase_ends_where_nothing_sounds_for_half_a_beat() -> None:
    onset = [0, 1, 2, 3, 4, 6, 0, 1]
    duration = [1, 0.5, 0.51, 4.0, 0.1, 0.1, 0.2, 9]
    segment = [0, 0, 0, 0, 0, 0, 1, 1]
    played = performance(score(onset, segment=segment), duration=duration)
    # Silences: 0, 0.5, 0.49; then the note of beat 3 sounds until 7; the last of a segment ends nothing; 0.8.
    assert phrase_ends(played).tolist() == [False, True, False, False, False, False, True, False]
