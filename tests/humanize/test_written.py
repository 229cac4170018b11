"""Dynamics that the user has written: which they are, and how they are kept, with the weights that ship."""

from __future__ import annotations

import numpy as np
import pytest
from builders import PIANO, eighths, part, random_score, riff, score, shipped_keys, song

import duvhuman
from duvhuman.humanize.perform import perform
from duvhuman.humanize.written import accents_told, how_little

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
    assert accents_told(eighths(len(velocity)), velocity) == tells


@pytest.mark.parametrize("notes", [2, 4])
def test_an_accent_on_a_chord_is_one_and_so_is_a_note_above_its_chord(notes: int) -> None:
    chords = score(np.repeat(np.arange(32.0), notes), np.tile(np.arange(notes) + 60, 32))
    beat = np.repeat(np.arange(32), notes)
    assert accents_told(chords, np.where(beat % 4 == 0, 100.0, 80.0)) == 1
    assert accents_told(chords, np.where(np.tile(np.arange(notes), 32) == 0, 100.0, 80.0)) == 1  # a voice
    assert accents_told(chords, np.where(beat < 16, 100.0, 80.0)) == 0


def test_each_hand_is_compared_with_itself() -> None:
    both = score(np.repeat(np.arange(192.0), 2), np.tile([48, 72], 192))
    velocity, hand = np.ravel(np.stack([TERRACES, TERRACES - 20], axis=1)), np.tile([0, 1], len(TERRACES))
    assert accents_told(both, velocity, hand) == 0
    assert accents_told(both, velocity) == 1


@pytest.mark.parametrize(("accent", "share", "beats"), [(0.0, 0.5, 8), (20.0, 0.25, 1000)])
def test_what_is_written_is_kept_and_notes_that_are_written_alike_are_played_as_on_a_flat_part(
    accent: float, share: float, beats: float
) -> None:
    line, network = eighths(len(TERRACES)), shipped_keys(passage_detail=0.5)
    written = TERRACES + accent * (np.arange(len(TERRACES)) % 4 == 0)
    flat = perform(network, line, np.full(len(written), written.mean())).velocity
    played = perform(network, line, written).velocity
    for number, level in enumerate(written):
        near = np.abs(line.onset_beats - line.onset_beats[number]) <= beats
        alike = near & (np.abs(written - level) <= 5)
        assert played[number] == pytest.approx(level + share * (flat[number] - flat[alike].mean()))
    assert np.std(played - written) > 0.5
    assert np.array_equal(perform(shipped_keys(passage_detail=0.0), line, written).velocity, written)


@pytest.mark.parametrize(("accent", "number"), [(30.0, 1), (16.0, 1), (-30.0, 1), (30.0, 3)])
def test_where_hardly_anything_is_written_the_rest_is_played_as_on_a_flat_part(accent: float, number: int) -> None:
    """A few accents in 150 notes neither take the life out of the others nor get lost, however little they weigh."""
    line, network = eighths(150), shipped_keys(passage_detail=0.5)
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
    line, network = eighths(150), shipped_keys(passage_detail=0.5)
    flat = perform(network, line, np.full(150, 80.0)).velocity
    place = int(flat.argmin() if softer else flat.argmax())
    played = perform(network, line, np.where(np.arange(150) == place, 80.0 + accent, 80.0)).velocity
    further = -1 if softer else 1
    assert further * (flat[place] - 80) > 8
    assert further * (played[place] - flat[place]) > -3


@pytest.mark.parametrize("share", [0.01, 0.03, 0.05])
def test_accents_stand_out_from_what_is_played_around_them(share: float) -> None:
    line, network, rng = random_score(600, seed=3), shipped_keys(passage_detail=0.5), np.random.default_rng(0)
    accented = rng.random(600) < share
    played = perform(network, line, np.where(accented, 96.0, 80.0)).velocity
    around = [np.median(np.delete(played, n)[max(n - 4, 0) : n + 4]) for n in np.flatnonzero(accented)]
    assert np.mean(played[accented] > around) > 0.9


def test_where_hardly_anything_is_written_a_part_swells_as_a_flat_one_does() -> None:
    """Two louder chords at the end are no accents, but no reason to level the rest either."""
    high = np.arange(600) // 150 % 2
    line, network = score(np.arange(600) / 2, 52 + 20 * high + np.arange(600) % 7), shipped_keys(passage_detail=0.5)
    written = np.where(np.arange(600) < 596, 80.0, 92.0)
    assert accents_told(line, written) == 0
    flat, played = (perform(network, line, one).velocity[:596] for one in (np.full(600, 80.0), written))
    swells = [np.convolve(one, np.ones(64) / 64, "valid") for one in (flat, played)]
    assert np.ptp(swells[0]) > 3
    assert np.ptp(swells[1]) > 0.85 * np.ptp(swells[0])


