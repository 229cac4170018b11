"""Writing performances down: tempo, metre and bars of music whose score is known."""

from __future__ import annotations

import numpy as np
import pytest
from tunes import performed, tune

from duvhuman.rhythm.cues import find_cues
from duvhuman.rhythm.metre import UNITS
from duvhuman.rhythm.model import Rhythm
from duvhuman.train.data.rhythm import COUNTED, LEVELS, METRES, CueTable, LevelMetre, write_down

FOUR, THREE, SIX_EIGHT = METRES


def counted() -> CueTable:
    """Cues of tunes in four."""
    table = CueTable()
    for seed in range(4):
        units, chord, pitch = tune(FOUR, 40, seed)
        cues = find_cues(performed(units, 100.0), chord, pitch)
        table.count(cues, (units % FOUR.bar) / UNITS)
    return table


TABLE = counted()


def written(
    metre: LevelMetre, bpm: float, *, bars: int = 24, seed: int = 9, **how: float
) -> tuple[np.ndarray, Rhythm[LevelMetre]]:
    units, chord, pitch = tune(metre, bars, seed)
    seconds = performed(units, bpm, **how)
    return units, write_down(seconds, TABLE.log_likelihood(find_cues(seconds, chord, pitch)))


@pytest.mark.parametrize("metre", METRES)
@pytest.mark.parametrize("bpm", [70.0, 100.0, 130.0])
def test_an_even_performance_is_written_as_it_was_meant(metre: LevelMetre, bpm: float) -> None:
    units, rhythm = written(metre, bpm)
    assert rhythm.metre is metre
    np.testing.assert_array_equal(rhythm.onset, units)


@pytest.mark.parametrize("metre", METRES)
def test_rubato_and_uneven_fingers_are_not_written_down(metre: LevelMetre) -> None:
    units, rhythm = written(metre, 90.0, bars=40, rubato=0.35, jitter=0.02)
    assert rhythm.metre is metre
    assert (rhythm.onset == units).mean() > 0.95


def test_a_piece_may_begin_anywhere_in_a_bar() -> None:
    units, chord, pitch = tune(FOUR, 24, 3)
    late = np.flatnonzero(units >= 2 * UNITS)[0]  # the second half of the first bar
    keep = chord >= late
    seconds = performed(units, 100.0)[late:]
    rhythm = write_down(seconds, TABLE.log_likelihood(find_cues(seconds, chord[keep] - late, pitch[keep])))
    np.testing.assert_array_equal(rhythm.onset, units[late:])


def test_a_pause_does_not_derail_what_comes_after() -> None:
    units, chord, pitch = tune(FOUR, 32, 5)
    seconds = performed(units, 100.0) + 20.0 * (units >= 16 * FOUR.bar)
    rhythm = write_down(seconds, TABLE.log_likelihood(find_cues(seconds, chord, pitch)))
    after = units >= 17 * FOUR.bar
    assert (rhythm.onset[after] % FOUR.bar == units[after] % FOUR.bar).mean() > 0.95


def test_an_ornament_stands_with_the_chord_that_it_leads_to() -> None:
    units, chord, pitch = tune(FOUR, 16, 2)
    seconds = performed(units, 60.0)
    at = np.flatnonzero(units == 8 * FOUR.bar)[0]
    grace = np.insert(seconds, at, seconds[at] - 0.05)
    numbers = np.append(chord + (chord >= at), at)
    order = np.argsort(numbers, kind="stable")
    pitches = np.append(pitch, 74)
    rhythm = write_down(grace, TABLE.log_likelihood(find_cues(grace, numbers[order], pitches[order])))
    assert rhythm.onset[at] == rhythm.onset[at + 1]
    np.testing.assert_array_equal(np.delete(rhythm.onset, at), units)


def test_long_parts_are_written_in_the_metre_of_their_middle() -> None:
    units, rhythm = written(THREE, 120.0, bars=300)
    assert rhythm.metre is THREE
    np.testing.assert_array_equal(rhythm.onset, units)


def test_a_longer_gap_than_a_bar_is_written_as_one() -> None:
    units = np.array([0, 12, 24, 36, 48, 48 + 72, 48 + 84, 48 + 96])
    rhythm = write_down(units / UNITS * 0.6, np.zeros((8, LEVELS)), [FOUR])
    gaps = np.diff(rhythm.onset)
    assert gaps.argmax() == 4
    assert gaps[4] > FOUR.bar


@pytest.mark.parametrize("count", [1, 2])
def test_hardly_any_chords_are_written_down_too(count: int) -> None:
    seconds = np.arange(count) * 0.5
    cues = find_cues(seconds, np.arange(count), np.full(count, 60))
    assert len(write_down(seconds, TABLE.log_likelihood(cues)).onset) == count


def test_cues_tell_low_large_and_new_chords() -> None:
    seconds = np.arange(16) * 0.3
    chord = np.sort(np.append(np.arange(16), [8, 8]))
    pitch = np.full(18, 64)
    pitch[8], pitch[9], pitch[10] = 40, 47, 56  # chord 8: E with a low bass; before it C, after it E alone
    pitch[:8], pitch[11:] = 60, 64
    cues = find_cues(seconds, chord, pitch)
    assert cues[8].tolist() == [2, 2, 3]
    assert cues[np.arange(16) != 8, 0].max() == 0
    assert cues[np.arange(16) != 8, 1].max() == 0


def test_what_was_counted_on_downbeats_speaks_for_them() -> None:
    table = CueTable()
    low, plain = np.array([[2, 0, 0]]), np.array([[0, 0, 0]])
    for _ in range(200):
        table.count(low, np.array([0.0]))
        table.count(plain, np.array([1.0]))
        table.count(plain, np.array([0.1]))  # no place of the grid
    by_level = table.log_likelihood(low)[0]
    assert by_level[0] > 0 > by_level[2]
    assert by_level[0] == by_level.max()


def test_levels_of_places() -> None:
    assert COUNTED is FOUR
    level = dict(zip(FOUR.places.tolist(), FOUR.level.tolist(), strict=True))
    assert [level[place] for place in (0, 24, 12, 36, 6, 3, 4)] == [0, 1, 2, 2, 3, 4, 5]
    level = dict(zip(SIX_EIGHT.places.tolist(), SIX_EIGHT.level.tolist(), strict=True))
    assert [level[place] for place in (0, 18, 6, 12, 3)] == [0, 2, 3, 3, 4]
    assert THREE.step.min() == 1
    assert THREE.step.max() == THREE.bar
