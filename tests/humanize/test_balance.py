"""How loud hands are beside each other: the user's decision, if there is one, else the network's."""

from __future__ import annotations

import numpy as np
from builders import PIANO, part, riff, song

import duvhuman
from duvhuman.humanize.balance import balanced, hands_of, written_balance
from duvhuman.midi.notes import read_parts
from duvhuman.midi.smf import parse_smf

HAND = np.array([0, 1, 0, 1, 1])


def test_a_hand_is_a_track_and_channel() -> None:
    tracks = [part(riff(2, low=70), number=PIANO), part(riff(2), number=PIANO, channel=1)]
    (notes,) = (found.notes for found in read_parts(parse_smf(song(*tracks))))
    assert notes.track.tolist() == [1, 0, 1, 0]
    assert hands_of(notes).tolist() == [1, 0, 1, 0]


def test_flat_hands_at_levels_of_their_own_are_a_decision() -> None:
    lift = written_balance(np.array([80.0, 60, 80, 60, 60]), HAND)
    assert np.allclose(lift, [12, -8, 12, -8, -8])


def test_hands_at_one_level_and_hands_that_are_not_flat_are_none() -> None:
    assert not written_balance(np.array([64.0, 65, 64, 65, 65]), HAND).any()
    assert not written_balance(np.array([40.0, 60, 80, 50, 70]), HAND).any()
    assert not written_balance(np.array([80.0, 60, 80, 60, 60]), np.zeros(5, dtype=np.int64)).any()


def test_balanced_keeps_what_is_played_within_a_hand() -> None:
    played = np.array([70.0, 60, 74, 50, 55])
    moved = balanced(played, HAND, np.array([12.0, -8, 12, -8, -8]))
    assert np.isclose(moved.mean(), played.mean())
    for one in (0, 1):
        mine = one == HAND
        assert np.allclose(moved[mine] - moved[mine].mean(), played[mine] - played[mine].mean())
    assert np.isclose(moved[HAND == 0].mean() - moved[HAND == 1].mean(), 20)
    assert balanced(played, HAND, np.zeros(5)) is played


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
    )  # fmt: skip
    assert [track.body for track in one.tracks] == [both.tracks[0].body, before.tracks[1].body]
    assert both.tracks[1].body != before.tracks[1].body
