"""The data set on disk: what is written comes back, and what is broken is named."""

from __future__ import annotations

import errno
import json
import pickle
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from toys import columns, numbered, stored_parts

from duvhuman.errors import DataError, FileError
from duvhuman.files import written_whole
from duvhuman.train.data import storage
from duvhuman.train.data.storage import COLUMNS, DiskShards, StoredPart, is_shard, read_dataset, write_dataset
from duvhuman.train.dataset import PhraseData


def parts_of(*lengths: int) -> list[StoredPart]:
    """Parts of so many notes, whose values tell which part and note they are."""
    return stored_parts(
        [({}, numbered(length, program=number, tempo=1000 + number)) for number, length in enumerate(lengths)]
    )


def whole(shards: DiskShards) -> dict[str, np.ndarray]:
    """All columns, over all shards."""
    each = [shards.columns(shard) for shard in range(len(shards.bounds) - 1)]
    return {name: np.concatenate([part[name] for part in each]) for name in COLUMNS}


def edit_index(folder: Path, **changes: Any) -> None:
    index = json.loads((folder / "dataset.json").read_text())
    (folder / "dataset.json").write_text(json.dumps(index | changes))


# --- what is written comes back -----------------------------------------------------------------------------------


def test_columns_come_back_as_saved_and_in_their_types_over_several_shards(tmp_path: Path) -> None:
    parts = parts_of(50, 70, 30, 90)
    assert write_dataset(tmp_path, parts, shard_notes=100) == (4, 240)
    rows, shards = read_dataset(tmp_path)
    assert shards.bounds.tolist() == [0, 120, 240]
    read = whole(shards)
    for name, kind in COLUMNS.items():
        assert read[name].dtype == kind
        assert read[name].tolist() == [value for part in parts for value in part.columns[name].tolist()], name
    assert [(row.start, row.stop) for row in rows] == [(0, 50), (50, 120), (120, 150), (150, 240)]


def test_rows_come_back_as_saved(tmp_path: Path) -> None:
    special = {
        "pack": "pöck", "song": 'a "quoted"\nsong', "source": "dir/ファイル.mid", "instrument": "bass",
        "split": "valid", "grid": False, "played": False, "level": 64.25, "range": 0.1,
    }
    (part,) = stored_parts([(special, numbered(40))])
    write_dataset(tmp_path, [part])
    assert read_dataset(tmp_path)[0] == [replace(part.row, start=0, stop=40)]


def test_parts_never_straddle_shards(tmp_path: Path) -> None:
    lengths = (64, 99, 1, 300, 100, 7)
    write_dataset(tmp_path, parts_of(*lengths), shard_notes=100)
    rows, shards = read_dataset(tmp_path)
    assert shards.bounds.tolist() == [0, 163, 464, 564, 571]  # a shard ends with the part that fills it
    shard_of = [np.searchsorted(shards.bounds, [row.start, row.stop - 1], "right") for row in rows]
    assert all(first == last for first, last in shard_of)


def test_the_biggest_and_the_smallest_values_fit(tmp_path: Path) -> None:
    extremes = {
        "onset": [0, 2**31 - 1], "duration": [0, 65535], "pitch": [0, 127], "velocity": [1, 127], "program": [0, 128],
        "tempo": [320, 65535], "beat_in_bar": [0, 65535], "bar_beats": [120, 65535], "wanted": [False, True],
        "released": [False, True],
    }
    values = columns(extremes.pop("onset"), **{name: np.array(pair) for name, pair in extremes.items()})
    write_dataset(tmp_path, stored_parts([({}, values)]))
    read = whole(read_dataset(tmp_path)[1])
    assert read["onset"].tolist() == [0, 2**31 - 1]
    assert {name: read[name].tolist() for name in extremes} == extremes


def test_no_parts_are_a_data_set_without_notes(tmp_path: Path) -> None:
    assert write_dataset(tmp_path, []) == (0, 0)
    rows, shards = read_dataset(tmp_path)
    assert rows == []
    assert shards.bounds.tolist() == [0, 0]


def test_the_index_tells_what_it_is_given_beside_the_shards(tmp_path: Path) -> None:
    write_dataset(tmp_path, parts_of(40, 40), shard_notes=40, about={"left_out": {"flat": 3}})
    assert json.loads((tmp_path / "dataset.json").read_text()) == {
        "format": storage.FORMAT, "left_out": {"flat": 3},
        "shards": [{"parts": 1, "notes": 40}, {"parts": 1, "notes": 40}],
    }


