"""How loud hands are beside each other: the user's decision, if there is one, else the network's."""

from __future__ import annotations

import numpy as np
import pytest
from builders import PIANO, part, riff, score, song

import duvhuman
from duvhuman.humanize.balance import (
    FARTHEST_SHARE,
    SOFTEST,
    hands_of,
    levelled,
    with_room,
    written_balance,
)
from duvhuman.midi.notes import read_parts
from duvhuman.midi.smf import parse_smf

HAND = np.array([0, 1, 0, 1, 1])
FIVE = score([0, 0, 1, 1, 2])


def test_a_hand_is_a_track_and_channel() -> None:
    tracks = [part(riff(2, low=70), number=PIANO), part(riff(2), number=PIANO, channel=1)]
    (notes,) = (found.notes for found in read_parts(parse_smf(song(*tracks))))
    assert notes.track.tolist() == [1, 0, 1, 0]
    assert hands_of(notes).tolist() == [1, 0, 1, 0]


def test_flat_hands_at_levels_of_their_own_are_a_decision() -> None:
    lift = written_balance(np.array([80.0, 60, 80, 60, 60]), HAND, FIVE)
    assert np.allclose(lift, [12, -8, 12, -8, -8])


def test_hands_at_one_level_and_hands_that_are_not_flat_are_none() -> None:
    assert not written_balance(np.array([64.0, 65, 64, 65, 65]), HAND, FIVE).any()
    assert not written_balance(np.array([40.0, 60, 80, 50, 70]), HAND, FIVE).any()
    assert not written_balance(np.array([80.0, 60, 80, 60, 60]), np.zeros(5, dtype=np.int64), FIVE).any()


MELODY = score(np.repeat(np.arange(32.0), 4), np.ravel([[48, 52, 55, 72 + beat % 5] for beat in range(32)]))
UPPER = np.arange(128) % 4 == 3


@pytest.mark.parametrize("level", [70.0, 84.0, 100.0])
def test_a_melody_written_at_a_level_of_its_own_over_its_chords_is_a_decision(level: float) -> None:
    lift = written_balance(np.where(UPPER, level, 80.0), np.zeros(128, dtype=np.int64), MELODY)
    assert np.allclose(lift[UPPER] - lift[~UPPER][0], level - 80)
    assert abs(lift.mean()) < 1e-9


