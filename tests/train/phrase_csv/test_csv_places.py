"""The predecessor's phrase CSV: where its columns put a note."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from csv_songs import Part, Read, Row, song, tellings, text_of
from toys import column_of

from duvhuman.errors import DataError, DuvhumanWarning
from duvhuman.train.data.storage import TEMPO_UNIT
from duvhuman.train.pairs.encode import HINT_CHANCES
from duvhuman.train.phrase_csv import read_phrase_csv

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
    ]
    data = read(rows, song(seed=9), song(seed=8, instrument="bass"), names=("a.csv", "valid.csv", "test.csv"))
    guitar, bass = (data.select(split="train", instrument=name)[0] for name in ("guitar", "bass"))
    assert column_of(data, "beat_in_bar")[guitar.start : guitar.start + 4].tolist() == [0, 480, 960, 1440]
    assert column_of(data, "beat_in_bar")[bass.start : bass.start + 4].tolist() == [240, 720, 1200, 1680]


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


def test_fractions_of_a_beat_are_refused(read_part: Part) -> None:
    with pytest.raises(DataError, match="pos holds fractions.*if it counts beats, multiply it by 480"):
        read_part([row | {"pos": row["pos"] / 480} for row in song(8)])


def test_ticks_of_another_resolution_are_warned_of(read_part: Part) -> None:
    with pytest.warns(DuvhumanWarning, match="pos never reaches 480, so that all notes lie in the first beat of a bar"):
        read_part([row | {"pos": row["pos"] // 5} for row in song(8)])


def test_rows_that_do_not_stand_in_the_order_of_the_music_are_refused(read: Read) -> None:
    rows = [row for number in range(6) for row in song(8, seed=number, song_id=f"song {number}")]
    shuffled = [rows[index] for index in np.random.default_rng(0).permutation(len(rows))]
    with pytest.raises(DataError, match="do not stand together; sort them by song_id, file, bar and pos"):
        read(shuffled)
    assert len(read(rows).parts) == 6


@pytest.mark.parametrize("by", ["pitch", "velocity", "pos", "-pitch", ""])
def test_songs_sorted_by_something_else_or_shuffled_are_refused(read: Read, by: str) -> None:
    rows = [row for seed in range(3) for row in song(200, seed=seed, song_id=f"n{seed}")]
    lot = np.random.default_rng(0).permutation(len(rows)).tolist()
    key = lot if not by else [(-1 if by.startswith("-") else 1) * row[by.lstrip("-")] for row in rows]
    order = sorted(range(len(rows)), key=lambda index: (rows[index]["song_id"], key[index]))
    assert sum(row.stop - row.start for row in read(rows).parts) == len(rows)
    with pytest.raises(DataError, match="not stand in the order of the music .* sort them by song_id, file, bar and p"):
        read([rows[index] for index in order])


def test_a_song_may_have_been_played_many_times(read: Read) -> None:
    rows = [row for name in "ab" for take in range(8) for row in song(seed=take + 10 * ord(name), song_id=name)]
    assert len(read(rows).parts) == 16


def test_chords_on_downbeats_alone_are_ticks(read_part: Part) -> None:
    row, columns = read_part([row | {"pitch": pitch} for row in song(12, per_bar=1) for pitch in (52, 60, 64)])
    assert row.grid
    assert columns["onset"][:4].tolist() == [0, 0, 0, 1920]


def test_a_song_whose_ticks_reach_past_four_beats_has_longer_bars(read: Read, log: list[str]) -> None:
    five = [row | {"pos": row["pos"] + 480 * (row["pos"] >= 960)} for row in song(8)]
    data = read([*five, *song(seed=1)], song(seed=2), names=("a.csv", "valid.csv"))
    one, other = data.select(split="train")
    assert {int(column_of(data, "bar_beats")[part.start]) for part in (one, other)} == {2400, 1920}
    assert column_of(data, "onset")[one.start + 8] == 5 * 480
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
    bars = column_of(data, "bar_beats")
    assert [set(bars[row.start : row.stop]) for row in data.select(split="train")] == [{1440}] * 2


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
    assert column_of(data, "onset")[[one.start + 1, other.start + 1]].tolist() == [288, 240]
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
        assert all(np.array_equal(column_of(one, column), column_of(data[0], column)) for one in data)
