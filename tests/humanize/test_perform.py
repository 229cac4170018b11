"""What is played at which level, and where the user has written dynamics of passages, with the weights that ship."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from builders import PIANO, part, random_score, riff, song

import duvhuman
from duvhuman.humanize.perform import LEVEL_NOTES, expected_level, perform, tells_passages
from duvhuman.humanize.score import neighbours, window_mean
from duvhuman.models.config import EXPECTED_LEVEL
from duvhuman.models.phrase_transformer import PhraseTransformer
from duvhuman.models.store import find_model

TERRACES = np.repeat([50.0, 90.0, 70.0], 64)


@pytest.mark.parametrize(("velocity", "tells"), [
    (TERRACES, True),
    (np.repeat([50.0, 90.0], 64), True),  # p and f
    (np.linspace(40, 100, 64), True),  # a crescendo
    (np.where(np.arange(64) % 8 == 0, 100.0, 80.0), True),  # an accent to a bar
    (np.where(np.arange(64) % 2 == 0, 100.0, 80.0), False),  # accents on beats
    (np.random.default_rng(0).normal(70, 12, 200).round(), False),  # a performance
    (np.full(64, 80.0), False), (np.array([80.0]), False),
])  # fmt: skip
def test_dynamics_of_passages_are_told_from_those_of_notes(velocity: np.ndarray, tells: bool) -> None:
    assert tells_passages(velocity) is tells


def test_each_hand_is_compared_with_itself() -> None:
    velocity, hand = np.ravel(np.stack([TERRACES, TERRACES - 20], axis=1)), np.tile([0, 1], len(TERRACES))
    assert tells_passages(velocity, hand)
    assert not tells_passages(velocity)


def _keys(**config: float) -> PhraseTransformer:
    network = PhraseTransformer.from_pretrained(find_model("keys", None)).eval()
    network.config = dataclasses.replace(network.config, **config)
    return network


def test_passages_are_kept_and_notes_within_them_are_played_as_on_a_flat_part() -> None:
    score, network = random_score(len(TERRACES)), _keys(passage_detail=0.5)
    flat = perform(network, score, np.full(len(TERRACES), TERRACES.mean())).velocity
    played = perform(network, score, TERRACES).velocity
    detail = flat - window_mean(flat, *neighbours(score.onset_beats, 8.0))
    assert np.std(detail) > 2
    assert np.allclose(played, TERRACES + 0.5 * detail)
    assert np.array_equal(perform(_keys(passage_detail=0.0), score, TERRACES).velocity, TERRACES)


def test_dynamics_of_passages_can_be_set_aside() -> None:
    score, network = random_score(len(TERRACES)), _keys()
    flat = perform(network, score, np.full(len(TERRACES), TERRACES.mean())).velocity
    assert np.array_equal(perform(network, score, TERRACES, keep_dynamics=False).velocity, flat)


def test_what_is_played_stays_within_midi() -> None:
    score = random_score(len(TERRACES))
    played = perform(_keys(passage_detail=1.0), score, np.repeat([2.0, 126.0, 64.0], 64)).velocity
    assert played.min() == 1
    assert played.max() == 127


def test_two_hands_keep_the_dynamics_that_both_are_written_in() -> None:
    marks = [40] * 64 + [90] * 64
    hands = song(
        part(riff(128, low=70, velocity=marks), number=PIANO),
        part(riff(128, velocity=[mark - 10 for mark in marks]), number=PIANO, channel=1),
    )
    (notes,) = (found.notes for found in duvhuman.humanize(hands, "keys").notes)
    soft = notes.onset_ticks < 64 * 240
    for track, written in ((0, 0), (1, -10)):
        for passage, mark in ((soft, 40), (~soft, 90)):
            assert abs(notes.velocity[passage & (notes.track == track)].mean() - mark - written) < 6


@pytest.mark.parametrize("level", [40.0, 64.0, 95.5])
@pytest.mark.parametrize("variation", [0.0, 0.5])
def test_a_part_is_as_loud_as_it_is_written(level: float, variation: float) -> None:
    score = random_score(300)
    played = perform(_keys(), score, np.full(300, level), variation=variation, seed=3).velocity
    assert abs(played.mean() - level) < (0.6 if variation == 0 else 5)
    assert played.std() > 3


def test_the_level_that_is_told_can_be_the_one_that_the_network_expects() -> None:
    score = random_score(96)
    expected = expected_level(_keys(), score)
    assert 50 < expected < 110
    written = np.full(96, 20.0)
    played = perform(_keys(typical_level=EXPECTED_LEVEL), score, written).velocity
    assert np.array_equal(played, perform(_keys(typical_level=expected), score, written).velocity)
    assert not np.array_equal(played, perform(_keys(typical_level=expected - 32), score, written).velocity)
    assert not np.array_equal(played, perform(_keys(typical_level=0.0), score, written).velocity)


def test_the_level_to_be_expected_follows_from_the_middle_of_a_part_and_not_from_what_is_written() -> None:
    network = _keys(typical_level=EXPECTED_LEVEL)
    score = random_score(LEVEL_NOTES + 200)
    higher = score.pitch.copy()
    higher[:90], higher[-90:] = higher[:90] + 30, higher[-90:] + 30
    assert expected_level(network, score.replace(pitch=higher)) == expected_level(network, score)
    higher[300:400] += 30
    assert expected_level(network, score.replace(pitch=higher)) != expected_level(network, score)
    one, two = (perform(network, random_score(96), np.full(96, level)).velocity for level in (50.0, 74.0))
    assert np.abs(two - one - 24).max() < 1  # but for what the end bins hold
