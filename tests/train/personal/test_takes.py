"""A player's takes: what is read of them, what is refused, and how bars are dealt into folds."""

from __future__ import annotations

import numpy as np
import pytest
from builders import GUITAR, PIANO, part, song
from midi_bytes import number
from toys import performance

from duvhuman.errors import DataError, DuvhumanWarning
from duvhuman.humanize.score import Score
from duvhuman.midi.interop import open_midi
from duvhuman.train.pairs.bars import bar_contents
from duvhuman.train.personal.takes import FOLDS, MOST_NOTES, Passage, folds_of, read_takes


def line(bars: list[int], *, grid: bool = True) -> Score:
    """Eight notes a bar; bars of one number have the same content."""
    n = 8 * len(bars)
    onset = np.arange(n) / 2
    pitch = 40 + np.repeat(np.array(bars), 8) % 40 + np.arange(n) % 8
    return Score(
        onset_beats=onset, nominal_beats=np.full(n, 0.5), pitch=pitch, program=np.full(n, 25),
        tempo_bpm=np.full(n, 120.0), beat_in_bar=np.mod(onset, 4.0), bar_beats=np.full(n, 4.0),
        grid_known=np.full(n, grid), segment=np.zeros(n, dtype=np.int64),
    )


def passage(bars: list[int], take: int = 0) -> Passage:
    return Passage(performance(line(bars)), take)


def test_bars_are_known_by_their_content() -> None:
    assert bar_contents([line([5, 6, 5, 7])])[::8].tolist() == [0, 1, 0, 2]
    assert bar_contents([line([5, 6]), line([6, 8])])[::8].tolist() == [0, 1, 1, 2]


@pytest.mark.parametrize("bars", [list(range(32)), [0, 1, 2, 3] * 8, list(range(8)) * 2])
def test_a_bar_never_stands_in_two_folds(bars: list[int]) -> None:
    fold = folds_of([passage(bars)])
    assert set(fold) == set(range(FOLDS))
    content = bar_contents([line(bars)])
    for one in np.unique(content):
        assert len(set(fold[content == one])) == 1


def test_a_bar_that_is_repeated_loosely_is_in_the_fold_of_the_first() -> None:
    bars = line(list(range(8)) * 2)
    late = np.where((np.arange(128) >= 64) & (np.arange(128) % 8 == 3), 0.06, 0.0)  # once, in each of the later bars
    loose = bars.replace(onset_beats=bars.onset_beats + late, beat_in_bar=bars.beat_in_bar + late)
    assert len(np.unique(bar_contents([loose]))) == 16
    first, again = np.split(folds_of([Passage(performance(loose), 0)]), 2)
    assert first.tolist() == again.tolist()


def test_takes_are_dealt_out_whole_if_there_are_enough() -> None:
    fold = folds_of([passage(list(range(10 * take, 10 * take + 8)), take) for take in range(4)])
    assert [set(part) for part in np.split(fold, 4)] == [{0}, {1}, {2}, {3}]


def test_one_bar_repeated_throughout_is_cut_into_quarters() -> None:
    assert folds_of([passage([1] * 16)]).tolist() == np.repeat(np.arange(FOLDS), 32).tolist()


