"""The parts of a data set, the phrases cut from them, and what was played on these."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from toys import columns, numbered, toy_performance, write_data

from duvhuman.train.data.parts import FEWEST_WANTED, SHORTEST_PHRASE
from duvhuman.train.dataset import PhraseData


def test_parts_are_selected_by_split_instrument_and_hand(tmp_path: Path) -> None:
    one = toy_performance(0)
    specials = [
        {"song": "a"},
        {"song": "b", "played": False},
        {"song": "c", "instrument": "bass"},
        {"song": "d", "split": "valid"},
    ]
    data = write_data(tmp_path, [(special, one) for special in specials])

    def names(**wanted: object) -> str:
        return "".join(row.song for row in data.select(**wanted))  # type: ignore[arg-type]

    assert names(split="train") == "abc"
    assert names(split="valid") == "d"
    assert names(split="train", instrument="guitar") == "ab"
    assert names(split="train", played_only=True) == "ac"
    assert names(split="valid", instrument="keys") == ""


# Phrases.


def cut(data: PhraseData, seed: int = 0, *, max_len: int = 128, **passes: float) -> np.ndarray:
    return data.cut_phrases(data.parts, np.random.default_rng(seed), max_len=max_len, passes=passes)


def test_one_pass_covers_every_note_once_but_for_scraps(tmp_path: Path) -> None:
    data = write_data(tmp_path, [({}, numbered(1000)), ({}, numbered(300))])
    for seed in range(10):
        phrases = cut(data, seed)
        lengths = phrases[:, 1] - phrases[:, 0]
        assert lengths.min() >= SHORTEST_PHRASE
        assert lengths.max() <= 128
        covered = np.concatenate([np.arange(start, stop) for start, stop, *_ in phrases])
        assert len(np.unique(covered)) == len(covered)
        left_out = np.setdiff1d(np.arange(1300), covered)
        assert len(left_out) <= 4 * (SHORTEST_PHRASE - 1)  # scraps stand at the two ends of each part


def test_phrases_stay_inside_their_part(tmp_path: Path) -> None:
    data = write_data(tmp_path, [({}, numbered(150)), ({}, numbered(200)), ({}, numbered(90))])
    phrases = cut(data, toys=5)
    assert set(phrases[:, 2]) == {0, 1, 2}
    for start, stop, index, _ in phrases:
        assert data.parts[index].start <= start < stop <= data.parts[index].stop


def test_epochs_cut_at_other_places_and_in_another_order(tmp_path: Path) -> None:
    data = write_data(tmp_path, [({}, numbered(1000))])
    one, again, other = cut(data, 0), cut(data, 0), cut(data, 1)
    assert np.array_equal(one, again)
    assert not set(one[:, 0].tolist()) & set(other[:, 0].tolist()) - {0}
    assert not np.array_equal(one[:, 0], np.sort(one[:, 0]))


def notes_in(phrases: np.ndarray) -> int:
    return int((phrases[:, 1] - phrases[:, 0]).sum())


def test_passes_say_how_often_a_pack_is_gone_through(tmp_path: Path) -> None:
    parts = [({"pack": "lakh"}, numbered(128)) for _ in range(100)] + [
        ({"pack": "pop"}, numbered(128)) for _ in range(100)
    ]
    data = write_data(tmp_path, parts)

    def passed(**passes: float) -> list[int]:
        """How often each part was gone through; the phrases of a pass over it hold 128 notes at most."""
        phrases = cut(data, max_len=256, **passes)
        counts = np.bincount(phrases[:, 2], minlength=200)
        return [int(counts[:100].sum()), int(counts[100:].sum())]

    whole = passed()
    assert passed(lakh=0)[0] == 0
    assert passed(lakh=0, pop=0) == [0, 0]
    assert passed(lakh=3)[0] == pytest.approx(3 * whole[0], rel=0.15)
    assert passed(pop=3)[1] == pytest.approx(3 * whole[1], rel=0.15)
    assert passed(lakh=0.25)[0] == pytest.approx(0.25 * whole[0], rel=0.4)
    assert passed(lakh=2.5)[0] == pytest.approx(2.5 * whole[0], rel=0.15)
    assert whole[1] == pytest.approx(passed(lakh=0)[1], rel=0.15)  # a pack that is not named passes once


def test_a_phrase_needs_some_notes_that_count(tmp_path: Path) -> None:
    wanted = np.arange(64) < FEWEST_WANTED
    enough = write_data(tmp_path / "a", [({}, numbered(64, wanted=wanted))])
    few = write_data(tmp_path / "b", [({}, numbered(64, wanted=wanted & (np.arange(64) > 0)))])

    def longest(data: PhraseData) -> int:
        phrases = np.concatenate([cut(data, seed, max_len=256) for seed in range(30)])
        return int((phrases[:, 1] - phrases[:, 0]).max(initial=0))

    assert longest(enough) == 64
    assert longest(few) == 0


@pytest.mark.parametrize(("balance", "share"), [(0.0, 1 / 5), (0.5, 1 / 3), (0.99, 1 / 2)])
def test_short_parts_catch_up_as_far_as_balance_says(tmp_path: Path, balance: float, share: float) -> None:
    values = [numbered(n) for n in (500, 500, 2000, 2000)]
    other = numbered(700)
    data = write_data(tmp_path, [({}, each) for each in values] + [({"pack": "solo"}, other)])
    notes = np.zeros(5)
    for seed in range(100):
        phrases = data.cut_phrases(
            data.parts, np.random.default_rng(seed), max_len=128, passes={"toys": 2.0}, balance=balance
        )
        np.add.at(notes, phrases[:, 2], (phrases[:, 1] - phrases[:, 0]) / 100)
    assert notes[:2].sum() / notes[:4].sum() == pytest.approx(share, rel=0.06)
    assert notes[:4].sum() == pytest.approx(2 * 5000, rel=0.06)
    assert notes[4] == pytest.approx(700, rel=0.06)  # alone in its pack


def test_no_part_gives_no_phrase(data: PhraseData) -> None:
    phrases = data.cut_phrases([], np.random.default_rng(0), max_len=128, passes={})
    assert phrases.shape == (0, 4)


# Performances.


def test_units_on_disk_become_beats_and_beats_per_minute(tmp_path: Path) -> None:
    values = columns(
        [0, 120, 120, 480], duration=[60, 240, 480, 1920], pitch=[40, 50, 60, 70], velocity=[1, 64, 100, 127],
        program=[24, 25, 26, 128], tempo=[3840, 3841, 1920, 320], beat_in_bar=[0, 120, 120, 480], bar_beats=1440,
    )
    data = write_data(tmp_path, [({"grid": False, "level": 70.0, "range": 9.0}, values)])
    played = data.performance(np.array([[0, 4, 0]]), data.parts)
    assert played.score.onset_beats.tolist() == [0.0, 0.25, 0.25, 1.0]
    assert played.duration_beats.tolist() == [0.125, 0.5, 1.0, 4.0]
    assert played.score.tempo_bpm.tolist() == [120.0, 120.03125, 60.0, 10.0]
    assert played.score.beat_in_bar.tolist() == [0.0, 0.25, 0.25, 1.0]
    assert played.score.bar_beats.tolist() == [3.0] * 4
    assert played.score.program.tolist() == [24, 25, 26, 128]
    assert played.velocity.tolist() == [1.0, 64.0, 100.0, 127.0]
    assert np.isnan(played.score.nominal_beats).all()
    assert not played.score.grid_known.any()
    assert (played.level.tolist(), played.range.tolist()) == ([70.0] * 4, [9.0] * 4)


def test_context_stands_around_the_phrase_never_beyond_its_part_and_never_counts(tmp_path: Path) -> None:
    wanted = np.ones(100, dtype=bool)
    wanted[50:55] = False
    data = write_data(tmp_path, [({}, numbered(100)), ({}, numbered(100, wanted=wanted)), ({}, numbered(100))])
    phrases = np.array([[140, 160, 1], [100, 110, 1], [290, 300, 2]])
    played = data.performance(phrases, data.parts, context=8)
    assert np.bincount(played.score.segment).tolist() == [8 + 20 + 8, 10 + 8, 8 + 10]
    middle, first, last = (played.select(played.score.segment == number) for number in range(3))
    assert middle.score.pitch.tolist() == list(range(32, 68))
    assert middle.core.tolist() == [False] * 8 + [True] * 20 + [False] * 8
    assert middle.wanted.tolist() == [False] * 8 + [True] * 10 + [False] * 5 + [True] * 5 + [False] * 8
    assert first.score.pitch.tolist() == list(range(18))
    assert first.core.tolist() == [True] * 10 + [False] * 8
    assert last.score.pitch.tolist() == list(range(82, 100))


def test_a_part_too_short_for_two_phrases_is_one(tmp_path: Path) -> None:
    data = write_data(tmp_path, [({}, numbered(2 * SHORTEST_PHRASE - 2))])
    for seed in range(20):
        assert cut(data, seed)[:, :2].tolist() == [[0, 2 * SHORTEST_PHRASE - 2]]
