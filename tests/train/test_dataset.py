"""The data set on disk, the phrases cut from it, and the batches made of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from builders import score
from toys import columns, performance, toy_performance, write_data

from duvhuman.errors import DataError, FileError
from duvhuman.humanize.features import CONTEXT_NOTES, compute_features, feature_names
from duvhuman.humanize.score import Hints
from duvhuman.train import dataset
from duvhuman.train.dataset import (
    COLUMNS,
    FEWEST_WANTED,
    SHORTEST_PHRASE,
    PhraseData,
    phrase_ends,
    random_hints,
    save_parts,
)
from duvhuman.train.deadpan import Pair, Performance, pair_as_written

Rng = np.random.Generator
NO_HINTS = dict.fromkeys(dataset.HINT_CHANCES, 0.0)
ALL_HINTS = dict.fromkeys(dataset.HINT_CHANCES, 1.0)


def as_written(played: Performance, rng: Rng) -> Pair:
    """Instead of `deadpan`: every note is written a beat long, nothing else is touched."""
    return pair_as_written(played, np.ones(len(played)))


def numbered(notes: int, **given: object) -> dict[str, np.ndarray]:
    """Notes whose pitch and velocity tell which they are (up to 128)."""
    index = np.arange(notes)
    return columns(240 * index, **({"pitch": index % 128, "velocity": 1 + index % 127} | given))


# On disk.


def test_columns_come_back_as_they_were_saved_and_in_their_types(tmp_path: Path) -> None:
    once = toy_performance(1)
    data = write_data(tmp_path, [({"song": "toys/one", "level": 71.5}, once), ({"split": "valid"}, toy_performance(2))])
    for name, kind in COLUMNS.items():
        assert data.columns[name].dtype == kind
        assert np.array_equal(data.columns[name][:240], once[name])
    assert [(row.start, row.stop) for row in data.parts] == [(0, 240), (240, 480)]
    assert (data.parts[0].song, data.parts[0].level) == ("toys/one", 71.5)


def test_columns_are_mapped_not_read(data: PhraseData) -> None:
    assert all(isinstance(values, np.memmap) for values in data.columns.values())
    assert not any(values.flags.writeable for values in data.columns.values())


def test_extremes_fit_their_columns(tmp_path: Path) -> None:
    extreme = columns(
        [0, 2**31 - 1], duration=65535, pitch=127, velocity=127, program=128, tempo=65535, bar_beats=65535
    )
    data = write_data(tmp_path, [({}, extreme)])
    for name, values in extreme.items():
        assert np.array_equal(data.columns[name], values), name


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
    assert names(split="train", played=True) == "ac"
    assert names(split="train", played=False) == "b"
    assert names(split="valid", instrument="keys") == ""


@pytest.mark.parametrize("text", ["[", "[1]", '[{"pack": "a"}]', '{"a": 1}', '[{"colour": "red"}]'])
def test_a_damaged_index_is_no_data_set(text: str, tmp_path: Path) -> None:
    write_data(tmp_path, [({}, toy_performance(0))])
    (tmp_path / "parts.json").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match="no prepared data there .*make it with: python -m duvhuman.train prepare"):
        PhraseData(tmp_path)


@pytest.mark.parametrize("name", ["parts.json", "onset.npy", "wanted.npy"])
def test_a_missing_file_is_no_data_set(name: str, tmp_path: Path) -> None:
    write_data(tmp_path, [({}, toy_performance(0))])
    (tmp_path / name).unlink()
    with pytest.raises(DataError, match=f"{name}"):
        PhraseData(tmp_path)


def test_the_index_is_written_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_data(tmp_path, [({}, toy_performance(0))])
    rows = PhraseData(tmp_path).parts

    def full(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(np, "save", full)
    with pytest.raises(FileError, match="disk full"):
        save_parts(tmp_path, rows, toy_performance(1))
    with pytest.raises(DataError):
        PhraseData(tmp_path)


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
        covered = np.concatenate([np.arange(start, stop) for start, stop, _ in phrases])
        assert len(np.unique(covered)) == len(covered)
        left_out = np.setdiff1d(np.arange(1300), covered)
        assert len(left_out) <= 4 * (SHORTEST_PHRASE - 1)  # scraps stand at the two ends of each part


def test_phrases_stay_inside_their_part(tmp_path: Path) -> None:
    data = write_data(tmp_path, [({}, numbered(150)), ({}, numbered(200)), ({}, numbered(90))])
    phrases = cut(data, toys=5)
    assert set(phrases[:, 2]) == {0, 1, 2}
    for start, stop, index in phrases:
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


def test_no_part_gives_no_phrase(data: PhraseData) -> None:
    phrases = data.cut_phrases([], np.random.default_rng(0), max_len=128, passes={})
    assert phrases.shape == (0, 3)


# Performances.


def test_units_on_disk_become_beats_and_beats_per_minute(tmp_path: Path) -> None:
    values = columns(
        [0, 120, 120, 480], duration=[60, 240, 480, 1920], pitch=[40, 50, 60, 70], velocity=[1, 64, 100, 127],
        program=[24, 25, 26, 128], tempo=[3840, 3841, 1920, 320], beat_in_bar=[0, 120, 120, 480], bar_beats=1440,
    )  # fmt: skip
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


# Batches.


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches without chance: no hints, nothing changed but the velocities and lengths taken off."""
    monkeypatch.setattr(dataset, "deadpan", as_written)
    monkeypatch.setattr(dataset, "HINT_CHANCES", NO_HINTS)