def played(notes: int, *, spread: int = 40) -> bytes:
    rng = np.random.default_rng(0)
    rows = [(240 * i, 45 + i % 20, 60 + int(rng.integers(-spread // 2, spread // 2 + 1)), 200) for i in range(notes)]
    return song(part(rows, number=GUITAR))


def test_a_take_of_a_hundred_notes_is_enough() -> None:
    (one,) = read_takes([open_midi(played(100))], "guitar")
    assert len(one.played) == 100


@pytest.mark.parametrize(
    ("take", "reason"), [(played(20), "only 20 usable notes, 64 are needed"), (played(200, spread=0), "flat")]
)
def test_a_take_with_nothing_to_learn_from_is_refused_with_the_reason(take: bytes, reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        read_takes([open_midi(take)], "guitar")


def test_of_a_take_that_is_cut_short_the_user_is_told() -> None:
    whole = played(200)
    with pytest.warns(DuvhumanWarning, match="cut short or damaged"):
        (one,) = read_takes([open_midi(whole[: len(whole) // 2])], "guitar")
    assert 64 <= len(one.played) < 200


def test_of_a_long_take_the_first_notes_are_used() -> None:
    (one,) = read_takes([open_midi(played(MOST_NOTES + 500))], "guitar")
    assert len(one.played) == MOST_NOTES
    assert one.played.score.onset_beats[0] == 0.0


def test_key_switches_are_not_learnt_from() -> None:
    keyed = [(240 * i, 12 if i % 8 == 0 else 45 + i % 20, 50 + i % 40, 200) for i in range(160)]
    (one,) = read_takes([open_midi(song(part(keyed, number=GUITAR)))], "guitar")
    assert len(one.played) == 140
    assert one.played.score.pitch.min() == 45


def test_below_the_lowest_string_of_a_violin_there_are_key_switches_too() -> None:
    keyed = [(240 * i, 36 if i % 8 == 0 else 57 + i % 20, 50 + i % 40, 200) for i in range(160)]
    (one,) = read_takes([open_midi(song(part(keyed, number=40)))], "strings")
    assert len(one.played) == 140
    few = [(240 * i, 60 if i < 50 else 36, 50 + i % 40, 200) for i in range(100)]
    with pytest.raises(DataError, match=r"only 50 usable notes, 64 are needed \(50 more lie beyond the range"):
        read_takes([open_midi(song(part(few, number=40)))], "strings")


def test_lengths_that_are_the_pedals_are_known_as_such() -> None:
    """A transcription: every other note ends as the pedal is lifted, whenever its key was released."""
    notes = [(480 * i, 45 + i % 20, 50 + i % 40, 400 + 50 * (i % 2)) for i in range(80)]
    pedal = b"".join(number(80 * (i > 0)) + b"\xb0\x40\x7f" + number(400) + b"\xb0\x40\x00" for i in range(80))
    (one,) = read_takes([open_midi(song(part(notes, number=PIANO), part([], number=None, before=pedal)))], "keys")
    assert one.played.released.tolist() == [False, True] * 40


def _habit(*, late: int = 0, loose: float = 0.0) -> bytes:
    """Every other eighth louder, so many ticks late, and with an SD of `loose` ticks."""
    rng = np.random.default_rng(4)
    ticks = 480 + 240 * np.arange(200) + late + rng.normal(0, loose, 200)
    rows = [(round(float(tick)), 45 + i * 7 % 20, 60 + 30 * (i % 2) + i % 5, 200) for i, tick in enumerate(ticks)]
    return song(part(rows, number=GUITAR))


@pytest.mark.parametrize(("late", "loose"), [(0, 0.0), (18, 7.0), (26, 18.0), (0, 26.0), (-20, 10.0)])
def test_a_take_that_comes_late_or_is_loose_is_on_its_beats(late: int, loose: float) -> None:
    (one,) = read_takes([open_midi(_habit(late=late, loose=loose))], "guitar")
    score = one.played.score
    assert score.grid_known.all()
    away = score.onset_beats * 2 - np.round(score.onset_beats * 2)
    assert abs(away.mean()) < 0.03
    assert np.allclose(np.mod(score.onset_beats - score.beat_in_bar + 2, 4), 2)


def test_failed_triggers_are_not_learnt_from_but_what_is_often_soft_is() -> None:
    rows = [(240 * i, 45 + i % 20, 2 if i % 20 == 0 else 50 + i % 40, 200) for i in range(200)]
    (one,) = read_takes([open_midi(song(part(rows, number=GUITAR)))], "guitar")
    assert len(one.played) == 190
    soft = [(240 * i, 45 + i % 20, 2 if i % 5 == 0 else 50 + i % 40, 200) for i in range(200)]
    (one,) = read_takes([open_midi(song(part(soft, number=GUITAR)))], "guitar")
    assert len(one.played) == 200


def test_of_clicks_nothing_is_learnt_of_lengths() -> None:
    rows = [(240 * i, 45 + i % 20, 50 + i % 40, 1) for i in range(200)]
    with pytest.warns(DuvhumanWarning, match="most lengths tell nothing"):
        (one,) = read_takes([open_midi(song(part(rows, number=GUITAR)))], "guitar")
    assert not one.played.released.any()


def test_that_several_parts_are_learnt_from_is_told() -> None:
    rows = [(240 * i, 45 + i % 20, 50 + i % 40, 200) for i in range(200)]
    two = song(*(part(rows, number=GUITAR, channel=channel, name=f"Gtr {channel}") for channel in (0, 1)))
    with pytest.warns(DuvhumanWarning, match=r"2 parts are learnt from.*0 \(Gtr 0\), 1 \(Gtr 1\)"):
        assert len(read_takes([open_midi(two)], "guitar")) == 2


def test_why_a_take_that_is_not_flat_teaches_nothing_is_told() -> None:
    rows = [(240 * i, 45 + i % 20, 110 if i % 2 else 127, 200) for i in range(200)]
    with pytest.raises(DataError, match=r"has 2 velocities with an SD of 8.5 \(5 with 3 are needed\)"):
        read_takes([open_midi(song(part(rows, number=GUITAR)))], "guitar")
