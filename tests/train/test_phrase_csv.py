"""The predecessor's phrase CSV: what its columns mean, whose rows are usable, and how songs are split."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from duvhuman.errors import DataError, DuvhumanError, FileError, OptionError
from duvhuman.train.dataset import PhraseData
from duvhuman.train.encode import HINT_CHANCES
from duvhuman.train.parts import fraction_of
from duvhuman.train.phrase_csv import read_phrase_csv
from duvhuman.train.storage import TEMPO_UNIT, PartRow

COLUMNS = ("pitch", "velocity", "duration", "pos", "boundary", "bar", "instrument")
Row = dict[str, Any]
Read = Callable[..., PhraseData]


def song(bars: int = 8, *, seed: int = 0, ordinals: bool = False, per_bar: int = 8, **given: Any) -> list[Row]:
    """Notes evenly over bars of 4 beats, of random pitch, velocity and duration; 64 unless told otherwise."""
    rng = np.random.default_rng(seed)
    return [
        {
            "pitch": rng.integers(45, 80), "velocity": rng.integers(40, 110), "duration": round(rng.uniform(0.1, 2), 3),
            "pos": place if ordinals else place * 1920 // per_bar, "boundary": 0, "bar": bar, "instrument": "guitar",
        } | given
        for bar in range(bars)
        for place in range(per_bar)
    ]  # fmt: skip


def text_of(rows: list[Row], *, delimiter: str = ",", end: str = "\n") -> str:
    columns = [*COLUMNS, *(name for name in rows[0] if name not in COLUMNS)]
    lines = [columns, *([str(row[name]) for name in columns] for row in rows)]
    return "".join(delimiter.join(line) + end for line in lines)


@pytest.fixture
def log() -> list[str]:
    return []


@pytest.fixture
def read(tmp_path: Path, log: list[str]) -> Read:
    """Write the files given as rows, text or bytes, named ``songs.csv`` unless told otherwise, and read them."""

    def read_files(*contents: list[Row] | str | bytes, names: tuple[str, ...] = (), **options: Any) -> PhraseData:
        paths = []
        for number, content in enumerate(contents):
            paths.append(tmp_path / (names[number] if names else f"songs{number or ''}.csv"))
            text = text_of(content) if isinstance(content, list) else content
            paths[-1].write_bytes(text.encode() if isinstance(text, str) else text)
        return read_phrase_csv(paths, log=log.append, **options)

    return read_files


@pytest.fixture
def read_part(read: Read) -> Callable[..., tuple[PartRow, dict[str, np.ndarray]]]:
    """Read a song beside another that is held out, and give its row and columns."""

    def read_song(rows: list[Row]) -> tuple[PartRow, dict[str, np.ndarray]]:
        data = read(rows, song(seed=99), names=("one_train.csv", "one_valid.csv"))
        (row,) = data.select(split="train")
        names = ("onset", "duration", "pitch", "velocity", "program", "tempo", "beat_in_bar", "bar_beats")
        return row, {name: data.column(name)[row.start : row.stop] for name in names}

    return read_song


Part = Callable[[list[Row]], tuple[PartRow, dict[str, np.ndarray]]]


def sizes(data: PhraseData, split: str) -> list[int]:
    return sorted(row.stop - row.start for row in data.select(split=split))


def tellings(log: list[str], name: str) -> str:
    """The one line that the log has of a file."""
    (line,) = (line for line in log if name in line and not line.startswith("warning"))
    return line


# What pos means.


def test_ticks_are_counted_within_the_bar(read_part: Part, log: list[str]) -> None:
    row, columns = read_part(song(4))
    assert columns["onset"].tolist() == list(range(0, 4 * 1920, 240))
    assert columns["beat_in_bar"].tolist() == 4 * list(range(0, 1920, 240))
    assert set(columns["bar_beats"]) == {1920}
    assert set(columns["tempo"] * TEMPO_UNIT) == {120}
    assert row.grid
    assert "ticks within the bar" in tellings(log, "one_train")
    assert "bars of 4 beats; no onset recorded, 120 BPM assumed" in tellings(log, "one_train")


def test_pitch_velocity_duration_and_program_are_kept(read_part: Part) -> None:
    rows = song(4, program=27)
    _, columns = read_part(rows)
    for name in ("pitch", "velocity", "program"):
        assert columns[name].tolist() == [row[name] for row in rows]
    assert columns["duration"].tolist() == [round(480 * row["duration"]) for row in rows]


@pytest.mark.parametrize("program", ["", "-1", "128", "nan"])
def test_without_a_program_the_instruments_own_is_taken(read_part: Part, program: str) -> None:
    _, columns = read_part(song(4, program=program))
    assert set(columns["program"]) == {25}


def test_the_notes_of_a_chord_share_their_ticks(read_part: Part) -> None:
    rows = [row | {"pitch": pitch} for row in song(8, per_bar=2) for pitch in (64, 52, 60)]
    row, columns = read_part(rows)
    assert row.grid
    assert columns["onset"][:6].tolist() == [0, 0, 0, 960, 960, 960]
    assert columns["pitch"][:6].tolist() == [52, 60, 64, 52, 60, 64]


def test_a_strum_a_tick_apart_does_not_turn_ticks_into_ordinals(read_part: Part, log: list[str]) -> None:
    rows = [row | {"pos": row["pos"] + late} for row in song(8, per_bar=8) for late in (0, 1)]
    _, columns = read_part(rows)
    assert columns["onset"][:4].tolist() == [0, 1, 240, 241]


@pytest.mark.parametrize("first", [0, 1])
def test_ordinals_are_spread_evenly_over_the_bar_and_the_grid_is_unknown(
    read_part: Part, log: list[str], first: int
) -> None:
    rows = [*song(1, per_bar=3, ordinals=True), *(row | {"bar": row["bar"] + 1} for row in song(8, ordinals=True))]
    row, columns = read_part([row | {"pos": row["pos"] + first} for row in rows])
    assert not row.grid
    assert columns["onset"][:6].tolist() == [0, 640, 1280, 1920, 2160, 2400]
    assert columns["beat_in_bar"][:4].tolist() == [0, 640, 1280, 0]
    assert "a note's place in the order of its bar, whose notes are spread evenly" in tellings(log, "one_train")


def test_pos_is_told_for_each_file(read: Read, log: list[str]) -> None:
    data = read(song(), song(ordinals=True, seed=1), names=("one_train.csv", "one_valid.csv"))
    assert {row.split: row.grid for row in data.parts} == {"train": True, "valid": False}
    assert "ticks" in tellings(log, "one_train")
    assert "place in the order of its bar" in tellings(log, "one_valid")


def test_ordinals_may_count_the_notes_of_all_instruments_in_a_bar(read: Read) -> None:
    rows = [
        {**row, "instrument": ("guitar", "bass")[row["pos"] % 2]} for row in song(16, ordinals=True, song_id="one")
    ]  # fmt: skip
    data = read(rows, song(seed=9), song(seed=8, instrument="bass"), names=("a.csv", "valid.csv", "test.csv"))
    guitar, bass = (data.select(split="train", instrument=name)[0] for name in ("guitar", "bass"))
    assert data.column("beat_in_bar")[guitar.start : guitar.start + 4].tolist() == [0, 480, 960, 1440]
    assert data.column("beat_in_bar")[bass.start : bass.start + 4].tolist() == [240, 720, 1200, 1680]


def test_ordinals_with_gaps_are_ordinals_still(read_part: Part) -> None:
    rows = [row | {"pos": 3 * row["pos"]} for row in song(4, ordinals=True)]
    row, columns = read_part(rows)
    assert not row.grid
    assert columns["onset"][:3].tolist() == [0, 240, 480]


def test_a_bar_whose_first_notes_were_cut_off_is_filled_by_the_others(read_part: Part) -> None:
    _, columns = read_part(song(5, ordinals=True)[4:])
    assert columns["onset"][:5].tolist() == [0, 480, 960, 1440, 1920]


def test_where_each_bar_has_one_note_at_its_start_no_grid_is_claimed(read_part: Part, log: list[str]) -> None:
    row, columns = read_part(song(40, per_bar=1))
    assert not row.grid
    assert columns["onset"].tolist() == list(range(0, 40 * 1920, 1920))
    assert "it never reaches 120" in tellings(log, "one_train")


def test_chords_on_downbeats_alone_are_ticks(read_part: Part) -> None:
    row, columns = read_part([row | {"pitch": pitch} for row in song(12, per_bar=1) for pitch in (52, 60, 64)])
    assert row.grid
    assert columns["onset"][:4].tolist() == [0, 0, 0, 1920]


def test_a_song_whose_ticks_reach_past_four_beats_has_longer_bars(read: Read, log: list[str]) -> None:
    five = [row | {"pos": row["pos"] + 480 * (row["pos"] >= 960)} for row in song(8)]
    data = read([*five, *song(seed=1)], song(seed=2), names=("a.csv", "valid.csv"))
    one, other = data.select(split="train")
    assert {int(data.column("bar_beats")[part.start]) for part in (one, other)} == {2400, 1920}
    assert data.column("onset")[one.start + 8] == 5 * 480
    assert "bars of 4 or 5 beats" in tellings(log, "a.csv")


def test_a_bar_number_may_begin_anywhere_and_leave_bars_out(read_part: Part) -> None:
    _, columns = read_part([row | {"bar": 7 + 2 * row["bar"]} for row in song(5)])
    assert columns["onset"][[0, 8]].tolist() == [0, 2 * 1920]


def test_rows_of_a_bar_may_stand_in_any_order(read_part: Part) -> None:
    rows = song(4)
    _, columns = read_part([row for bar in range(4) for row in rows[8 * bar : 8 * bar + 8][::-1]])
    assert columns["onset"].tolist() == list(range(0, 4 * 1920, 240))
    assert columns["pitch"].tolist() == [row["pitch"] for row in rows]


# Recorded onsets.


def with_onsets(rows: list[Row], onsets: Iterator[float] | list[float], name: str = "onset") -> list[Row]:
    return [row | {name: onset} for row, onset in zip(rows, onsets, strict=True)]


@pytest.mark.parametrize("name", ["onset", "start"])
@pytest.mark.parametrize("ordinals", [False, True])
def test_onsets_in_beats_win_over_pos(read_part: Part, log: list[str], name: str, *, ordinals: bool) -> None:
    onsets = [place / 2 + 0.1 * (place % 2) for place in range(64)]
    row, columns = read_part(with_onsets(song(ordinals=ordinals), onsets, name))
    assert row.grid
    assert columns["onset"][:4].tolist() == [0, 288, 480, 768]
    assert f"{name} is taken for beats (bars lie 4 beats apart)" in tellings(log, "one_train")


def test_onset_wins_over_start(read_part: Part) -> None:
    rows = with_onsets(song(), [place / 2 + 0.25 * (place % 2) for place in range(64)])
    _, columns = read_part(with_onsets(rows, [place / 2 for place in range(64)], "start"))
    assert columns["onset"][:3].tolist() == [0, 360, 480]


def test_onsets_in_beats_tell_a_metre_of_three(read_part: Part) -> None:
    rows = [row | {"pos": row["pos"] * 3 // 4} for row in song(12, per_bar=6)]
    _, columns = read_part(with_onsets(rows, [place / 2 for place in range(72)]))
    assert set(columns["bar_beats"]) == {3 * 480}
    assert columns["onset"][6] == 3 * 480
    assert columns["beat_in_bar"][:7].tolist() == [0, 240, 480, 720, 960, 1200, 0]


def test_a_song_too_short_to_tell_has_the_metre_of_the_others(read: Read) -> None:
    three = with_onsets(song(12, per_bar=6, ordinals=True), [place / 2 for place in range(72)])
    short = with_onsets(song(2, per_bar=24, ordinals=True, seed=1), [place / 8 for place in range(48)])
    data = read([*three, *short], song(seed=2), names=("a.csv", "valid.csv"))
    assert [set(data.column("bar_beats")[row.start : row.stop]) for row in data.select(split="train")] == [{1440}] * 2


def test_onsets_may_be_ticks_from_the_beginning_of_the_song(read_part: Part, log: list[str]) -> None:
    _, columns = read_part(with_onsets(song(), [10_000 + 240 * place for place in range(64)]))
    assert columns["onset"].tolist() == list(range(0, 64 * 240, 240))
    assert "onset is taken for ticks" in tellings(log, "one_train")


@pytest.mark.parametrize("ordinals", [False, True])
def test_onsets_in_seconds_tell_the_tempo(read_part: Part, log: list[str], *, ordinals: bool) -> None:
    beats_per_second = 100 / 60
    onsets = [place / 2 / beats_per_second for place in range(64)]
    row, columns = read_part(with_onsets(song(ordinals=ordinals), onsets))
    assert columns["onset"] == pytest.approx(np.arange(0, 64 * 240, 240), abs=1)
    assert columns["tempo"] * TEMPO_UNIT == pytest.approx(100, abs=0.1)
    assert row.grid is not ordinals  # bars alone do not tell where the beats are
    assert "onset is taken for seconds (bars lie 2.40 apart), which gives 100 BPM" in tellings(log, "one_train")


def test_bars_two_apart_are_two_seconds(read_part: Part) -> None:
    _, columns = read_part(with_onsets(song(), [place / 4 for place in range(64)]))
    assert columns["onset"][:3].tolist() == [0, 240, 480]
    assert set(columns["tempo"] * TEMPO_UNIT) == {120}


def test_onsets_that_do_not_rise_with_the_bars_are_not_used(read_part: Part, log: list[str]) -> None:
    _, columns = read_part(with_onsets(song(), [place % 8 / 100 for place in range(64)]))
    assert columns["onset"][:10].tolist() == list(range(0, 2400, 240))
    assert "onset is not used, as it does not rise with the bars" in tellings(log, "one_train")


def test_a_song_with_an_onset_missing_keeps_to_bar_and_pos(read: Read, log: list[str]) -> None:
    onsets = [place / 2 + 0.1 * (place % 2) for place in range(64)]
    whole = with_onsets(song(ordinals=True), onsets)
    holed = with_onsets(song(ordinals=True, seed=1), ["", *onsets[1:]])
    data = read([*whole, *holed], song(seed=2), names=("a.csv", "valid.csv"))
    one, other = data.select(split="train")
    assert (one.grid, other.grid) == (True, False)
    assert data.column("onset")[[one.start + 1, other.start + 1]].tolist() == [288, 240]
    assert "1 songs without it throughout keep to bar and pos" in tellings(log, "a.csv")


def test_onsets_of_a_song_too_short_to_tell_are_beats(read_part: Part, log: list[str]) -> None:
    _, columns = read_part(with_onsets(song(2, per_bar=32), [place / 7 for place in range(64)]))
    assert columns["onset"][7] == 480
    assert "no song spans 4 bars to tell by" in tellings(log, "one_train")


def test_onsets_further_apart_than_any_song_is_long_are_not_used(read_part: Part, log: list[str]) -> None:
    onsets = [-3.9e6, *(place / 8 for place in range(62)), 3.9e6]
    _, columns = read_part(with_onsets(song(2, per_bar=32), onsets))
    assert columns["onset"].tolist() == list(range(0, 64 * 60, 60))
    assert "1 songs without it throughout keep to bar and pos" in tellings(log, "one_train")


# What is predicted is no input.


@pytest.mark.parametrize("kind", ["ticks", "ordinals", "ordinals and onsets in beats", "ticks and onsets in seconds"])
def test_velocity_and_duration_reach_no_input(
    tmp_path: Path, log: list[str], monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    for name in HINT_CHANCES:
        monkeypatch.setitem(HINT_CHANCES, name, 0.0)  # type: ignore[misc]
    rows = [row for seed in range(4) for row in song(16, seed=seed, ordinals="ordinals" in kind)]
    if "onsets" in kind:
        unit = 1.7 if "seconds" in kind else 1
        rows = with_onsets(rows, [place / 2 / unit for _ in range(4) for place in range(128)])
    rng = np.random.default_rng(1)
    other = [row | {"velocity": rng.integers(1, 128), "duration": rng.uniform(0.001, 40)} for row in rows]
    batches, grids = [], []
    for number, table in enumerate((rows, other)):
        path = tmp_path / str(number) / "songs.csv"
        path.parent.mkdir()
        path.write_text(text_of(table))
        data = read_phrase_csv([path], log=log.append)
        grids.append([(row.song, row.split, row.start, row.stop, row.grid) for row in data.parts])
        phrases = np.array([[row.start, row.stop, index, 0] for index, row in enumerate(data.parts)])
        batches.append([data.batch(phrases, data.parts, seed=3, epoch=epoch, width=128) for epoch in range(4)])
    assert grids[0] == grids[1]
    for before, after in zip(*batches, strict=True):
        for name in ("pitch", "program", "features", "mask"):
            assert torch.equal(getattr(before, name), getattr(after, name)), name
        for name in ("velocity", "articulation"):
            assert not torch.equal(getattr(before, name), getattr(after, name)), name


@pytest.mark.parametrize("name", ["boundary", "velocity_bucket", "duration_bucket", "section", "mood"])
def test_the_predecessors_own_targets_and_labels_are_ignored(read: Read, name: str) -> None:
    data = [read(song(16, **{name: value})) for value in (0, 7, "?")]
    for column in ("onset", "pitch", "velocity", "duration", "wanted", "beat_in_bar"):
        assert all(np.array_equal(one.column(column), data[0].column(column)) for one in data)


# Songs and parts.


def test_a_falling_bar_number_begins_a_song(read: Read, log: list[str]) -> None:
    data = read([*song(8, seed=1), *song(12, seed=2), *song(16, seed=3)])
    assert sorted(sizes(data, "train") + sizes(data, "valid")) == [64, 96, 128]
    assert {row.song for row in data.parts} == {"songs/1", "songs/2", "songs/3"}
    assert "192" not in tellings(log, "songs.csv")
    assert "288 rows, 3 songs (by falling bar numbers), 3 parts (guitar 3)" in tellings(log, "songs.csv")


@pytest.mark.parametrize("name", ["song_id", "file"])
def test_a_new_song_id_or_file_begins_a_song(read: Read, name: str) -> None:
    later = [row | {"bar": row["bar"] + 8} for row in song(12, seed=2, **{name: "two"})]
    data = read([*song(8, seed=1, **{name: "one"}), *later])
    assert {row.song for row in data.parts} == {f"{name} one", f"{name} two"}


def test_a_new_file_begins_a_part_of_the_same_song(read: Read) -> None:
    rows = [
        row | {"bar": row["bar"] + 8 * number}
        for number in range(2)
        for row in song(8, seed=number, song_id="one", file=f"{number}.mid")
    ]
    data = read([*rows, *song(seed=7, song_id="two", file="7.mid")])
    assert [row.song for row in data.parts].count("song_id one") == 2
    assert len({row.split for row in data.parts if row.song == "song_id one"}) == 1


def test_the_instruments_of_a_song_may_stand_one_after_another_or_bar_by_bar(read: Read) -> None:
    two = [song(12, seed=seed, instrument=name, song_id="one") for seed, name in enumerate(("guitar", "bass"))]
    other = [row for name in ("guitar", "bass") for row in song(12, seed=9, instrument=name, song_id="two")]
    one_after_another = [*two[0], *two[1]]
    four_bars_each = [row for first in (0, 32, 64) for rows in two for row in rows[first : first + 32]]
    bar_by_bar = sorted(one_after_another, key=lambda row: row["bar"])
    for rows in (one_after_another, four_bars_each, bar_by_bar):
        data = read([*rows, *other])
        parts = [row for row in data.parts if row.song == "song_id one"]
        assert sorted(row.instrument for row in parts) == ["bass", "guitar"]
        assert {row.stop - row.start for row in parts} == {96}
        assert len({row.split for row in parts}) == 1


def test_parts_are_of_one_instrument_by_any_of_its_names(read: Read, log: list[str]) -> None:
    names = ("Guitar", "GTR", "electric guitar", "Piano", "bass", "violin")
    data = read([row for seed, name in enumerate(names) for row in song(seed=seed, instrument=name)])
    assert sorted({row.instrument for row in data.parts}) == ["bass", "guitar", "keys", "strings"]
    assert "6 parts (guitar 3, bass 1, keys 1, strings 1)" in tellings(log, "songs.csv")


def test_rows_of_unknown_instruments_are_left_out_and_are_not_bad(read: Read, log: list[str]) -> None:
    drums = song(24, seed=5, instrument="drums", velocity=0)
    data = read([*song(seed=1), *song(seed=2), *drums])
    assert data.column("pitch").shape == (128,)
    assert "192 rows of an unknown instrument left out ('drums')" in tellings(log, "songs.csv")
    assert not any("bad" in line or line.startswith("warning") for line in log)


def test_a_part_says_where_it_is_from(read: Read) -> None:
    data = read([*song(seed=1), *song(seed=2)])
    assert sorted(row.source for row in data.parts) == ["songs.csv:2-65", "songs.csv:66-129"]
    assert {row.pack for row in data.parts} == {"songs"}


def test_a_part_that_stands_twice_is_read_once_and_kept_for_validation(read: Read, log: list[str]) -> None:
    data = read([*song(seed=1), *song(seed=2)], song(seed=2), names=("train.csv", "valid.csv"))
    assert (sizes(data, "train"), sizes(data, "valid")) == ([64], [64])
    assert "1 parts: the same as another part" in tellings(log, "train.csv")


def test_short_and_flat_parts_are_left_out_and_counted(read: Read, log: list[str]) -> None:
    poor = [*song(3), *song(seed=1, velocity=64), *[row | {"velocity": 63 + row["pos"] % 480 // 240} for row in song()]]
    data = read([*poor, *song(4, seed=2), *song(4, seed=3)])
    assert sorted(sizes(data, "train") + sizes(data, "valid")) == [32, 32]
    line = tellings(log, "songs.csv")
    assert "left out 2 parts: velocities all but flat, 1 parts: fewer than 32 notes" in line


def test_where_nothing_is_usable_the_error_says_which_filter_removed_what(read: Read) -> None:
    rows = [*song(3), *song(2, seed=1), *song(seed=2, velocity=64), *song(seed=3, instrument="tuba")]
    with pytest.raises(DataError) as error:
        read(rows)
    for text in ("songs.csv", "2 parts: fewer than 32 notes", "1 parts: velocities all but flat", "64 rows of"):
        assert text in str(error.value)


def test_validation_parts_alone_are_not_enough(read: Read) -> None:
    with pytest.raises(DataError, match=r"none to train on \(1 parts: fewer than 32 notes\)"):
        read(song(2), song(), names=("train.csv", "valid.csv"))


# Splits.


@pytest.mark.parametrize(
    "name", ["guitar_valid.csv", "guitar-VAL-2.csv", "test.csv", "Validation.guitar.csv", "dev3.csv"]
)
def test_files_named_for_it_are_the_validation_split(read: Read, name: str) -> None:
    data = read(song(8, seed=1), song(12, seed=2), names=("guitar_train.csv", name))
    assert (sizes(data, "train"), sizes(data, "valid")) == ([64], [96])


def test_several_files_may_be_on_either_side(read: Read) -> None:
    names = ("a.csv", "a_valid.csv", "b.csv", "b_valid.csv")
    data = read(*(song(8 + 4 * number, seed=number) for number in range(4)), names=names)
    assert (sizes(data, "train"), sizes(data, "valid")) == ([64, 128], [96, 160])


@pytest.mark.parametrize("names", [("evaluation.csv", "contest.csv"), ("valid.csv", "test.csv")])
def test_without_such_a_name_or_with_no_other_songs_are_held_out(
    read: Read, log: list[str], names: tuple[str, str]
) -> None:
    data = read(song(8, seed=1), song(12, seed=2), names=names)
    assert sorted(sizes(data, "train") + sizes(data, "valid")) == [64, 96]
    assert "guitar: 1 of 2 songs held out for validation" in log


def test_songs_are_held_out_by_their_names(read: Read, log: list[str]) -> None:
    data = read([row for seed in range(40) for row in song(4, seed=seed, song_id=f"s{seed}")], valid_share=0.2)
    expected = {f"song_id s{seed}" for seed in range(40) if fraction_of(f"song_id s{seed}") < 0.2}
    assert {row.song for row in data.select(split="valid")} == expected
    assert f"guitar: {len(expected)} of 40 songs held out for validation" in log


@pytest.mark.parametrize("share", [0, 0.06, 0.999])
def test_each_instrument_has_a_song_on_either_side(read: Read, share: float) -> None:
    rows = [
        row for number in range(3) for name in ("guitar", "keys")
        for row in song(seed=number, instrument=name, pitch=40 + number, song_id=f"{name}{number}")
    ]  # fmt: skip
    data = read(rows, valid_share=share)
    for name in ("guitar", "keys"):
        assert {row.split for row in data.parts if row.instrument == name} == {"train", "valid"}


def test_a_song_is_not_held_out_where_it_is_all_that_another_instrument_has(read: Read) -> None:
    low, high = sorted((f"s{number}" for number in range(9)), key=lambda name: fraction_of(f"song_id {name}"))[::8]
    both = [row for name in ("guitar", "bass") for row in song(12, seed=1, instrument=name, song_id=low)]
    data = read([*both, *song(seed=2, song_id=high)], valid_share=0)
    assert [row.song for row in data.select(split="valid", instrument="guitar")] == [f"song_id {high}"]
    assert {row.split for row in data.parts if row.instrument == "bass"} == {"train", "valid"}


def test_a_song_id_in_two_files_is_one_song(read: Read) -> None:
    files = [[*song(4, seed=seed, song_id="a"), *song(4, seed=seed + 9, song_id="b")] for seed in range(2)]
    data = read(*files)
    for name in ("song_id a", "song_id b"):
        assert len({row.split for row in data.parts if row.song == name}) == 1
    assert {row.split for row in data.parts} == {"train", "valid"}


def test_songs_without_an_id_do_not_collide_between_files(tmp_path: Path, log: list[str]) -> None:
    paths = [tmp_path / folder / "songs.csv" for folder in ("a", "b")]
    for seed, path in enumerate(paths):
        path.parent.mkdir()
        path.write_text(text_of(song(seed=seed)))
    assert {row.song for row in read_phrase_csv(paths, log=log.append).parts} == {"songs/1", "songs#2/1"}


def test_a_song_in_files_of_both_kinds_is_not_trained_on(read: Read, log: list[str]) -> None:
    train = [row for name in "abc" for row in song(seed=ord(name), song_id=name)]
    data = read(train, song(seed=1, song_id="c"), names=("train.csv", "valid.csv"))
    assert {row.song for row in data.select(split="train")} == {"song_id a", "song_id b"}
    (warning,) = (line for line in log if line.startswith("warning"))
    assert "1 songs stand in files to train on and to validate with (song_id c); their 64 notes are left out" in warning


def test_where_most_songs_are_in_both_kinds_they_stay_and_that_is_said(read: Read, log: list[str]) -> None:
    train = [row for name in "abc" for row in song(seed=ord(name), song_id=name)]
    valid = [row for name in "bc" for row in song(seed=ord(name) + 9, song_id=name)]
    data = read(train, valid, names=("train.csv", "valid.csv"))
    assert (len(data.select(split="train")), len(data.select(split="valid"))) == (3, 2)
    assert any("figures of validation will flatter" in line for line in log)


def test_a_song_id_that_is_the_same_throughout_tells_nothing(read: Read, log: list[str]) -> None:
    data = read([row for seed in range(5) for row in song(seed=seed, song_id="0")])
    assert len({row.song for row in data.parts}) == 5
    assert {row.split for row in data.parts} == {"train", "valid"}
    assert "by falling bar numbers, as all rows have the 'song_id 0'" in tellings(log, "songs.csv")


def test_of_a_single_song_the_last_bars_are_held_out(read: Read, log: list[str]) -> None:
    data = read(song(20))
    assert (sizes(data, "train"), sizes(data, "valid")) == ([128], [32])
    (train,), (valid,) = data.select(split="train"), data.select(split="valid")
    assert (train.song, valid.song) == ("songs/1 (first bars)", "songs/1 (last bars)")
    assert data.column("velocity")[valid.start : valid.stop].tolist() == [row["velocity"] for row in song(20)[128:]]
    assert "guitar: only one song; its last 32 notes are held out for validation" in log


def test_of_a_long_single_song_the_share_asked_for_is_held_out(read: Read) -> None:
    assert sizes(read(song(100), valid_share=0.1), "valid") == [80]


def test_a_single_song_too_short_to_be_cut_is_trained_on_whole(read: Read, log: list[str]) -> None:
    data = read(song(7))
    assert (sizes(data, "train"), sizes(data, "valid")) == ([56], [])
    assert any(line.startswith("warning: guitar: only one song, too short") for line in log)


def test_an_instrument_that_the_validation_files_lack_has_songs_held_out(read: Read, log: list[str]) -> None:
    bass = [row for seed in range(4) for row in song(seed=seed, instrument="bass")]
    data = read([*song(seed=8), *bass], song(seed=9), names=("train.csv", "valid.csv"))
    assert {row.split for row in data.select(split="train", instrument="bass")} == {"train"}
    assert len(data.select(split="valid", instrument="bass")) == 1
    assert len(data.select(split="train", instrument="guitar")) == 1


def test_songs_that_share_bars_stand_on_one_side_however_they_were_played(read: Read, log: list[str]) -> None:
    first = [row | {"pitch": row["pitch"] + third} for row in song(seed=1) for third in (0, 4)]
    again = [row | {"velocity": velocity} for row, velocity in zip(first, [*range(100, 36, -1)] * 2, strict=True)]
    data = read([*first, *again, *song(seed=2)])
    one, other, _ = data.parts
    assert one.split == other.split
    assert "3 songs count as 2, as some share 6 bars or more" in log


@pytest.mark.parametrize("share", [-0.1, 1, float("nan")])
def test_a_share_out_of_range_is_refused(read: Read, share: float) -> None:
    with pytest.raises(OptionError, match="valid_share"):
        read(song(), valid_share=share)


# Bad rows.


BAD = [
    ("pitch", "128"), ("pitch", "-1"), ("pitch", "60.5"), ("pitch", "C4"), ("pitch", ""),
    ("velocity", "0"), ("velocity", "128"), ("velocity", "nan"), ("velocity", " "), ("velocity", "0.5"),
    ("duration", "0"), ("duration", "-1"), ("duration", "inf"), ("duration", "1e999"), ("duration", "half"),
    ("pos", "-1"), ("pos", "nan"), ("pos", "99999"), ("bar", "-1"), ("bar", "1.5"), ("bar", "1e9"), ("bar", "NaN"),
    ("program", "129"), ("program", "piano"), ("onset", "soon"), ("onset", "inf"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), BAD)
def test_a_bad_row_is_left_out_and_named_by_its_line(read: Read, log: list[str], name: str, value: str) -> None:
    rows = [row | {"program": 25, "onset": ""} for seed in range(2) for row in song(seed=seed)]
    rows[70] = rows[70] | {name: value}
    data = read(rows)
    assert sorted(sizes(data, "train") + sizes(data, "valid")) == [63, 64]
    (warning,) = (line for line in log if line.startswith("warning"))
    assert f"songs.csv: line 72: {name} is {value.strip()!r} instead of" in warning
    assert "1 bad rows left out" in tellings(log, "songs.csv: 128 rows")


def test_a_bad_velocity_or_duration_moves_no_other_note(read_part: Part) -> None:
    rows = song(ordinals=True)
    rows[1] |= {"velocity": 0}
    _, columns = read_part(rows)
    assert columns["onset"][:3].tolist() == [0, 480, 720]


@pytest.mark.parametrize("line", ["60,64,1,0,0,8", "60,64,1,0,0,8,guitar,1", '60,64,1,0,0,"8,guitar', "rubbish"])
def test_a_row_with_too_few_or_too_many_fields_is_bad(read: Read, log: list[str], line: str) -> None:
    data = read(text_of([*song(seed=1), *song(seed=2)]) + line + "\n")
    assert data.column("pitch").shape == (128,)
    assert any("line 130" in text and "fields instead of 7" in text for text in log)


def test_a_quote_that_is_not_closed_swallows_no_other_row(read: Read) -> None:
    lines = text_of([*song(seed=1, mood="calm"), *song(seed=2, mood="calm")]).splitlines()
    lines[3] = lines[3].replace("calm", '"calm')
    assert read("\n".join(lines)).column("pitch").shape == (128,)


def test_a_row_without_an_instrument_is_bad(read: Read, log: list[str]) -> None:
    rows = [*song(seed=1), *song(seed=2)]
    rows[5] |= {"instrument": " "}
    read(rows)
    assert any("line 7: no instrument" in line for line in log)


def test_the_first_ten_bad_rows_are_named_and_the_others_counted(read: Read, log: list[str]) -> None:
    rows = [row for seed in range(5) for row in song(seed=seed)]
    for index in range(0, 240, 20):
        rows[index] |= {"velocity": 0}
    read(rows)
    warnings = [line for line in log if line.startswith("warning")]
    assert len(warnings) == 11
    assert "line 2: velocity is '0' instead of a whole number, 1..127" in warnings[0]
    assert "and 2 more" in warnings[10]


def test_a_file_with_more_than_a_tenth_of_its_rows_bad_is_refused(read: Read) -> None:
    rows = song(10)
    for index in range(9):
        rows[index] |= {"pitch": "?"}
    with pytest.raises(DataError, match=r"songs.csv: 9 of 80 rows are bad, .*line 2: pitch is '\?'"):
        read(rows)
    rows[0] |= {"pitch": 60}
    assert read(rows).column("pitch").shape == (72,)


def test_velocities_between_0_and_1_are_refused_with_the_reason(read: Read) -> None:
    with pytest.raises(DataError, match="velocities are 1..127 here and 0..1 in it: multiply them by 127"):
        read([row | {"velocity": row["velocity"] / 127} for row in song()])


# Files of other shapes.


PLAIN = [*song(seed=1), *song(seed=2)]
SHAPES: dict[str, str | bytes] = {
    "a byte order mark": "\ufeff" + text_of(PLAIN),
    "lines that end in CRLF": text_of(PLAIN, end="\r\n"),
    "lines that end in CR": text_of(PLAIN, end="\r"),
    "semicolons and decimal commas": text_of(
        [row | {"duration": str(row["duration"]).replace(".", ",")} for row in PLAIN], delimiter=";"
    ),
    "tabs": text_of(PLAIN, delimiter="\t"),
    "spaces around everything": text_of(PLAIN, delimiter=" , "),
    "quotes around everything": '"' + text_of(PLAIN, delimiter='","', end='"\n"')[:-1],
    "names in capitals": text_of(PLAIN).replace("pitch", "PITCH").replace("instrument", "Instrument"),
    "whole numbers written 64.0": text_of(
        [row | {"pitch": f"{row['pitch']}.0", "bar": f"{row['bar']}.0"} for row in PLAIN]
    ),
    "empty lines": text_of(PLAIN, end="\n\n") + ",,,,,,\n  \n",
    "a comma at the end of each row": text_of(PLAIN).replace("guitar\n", "guitar,\n"),
    "a comma at the end of each line": text_of(PLAIN, end=",\n"),
    "no line break at the end": text_of(PLAIN).rstrip("\n"),
    "text in Latin-1": text_of([row | {"mood": "zärtlich"} for row in PLAIN]).encode("latin-1"),
    "text in UTF-16": text_of(PLAIN, delimiter="\t").encode("utf-16"),
    "nothing in boundary": text_of([row | {"boundary": ""} for row in PLAIN]),
    "an index as pandas writes it": "".join(
        f"{number},{line}\n" for number, line in enumerate(("x," + text_of(PLAIN)).splitlines())
    ).replace("0,x,", ",", 1),
}  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
def test_the_same_notes_are_read_from_a_file_with(read: Read, log: list[str], shape: str) -> None:
    data = read(SHAPES[shape])
    plain = read(PLAIN)
    for name in ("onset", "pitch", "velocity", "duration"):
        assert np.array_equal(data.column(name), plain.column(name)), name
    assert not any(line.startswith("warning") for line in log)


def test_no_boundary_column_is_needed(read: Read) -> None:
    lines = [line.split(",") for line in text_of(PLAIN).split()]
    assert read("\n".join(",".join([*cells[:4], *cells[5:]]) for cells in lines)).column("pitch").shape == (128,)


HOSTILE: dict[str, tuple[str | bytes, str]] = {
    "an empty file": ("", "songs.csv is empty"),
    "a file of line breaks": ("\n\r\n\n", "is empty"),
    "a byte order mark alone": ("\ufeff", "is empty"),
    "column names alone": (",".join(COLUMNS) + "\n", "holds no row"),
    "no column names": (text_of(song()).split("\n", 1)[1], "line 1 must name the columns"),
    "a column missing": (text_of(song()).replace("velocity", "loudness"), "no column velocity; "),
    "a column twice": (text_of(song(mood=1)).replace("mood", "velocity"), "velocity more than once"),
    "only rubbish rows": (",".join(COLUMNS) + "\n" + "x\n" * 50, "50 of 50 rows are bad"),
    "binary data": (bytes(range(256)) * 40, "binary data"),
    "binary data without zeros": (bytes(range(1, 256)) * 40, "no column pitch"),
    "a gzip file": (b"\x1f\x8b\x08\x00" + bytes(range(200)), "binary data"),
    "half of UTF-16": (b"\xff\xfep", "no column pitch"),
    "a quoted field of a megabyte": ('"' + "x" * 1_000_000 + "\n1,2\n", "no column pitch"),
    "instruments as numbers": (text_of(song(instrument=3)), "64 rows of an unknown instrument left out \\('3'\\)"),
    "tubas out of place": (text_of(song(instrument="tuba", bar="?")), "64 rows of an unknown instrument"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_an_error_says_what_is_wrong_with(read: Read, name: str) -> None:
    content, message = HOSTILE[name]
    with pytest.raises(DataError, match=message) as error:
        read(content)
    assert "songs.csv" in str(error.value)
    assert len(str(error.value)) < 2000


def test_a_field_of_a_megabyte_costs_its_row_alone(read: Read) -> None:
    lines = text_of(PLAIN).splitlines()
    lines[9] = lines[9].replace("guitar", '"' + "x" * 1_000_000 + '"')
    assert read("\n".join(lines)).column("pitch").shape == (127,)


def test_a_folder_is_no_file(tmp_path: Path, log: list[str]) -> None:
    with pytest.raises(FileError, match="is a folder; name the CSV files in it"):
        read_phrase_csv([tmp_path], log=log.append)


def test_a_file_that_does_not_exist_is_named(tmp_path: Path, log: list[str]) -> None:
    with pytest.raises(FileError, match="nowhere.csv cannot be read"):
        read_phrase_csv([tmp_path / "nowhere.csv"], log=log.append)


def test_no_file_at_all_is_an_error(log: list[str]) -> None:
    with pytest.raises(DataError, match="no CSV file named"):
        read_phrase_csv([], log=log.append)


def test_rubbish_in_any_cell_ends_in_data_or_in_an_error_of_ours(tmp_path: Path, log: list[str]) -> None:
    rng = np.random.default_rng(0)
    pieces = ["", "nan", "-1", "1e308", "-inf", '"', ",", "\0", "\n", "\r", "é", "0", "1", "9" * 40, ";", "guitar"]
    outcomes = set()
    for seed in range(200):
        rows = song(5, seed=seed, onset="", song_id="")
        cells = [(row, name) for row in rows for name in row]
        for place in rng.choice(len(cells), 1 + seed % 8, replace=False):
            row, name = cells[place]
            row[name] = pieces[rng.integers(len(pieces))]
        path = tmp_path / "songs.csv"
        path.write_text(text_of(rows), newline="")
        try:
            outcomes.add(type(read_phrase_csv([path], log=log.append)))
        except DuvhumanError as error:
            outcomes.add(type(error))
    assert outcomes == {PhraseData, DataError}


# Size, speed and what it needs.


def large(rows: int, *, seed: int, instrument: str, ordinals: bool) -> str:
    """A table of `rows` lines with its header, of songs of 300 notes."""
    rng = np.random.default_rng(seed)
    place = np.arange(rows - 1) % 300
    columns = [
        rng.integers(30, 90, rows - 1), rng.integers(20, 120, rows - 1), rng.uniform(0.1, 3, rows - 1).round(4),
        place % 12 if ordinals else place % 12 * 160, place % 12 == 11, place // 12,
    ]  # fmt: skip
    lines = [",".join(map(str, line)) + f",{instrument},1,2" for line in zip(*columns, strict=True)]
    return "\n".join([",".join(COLUMNS) + ",velocity_bucket,duration_bucket", *lines]).replace("True", "1")


@pytest.mark.parametrize(
    ("instrument", "train", "valid"),
    [("guitar", 33_228, 1_760), ("bass", 23_612, 1_175), ("keys", 35_068, 2_087), ("strings", 5_569, 379)],
)
@pytest.mark.parametrize("ordinals", [False, True])
def test_the_predecessors_row_counts_load_in_seconds(
    read: Read, log: list[str], instrument: str, train: int, valid: int, *, ordinals: bool
) -> None:
    files = [
        large(rows, seed=seed, instrument=instrument, ordinals=ordinals).replace("False", "0")
        for seed, rows in enumerate((train, valid))
    ]
    start = time.perf_counter()
    data = read(*files, names=(f"{instrument}_train.csv", f"{instrument}_valid.csv"))
    assert time.perf_counter() - start < 10
    for split, rows in (("train", train), ("valid", valid)):
        short = (rows - 1) % 300 if (rows - 1) % 300 < 32 else 0
        assert sum(sizes(data, split)) == rows - 1 - short
        assert f"{rows - 1:,} rows" in tellings(log, f"{instrument}_{split}.csv")
    assert {row.instrument for row in data.parts} == {instrument}
    assert {row.grid for row in data.parts} == {not ordinals}


def test_no_extra_is_needed(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("pandas", "pyarrow", "matplotlib", "tensorboard", "ray"):
        monkeypatch.setitem(sys.modules, name, None)
    assert read(PLAIN).parts


def test_the_same_file_gives_the_same_data(read: Read) -> None:
    one, other = read(PLAIN), read(PLAIN)
    assert one.parts == other.parts
    assert [replace(row, start=0) for row in one.parts] == [replace(row, start=0) for row in other.parts]