def test_a_smaller_data_set_in_the_place_of_a_larger_leaves_no_old_shards(tmp_path: Path) -> None:
    write_dataset(tmp_path, parts_of(40, 40, 40), shard_notes=40)
    (tmp_path / "notes.txt").write_text("mine")
    write_dataset(tmp_path, parts_of(50), shard_notes=40)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0000", "dataset.json", "notes.txt"]
    assert read_dataset(tmp_path)[1].bounds.tolist() == [0, 50]


# --- memory -------------------------------------------------------------------------------------------------------


def test_only_a_shard_of_parts_is_held_while_writing(tmp_path: Path) -> None:
    asked: list[tuple[int, int]] = []

    def some() -> Iterator[StoredPart]:
        for number, part in enumerate(parts_of(*(40 for _ in range(6)))):
            asked.append((number, len(list(tmp_path.glob("0*")))))
            yield part

    write_dataset(tmp_path, some(), shard_notes=80)
    assert asked == [(0, 0), (1, 0), (2, 1), (3, 1), (4, 2), (5, 2)]  # (part, shards on the disk by then)


def test_columns_are_mapped_and_not_loaded_and_cannot_be_written(tmp_path: Path) -> None:
    write_dataset(tmp_path, parts_of(40))
    columns = read_dataset(tmp_path)[1].columns(0)
    assert all(isinstance(values, np.memmap) for values in columns.values())
    with pytest.raises(ValueError, match="read-only"):
        columns["pitch"][0] = 1  # type: ignore[index]


def test_at_most_two_shards_stay_open_the_last_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_dataset(tmp_path, parts_of(40, 40, 40, 40), shard_notes=40)
    shards = DiskShards(tmp_path, [40, 40, 40, 40])
    opened: list[str] = []
    load = np.load

    def counted(path: Path, **options: Any) -> Any:
        opened.append(path.parent.name)
        return load(path, **options)

    monkeypatch.setattr(np, "load", counted)
    for shard in (0, 1, 0, 1, 2, 1, 0):  # 2 takes the place of 0, which then takes that of 2
        assert shards.columns(shard)["program"][0] == shard
        assert len(shards._open) <= 2
    assert opened[:: len(COLUMNS)] == ["0000", "0001", "0002", "0000"]


def test_opened_data_go_to_another_process_without_their_notes(tmp_path: Path) -> None:
    write_dataset(tmp_path, parts_of(20_000, 20_000), shard_notes=20_000)
    shards = read_dataset(tmp_path)[1]
    text = pickle.dumps(shards)
    assert len(text) < 2_000
    assert whole(pickle.loads(text))["program"].tolist() == [0] * 20_000 + [1] * 20_000


# --- what goes wrong while writing --------------------------------------------------------------------------------


def test_the_index_is_written_last(tmp_path: Path) -> None:
    def interrupted() -> Iterator[StoredPart]:
        yield from parts_of(40, 40)
        raise KeyboardInterrupt

    write_dataset(tmp_path, parts_of(40))
    with pytest.raises(KeyboardInterrupt):
        write_dataset(tmp_path, interrupted(), shard_notes=40)
    assert (tmp_path / "0001").exists()
    with pytest.raises(DataError, match=r"no prepared data there .*dataset.json"):
        read_dataset(tmp_path)


def test_after_an_interruption_the_same_folder_can_be_written(tmp_path: Path) -> None:
    test_the_index_is_written_last(tmp_path)
    write_dataset(tmp_path, parts_of(60))
    assert read_dataset(tmp_path)[1].bounds.tolist() == [0, 60]


@pytest.mark.parametrize("full_at", [1, 7, 12, 18])
def test_a_full_disk_is_told_and_leaves_no_half_data_set(
    full_at: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = 0
    save = np.save

    def save_until_full(*arguments: Any, **options: Any) -> None:
        nonlocal written
        written += 1
        if written == full_at:
            raise OSError(errno.ENOSPC, "No space left on device")
        save(*arguments, **options)

    monkeypatch.setattr(np, "save", save_until_full)
    with pytest.raises(FileError, match=f"{tmp_path}: .*No space left on device.*--out"):
        write_dataset(tmp_path, parts_of(40, 40), shard_notes=40)
    with pytest.raises(DataError, match="no prepared data"):
        read_dataset(tmp_path)
    monkeypatch.undo()
    write_dataset(tmp_path, parts_of(60))  # once there is room again
    assert read_dataset(tmp_path)[1].bounds.tolist() == [0, 60]


def test_a_folder_that_looks_like_a_shard_but_holds_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "1999").mkdir()
    (tmp_path / "1999" / "song.mid").write_text("mine")
    write_dataset(tmp_path, parts_of(40))
    assert (tmp_path / "1999" / "song.mid").read_text() == "mine"


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(FileError, match="file/data: .*--out"):
        write_dataset(tmp_path / "file" / "data", parts_of(40))


# --- what is broken when it is read -------------------------------------------------------------------------------


