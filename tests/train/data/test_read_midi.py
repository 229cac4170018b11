"""Finding files, and reading a group of them."""

from __future__ import annotations

import os
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
from prepared_folders import midi_folder

from duvhuman.errors import FileError
from duvhuman.train.data.read_midi import FileGroup, Pack, find_files, read_file, read_group
from duvhuman.train.data.spool import NOTE_BYTES, from_bytes


def test_files_are_found_folder_by_folder(tmp_path: Path) -> None:
    names = ["b.mid", "a/z.mid", "a.mid", "a/b/c.MIDI", "a/a.Mid", "note.txt", "mid", "x.mid.bak", "._b.mid"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "folder.mid").mkdir()
    assert find_files(tmp_path) == ["a/a.Mid", "a/b/c.MIDI", "a/z.mid", "a.mid", "b.mid"]


@pytest.mark.skipif(sys.platform == "win32", reason="links and pipes")
def test_links_to_files_are_followed_links_to_folders_and_pipes_are_not(tmp_path: Path) -> None:
    (tmp_path / "pack").mkdir()
    (tmp_path / "real.mid").touch()
    (tmp_path / "pack" / "link.mid").symlink_to(tmp_path / "real.mid")
    (tmp_path / "pack" / "dead.mid").symlink_to(tmp_path / "gone.mid")
    (tmp_path / "pack" / "loop").symlink_to(tmp_path / "pack")
    os.mkfifo(tmp_path / "pack" / "pipe.mid")  # reading it would wait for ever
    assert find_files(tmp_path / "pack") == ["link.mid"]


def test_a_folder_that_cannot_be_listed_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="gone: cannot be listed"):
        find_files(tmp_path / "gone")


def test_a_group_is_its_files_one_behind_the_other(tmp_path: Path) -> None:
    pack = Pack(midi_folder(tmp_path / "pack", 3), name="songs")
    (tmp_path / "pack" / "bad.mid").write_bytes(b"?")
    group = FileGroup(pack, ("0001.mid", "bad.mid", "0000.mid", "none.mid"))
    read = pickle.loads(pickle.dumps(read_group(group)))  # as it comes from a process
    assert read.left_out == {"unreadable file": 1, "missing file": 1}
    assert [(row.song, row.source) for row in read.rows] == [("songs/0001", "0001.mid")] * 2 + [
        ("songs/0000", "0000.mid")
    ] * 2
    single = [part for file in ("0001.mid", "0000.mid") for part in read_file(pack, file)[0]]
    assert read.sizes.tolist() == [len(part) for part in single] == [70] * 4
    assert len(set(read.keys.tolist())) == 4
    fingerprints = read.fingerprints.tolist()
    assert fingerprints[0] == fingerprints[2]  # the part that both songs hold
    assert len(set(fingerprints)) == 3
    assert read.bars.tolist() == np.concatenate([part.bars for part in single]).tolist()
    assert read.bar_counts.tolist() == [len(part.bars) for part in single]
    for number, part in enumerate(single):
        columns = from_bytes(read.notes, at=number * 70 * NOTE_BYTES, size=70)
        assert all(np.array_equal(columns[name], values) for name, values in part.columns.items())


def test_the_place_of_a_part_follows_from_its_pack_and_file_alone(tmp_path: Path) -> None:
    folder = midi_folder(tmp_path / "pack", 2)
    both = read_group(FileGroup(Pack(folder, name="songs"), ("0000.mid", "0001.mid"))).keys
    alone = read_group(FileGroup(Pack(folder, name="songs"), ("0001.mid",))).keys
    elsewhere = read_group(FileGroup(Pack(folder, name="others"), ("0001.mid",))).keys
    assert both[2:].tolist() == alone.tolist()
    assert not set(alone.tolist()) & set(elsewhere.tolist())
