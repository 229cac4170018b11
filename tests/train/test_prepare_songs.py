"""Preparing data: which bars count, and which songs are held out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from builders import BASS, GUITAR, PIANO, Note, part, song
from packs import free, lively, prepared, write
from toys import column_of

from duvhuman.train.dataset import PhraseData
from duvhuman.train.prepare import Pack, prepare

# Repeated bars.


def bar(number: int, seed: int, *, louder: int = 0) -> list[Note]:
    """A bar of 16 sixteenths; equal seeds make equal bars."""
    rng = np.random.default_rng(seed)
    pitch, velocity = rng.integers(50, 70, 16), rng.integers(40, 100, 16)
    velocity[5] += louder
    return [(1920 * number + 120 * i, int(pitch[i]), int(velocity[i]), 100) for i in range(16)]


def wanted_bars(data: PhraseData, song: int = 0) -> list[bool]:
    """Whether each bar of 16 notes counts; a bar counts as a whole."""
    row = data.parts[song]
    bars = column_of(data, "wanted")[row.start : row.stop].reshape(-1, 16)
    assert (bars == bars[:, :1]).all()
    return bars[:, 0].tolist()


def test_a_repeated_bar_counts_twice(tmp_path: Path) -> None:
    notes = [note for number, seed in enumerate([1, 2, 1, 1, 2, 2, 3, 1]) for note in bar(number, seed)]
    data = prepared(tmp_path, {"a.mid": song(part(notes))})
    assert wanted_bars(data) == [True, True, True, False, True, False, True, False]


def test_a_bar_played_otherwise_is_no_repetition(tmp_path: Path) -> None:
    notes = [note for number in range(8) for note in bar(number, 1, louder=number)]
    assert wanted_bars(prepared(tmp_path, {"a.mid": song(part(notes))})) == [True] * 8


# Songs and splits.


def version(bars: Sequence[int], seed: int) -> bytes:
    """Bars of a song as some player plays them."""
    rng = np.random.default_rng(1000 + seed)
    notes = [note for number, one in enumerate(bars) for note in bar(number, one)]
    return song(part([(onset, pitch, int(rng.integers(30, 120)), length) for onset, pitch, _, length in notes]))


def splits(data: PhraseData) -> dict[str, str]:
    return {row.source: row.split for row in data.parts}


def test_versions_that_share_six_bars_are_one_song_whatever_their_names(tmp_path: Path) -> None:
    files = {}
    for number in range(16):
        bars = range(100 * number, 100 * number + 8)
        files[f"{number}.mid"] = version(bars, number)
        files[f"other name {number}.mid"] = version([*bars[:6], 9000 + number], 50 + number)
    data = prepared(tmp_path, files, valid_share=0.5)
    song_of = {row.source: row.song for row in data.parts}
    assert len(set(song_of.values())) == 16
    for number in range(16):
        assert song_of[f"{number}.mid"] == song_of[f"other name {number}.mid"]
    by_song = {(row.song, row.split) for row in data.parts}
    assert len(by_song) == 16
    assert {split for _, split in by_song} == {"train", "valid"}


def test_five_shared_bars_are_no_song(tmp_path: Path) -> None:
    data = prepared(tmp_path, {"a.mid": version(range(8), 1), "b.mid": version([*range(5), 20, 21, 22], 2)})
    assert {row.song for row in data.parts} == {"pack/a", "pack/b"}


def test_versions_are_found_though_each_of_their_bars_stands_in_a_third_song_too(tmp_path: Path) -> None:
    files = {
        "a.mid": version(range(5), 1),
        "b.mid": version(range(5, 10), 2),
        "c.mid": version(range(10), 3),
        "d.mid": version(range(10), 4),
    }
    data = prepared(tmp_path, files)
    assert {row.source: row.song for row in data.parts} == {
        "a.mid": "pack/a", "b.mid": "pack/b", "c.mid": "pack/c", "d.mid": "pack/c",
    }


def test_bars_of_few_notes_tell_no_song(tmp_path: Path) -> None:
    def sparse(seed: int) -> bytes:
        rng = np.random.default_rng(seed)
        return song(part([(480 * i, 60, int(rng.integers(30, 120)), 400) for i in range(80)]))

    assert {row.song for row in prepared(tmp_path, {"a.mid": sparse(1), "b.mid": sparse(2)}).parts} == {
        "pack/a",
        "pack/b",
    }


def test_files_that_hold_a_copy_of_one_part_are_one_song_though_the_copy_is_left_out(tmp_path: Path) -> None:
    shared = part(free(), number=GUITAR)
    files = {
        "a.mid": song(shared),
        "b.mid": song(shared, part(free(), number=PIANO, channel=1), part(lively(), number=BASS, channel=2)),
    }
    data = prepared(tmp_path, files)
    assert {(row.source, row.instrument, row.song) for row in data.parts} == {
        ("a.mid", "guitar", "pack/a"),
        ("b.mid", "bass", "pack/a"),
    }


def test_recordings_of_one_piece_are_one_song(tmp_path: Path) -> None:
    names = [
        "Satie, Erik, Gymnopédie, Xm3Aqj8-_uE.mid",
        "Satie, Erik, Gymnopédie, 0123456789a.mid",
        "Satie, Erik, Gnossienne.mid",
    ]
    data = prepared(tmp_path, {name: song(part(lively(seed=i))) for i, name in enumerate(names)})
    assert {row.source: row.song for row in data.parts} == {
        names[0]: "pack/Satie, Erik, Gymnopédie",
        names[1]: "pack/Satie, Erik, Gymnopédie",
        names[2]: "pack/Satie, Erik, Gnossienne",
    }


def test_the_split_follows_from_names_alone(tmp_path: Path) -> None:
    names = [f"song {i}.mid" for i in range(24)]
    once = prepared(tmp_path / "1", {name: song(part(lively(seed=i))) for i, name in enumerate(names)}, valid_share=0.3)
    more = [*reversed(names), *(f"new {i}.mid" for i in range(8))]
    again = prepared(
        tmp_path / "2", {name: song(part(lively(80, seed=100 + i))) for i, name in enumerate(more)}, valid_share=0.3
    )
    assert set(splits(once).values()) == {"train", "valid"}
    assert splits(once).items() <= splits(again).items()


def test_a_folder_of_the_same_name_moves_no_song_of_those_before_it(tmp_path: Path) -> None:
    packs = []
    for number, above in enumerate(("one", "two", "three")):
        files = {f"song {i}.mid": song(part(lively(seed=100 * number + i))) for i in range(16)}
        packs.append(Pack(write(tmp_path / above / "pack", files)))
    sides = []
    for count in (1, 2, 3):
        prepare(packs[:count], tmp_path / "out", valid_share=0.3, force=True)
        sides.append({row.song: row.split for row in PhraseData(tmp_path / "out").parts})
    assert sides[0].items() <= sides[1].items() <= sides[2].items()
    assert {name.rpartition("/")[0] for name in sides[2]} == {"pack", "two/pack", "three/pack"}


def test_a_larger_share_holds_out_the_same_songs_and_more(tmp_path: Path) -> None:
    files = {f"song {i}.mid": song(part(lively(64, seed=i))) for i in range(40)}
    held_out = []
    for share in (0.1, 0.3, 0.6):
        data = prepared(tmp_path, files, valid_share=share, force=True)
        held_out.append({row.source for row in data.parts if row.split == "valid"})
    assert held_out[0] < held_out[1] < held_out[2]
    assert 40 * 0.3 < len(held_out[2]) < 40 * 0.9