@pytest.mark.parametrize("accented", [
    np.arange(128) // 4 % 4 == 0,  # chords
    UPPER & (np.arange(128) // 4 % 2 == 0),  # notes of the melody
    np.arange(128) % 4 == 1,  # an inner voice, which lies neither above the others nor below
    np.arange(128) == 3,
])
def test_accents_are_no_layer(accented: np.ndarray) -> None:
    assert not written_balance(np.where(accented, 96.0, 80.0), np.zeros(128, dtype=np.int64), MELODY).any()


def test_in_a_line_alone_there_are_no_layers() -> None:
    arpeggio = score(np.arange(128) / 2, np.tile([45, 57, 60, 64, 69, 64, 60, 57], 16), length=0.5)
    downbeats = np.where(np.arange(128) % 8 == 0, 105.0, 85.0)
    assert not written_balance(downbeats, np.zeros(128, dtype=np.int64), arpeggio).any()


@pytest.mark.parametrize(("row", "level"), [(3, 80.0), (3, 90.0), (7, 104.0), (5, 100.0)])
def test_a_note_at_another_level_is_an_accent_of_its_own_layer_and_hand(row: int, level: float) -> None:
    written = np.where(UPPER, 100.0, 80.0)
    usual = written_balance(written, np.zeros(128, dtype=np.int64), MELODY)
    written[row] = level
    for hand in (np.zeros(128, dtype=np.int64), UPPER.astype(np.int64)):
        assert np.allclose(written_balance(written, hand, MELODY), usual, atol=0.3)


def test_a_melody_is_no_louder_where_an_accompaniment_joins_it() -> None:
    line = score(np.append(np.arange(64.0), np.arange(32.0, 64.0)), np.append(np.full(64, 72), np.full(32, 48)))
    order = np.argsort(line.onset_beats, kind="stable")
    line, right = line.select(order), np.append(np.ones(64), np.zeros(32))[order] == 1
    lift = np.where(right, 5.0, -10.0)
    joined = right & (line.onset_beats >= 32)
    moved = levelled(np.where(joined, 90.0, 70.0) + np.arange(96) % 3, lift, line)
    alone = right & (line.onset_beats < 28)
    assert moved[joined].mean() == pytest.approx(moved[alone].mean(), abs=3)  # 20 as it was


def test_a_melody_that_is_written_louder_lives_as_on_a_track_of_its_own() -> None:
    notes = [(beat * 480, 480, pitch) for beat in range(32) for pitch in (48, 52, 55)]
    notes += [(number * 240, 240, 72 + number * 5 % 7) for number in range(64)]
    spread = []
    for level in (80, 100):
        played = duvhuman.predict(song(part(
            [(tick, pitch, level if pitch >= 72 else 80, length) for tick, length, pitch in sorted(notes)], number=PIANO
        )), "keys")
        spread.append([played.velocity[rows].std() for rows in (played.pitch >= 72, played.pitch < 72)])
    apart = played.velocity[played.pitch >= 72].mean() - played.velocity[played.pitch < 72].mean()
    assert apart == pytest.approx(20, abs=0.6)
    assert np.allclose(*spread, atol=0.5)


def test_balanced_keeps_what_is_played_within_a_hand() -> None:
    played = np.array([70.0, 60, 74, 50, 55])
    lift = np.array([12.0, -8, 12, -8, -8])
    moved = levelled(played, lift, FIVE) + lift
    assert np.isclose(moved.mean(), played.mean())
    for one in (0, 1):
        mine = one == HAND
        assert np.allclose(moved[mine] - moved[mine].mean(), played[mine] - played[mine].mean())
    assert np.isclose(moved[HAND == 0].mean() - moved[HAND == 1].mean(), 20)
    assert levelled(played, np.zeros(5), FIVE) is played


SPREAD = np.random.default_rng(0).normal(0, 10, 1000)


@pytest.mark.parametrize("level", [20.0, 80.0, 118.0, 121.0, 127.0, 140.0])
def test_what_has_no_room_for_its_dynamics_is_played_softer(level: float) -> None:
    played = with_room(level + SPREAD)
    assert played.min() >= 1
    assert played.max() <= 127
    if level <= 121:  # 30 % of normal deviates are above 0.52 SD
        assert np.array_equal(played, np.clip(level + SPREAD, 1, 127))
    else:
        assert FARTHEST_SHARE - 0.05 < np.mean(played == 127) <= FARTHEST_SHARE
        assert np.ptp((played - SPREAD)[played < 127]) < 1e-9


def test_the_louder_hand_has_room_too_but_not_each_string_of_a_guitar() -> None:
    upper = np.arange(1000) % 2
    played = with_room(110 + 15 * upper + SPREAD / 2, upper)
    assert FARTHEST_SHARE - 0.1 < np.mean(played[upper == 1] == 127) <= FARTHEST_SHARE
    strings = np.arange(1000) % 6
    assert np.array_equal(with_room(110 + 4 * strings + SPREAD / 2, strings), with_room(110 + 4 * strings + SPREAD / 2))


def _hands(right: int = 64, left: int = 64) -> bytes:
    """Two flat hands, written at these velocities."""
    return song(
        part(riff(64, low=70, velocity=right), number=PIANO), part(riff(64, velocity=left), number=PIANO, channel=1)
    )


def _means(right: int, left: int) -> list[float]:
    """The mean velocities of two hands after they were played, written at these."""
    (notes,) = (found.notes for found in duvhuman.humanize(_hands(right, left), "keys").notes)
    return [float(notes.velocity[notes.track == track].mean()) for track in (0, 1)]


def test_a_pianist_plays_the_upper_hand_louder_unless_hands_are_written_at_levels_of_their_own() -> None:
    right, left = _means(64, 64)
    assert right > left + 2
    assert abs((right + left) / 2 - 64) < 3
    right, left = _means(50, 70)
    assert abs(right - left + 20) < 1
    assert abs((right + left) / 2 - 60) < 3


def test_one_of_two_hands_is_played_as_with_the_other_one_and_alone_changes() -> None:
    before = parse_smf(_hands())
    one, both = (
        parse_smf(duvhuman.humanize(_hands(), "keys", tracks=tracks).to_bytes()) for tracks in ([0], None)
    )
    assert [track.body for track in one.tracks] == [both.tracks[0].body, before.tracks[1].body]
    assert both.tracks[1].body != before.tracks[1].body


@pytest.mark.parametrize(("right", "left"), [(127, 127), (127, 120), (127, 100), (118, 112)])
def test_loud_hands_keep_their_dynamics_and_their_balance(right: int, left: int) -> None:
    (before,) = (found.notes for found in duvhuman.humanize(_hands(80, 80), "keys").notes)
    (notes,) = (found.notes for found in duvhuman.humanize(_hands(right, left), "keys").notes)
    mine = notes.track == 0
    assert notes.velocity.max() >= 125  # nothing is softer than it must be
    assert np.mean(notes.velocity[mine] >= 127) < FARTHEST_SHARE + 0.1
    assert notes.velocity[mine].std() > 0.7 * before.velocity[mine].std()
    if right != left:
        assert notes.velocity[mine].mean() - notes.velocity[~mine].mean() == pytest.approx(right - left, abs=3)


def test_a_part_written_too_softly_for_its_dynamics_is_played_louder() -> None:
    velocity = np.random.default_rng(0).normal(10, 10, 1000)
    played = with_room(velocity)
    assert FARTHEST_SHARE - 0.05 < np.mean(played < SOFTEST) <= FARTHEST_SHARE + 0.01
    assert np.ptp(np.round((played - velocity)[(played > 1) & (played < 127)], 6)) == 0
    soft = np.random.default_rng(0).normal(30, 10, 1000)
    assert with_room(soft) == pytest.approx(np.clip(soft, 1, 127))


def test_ghost_notes_beside_others_and_hands_without_room_make_nothing_louder() -> None:
    rng = np.random.default_rng(0)
    ghosts = np.where(np.arange(1000) % 5 < 2, 4.0, 100.0)
    assert with_room(ghosts) == pytest.approx(ghosts)
    hand = np.repeat([0, 1], 500)
    velocity = np.concatenate([rng.normal(120, 10, 500), rng.normal(8, 10, 500)])
    played = with_room(velocity, hand)
    assert np.mean(played[hand == 0] == 127) <= FARTHEST_SHARE + 0.02
    assert played[hand == 1].mean() >= velocity[hand == 1].mean()


def test_what_is_written_louder_is_played_no_softer_at_the_soft_end() -> None:
    shape = np.random.default_rng(0).normal(0, 10, 1000)
    means = [with_room(shape + level).mean() for level in np.arange(5.0, 40.0)]
    assert np.diff(means).min() > -0.3  # but for the whole velocities by which all are moved
    assert means[0] > 12
    assert means[-1] == pytest.approx(39, abs=1)
