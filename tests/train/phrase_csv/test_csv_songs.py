"""The predecessor's phrase CSV: which rows are one part, which parts one song, and which songs are held out."""

from __future__ import annotations

from pathlib import Path

import pytest
from csv_songs import Read, sizes, song, tellings, text_of
from toys import column_of

from duvhuman.errors import DataError
from duvhuman.train.data.parts import fraction_of
from duvhuman.train.phrase_csv import read_phrase_csv, splits

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
    assert column_of(data, "pitch").shape == (128,)
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


def test_songs_are_held_out_by_their_names(read: Read, log: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(splits, "VALID_SHARE", 0.2)
    data = read([row for seed in range(40) for row in song(4, seed=seed, song_id=f"s{seed}")])
    expected = {f"song_id s{seed}" for seed in range(40) if fraction_of(f"song_id s{seed}") < 0.2}
    assert {row.song for row in data.select(split="valid")} == expected
    assert f"guitar: {len(expected)} of 40 songs held out for validation" in log


@pytest.mark.parametrize("share", [0, 0.06, 0.999])
def test_each_instrument_has_a_song_on_either_side(read: Read, share: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(splits, "VALID_SHARE", share)
    rows = [
        row for number in range(3) for name in ("guitar", "keys")
        for row in song(seed=number, instrument=name, pitch=40 + number, song_id=f"{name}{number}")
    ]
    data = read(rows)
    for name in ("guitar", "keys"):
        assert {row.split for row in data.parts if row.instrument == name} == {"train", "valid"}


def test_a_song_is_not_held_out_where_it_is_all_that_another_instrument_has(
    read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(splits, "VALID_SHARE", 0)
    low, high = sorted((f"s{number}" for number in range(9)), key=lambda name: fraction_of(f"song_id {name}"))[::8]
    both = [row for name in ("guitar", "bass") for row in song(12, seed=1, instrument=name, song_id=low)]
    data = read([*both, *song(seed=2, song_id=high)])
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
    assert column_of(data, "velocity")[valid.start : valid.stop].tolist() == [row["velocity"] for row in song(20)[128:]]
    assert "guitar: only one song; its last 32 notes are held out for validation" in log


def test_of_a_long_single_song_the_share_is_held_out(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(splits, "VALID_SHARE", 0.1)
    assert sizes(read(song(100)), "valid") == [80]


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
