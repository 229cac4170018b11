"""What is played at which level, and where the user has written dynamics of passages, with the weights that ship."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from builders import eighths, random_score, score, shipped_keys

from duvhuman.humanize import perform as module
from duvhuman.humanize.articulate import performed_beats
from duvhuman.humanize.decode import keyed_uniform, local_sd
from duvhuman.humanize.perform import (
    LEVEL_NOTES,
    expected_level,
    listen,
    perform,
    tilt_of_recitals,
    tilted,
)
from duvhuman.humanize.score import Hints, Score
from duvhuman.humanize.windows import Distribution, predict_distribution
from duvhuman.models.config import EXPECTED_LEVEL, VELOCITY_BIN_CENTRES, ModelConfig
from duvhuman.models.phrase_transformer import PhraseTransformer


@pytest.mark.parametrize("level", [40.0, 64.0, 95.5])
@pytest.mark.parametrize("variation", [0.0, 0.5])
def test_a_part_is_as_loud_as_it_is_written(level: float, variation: float) -> None:
    score = random_score(300)
    played = perform(shipped_keys(), score, np.full(300, level), variation=variation, seed=3).velocity
    assert abs(played.mean() - level) < (0.6 if variation == 0 else 5)
    assert played.std() > 3


@pytest.mark.parametrize("other", [121.0, 112.0])
def test_one_note_that_is_written_softer_takes_no_life_from_a_part_at_the_end_of_the_scale(other: float) -> None:
    score, network, written = random_score(600), shipped_keys(), np.full(600, 127.0)
    flat = perform(network, score, written).velocity
    written[20] = other
    edited = perform(network, score, written).velocity
    assert flat.std() > 4
    assert np.abs(edited[100:] - flat[100:]).max() <= 1


def test_the_level_that_is_told_can_be_the_one_that_the_network_expects() -> None:
    score = random_score(96)
    expected = expected_level(shipped_keys(), score)
    assert 50 < expected < 110
    written = np.full(96, 20.0)
    played = perform(shipped_keys(typical_level=EXPECTED_LEVEL, register_tilt=0.0), score, written).velocity
    assert np.array_equal(played, perform(shipped_keys(typical_level=expected), score, written).velocity)
    assert not np.array_equal(played, perform(shipped_keys(typical_level=expected - 32), score, written).velocity)
    assert not np.array_equal(played, perform(shipped_keys(typical_level=0.0), score, written).velocity)


def test_the_level_to_be_expected_follows_from_the_middle_of_a_part_and_not_from_what_is_written() -> None:
    network = shipped_keys(typical_level=EXPECTED_LEVEL)
    score = random_score(LEVEL_NOTES + 200)
    higher = score.pitch.copy()
    higher[:90], higher[-90:] = higher[:90] + 30, higher[-90:] + 30
    assert expected_level(network, score.replace(pitch=higher)) == expected_level(network, score)
    higher[300:400] += 30
    assert expected_level(network, score.replace(pitch=higher)) != expected_level(network, score)
    one, two = (perform(network, random_score(96), np.full(96, level)).velocity for level in (50.0, 71.0))
    assert two == pytest.approx(one + 21, abs=1e-9)


@pytest.mark.parametrize(("level", "tilt"), [
    (40.0, 0.3), (70.0, 0.3), (73.0, 0.15), (74.0, 0.1), (76.0, 0.0), (100.0, 0.0)
])
def test_the_less_is_expected_the_more_a_part_is_a_recital(level: float, tilt: float) -> None:
    assert tilt_of_recitals(ModelConfig(typical_level=level, register_tilt=0.3)) == pytest.approx(tilt)


def _rising(n: int = 200) -> tuple[Distribution, np.ndarray]:
    """What is expected of notes that wander: half a velocity more for each semitone, and something beside it."""
    pitch = 60 + np.random.default_rng(1).integers(-12, 13, n)
    bins = (64 + 0.5 * (pitch - 60) + 3 * np.sin(np.arange(n)) - VELOCITY_BIN_CENTRES[0]) / 8
    low = np.floor(bins).astype(int)
    probabilities = np.zeros((n, 16))
    probabilities[np.arange(n), low], probabilities[np.arange(n), low + 1] = 1 - (bins - low), bins - low
    return Distribution(probabilities, np.full(n, 64.0), np.full((n, 16), 1 / 16), np.zeros(n)), pitch


def test_a_tilted_part_rises_less_with_pitch_and_is_as_lively() -> None:
    said, pitch = _rising()
    part = random_score(len(pitch)).replace(pitch=pitch)
    before, after = (
        one.expected_velocity for one in (said, tilted(said, part, 0.2, level=64.0))
    )
    assert local_sd(after) == pytest.approx(local_sd(before), rel=0.02)
    assert after.mean() == pytest.approx(before.mean(), abs=0.1)
    slopes = [np.polyfit(pitch, values, 1)[0] / values.std() for values in (before, after)]
    assert slopes[1] < 0.9 * slopes[0]
    beside = [np.corrcoef(values, np.sin(np.arange(len(pitch))))[0, 1] for values in (before, after)]
    assert beside[1] > 1.1 * beside[0]
    nothing_left = tilted(said, part, 0.5, level=64.0).expected_velocity
    assert local_sd(nothing_left).max() < 1.05 * local_sd(before).max()


def test_the_tilt_looks_at_the_notes_around_alone() -> None:
    said, pitch = _rising(300)
    part = random_score(len(pitch))
    lower = pitch.copy()
    lower[200:] -= 20
    usual, edited = (tilted(said, part.replace(pitch=one), 0.2, level=64.0).expected_velocity for one in (pitch, lower))
    moved = edited - usual
    assert np.abs(moved[168:232]).max() > 1
    assert abs(moved[240:].mean() - moved[:160].mean()) < 0.3


def test_recitals_are_tilted_where_the_level_is_expected_and_no_dynamics_are_kept() -> None:
    score = random_score(96)
    recital = shipped_keys(typical_level=EXPECTED_LEVEL, register_tilt=0.5)
    plain = shipped_keys(typical_level=EXPECTED_LEVEL, register_tilt=0.0)
    assert expected_level(recital, score) < 75
    flat, lively = np.full(96, 64.0), random_score(96, seed=2).pitch.astype(float)

    def slope(network: PhraseTransformer, velocity: np.ndarray, *, keep: bool) -> float:
        said = listen(network, score, velocity, keep=keep)
        return float(np.polyfit(score.pitch, said.expected_velocity, 1)[0])

    assert slope(recital, flat, keep=False) < slope(plain, flat, keep=False) - 0.02
    assert slope(recital, lively, keep=True) == slope(plain, lively, keep=True)
    told = [shipped_keys(typical_level=60.0, register_tilt=tilt) for tilt in (0.0, 0.5)]
    assert slope(told[0], flat, keep=False) == slope(told[1], flat, keep=False)


# What the network is shown and told, and what is drawn.


def _seen_by_the_network(monkeypatch: pytest.MonkeyPatch, line: Score) -> list[tuple[Score, Hints]]:
    """What it is asked when it plays a flat part: which level it expects, then the part."""
    seen: list[tuple[Score, Hints]] = []

    def spy(model: PhraseTransformer, score: Score, hints: Hints, *given: Any, **named: Any) -> Distribution:
        seen.append((score, hints))
        return predict_distribution(model, score, hints, *given, **named)

    monkeypatch.setattr(module, "predict_distribution", spy)
    perform(shipped_keys(typical_level=EXPECTED_LEVEL, typical_range=17.0), line, np.full(len(line), 80.0))
    assert len(seen) == 2
    return seen


def test_the_network_sees_no_note_that_is_longer_than_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    long = score(np.arange(40) * 5.0, 60 + np.arange(40) % 7, length=5.0, bar=3.0)
    for shown, _ in _seen_by_the_network(monkeypatch, long):
        assert set(shown.nominal_beats) == {3.0}


def test_of_a_flat_part_the_network_is_told_the_level_that_it_expects_and_its_range(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (_, asked), (_, told) = _seen_by_the_network(monkeypatch, eighths(40))
    assert np.isnan(asked.level).all()
    assert len(set(told.level)) == 1
    assert np.isfinite(told.level).all()
    for hints in (asked, told):
        assert set(hints.range) == {17.0}
        assert np.isnan(hints.swell).all()
        assert np.isnan(hints.accent).all()


def test_velocities_and_lengths_are_drawn_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[np.ndarray] = []

    def spy(line: Score, seed: int, salt: int) -> np.ndarray:
        drawn.append(keyed_uniform(line, seed, salt))
        return drawn[-1]

    monkeypatch.setattr(module, "keyed_uniform", spy)
    perform(shipped_keys(), eighths(200), np.full(200, 80.0))
    assert drawn == []
    perform(shipped_keys(), eighths(200), np.full(200, 80.0), variation=1.0, seed=3)
    velocity, length = drawn
    assert abs(np.corrcoef(velocity, length)[0, 1]) < 0.3


def test_with_a_take_lengths_are_as_it_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a personal adapter the spread has no share in the gain."""
    asked: list[bool] = []

    def spy(*given: Any, as_in_a_take: bool) -> np.ndarray:
        asked.append(as_in_a_take)
        return performed_beats(*given, as_in_a_take=as_in_a_take)

    monkeypatch.setattr(module, "performed_beats", spy)
    for share in (0.5, 0.0):
        perform(shipped_keys(spread_share=share), eighths(40), np.full(40, 80.0))
    assert asked == [False, True]