def test_what_is_flat_beside_what_was_played_lives_as_if_all_were_flat() -> None:
    """A chorus that was programmed after a verse that was played; a left hand that was beside a right one."""
    network, rng = shipped_keys(passage_detail=0.5), np.random.default_rng(0)
    line = eighths(600)
    second = np.arange(600) >= 300
    verse = np.where(second, 80.0, 80 + 12 * rng.standard_normal(600)).round()
    flat, played = (perform(network, line, one).velocity for one in (np.full(600, 80.0), verse))
    assert played[400:].std() > 0.9 * flat[400:].std()
    assert abs(played[400:].mean() - 80) < 3
    assert np.corrcoef(played[~second], verse[~second])[0, 1] > 0.95
    both = score(np.repeat(np.arange(300) / 2, 2), np.ravel([[48 + n % 5, 72 + n % 7] for n in range(300)]))
    right = np.arange(600) % 2 == 1
    written = np.where(right, 80 + 12 * rng.standard_normal(600), 80.0).round()
    hand = right.astype(int)
    flat, played = (perform(network, both, one, hand=hand).velocity for one in (np.full(600, 80.0), written))
    assert played[~right].std() > 0.9 * flat[~right].std()
    assert np.corrcoef(played[right], written[right])[0, 1] > 0.95


def test_the_more_is_written_the_less_is_guessed() -> None:
    played = np.tile([70.0, 90.0], 50)  # ten from the median each
    for accents, loud, little in ((0, 45, 1), (3, 45, 0.7), (1, 180, 0.9), (10, 95, 0), (40, 90, 0)):
        written = np.where(np.arange(100) < accents, loud, 80.0)
        assert how_little(eighths(100), written, played, np.zeros(100, int)) == pytest.approx(little)
    assert set(how_little(eighths(3), np.full(3, 80.0), np.full(3, 80.0), np.zeros(3, int))) == {1}


def test_what_hardly_varies_is_little() -> None:
    played = np.tile([70.0, 90.0], 50)
    for sd, little in ((1.5, 1), (2.0, 0.8), (3.0, 0.4), (4.0, 0)):
        written = 80 + sd * np.tile([-1.0, 1.0], 50)
        assert how_little(eighths(100), written, played, np.zeros(100, int)) == pytest.approx(little)


def test_beside_what_was_played_nothing_is_written_of_a_run_at_one_velocity_or_a_hand() -> None:
    usual, lively = np.tile([70.0, 90.0], 200), np.tile([60.0, 100.0], 200)
    first, even, line = np.arange(400) < 200, np.arange(400) % 4 < 2, eighths(400)
    of_verse = how_little(line, np.where(first, lively, 80.0), usual, np.zeros(400, int))
    assert set(of_verse[:190]) == {0}
    assert set(of_verse[200:]) == {1}
    for equal in (24, 32):
        run = (np.arange(400) >= 100) & (np.arange(400) < 100 + equal)
        assert set(how_little(line, np.where(run, 80.0, lively), usual, np.zeros(400, int))[run]) == {equal == 32}
    blocks = np.where(first, 50.0, 80.0)
    assert set(how_little(line, blocks, usual, np.zeros(400, int))) == {0}
    blocks[[250, 350]] = 100  # two accents make no passages flat
    assert how_little(line, blocks, usual, np.zeros(400, int)).max() < 0.2
    of_hands = how_little(line, np.where(even, lively, 80.0), usual, even.astype(int))
    assert set(of_hands[even]) == {0}
    assert set(of_hands[~even]) == {1}


def test_ghost_notes_take_no_life_from_the_others() -> None:
    line, network = eighths(400), shipped_keys()
    ghosts = np.arange(400) % 4 == 1
    flat = perform(network, line, np.full(400, 100.0)).velocity
    played = perform(network, line, np.where(ghosts, 30.0, 100.0)).velocity
    assert played[~ghosts].std() > 0.8 * flat[~ghosts].std()
    assert played[ghosts].max() < 45


def test_a_part_with_one_accent_follows_others_as_a_flat_one_does() -> None:
    line, network = eighths(150), shipped_keys()
    written, swell = np.full(150, 80.0), np.sin(np.arange(150) / 20)
    written[70] = 96.0
    together, alone = (perform(network, line, written, company=louder).velocity for louder in (2 * swell, None))
    assert np.corrcoef(together - alone, swell)[0, 1] > 0.8
    assert together[70] == alone[70] == 96


def test_dynamics_of_passages_can_be_set_aside() -> None:
    score, network = random_score(len(TERRACES)), shipped_keys()
    flat = perform(network, score, np.full(len(TERRACES), TERRACES.mean())).velocity
    assert np.array_equal(perform(network, score, TERRACES, keep_dynamics=False).velocity, flat)


def test_what_is_played_stays_within_midi() -> None:
    score = random_score(len(TERRACES))
    played = perform(shipped_keys(passage_detail=1.0), score, np.repeat([2.0, 126.0, 64.0], 64)).velocity
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