def test_a_folder_without_data_is_told_how_to_make_some(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(DataError, match=f"{folder}: .*python -m duvhuman.train prepare"):
            read_dataset(folder)


def test_data_of_an_old_format_are_refused_with_what_to_do(tmp_path: Path) -> None:
    write_dataset(tmp_path, parts_of(40))
    edit_index(tmp_path, format=2)
    with pytest.raises(DataError, match="format 2 instead of 3.*prepare"):
        PhraseData(tmp_path)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"{}", b"\xff\xfe", b'{"format": 3}', b'{"format": 3, "shards": 3}',
     b'{"format": 3, "shards": [{}]}', b'{"format": 3, "shards": [{"notes": "many"}]}'],
)
def test_a_damaged_index_is_an_error_that_names_the_folder(content: bytes, tmp_path: Path) -> None:
    write_dataset(tmp_path, parts_of(40))
    (tmp_path / "dataset.json").write_bytes(content)
    with pytest.raises(DataError, match=str(tmp_path)):
        read_dataset(tmp_path)


@pytest.mark.parametrize("content", [b"", b"[", b"{}", b"3", b"[3]", b'[{"pack": "p"}]', b'[{"what": 1}]', b"\xff"])
def test_a_damaged_list_of_parts_is_named(content: bytes, tmp_path: Path) -> None:
    write_dataset(tmp_path, parts_of(40, 40), shard_notes=40)
    (tmp_path / "0001" / "parts.json").write_bytes(content)
    with pytest.raises(DataError, match="0001"):
        read_dataset(tmp_path)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def garbage(path: Path) -> None:
    path.write_bytes(b"nothing that numpy wrote")


def shorter(path: Path) -> None:
    np.save(path, np.load(path)[:-1])


def wider(path: Path) -> None:
    np.save(path, np.load(path)[:, None])


def another_type(path: Path) -> None:
    np.save(path, np.load(path).astype(np.float64))


def objects(path: Path) -> None:
    np.save(path, np.load(path).astype(object), allow_pickle=True)


@pytest.mark.parametrize("column", ["onset", "pitch", "wanted"])
@pytest.mark.parametrize(
    "spoil", [Path.unlink, cut, empty, garbage, shorter, wider, another_type, objects], ids=lambda spoil: spoil.__name__
)
def test_a_missing_or_damaged_column_is_named_on_opening(spoil: Any, column: str, tmp_path: Path) -> None:
    write_dataset(tmp_path, parts_of(40, 40), shard_notes=40)
    spoil(tmp_path / "0001" / f"{column}.npy")
    with pytest.raises(DataError, match=f"0001.*{column}"):
        read_dataset(tmp_path)


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    write_dataset(tmp_path, parts_of(40, 40), shard_notes=40)
    (tmp_path / "0001").rename(tmp_path / "elsewhere")
    with pytest.raises(DataError, match="0001"):
        read_dataset(tmp_path)


def test_parts_that_do_not_follow_each_other_are_refused(tmp_path: Path) -> None:
    write_dataset(tmp_path, parts_of(40, 40, 40), shard_notes=80)
    path = tmp_path / "0000" / "parts.json"
    rows = json.loads(path.read_text())
    for changed in ({"stop": 50}, {"start": 41}, {"start": -3}, {"stop": "40"}):
        path.write_text(json.dumps([rows[0], rows[1] | changed]))
        with pytest.raises(DataError, match="0000"):
            read_dataset(tmp_path)
    path.write_text(json.dumps(rows[:1]))
    with pytest.raises(DataError, match="0000"):
        read_dataset(tmp_path)


def test_a_column_that_was_written_without_its_other_is_none(tmp_path: Path) -> None:
    write_dataset(tmp_path, stored_parts([({}, columns([0, 480]))]))
    _, shards = read_dataset(tmp_path)
    shards.write_added({"written_beats": np.array([0.0, 1.0]), "written_bar_beats": np.array([4.0, 4.0])})
    assert shards.columns(0)["written_beats"].tolist() == [0.0, 1.0]
    (tmp_path / "0000" / "written_bar_beats.npy").unlink()
    _, shards = read_dataset(tmp_path)
    assert "written_beats" not in shards.columns(0)


def test_what_a_killed_process_left_in_a_shard_is_ours_to_remove(tmp_path: Path) -> None:
    write_dataset(tmp_path, stored_parts([({}, columns([0]))]))
    with written_whole(tmp_path / "0000" / "written_beats.npy") as unfinished:
        unfinished.write_bytes(b"half")
        assert is_shard(tmp_path / "0000")
    (tmp_path / "0000" / "notes.txt").write_text("mine")
    assert not is_shard(tmp_path / "0000")
