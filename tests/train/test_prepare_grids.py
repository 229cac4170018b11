"""Preparing data: where the notes of a part stand in its bars."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest
from builders import part, song
from packs import BEAT, free, lively, prepared, summary, write
from toys import column_of

from duvhuman.errors import OptionError
from duvhuman.train.dataset import PhraseData
from duvhuman.train.prepare import Pack, prepare

# Grids.


def beats_table(first: float, step: float, count: int, *, bar: int) -> str:
    """A row per beat: its time in seconds, whether a 2/4 bar begins there, whether a whole bar does."""
    return "".join(f"{first + step * i} {float(i % 2 == 0)} {float(i % bar == 0)}\n" for i in range(count))


def on_the_table(*, late: int = 0) -> bytes:
    """80 eighth notes at 100 BPM that begin at 0.25 s, in a file that claims 120 BPM: 960 ticks are a second."""
    notes = [(240 + late + 288 * i, pitch, velocity, 144) for i, (_, pitch, velocity, _) in enumerate(lively(80))]
    return song(part(notes, number=0))


@pytest.mark.parametrize("late", [0, 29, -29], ids=["on the beats", "0.03 s late", "0.03 s early"])
def test_a_table_of_beats_moves_beats_bars_and_tempo(late: int, tmp_path: Path) -> None:
    write(tmp_path / "pack", {"001.beats.txt": beats_table(0.25, 0.6, 45, bar=3).encode()})
    data = prepared(tmp_path, {"001.mid": on_the_table(late=late)})
    (row,) = data.parts
    assert row.grid
    np.testing.assert_allclose(column_of(data, "onset"), 240 * np.arange(80), atol=1)
    np.testing.assert_allclose(column_of(data, "duration"), 120, atol=1)
    assert set(column_of(data, "tempo").tolist()) == {100 * 32}
    assert set(column_of(data, "bar_beats").tolist()) == {3 * BEAT}
    place = column_of(data, "beat_in_bar").astype(int) - 240 * np.arange(80)
    np.testing.assert_allclose((place + 720) % 1440, 720, atol=1)  # a downbeat may stand at either end of a bar


def test_without_its_table_the_same_file_goes_by_its_own_bars(tmp_path: Path) -> None:
    data = prepared(tmp_path, {"001.mid": on_the_table()})
    assert set(column_of(data, "bar_beats").tolist()) == {4 * BEAT}
    assert set(column_of(data, "tempo").tolist()) == {120 * 32}


@pytest.mark.parametrize("text", ["", "0.1 1 1\nsilence\n", "0.1 1\n0.2 0\n", "0.1 1 1\n0.1 0 0\n", "0 1 1\nnan 0 0\n"])
def test_an_unreadable_table_of_beats_leaves_its_file_out(text: str, tmp_path: Path) -> None:
    result = summary(tmp_path, {"001.mid": on_the_table(), "001.beats.txt": text.encode()})
    assert (result.parts, result.left_out) == (1, {"unreadable table of beats": 1})


def test_a_table_too_short_to_tell_anything_is_not_used(tmp_path: Path) -> None:
    write(tmp_path / "pack", {"001.beats.txt": beats_table(0.25, 0.6, 3, bar=3).encode()})
    data = prepared(tmp_path, {"001.mid": on_the_table()})
    assert set(column_of(data, "bar_beats").tolist()) == {4 * BEAT}


def test_a_recording_without_a_grid_is_known_for_one(tmp_path: Path) -> None:
    data = prepared(tmp_path, {"a.mid": song(part(free(), number=None))}, "keys")
    (row,) = data.parts
    assert (row.grid, row.played, row.instrument) == (False, True, "keys")
    assert column_of(data, "wanted").all()


def test_without_the_folders_instrument_it_is_left_out(tmp_path: Path) -> None:
    assert summary(tmp_path, {"a.mid": song(part(free(), number=None))}).left_out == {"another instrument or drums": 1}


@pytest.mark.parametrize(
    ("shift", "played"),
    [
        pytest.param([0, 0, 0, 0], False, id="on the grid"),
        pytest.param([0, 0, 0, 7], False, id="a quarter beside it"),
        pytest.param([7, -5, 0, 9], True, id="near it, three quarters beside it"),
    ],
)
def test_played_by_hand_is_near_the_sixteenths_but_not_on_them(shift: list[int], played: bool, tmp_path: Path) -> None:
    notes = [(onset + 480 + shift[i % 4], *rest) for i, (onset, *rest) in enumerate(lively())]
    (row,) = prepared(tmp_path, {"a.mid": song(part(notes))}).parts
    assert (row.grid, row.played) == (True, played)


def test_triplets_are_a_grid_and_not_played_by_hand(tmp_path: Path) -> None:
    (row,) = prepared(tmp_path, {"a.mid": song(part(lively(step=160)))}).parts
    assert (row.grid, row.played) == (True, False)


def test_files_with_names_that_tell_nothing_are_songs_of_their_folders(tmp_path: Path) -> None:
    names = ["a/01.mid", "b/01.mid", "a/Track 2.mid", "b/Track 2.mid", "a/Tune.mid", "b/Tune.mid", "01.mid"]
    data = prepared(tmp_path, {name: song(part(lively(seed=i))) for i, name in enumerate(names)})
    assert {row.source: row.song for row in data.parts} == {
        "a/01.mid": "pack/a/01", "b/01.mid": "pack/b/01", "a/Track 2.mid": "pack/a/Track 2",
        "b/Track 2.mid": "pack/b/Track 2", "a/Tune.mid": "pack/Tune", "b/Tune.mid": "pack/Tune", "01.mid": "pack/01",
    }


# Where the parts stand.


def test_parts_stand_in_a_shuffled_order_that_follows_from_their_files_alone(tmp_path: Path) -> None:
    files = {f"{i:02}.mid": song(part(lively(64, seed=i))) for i in range(40)}
    once = [row.source for row in prepared(tmp_path / "1", files).parts]
    assert once != sorted(once)
    fewer = {name: content for name, content in files.items() if name < "20.mid"}
    assert [row.source for row in prepared(tmp_path / "2", fewer).parts] == [name for name in once if name in fewer]


def test_folders_of_one_name_are_told_apart_by_the_folders_above(tmp_path: Path) -> None:
    for folder, seed in (("one/midi", 1), ("two/midi", 2), ("other", 3)):
        write(tmp_path / folder, {"a.mid": song(part(lively(seed=seed)))})
    prepare([Pack(tmp_path / name) for name in ("one/midi", "two/midi", "other")], tmp_path / "out")
    names = {(row.pack, row.song) for row in PhraseData(tmp_path / "out").parts}
    packs = ("midi", "two/midi", "other")
    assert names == {(pack, f"{pack}/a") for pack in packs}


def test_the_folder_one_stands_in_has_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(write(tmp_path / "pack", {"a.mid": song(part(lively()))}))
    prepare([Pack(Path())], "prepared")
    (row,) = PhraseData("prepared").parts
    assert (row.pack, row.song) == ("pack", "pack/a")


def test_a_folder_given_twice_is_refused(tmp_path: Path) -> None:
    folder = write(tmp_path / "pack", {"a.mid": song(part(lively()))})
    with pytest.raises(OptionError, match="pack: given 2 times"):
        prepare([Pack(folder), Pack(folder / "..", "keys"), Pack(folder / ".." / "pack")], tmp_path / "out")


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are text elsewhere")
def test_names_of_files_that_are_no_text_become_some(tmp_path: Path) -> None:
    folder = write(tmp_path / "pack", {})
    folder.mkdir()
    Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9.mid")).write_bytes(song(part(lively())))
    prepare([Pack(folder)], tmp_path / "out", parquet=True)
    (row,) = PhraseData(tmp_path / "out").parts
    assert (row.song, row.source) == ("pack/caf\ufffd", "caf\ufffd.mid")
