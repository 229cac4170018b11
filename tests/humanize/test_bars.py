"""Which notes stand at the same place of bars that are written alike."""

from __future__ import annotations

import numpy as np
import pytest
from builders import GUITAR, part, score, song

import duvhuman
from duvhuman.humanize.bars import equal_bars

BAR = np.array([0.0, 0.5, 1.0, 2.5])


def bars(pitches: list[list[int]], **columns: object) -> np.ndarray:
    """(B, 4) the numbers of the notes of B bars."""
    onset = np.concatenate([BAR + 4 * number for number in range(len(pitches))])
    return equal_bars(score(onset, np.concatenate(pitches), **columns)).reshape(-1, 4)


def test_notes_at_the_same_place_of_equal_bars_have_a_number_in_common() -> None:
    riff, other = [40, 43, 45, 40], [40, 43, 45, 47]
    first, second, third = bars([riff, other, riff])
    assert first.tolist() == third.tolist()
    assert len({*first.tolist(), *second.tolist()}) == 8  # not even those that both bars hold


def test_bars_of_one_note_are_equal_if_the_note_is() -> None:
    first, other, again, third = equal_bars(score([0, 4, 8, 12], [40, 36, 40, 43])).tolist()
    assert first == again
    assert len({first, other, third}) == 3


def test_equal_notes_that_are_written_shorter_are_others() -> None:
    length = np.array([0.5, 0.5, 1.5, 1.5] * 2)
    length[4] = 0.25
    first, second = bars([[40, 43, 45, 40]] * 2, length=length)
    assert (first == second).tolist() == [False, True, True, True]
    for gate in (0.37, 0.475):
        length[4] = gate
        first, second = bars([[40, 43, 45, 40]] * 2, length=length)
        assert (first == second).all(), gate


def test_bars_of_other_sounds_metres_or_tempi_are_others() -> None:
    line = score(np.concatenate([BAR, BAR + 4]), np.tile([40, 43, 45, 40], 2))
    second = np.repeat([False, True], 4)
    for other, equal in (
        (line.replace(program=np.where(second, 28, 25)), False),
        (line.replace(bar_beats=np.where(second, 3.0, 4.0)), False),
        (line.replace(tempo_bpm=np.where(second, 60.0, 120.0)), False),
        (line.replace(tempo_bpm=np.where(second, 108.0, 120.0)), True),
    ):
        numbers = equal_bars(other).reshape(2, 4)
        assert (numbers[0] == numbers[1]).tolist() == [equal] * 4


def test_an_onset_that_is_played_a_little_late_is_in_its_place() -> None:
    onset = np.concatenate([BAR, BAR + 4])
    onset[5] += 0.02
    first, second = equal_bars(score(onset, np.tile([40, 43, 45, 40], 2))).reshape(2, 4)
    assert first.tolist() == second.tolist()


def test_a_note_that_is_played_a_little_early_belongs_to_the_bar_that_it_begins() -> None:
    onset = np.concatenate([BAR, BAR + 4, BAR + 8])
    onset[4] -= 1 / 480
    numbers = equal_bars(score(onset, np.tile([40, 43, 45, 40], 3))).reshape(3, 4)
    assert (numbers == numbers[0]).all()


def test_a_last_note_before_a_break_is_another() -> None:
    onset = np.concatenate([np.arange(8) / 2, np.arange(8) / 2 + 4, np.arange(8) / 2 + 16, np.arange(8) / 2 + 20])
    first, before_break, third, end = equal_bars(score(onset, 40, length=0.5)).reshape(4, 8)
    assert first.tolist() == third.tolist()
    assert (first == before_break).tolist() == [True] * 7 + [False]
    assert (first == end).all()  # a loop goes on


def test_a_part_without_a_grid_has_no_bars() -> None:
    line = score(np.tile(BAR, 2) + np.repeat([0.0, 4.0], 4), 40)
    assert equal_bars(line.replace(grid_known=np.zeros(8, dtype=np.bool_))).tolist() == list(range(8))


@pytest.mark.parametrize("variation", [0.0, 0.5, 1.0])
def test_equal_bars_are_played_alike_beside_other_music(variation: float) -> None:
    pad = [(bar * 1920, pitch, 80, 1920) for bar in range(8) for pitch in (50, 57, 62)]
    riff = [((8 + bar) * 1920 + 240 * step, 45 + step % 3, 80, 240) for bar in range(8) for step in range(8)]
    played = duvhuman.predict(song(part(pad + riff, number=GUITAR)), "guitar", variation=variation, seed=2)
    for bar_notes, first in ((3, 0), (8, 24)):
        for name in ("velocity", "duration_beats"):
            values = getattr(played, name)[first : first + 8 * bar_notes].reshape(8, bar_notes)
            assert np.ptp(values, axis=0).max() < (0.5 if name == "velocity" else 0.02 * values.max()), name
