"""How long notes last: written staccatos, held notes, slurs, hands, and where a pitch begins again."""

from __future__ import annotations

import numpy as np
import pytest
from builders import score

from duvhuman.humanize.articulate import limit_durations, most_growth, performed_beats


def test_a_written_staccato_grows_by_at_most_a_tenth() -> None:
    part = score([0, 1, 2, 3], [60, 61, 62, 63], length=[0.5, 0.74, 0.76, 0.76])
    assert performed_beats(part, np.full(4, 2.0)) == pytest.approx([0.55, 0.814, 0.76, 0.76])
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
        assert performed_beats(part, stab)[59] == pytest.approx(1.7 if rests[60] > rests[59] else 1.0)
        assert performed_beats(part, stab)[0] == pytest.approx(0.025)
    few = legato.replace(onset_beats=legato.onset_beats + np.arange(100) // 50)
    assert 0.24 < performed_beats(few, stab)[59] < 0.3  # one rest more or less hardly matters


def test_a_last_long_chord_is_held_and_let_go_at_once() -> None:
    part = score([0, 1, 2, 2], length=[1.0, 1.0, 4.0, 4.0])
    assert performed_beats(part, np.log2([0.3, 0.3, 0.3, 0.5])) == pytest.approx([0.3, 0.3, 3.4, 3.4])
    assert performed_beats(part, np.log2([0.3, 0.3, 0.8, 1.0])) == pytest.approx([0.3, 0.3, 3.6, 3.6])
    assert performed_beats(part, np.log2([0.3, 0.3, 0.8, 3.0])) == pytest.approx([0.3, 0.3, 4.0, 4.0])
    part = score([0, 1, 2, 2], length=1.0)  # it may be a clip: the last chord goes on as the others do
    assert performed_beats(part, np.log2([0.3, 0.3, 0.6, 0.7]))[2:] == pytest.approx([0.6, 0.7])
    part = score([0, 1, 2, 2], length=[1.0, 1.0, 0.8, 0.8])
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
    line = score([0, 0.5, 1.0, 2.0], [60, 62, 64, 65], length=[0.55, 0.5, 1.2, 1.0])
    assert performed_beats(line, np.full(4, -1.0)) == pytest.approx([0.55, 0.25, 1.2, 0.5])
    assert performed_beats(line, np.full(4, 1.0)) == pytest.approx([0.55, 1.0, 1.2, 2.0])
    thirds = score([0, 0, 0.5, 0.5, 1.0], [60, 64, 62, 65, 64], length=[0.55, 0.5, 0.504, 0.504, 1.0])
    assert performed_beats(thirds, np.full(5, -1.0)) == pytest.approx([0.55, 0.25, 0.504, 0.504, 0.85])
    whole = score([0, 4.0, 8.0], [60, 62, 64], length=[4.01, 4.0, 4.0])
    assert performed_beats(whole, np.full(3, -1.0))[0] == pytest.approx(4.01)


def test_a_note_written_up_to_the_next_onset_ends_there_or_rings_clearly_on() -> None:
    line = score([0, 1.0, 2.0, 3.0], [60, 62, 64, 65], length=1.0)
    assert performed_beats(line, np.log2([1.05, 1.2, 0.9, 1.0])) == pytest.approx([1.0, 1.2, 0.9, 1.0])


def test_what_a_take_tells_of_short_notes_and_of_overlaps_stands() -> None:
    line = score([0, 1.0, 2.0, 3.0], [60, 62, 64, 65], length=1.0)
    told = np.log2([1.05, 0.1, 1.05, 1.0])
    assert performed_beats(line, told, as_in_a_take=True)[:3] == pytest.approx([1.05, 0.1, 1.05])
    assert performed_beats(line, told)[:3] == pytest.approx([1.0, 0.24, 1.0])


def test_a_note_that_ends_a_little_before_the_next_is_not_shortened_twice() -> None:
    """What was played once and is played again stays as it is."""
    line = score([0, 1.0, 2.0, 3.0], [60, 62, 64, 65], length=[0.8, 0.9, 1.0, 1.0])
    assert performed_beats(line, np.log2([0.85, 0.5, 0.85, 1.0]))[:2] == pytest.approx([0.8, 0.5])
    assert performed_beats(line, np.log2([1.5, 1.5, 1.5, 1.0]))[:3] == pytest.approx([0.8, 0.9, 1.5])


def test_what_is_held_over_the_next_onset_lasts_no_longer_than_it_is_written() -> None:
    """A melody in half notes over eighths, or a chord under a trill: how long they last is told."""
    onset = np.arange(16) / 2
    melody = score(np.repeat(onset[::4], 2), [48, 72] * 4, length=[0.5, 2.0] * 4)
    figure = score(onset, 52, length=0.5)
    order = np.argsort(np.concatenate([melody.onset_beats, onset]), kind="stable")
    part = score(
        np.concatenate([melody.onset_beats, onset])[order], np.concatenate([melody.pitch, figure.pitch])[order],
        length=np.concatenate([melody.nominal_beats, figure.nominal_beats])[order],
    )
    held = part.nominal_beats == 2
    assert performed_beats(part, np.full(24, 0.7))[held] == pytest.approx([2.0] * 4)
    assert performed_beats(part, np.full(24, -0.5))[held][:3] == pytest.approx([2 ** 0.5] * 3)
    assert performed_beats(part, np.full(24, -3.0))[held][:3] == pytest.approx([1.0] * 3)


@pytest.mark.parametrize(("length", "gap"), [(4.0, 5.0), (2.0, 4.0), (3.0, 4.0), (4.0, 6.0)])
def test_the_long_note_at_the_end_of_a_phrase_is_held(length: float, gap: float) -> None:
    part = score([0, 1, 2, 3, 3 + gap, 4 + gap], length=[1.0, 1.0, 1.0, length, 1.0, 1.0])
    for share, least in ((0.1, 0.85), (0.97, 0.97), (2.0, 1.0)):
        played = performed_beats(part, np.log2([0.9, 0.9, 0.9, share, 0.9, 0.9]))[3]
        most = gap if length == 4 else length  # a bar before a rest may be any length in training
        assert least * length - 1e-9 <= played <= most + 1e-9


def test_a_bar_before_a_longer_rest_may_be_any_length() -> None:
    part = score([0, 1, 2, 3, 9.5, 10.5], length=[1.0, 1.0, 1.0, 4.0, 1.0, 1.0])
    assert performed_beats(part, np.log2(np.full(6, 0.4)))[3] == pytest.approx(1.6)


def test_each_hand_has_slurs_and_a_last_chord_of_its_own() -> None:
    onset, hand = np.repeat(np.arange(8.0), 2), np.tile([0, 1], 8)
    part = score(onset, np.where(hand == 0, 70 + np.arange(16) // 2, 40), length=np.where(hand == 0, 1.1, 1.0))
    played = performed_beats(part, np.full(16, -1.0), hand)
    assert played[hand == 0] == pytest.approx([1.1] * 8)  # the second bar goes on as the first
    assert played[hand == 1] == pytest.approx([0.5] * 8)
    played = performed_beats(part.select(np.arange(14)), np.full(14, -1.0), hand[:14])
    assert played[hand[:14] == 0] == pytest.approx([1.1] * 6 + [0.935])  # nothing follows the last
    left = score([0, 0, 1, 2, 3, 4, 4.5], [40, 76, 76, 76, 76, 76, 76], length=[4.0, 1, 1, 1, 1, 0.5, 0.5])
    assert performed_beats(left, np.full(7, -3.0), np.array([1, 0, 0, 0, 0, 0, 0]))[0] == pytest.approx(3.4)
    assert performed_beats(left, np.full(7, -3.0))[0] == pytest.approx(2.0)


@pytest.mark.parametrize("share", [0.3, 0.8])
def test_hands_that_end_together_are_released_together(share: float) -> None:
    right = [(0.0, 72), (1.0, 74), (2.0, 76), (3.0, 77), (4.0, 79)]
    left = [(0.0, 48), (0.0, 52), (4.0, 43), (4.0, 55)]
    rows = sorted([(at, pitch, 1) for at, pitch in right] + [(at, pitch, 0) for at, pitch in left])
    onset, pitch, hand = (np.array(column) for column in zip(*rows, strict=True))
    part = score(onset, pitch, length=np.where((hand == 1) & (onset < 4), 1.0, 4.0))
    played = performed_beats(part, np.log2(share) - 0.1 * np.arange(9), hand)
    assert played[onset == 4] == pytest.approx([played.max()] * 3)
    assert 3.4 <= played.max() <= 4.0
    part = score([0, 1, 2, 3, 4, 8], [72, 74, 76, 77, 79, 48], length=[1.0, 1.0, 1.0, 1.0, 8.0, 4.0])
    played = performed_beats(part, np.full(6, -1.5), np.array([1, 1, 1, 1, 1, 0]))
    assert played[4] == pytest.approx(played[5] + 4) == pytest.approx(7.4)


def test_a_slide_reaches_the_next_note_however_far_it_is_written() -> None:
    for length in (1.1, 1.25, 1.6, 2.0, 3.0):
        line = score(np.arange(8.0), 36 + np.arange(8) % 3, length=length)
        assert (performed_beats(line, np.full(8, -3.0))[:6] >= min(length, 1.25) - 1e-9).all()


def test_the_last_chord_of_a_progression_is_as_long_as_in_the_bars_before() -> None:
    onset = np.add.outer(np.arange(4) * 4.0, [0.0, 1.5, 3.0]).ravel()
    part = score(onset, 60 + np.arange(12) * 5 % 12, length=np.tile([1.5, 1.5, 1.0], 4))
    played = performed_beats(part, np.tile([-1.0, -0.5, 0.5], 4))
    assert played[9:] == pytest.approx(played[:3])
    longer = score(onset, 60 + np.arange(12) * 5 % 12, length=[*np.tile([1.5, 1.5, 1.0], 4)[:-1], 1.2])
    stabs = np.full(12, -2.0)
    assert performed_beats(longer, stabs)[-1] >= 0.6 > performed_beats(part, stabs)[-1]
    held = score(onset, 60 + np.arange(12) * 5 % 12, length=[*np.tile([1.5, 1.5, 1.0], 4)[:-1], 4.0])
    assert performed_beats(held, np.tile([-1.0, -0.5, -0.5], 4))[-1] >= 3.4


def test_a_last_stab_is_staccato_beside_the_gap_before_it() -> None:
    part = score([0, 1, 2, 2], [60, 61, 62, 65], length=[1.0, 1.0, 0.2, 0.2])
    assert performed_beats(part, np.full(4, 2.0)) == pytest.approx([4, 4, 0.22, 0.22])
    assert performed_beats(score([5.0], length=0.2), np.array([2.0])) == pytest.approx([0.2])  # it is told


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
    part = score([0, 4, 20, 36, 52], length=[4.0, 4.0, 16.0, 16.0, 4.0])
    articulation = np.log2([0.75, 1.5, 0.75, 1.5, 0.75])
    assert performed_beats(part, articulation)[:4] == pytest.approx([3, 4.4, 15, 16])  # the second stands before a rest
    waltz = score([0, 6, 22], length=[3.0, 16.0, 1.0], bar=3.0)
    assert performed_beats(waltz, np.log2([0.5, 0.5, 1]))[:2] == pytest.approx([1.5, 14.5])
    free = score([0, 4, 20], [60, 62, 64], length=[4.0, 16.0, 1.0], bar=3.0, grid=False)  # whose bars mean nothing
    assert performed_beats(free, np.log2([2.0, 0.5, 1]))[:2] == pytest.approx([8, 14])


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


@pytest.mark.parametrize("off", [-1 / 96, -1 / 192, 1 / 480])
def test_a_tick_more_or_less_is_none(off: float) -> None:
    line = score([0, 1.0, 2.0, 3.0], [60, 62, 64, 65], length=[1.0 + off] * 3 + [1.0])
    assert performed_beats(line, np.full(4, 1.0))[:3] == pytest.approx([2 * (1 + off)] * 3)


def strums(length: list[float]) -> np.ndarray:
    """How long the strings of four strums, of other notes each, last that would last 1.6 times as long as written."""
    onset = np.add.outer(np.arange(4.0), [0, 0.03, 0.06, 0.09]).ravel()
    part = score(onset, np.add.outer(np.arange(4), [40, 47, 52, 57]).ravel(), length=length * 4)
    return performed_beats(part, np.full(16, np.log2(1.6)))


def test_strings_of_a_strum_are_written_up_to_the_next_one_wherever_in_it_they_end() -> None:
    up_to_the_first, to_their_own = [1.0, 0.97, 0.94, 0.91], [1.0] * 4
    for length in (up_to_the_first, to_their_own):
        assert strums(length) == pytest.approx(1.6 * np.array(length * 4))


def test_notes_of_a_last_chord_that_are_written_apart_are_let_go_apart() -> None:
    part = score([0, 1, 2, 2], length=[1.0, 1.0, 4.0, 2.0])
    assert performed_beats(part, np.log2([0.95, 0.95, 0.9, 1.0]))[2:] == pytest.approx([3.8, 1.9])
    part = score([0, 0.25, 0.5, 0.5], length=[0.25, 0.25, 0.5, 4.0])
    assert performed_beats(part, np.log2([0.5, 0.5, 0.5, 0.95]))[3] == pytest.approx(3.4)


def test_the_longer_the_rest_the_longer_a_note_before_it_is_held() -> None:
    for gates in (np.linspace(0.7, 0.96, 53), np.linspace(0.15, 0.3, 31)):
        played = [
            performed_beats(score([0, 4, 8, 12], length=[4.0, 4 * gate, 4.0, 4.0]), np.log2(np.full(4, 0.3)))[1]
            for gate in gates
        ]
        assert np.abs(np.diff(played)).max() < 0.45  # no cliffs


def test_a_take_tells_how_short_notes_before_rests_are() -> None:
    part = score([0, 2, 4, 6], length=1.0)
    backbeat = performed_beats(part, np.log2(np.full(4, 0.3)), as_in_a_take=True)
    assert backbeat[:3] == pytest.approx([0.6] * 3)
    assert performed_beats(part, np.log2(np.full(4, 0.3)))[:3] == pytest.approx([0.85] * 3)


def test_a_voice_that_moves_under_a_held_note_ends_when_it_moves() -> None:
    rings = np.log2(np.full(6, 1.6))
    onset, pitch = [0, 0, 1, 2, 3, 4], [72, 65, 64, 65, 64, 72]
    assert performed_beats(score(onset, pitch, length=[4, 1, 1, 1, 1, 1]), rings)[1:4] == pytest.approx([1, 1, 1])
    alone = performed_beats(score(onset, pitch, length=[1, 1, 1, 1, 1, 1]), rings)
    assert alone[1:4] == pytest.approx([1.6, 1.6, 1.6])  # nothing is held, and no note told from another by its length


def test_under_a_held_note_a_long_one_is_no_stab() -> None:
    part = score([0, 0, 2, 4], [72, 65, 64, 72], length=[4, 2, 2, 4])
    assert performed_beats(part, np.log2(np.full(4, 0.1)))[1:3] == pytest.approx([1, 1])


def test_bowed_notes_that_are_struck_again_are_no_stabs() -> None:
    for program, least in ((40, 0.3), (48, 0.3), (45, 0.24), (25, 0.24)):
        line = score(np.arange(8.0), np.full(8, 64)).replace(program=np.full(8, program))
        assert performed_beats(line, np.full(8, -4.0))[:-1] == pytest.approx([least] * 7)


def test_where_voices_are_written_apart_none_of_the_upper_ones_rings_on() -> None:
    """A staccato melody of quarters over eighths, on one track, is written up to the next onset."""
    onset = np.append(np.arange(0, 16, 0.5), np.arange(16.0))
    pitch = np.append(np.tile([48, 55, 52, 55], 8), np.full(16, 76))
    length = np.append(np.full(32, 0.5), np.full(16, 0.5))
    order = np.lexsort((pitch, onset))
    top = (pitch == 76)[order]
    for held, rings in ((False, True), (True, False)):  # some notes of the melody are held
        written = np.where((np.arange(48) > 32) & (np.arange(48) < 40) & held, 1.0, length)[order]
        played = performed_beats(score(onset[order], pitch[order], length=written), np.full(48, 1.0))
        assert (played[top & (written == 0.5)][:-1] > 0.5).any() is np.bool_(rings)
        assert (played[~top] > 0.5).any()


def test_a_melody_over_another_hand_rings_as_little_as_on_one_track() -> None:
    onset = np.append(np.arange(16.0), np.arange(0, 16, 0.5))
    pitch = np.append(60 + np.arange(16) * 5 % 7, np.full(32, 40))
    length, hand = np.append(np.ones(16), np.full(32, 0.5)), np.repeat([1, 0], [16, 32])
    order = np.lexsort((pitch, onset))
    part, right = score(onset[order], pitch[order], length=length[order]), hand[order] == 1
    assert performed_beats(part, np.full(48, 1.0), hand[order])[right].max() <= 1.0


def test_on_a_driven_guitar_no_string_rings_on_where_another_of_its_chord_is_struck_again() -> None:
    part = score([0, 0, 0, 1, 1.25, 1.5, 1.75], [40, 47, 52, 40, 40, 40, 40], length=[1, 1, 1, 0.25, 0.25, 0.25, 0.25])
    for program, most in ((30, 1.0), (25, 2.0)):
        driven = part.replace(program=np.full(7, program))
        assert performed_beats(driven, np.full(7, 1.0))[1:3].max() == pytest.approx(most)


def test_a_gate_of_ninety_hundredths_is_no_cliff() -> None:
    for low, high in ((0.74, 0.76), (0.86, 0.88), (0.89, 0.91)):
        one, two = (performed_beats(score(np.arange(32.0), 60 + np.arange(32) % 7, length=gate), np.full(32, -3.0))[0]
                    for gate in (low, high))
        assert 0.6 < two / one < 1.7, (low, high, one, two)


def test_an_ornament_does_not_ring_into_its_note() -> None:
    graces = score([0, 0.1, 1.0, 1.1], [62, 60, 66, 64], length=[0.1, 0.9, 0.09, 0.9])
    assert performed_beats(graces, np.full(4, 1.0))[[0, 2]] == pytest.approx([0.1, 0.099], abs=0.002)


def test_the_last_note_of_a_loop_has_the_gap_that_it_has_in_the_loop() -> None:
    bar = np.array([0, 0.5, 1.0, 1.5])
    loop = score(np.concatenate([bar + 4 * number for number in range(4)]), np.tile([40, 43, 45, 47], 4), length=0.5)
    played = performed_beats(loop, np.log2(np.tile([0.9, 0.9, 0.9, 0.2], 4)))
    assert played.reshape(4, 4) == pytest.approx(np.tile([0.45, 0.45, 0.45, 0.45], (4, 1)), abs=0.01)
    wholes = score(np.arange(0, 16, 4), length=4)
    assert performed_beats(wholes, np.log2(np.full(4, 0.2))) == pytest.approx([0.8] * 4)


def test_a_hand_that_ends_over_the_loop_of_the_other_ends() -> None:
    right = np.arange(64) / 4
    onset = np.append(right, [0.0, 4.0, 8.0, 12.0])
    hand = np.append(np.zeros(64, dtype=np.int64), np.ones(4, dtype=np.int64))
    pitch = np.append(np.tile([72, 74, 76, 77], 16), [48, 50, 52, 48])
    length = np.append(np.full(64, 0.25), [2, 2, 2, 4])
    order = np.lexsort((pitch, onset))
    part, left = score(onset[order], pitch[order], length=length[order]), hand[order] == 1
    played = performed_beats(part, np.full(68, -3.0), hand[order])
    assert played[left][-1] >= 0.5 * 4


def test_of_a_staccato_last_chord_of_which_a_note_is_missing_none_is_shortened_twice() -> None:
    onset, pitch = np.repeat(np.arange(0, 32, 4.0), 3)[:-1], np.tile([60, 64, 67], 8)[:-1]
    played = performed_beats(score(onset, pitch, length=0.5), np.full(23, -3.0))
    assert played == pytest.approx(np.full(23, 0.44), abs=0.02)


def test_a_hand_that_holds_chords_under_the_other_holds_them_on_two_tracks_as_on_one() -> None:
    onset, pitch = np.arange(16.0), np.full(16, 76)
    chords, bass = np.arange(0, 16, 2.0), np.full(8, 48)
    time, notes = np.append(onset, chords), np.append(pitch, bass)
    length, hand = np.append(np.ones(16), np.full(8, 2.0)), np.repeat([0, 1], [16, 8])
    order = np.lexsort((notes, time))
    part, left = score(time[order], notes[order], length=length[order]), hand[order] == 1
    stab = np.full(24, -4.0)
    together, apart = performed_beats(part, stab), performed_beats(part, stab, hand[order])
    assert together[left][:-1] == pytest.approx([1.0] * 7)
    assert apart[left][:-1] == pytest.approx([1.0] * 7)