def batch(data: PhraseData, phrases: Sequence[Sequence[int]], *, max_len: int = 12) -> dataset.Batch:
    return data.batch(np.array(phrases), data.parts, np.random.default_rng(0), max_len=max_len)


def test_a_batch_has_the_shapes_and_types_that_the_network_takes(data: PhraseData) -> None:
    one = data.batch(np.array([[0, 128, 0], [300, 340, 1]]), data.parts, np.random.default_rng(0), max_len=128)
    assert one.features.shape == (2, 128, len(feature_names()))
    assert {tuple(getattr(one, name).shape) for name in one._fields if name != "features"} == {(2, 128)}
    assert one.pitch.dtype == one.program.dtype == torch.int64
    assert one.mask.dtype == torch.bool
    assert {getattr(one, n).dtype for n in ("features", "velocity", "articulation", "boundary", "weight")} == {
        torch.float32
    }
    assert all(torch.isfinite(tensor).all() for tensor in one)
    assert one.to(torch.device("cpu")).pitch.equal(one.pitch)


@pytest.mark.usefixtures("plain")
def test_padding_is_zero_and_weighs_nothing(tmp_path: Path) -> None:
    data = write_data(tmp_path, [({}, numbered(40, pitch=60))])
    one = batch(data, [[0, 12, 0], [20, 25, 0]])
    assert one.mask.tolist() == [[True] * 12, [True] * 5 + [False] * 7]
    for name in one._fields:
        assert not getattr(one, name)[1, 5:].any(), name
    assert one.weight.tolist() == [[1.0] * 12, [1.0] * 5 + [0.0] * 7]


@pytest.mark.usefixtures("plain")
def test_repeated_bars_are_seen_and_weigh_nothing(tmp_path: Path) -> None:
    wanted = np.arange(40) % 3 > 0
    data = write_data(tmp_path, [({}, numbered(40, wanted=wanted))])
    one = batch(data, [[10, 22, 0]])
    assert one.mask.all()
    assert one.weight[0].tolist() == wanted[10:22].astype(float).tolist()


@pytest.mark.usefixtures("plain")
def test_the_targets_are_what_was_played(tmp_path: Path) -> None:
    duration = np.tile([480, 240, 960, 30], 10)
    data = write_data(tmp_path, [({}, numbered(40, duration=duration))])
    one = batch(data, [[4, 12, 0]])
    assert one.pitch[0, :8].tolist() == list(range(4, 12))
    assert one.velocity[0, :8].tolist() == list(range(5, 13))
    assert one.articulation[0, :8].tolist() == [0.0, -1.0, 1.0, -4.0] * 2  # of notes written a beat long
    assert one.program[0, :8].tolist() == [25] * 8


