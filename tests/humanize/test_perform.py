"""What is played at which level, and where the user has written dynamics of passages, with the weights that ship."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from builders import PIANO, part, random_score, riff, score, song

import duvhuman
from duvhuman.humanize import perform as module
from duvhuman.humanize.articulate import performed_beats
from duvhuman.humanize.decode import keyed_uniform, local_sd
from duvhuman.humanize.perform import (
    LEVEL_NOTES,
    expected_level,
    how_little,
    listen,
    perform,
    tells_accents,
    tilt_of_recitals,
    tilted,
)
from duvhuman.humanize.score import Hints, Score
from duvhuman.humanize.windows import Distribution, predict_distribution
from duvhuman.models.config import EXPECTED_LEVEL, VELOCITY_BIN_CENTRES, ModelConfig
from duvhuman.models.phrase_transformer import PhraseTransformer
from duvhuman.models.store import find_model

TERRACES = np.repeat([50.0, 90.0, 70.0], 64)


@pytest.mark.parametrize(("velocity", "tells"), [
    (TERRACES, False),
    (np.repeat([50.0, 90.0], 64), False),  # p and f
    (np.linspace(40, 100, 64), False), (np.linspace(40, 100, 16), False),  # crescendos
    (np.where(np.arange(64) % 8 == 0, 100.0, 80.0), True),  # an accent to a bar
    (np.where(np.arange(64) % 2 == 0, 100.0, 80.0), True),  # accents on beats
    (np.repeat([50.0, 90.0], 64) + 15.0 * (np.arange(128) % 8 == 0), True),  # both
    (np.random.default_rng(0).normal(70, 12, 200).round(), True),  # a performance
    (np.full(64, 80.0), False), (np.array([80.0]), False),
])
def test_accents_are_told_from_the_dynamics_of_passages(velocity: np.ndarray, tells: bool) -> None:
    assert tells_accents(_line(len(velocity)), velocity) is tells


@pytest.mark.parametrize("notes", [2, 4])
def test_an_accent_on_a_chord_is_one_and_so_is_a_note_above_its_chord(notes: int) -> None:
    chords = score(np.repeat(np.arange(32.0), notes), np.tile(np.arange(notes) + 60, 32))
    beat = np.repeat(np.arange(32), notes)
    assert tells_accents(chords, np.where(beat % 4 == 0, 100.0, 80.0))
    assert tells_accents(chords, np.where(np.tile(np.arange(notes), 32) == 0, 100.0, 80.0))  # a voice
    assert not tells_accents(chords, np.where(beat < 16, 100.0, 80.0))


def test_each_hand_is_compared_with_itself() -> None:
    both = score(np.repeat(np.arange(192.0), 2), np.tile([48, 72], 192))
    velocity, hand = np.ravel(np.stack([TERRACES, TERRACES - 20], axis=1)), np.tile([0, 1], len(TERRACES))
    assert not tells_accents(both, velocity, hand)
    assert tells_accents(both, velocity)


def _line(n: int) -> Score:
    return score(np.arange(n) / 2, 60 + np.arange(n) % 7)


def _keys(**config: float) -> PhraseTransformer:
    network = PhraseTransformer.from_pretrained(find_model("keys", None)).eval()
    network.config = dataclasses.replace(network.config, **config)
    return network


@pytest.mark.parametrize(("accent", "share", "beats"), [(0.0, 0.5, 8), (20.0, 0.25, 1000)])
def test_what_is_written_is_kept_and_notes_that_are_written_alike_are_played_as_on_a_flat_part(
    accent: float, share: float, beats: float
) -> None:
    line, network = _line(len(TERRACES)), _keys(passage_detail=0.5)
    written = TERRACES + accent * (np.arange(len(TERRACES)) % 4 == 0)
    flat = perform(network, line, np.full(len(written), written.mean())).velocity
    played = perform(network, line, written).velocity
    for number, level in enumerate(written):
        near = np.abs(line.onset_beats - line.onset_beats[number]) <= beats
        alike = near & (np.abs(written - level) <= 5)
        assert played[number] == pytest.approx(level + share * (flat[number] - flat[alike].mean()))
    assert np.std(played - written) > 0.5
    assert np.array_equal(perform(_keys(passage_detail=0.0), line, written).velocity, written)


@pytest.mark.parametrize(("accent", "number"), [(30.0, 1), (16.0, 1), (-30.0, 1), (30.0, 3)])
def test_where_hardly_anything_is_written_the_rest_is_played_as_on_a_flat_part(accent: float, number: int) -> None:
    """A few accents in 150 notes neither take the life out of the others nor get lost, however little they weigh."""
    line, network = _line(150), _keys(passage_detail=0.5)
    places = np.linspace(40, 100, number).astype(np.int64)
    written = np.full(150, 80.0)
    written[places] += accent
    flat, played = (perform(network, line, one).velocity for one in (np.full(150, 80.0), written))
    np.testing.assert_allclose(played[places], 80 + accent, atol=1e-9 if number == 1 else 5)
    others = np.delete(np.arange(150), places)
    assert np.corrcoef(flat[others], played[others])[0, 1] > 0.99
    assert 0.6 < played[others].std() / flat[others].std() <= 1.01


@pytest.mark.parametrize(("accent", "softer"), [(12.0, False), (6.0, False), (-12.0, True)])
def test_an_accent_is_no_softer_than_the_note_would_be_without_it(accent: float, softer: bool) -> None:
    line, network = _line(150), _keys(passage_detail=0.5)
    flat = perform(network, line, np.full(150, 80.0)).velocity
    place = int(flat.argmin() if softer else flat.argmax())
    played = perform(network, line, np.where(np.arange(150) == place, 80.0 + accent, 80.0)).velocity
    further = -1 if softer else 1
    assert further * (flat[place] - 80) > 8
    assert further * (played[place] - flat[place]) > -3


@pytest.mark.parametrize("share", [0.01, 0.03, 0.05])
def test_accents_stand_out_from_what_is_played_around_them(share: float) -> None:
    line, network, rng = random_score(600, seed=3), _keys(passage_detail=0.5), np.random.default_rng(0)
    accented = rng.random(600) < share
    played = perform(network, line, np.where(accented, 96.0, 80.0)).velocity
    around = [np.median(np.delete(played, n)[max(n - 4, 0) : n + 4]) for n in np.flatnonzero(accented)]
    assert np.mean(played[accented] > around) > 0.9


def test_where_hardly_anything_is_written_a_part_swells_as_a_flat_one_does() -> None:
    """Two louder chords at the end are no accents, but no reason to level the rest either."""
    high = np.arange(600) // 150 % 2
    line, network = score(np.arange(600) / 2, 52 + 20 * high + np.arange(600) % 7), _keys(passage_detail=0.5)
    written = np.where(np.arange(600) < 596, 80.0, 92.0)
    assert not tells_accents(line, written)
    flat, played = (perform(network, line, one).velocity[:596] for one in (np.full(600, 80.0), written))
    swells = [np.convolve(one, np.ones(64) / 64, "valid") for one in (flat, played)]
    assert np.ptp(swells[0]) > 3
    assert np.ptp(swells[1]) > 0.85 * np.ptp(swells[0])


def test_the_more_is_written_the_less_is_guessed() -> None:
    played = np.tile([70.0, 90.0], 500)  # ten from the median each
    for accents, loud, little in ((0, 30, 1), (30, 30, 0.7), (6, 180, 0.94), (100, 95, 0), (400, 90, 0)):
        assert how_little(np.where(np.arange(1000) < accents, loud, 80.0), played) == pytest.approx(little)
    assert how_little(np.full(3, 80.0), np.full(3, 80.0)) == 1


def test_what_hardly_varies_is_little() -> None:
    played = np.tile([70.0, 90.0], 500)
    for sd, little in ((1.5, 1), (2.0, 0.8), (3.0, 0.4), (4.0, 0)):
        assert how_little(80 + sd * np.tile([-1.0, 1.0], 500), played) == pytest.approx(little)


def test_a_part_with_one_accent_follows_others_as_a_flat_one_does() -> None:
    line, network = _line(150), _keys()
    written, swell = np.full(150, 80.0), np.sin(np.arange(150) / 20)
    written[70] = 96.0
    together, alone = (perform(network, line, written, company=louder).velocity for louder in (2 * swell, None))
    assert np.corrcoef(together - alone, swell)[0, 1] > 0.8
    assert together[70] == alone[70] == 96


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


@pytest.mark.parametrize("other", [121.0, 112.0])
def test_one_note_that_is_written_softer_takes_no_life_from_a_part_at_the_end_of_the_scale(other: float) -> None:
    score, network, written = random_score(600), _keys(), np.full(600, 127.0)
    flat = perform(network, score, written).velocity
    written[20] = other
    edited = perform(network, score, written).velocity
    assert flat.std() > 4
    assert np.abs(edited[100:] - flat[100:]).max() <= 1


def test_the_level_that_is_told_can_be_the_one_that_the_network_expects() -> None:
    score = random_score(96)
    expected = expected_level(_keys(), score)
    assert 50 < expected < 110
    written = np.full(96, 20.0)
    played = perform(_keys(typical_level=EXPECTED_LEVEL, register_tilt=0.0), score, written).velocity
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
    recital = _keys(typical_level=EXPECTED_LEVEL, register_tilt=0.5)
    plain = _keys(typical_level=EXPECTED_LEVEL, register_tilt=0.0)
    assert expected_level(recital, score) < 75
    flat, lively = np.full(96, 64.0), random_score(96, seed=2).pitch.astype(float)

    def slope(network: PhraseTransformer, velocity: np.ndarray, *, keep: bool) -> float:
        said = listen(network, score, velocity, keep=keep)
        return float(np.polyfit(score.pitch, said.expected_velocity, 1)[0])

    assert slope(recital, flat, keep=False) < slope(plain, flat, keep=False) - 0.02
    assert slope(recital, lively, keep=True) == slope(plain, lively, keep=True)
    told = [_keys(typical_level=60.0, register_tilt=tilt) for tilt in (0.0, 0.5)]
    assert slope(told[0], flat, keep=False) == slope(told[1], flat, keep=False)


# What the network is shown and told, and what is drawn.


def _seen_by_the_network(monkeypatch: pytest.MonkeyPatch, line: Score) -> list[tuple[Score, Hints]]:
    """What it is asked when it plays a flat part: which level it expects, then the part."""
    seen: list[tuple[Score, Hints]] = []

    def spy(model: PhraseTransformer, score: Score, hints: Hints, *given: Any, **named: Any) -> Distribution:
        seen.append((score, hints))
        return predict_distribution(model, score, hints, *given, **named)

    monkeypatch.setattr(module, "predict_distribution", spy)
    perform(_keys(typical_level=EXPECTED_LEVEL, typical_range=17.0), line, np.full(len(line), 80.0))
    assert len(seen) == 2
    return seen


def test_the_network_sees_no_note_that_is_longer_than_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    long = score(np.arange(40) * 5.0, 60 + np.arange(40) % 7, length=5.0, bar=3.0)
    for shown, _ in _seen_by_the_network(monkeypatch, long):
        assert set(shown.nominal_beats) == {3.0}


def test_of_a_flat_part_the_network_is_told_the_level_that_it_expects_and_its_range(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (_, asked), (_, told) = _seen_by_the_network(monkeypatch, _line(40))
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
    perform(_keys(), _line(200), np.full(200, 80.0))
    assert drawn == []
    perform(_keys(), _line(200), np.full(200, 80.0), variation=1.0, seed=3)
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
        perform(_keys(spread_share=share), _line(40), np.full(40, 80.0))
    assert asked == [False, True]