@pytest.mark.usefixtures("plain")
def test_context_is_heard_but_not_trained_on(tmp_path: Path) -> None:
    data = write_data(tmp_path, [({}, numbered(200))])
    one = batch(data, [[100, 112, 0]])
    around = slice(100 - CONTEXT_NOTES, 112 + CONTEXT_NOTES)
    whole = score(np.arange(200)[around] / 2, np.arange(200)[around] % 128)
    expected = compute_features(whole, Hints.none(len(whole)))[CONTEXT_NOTES:-CONTEXT_NOTES]
    np.testing.assert_array_equal(one.features[0].numpy(), expected)
    assert one.pitch[0].tolist() == list(range(100, 112))


def test_batches_follow_from_their_seed_alone(data: PhraseData) -> None:
    def drawn(seed: int) -> dataset.Batch:
        return data.batch(np.array([[0, 128, 0], [240, 300, 1]]), data.parts, np.random.default_rng(seed), max_len=128)

    assert all(one.equal(other) for one, other in zip(drawn(1), drawn(1), strict=True))
    assert not drawn(1).features.equal(drawn(2).features)


# Hints and phrase ends.


def two_phrases() -> Performance:
    played = performance(score([0, 1, 2, 3, 0, 1], segment=[0, 0, 0, 0, 1, 1]), velocity=[60, 60, 60, 100, 50, 54])
    return replace(played, level=np.array([66.0] * 4 + [52.0] * 2), range=np.array([12.0] * 4 + [3.0] * 2))


def test_hints_are_those_of_the_part_that_the_phrase_is_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataset, "HINT_CHANCES", ALL_HINTS)
    hints = random_hints(two_phrases(), np.random.default_rng(0))
    assert hints.level.tolist() == [66.0] * 4 + [52.0] * 2
    assert hints.range.tolist() == [12.0] * 4 + [3.0] * 2
    # Within two beats: means 60, 70, 70, 73.3 and 52; less the level -6, 4, 4, 7.3 and 0, in steps of 4.
    assert hints.swell.tolist() == [-8.0, 4.0, 4.0, 8.0, 0.0, 0.0]
    assert hints.accent.tolist() == [0.0, -1.0, -1.0, 1.0, 0.0, 0.0]


def test_hints_may_be_withheld(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataset, "HINT_CHANCES", NO_HINTS)
    hints = random_hints(two_phrases(), np.random.default_rng(0))
    assert all(np.isnan(values).all() for values in (hints.level, hints.range, hints.swell, hints.accent))


def test_each_hint_is_given_to_a_whole_phrase_or_not_at_all_and_as_often_as_its_chance() -> None:
    segments = np.repeat(np.arange(1000), 2)
    played = performance(score(np.tile([0.0, 1.0], 1000), segment=segments))
    hints = random_hints(played, np.random.default_rng(0))
    for name, column in (("level", hints.level), ("range", hints.range), ("contour", hints.swell)):
        given = np.isfinite(column).reshape(1000, 2)
        assert (given[:, 0] == given[:, 1]).all()
        assert given[:, 0].mean() == pytest.approx(dataset.HINT_CHANCES[name], abs=0.05)
    assert np.array_equal(np.isfinite(hints.swell), np.isfinite(hints.accent))


def test_a_phrase_ends_where_nothing_sounds_for_half_a_beat() -> None:
    onset = [0, 1, 2, 3, 4, 6, 0, 1]
    duration = [1, 0.5, 0.51, 4.0, 0.1, 0.1, 0.2, 9]
    segment = [0, 0, 0, 0, 0, 0, 1, 1]
    played = performance(score(onset, segment=segment), duration=duration)
    # Silences: 0, 0.5, 0.49; then the note of beat 3 sounds until 7; the last of a segment ends nothing; 0.8.
    assert phrase_ends(played).tolist() == [False, True, False, False, False, False, True, False]


def test_rows_are_plain_json(tmp_path: Path) -> None:
    write_data(tmp_path, [({"song": "Dvořák"}, toy_performance(0))])
    (row,) = json.loads((tmp_path / "parts.json").read_text(encoding="utf-8"))
    assert row["song"] == "Dvořák"
    assert row["stop"] == 240
