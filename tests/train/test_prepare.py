"""Preparing data: which parts are kept, which notes of them count, and which songs are held out."""

from __future__ import annotations

import errno
import json
import os
import sys
import tracemalloc
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders import BASS, FLUTE, GUITAR, PIANO, Note, part, song
from midi_bytes import meta, off, on, program, tempo, track
from prepared_folders import contents

import duvhuman
from duvhuman.errors import DataError, FileError, OptionError
from duvhuman.train import prepare as prepare_module
from duvhuman.train import spool
from duvhuman.train.dataset import PhraseData
from duvhuman.train.prepare import Pack, Summary, prepare
from duvhuman.train.spool import NOTE_BYTES
from duvhuman.train.storage import COLUMNS, DATASET_FILE, PartRow

BEAT = 480


def lively(n: int = 96, *, seed: int = 0, step: int = 240, low: int = 50) -> list[Note]:
    """A part with dynamics: n notes, no two bars alike."""
    rng = np.random.default_rng(seed)
    return [(step * i, low + int(rng.integers(24)), int(rng.integers(40, 110)), 200) for i in range(n)]


def write(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def prepared(tmp_path: Path, files: dict[str, bytes], instrument: str | None = None, **options: Any) -> PhraseData:
    write(tmp_path / "pack", files)
    prepare([Pack(tmp_path / "pack", instrument)], tmp_path / "out", **options)
    return PhraseData(tmp_path / "out")


def summary(tmp_path: Path, files: dict[str, bytes]) -> Summary:
    """What is left out when these files stand beside one that is fine."""
    write(tmp_path / "pack", files | {"fine.mid": song(part(lively(seed=99)))})
    return prepare([Pack(tmp_path / "pack")], tmp_path / "out")


def by_source(data: PhraseData) -> list[PartRow]:
    """The parts by the names of their files; in the data set they are shuffled."""
    return sorted(data.parts, key=lambda row: (row.source, row.instrument))


def with_velocities(velocities: Sequence[int]) -> bytes:
    return song(part([(240 * i, 60 + i % 7, velocity, 200) for i, velocity in enumerate(velocities)]))


# What is kept.


def test_a_part_becomes_its_columns(tmp_path: Path) -> None:
    notes = lively(64)
    data = prepared(tmp_path, {"a.mid": song(part([(onset + 960, *rest) for onset, *rest in notes]))})
    (row,) = data.parts
    assert (row.pack, row.song, row.source, row.instrument) == ("pack", "pack/a", "a.mid", "guitar")
    assert (row.start, row.stop, row.grid) == (0, 64, True)
    column = {name: data.column(name).tolist() for name in COLUMNS}
    assert column["onset"] == [240 * i for i in range(64)]
    assert column["pitch"] == [note[1] for note in notes]
    assert column["velocity"] == [note[2] for note in notes]
    assert column["duration"] == [200] * 64
    assert column["beat_in_bar"] == [(960 + 240 * i) % 1920 for i in range(64)]
    assert column["bar_beats"] == [1920] * 64
    assert column["tempo"] == [120 * 32] * 64
    assert column["program"] == [GUITAR] * 64
    assert column["wanted"] == [True] * 64
    assert row.level == pytest.approx(np.mean(column["velocity"]), abs=0.005)
    assert row.range == pytest.approx(np.std(column["velocity"]), abs=0.005)


def test_times_do_not_depend_on_the_ticks_of_the_file(tmp_path: Path) -> None:
    notes = [(2 * onset, pitch, velocity, 2 * length) for onset, pitch, velocity, length in lively(64)]
    data = prepared(tmp_path, {"a.mid": song(part(notes), division=960)})
    assert data.column("onset").tolist() == [240 * i for i in range(64)]
    assert set(data.column("duration").tolist()) == {200}


def test_the_tempo_is_that_of_the_file(tmp_path: Path) -> None:
    data = prepared(tmp_path, {"a.mid": song(part(lively(64), before=tempo(0, 400_000)))})
    assert set(data.column("tempo").tolist()) == {150 * 32}


def test_midi_files_are_found_below_the_folder_whatever_their_suffix_looks_like(tmp_path: Path) -> None:
    files = {
        name: song(part(lively(seed=i))) for i, name in enumerate(["a.mid", "sub/b.MIDI", "sub/deep/c.Mid", "d.txt"])
    }
    data = prepared(tmp_path, files)
    assert [row.source for row in by_source(data)] == ["a.mid", "sub/b.MIDI", "sub/deep/c.Mid"]


def test_parts_that_name_no_program_go_by_their_track_or_by_the_folders_instrument(tmp_path: Path) -> None:
    file = song(
        part(lively(seed=1), number=None, channel=0, name="Slap Bass"),
        part(lively(seed=2), number=None, channel=1, name="Track 2"),
        part(lively(seed=3), number=GUITAR, channel=2),
    )
    data = prepared(tmp_path, {"a.mid": file}, "keys")
    rows = by_source(data)
    assert [row.instrument for row in rows] == ["bass", "guitar", "keys"]
    assert [set(data.column("program")[row.start : row.stop].tolist()) for row in rows] == [{33}, {25}, {0}]


# What is left out, and why.


def test_a_part_needs_64_notes(tmp_path: Path) -> None:
    result = summary(tmp_path, {"short.mid": song(part(lively(63))), "long.mid": song(part(lively(64)))})
    assert (result.parts, result.notes, result.left_out) == (2, 96 + 64, {"fewer than 64 notes": 1})


@pytest.mark.parametrize(
    ("velocities", "kept"),
    [
        pytest.param([40 + 4 * (i % 12) for i in range(72)], True, id="12 velocities"),
        pytest.param([40 + 4 * (i % 11) for i in range(72)], False, id="11 velocities"),
        pytest.param([60 + i % 24 for i in range(72)], True, id="SD 6.9"),
        pytest.param([60 + i % 18 for i in range(72)], False, id="SD 5.2"),
    ],
)
def test_a_part_needs_12_velocities_and_an_sd_of_6(velocities: list[int], kept: bool, tmp_path: Path) -> None:
    data = prepared(tmp_path, {"a.mid": with_velocities(velocities), "fine.mid": song(part(lively(seed=99)))})
    assert {row.source: row.extra for row in data.parts} == {"a.mid": not kept, "fine.mid": False}
    assert [row.source for row in data.select(split="train")] == ["a.mid", "fine.mid"][not kept :]


@pytest.mark.parametrize(
    ("velocities", "kept"),
    [
        pytest.param([60, 66] * 40, False, id="two velocities"),
        pytest.param([62, 64, 66] * 30, False, id="SD 1.6"),
        pytest.param([60, 63, 66] * 30, True, id="SD 2.4"),
    ],
)
def test_a_part_without_any_dynamics_is_not_even_extra(velocities: list[int], kept: bool, tmp_path: Path) -> None:
    result = summary(tmp_path, {"a.mid": with_velocities(velocities)})
    assert result.left_out == ({} if kept else {"velocities nearly flat": 1})
    assert result.parts == 1 + kept


def test_drums_are_counted_and_other_instruments_are_extra(tmp_path: Path) -> None:
    file = song(
        part(lively(seed=1), number=GUITAR, channel=9),
        part(lively(seed=2), number=FLUTE, channel=1),
        part(lively(seed=3), number=None, channel=2, name="Oboe"),
        part(lively(seed=4), number=47, channel=3),
    )
    result = summary(tmp_path, {"a.mid": file})
    assert result.left_out == {"another instrument or drums": 3}
    assert result.kept["other"] == {"train": 96, "valid": 0}
    (flute,) = PhraseData(tmp_path / "out").select(split="train", instrument="other", extra=True)
    assert (flute.extra, flute.source) == (True, "a.mid")


def test_extra_parts_are_never_held_out_and_move_no_song(tmp_path: Path) -> None:
    """A flute part that two songs share makes versions of one song of them, but only for other flute parts."""
    files = {f"{i}.mid": song(part(lively(seed=i))) for i in range(40)}
    flute = part(lively(seed=99), number=FLUTE, channel=1)
    with_flutes = {f"{i}.mid": song(flute, part(lively(seed=i))) for i in range(40)}
    before = prepared(tmp_path / "before", files, valid_share=0.3)
    after = prepared(tmp_path / "after", with_flutes, valid_share=0.3)
    split = {row.source: row.split for row in before.parts}
    assert set(split.values()) == {"train", "valid"}
    assert {row.source: (row.split, row.song) for row in after.parts} == {
        row.source: (row.split, row.song) for row in before.parts
    }
    assert [row.source for row in after.parts] == [row.source for row in before.parts]
    assert not any(row.extra for row in after.parts)
    reasons = json.loads((tmp_path / "after" / "out" / DATASET_FILE).read_text(encoding="utf-8"))["left_out"]
    assert reasons == {"duplicate of another part": 39, "extra, of a song that is held out": 1}


def test_of_equal_parts_the_one_that_is_not_extra_is_kept(tmp_path: Path) -> None:
    notes = lively(seed=5)
    data = prepared(tmp_path, {"a.mid": song(part(notes, number=FLUTE), part(notes, channel=1))})
    assert [(row.instrument, row.extra) for row in data.parts] == [("guitar", False)]


def test_extra_parts_alone_are_not_enough(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no usable part .*1 parts: another instrument, or velocities nearly flat"):
        prepared(tmp_path, {"a.mid": song(part(lively(), number=FLUTE))})


@pytest.mark.parametrize("content", [b"", b"RIFF", b"MThd\x00\x00"], ids=["empty", "not MIDI", "cut short"])
def test_unreadable_files_are_counted(content: bytes, tmp_path: Path) -> None:
    result = summary(tmp_path, {"bad.mid": content})
    assert (result.files, result.parts, result.left_out) == (2, 1, {"unreadable file": 1})


def test_files_without_notes_are_passed_over(tmp_path: Path) -> None:
    result = summary(tmp_path, {"none.mid": song(part([]))})
    assert (result.files, result.parts, result.left_out) == (2, 1, {})


def test_a_part_that_lasts_for_a_month_is_damage(tmp_path: Path) -> None:
    notes = lively(65)
    events = [on(0, *notes[0][1:3]), off(200, notes[0][1]), *(meta(0x0FFFFFFF, 1, b"") for _ in range(9))]
    events += [event for _, pitch, velocity, _ in notes[1:] for event in (on(40, pitch, velocity), off(200, pitch))]
    assert summary(tmp_path, {"a.mid": song(track(program(0, GUITAR), *events))}).left_out == {"impossible times": 1}


def test_the_same_part_in_another_file_is_dropped_whatever_its_tempo_channel_or_start(tmp_path: Path) -> None:
    later = [(onset + 1920, *rest) for onset, *rest in lively(seed=5)]
    files = {
        "a.mid": song(part(lively(seed=5))),
        "b.mid": song(part(lively(seed=5), channel=3, name="copy", before=tempo(0, 300_000))),
        "c.mid": song(part(later)),
    }
    result = summary(tmp_path, files)
    assert (result.parts, result.notes, result.left_out) == (2, 2 * 96, {"duplicate of another part": 2})


def test_one_other_velocity_is_another_performance(tmp_path: Path) -> None:
    once = lively(seed=5)
    again = [*once[:-1], (once[-1][0], once[-1][1], once[-1][2] + 1, once[-1][3])]
    assert summary(tmp_path, {"a.mid": song(part(once)), "b.mid": song(part(again))}).parts == 3


def test_nothing_usable_says_which_filter_removed_what(tmp_path: Path) -> None:
    files = {"a.mid": song(part(lively(10))), "b.mid": with_velocities([64] * 80), "c.mid": b"?"}
    with pytest.raises(DataError) as raised:
        prepared(tmp_path, files)
    for expected in ("3 files hold no usable part", "1 parts: fewer than 64 notes", "1 parts: velocities nearly flat"):
        assert expected in str(raised.value)
    assert not (tmp_path / "out").exists()


def test_a_folder_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere: no such folder"):
        prepare([Pack(tmp_path / "nowhere")], tmp_path / "out")


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("in the way", encoding="utf-8")
    with pytest.raises(FileError, match="out: the data cannot be written there"):
        prepared(tmp_path, {"a.mid": song(part(lively()))})


def test_folders_are_given_with_or_without_an_instrument(tmp_path: Path) -> None:
    (tmp_path / "a=b").mkdir()
    assert Pack.parse("midi/giant") == Pack(Path("midi/giant"), None)
    assert Pack.parse("midi/giant=Piano") == Pack(Path("midi/giant"), "keys")
    assert Pack.parse(f"{tmp_path}/a=b") == Pack(tmp_path / "a=b", None)
    with pytest.raises(OptionError, match="'keyz'. Did you mean 'keys'"):
        Pack.parse("midi/giant=keyz")


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
    bars = data.column("wanted")[row.start : row.stop].reshape(-1, 16)
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
    }  # fmt: skip


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


def test_a_larger_share_holds_out_the_same_songs_and_more(tmp_path: Path) -> None:
    files = {f"song {i}.mid": song(part(lively(64, seed=i))) for i in range(40)}
    held_out = []
    for share in (0.1, 0.3, 0.6):
        data = prepared(tmp_path, files, valid_share=share, force=True)
        held_out.append({row.source for row in data.parts if row.split == "valid"})
    assert held_out[0] < held_out[1] < held_out[2]
    assert 40 * 0.3 < len(held_out[2]) < 40 * 0.9


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
    np.testing.assert_allclose(data.column("onset"), 240 * np.arange(80), atol=1)
    np.testing.assert_allclose(data.column("duration"), 120, atol=1)
    assert set(data.column("tempo").tolist()) == {100 * 32}
    assert set(data.column("bar_beats").tolist()) == {3 * BEAT}
    place = data.column("beat_in_bar").astype(int) - 240 * np.arange(80)
    np.testing.assert_allclose((place + 720) % 1440, 720, atol=1)  # a downbeat may stand at either end of a bar


def test_without_its_table_the_same_file_goes_by_its_own_bars(tmp_path: Path) -> None:
    data = prepared(tmp_path, {"001.mid": on_the_table()})
    assert set(data.column("bar_beats").tolist()) == {4 * BEAT}
    assert set(data.column("tempo").tolist()) == {120 * 32}


@pytest.mark.parametrize("text", ["", "0.1 1 1\nsilence\n", "0.1 1\n0.2 0\n", "0.1 1 1\n0.1 0 0\n", "0 1 1\nnan 0 0\n"])
def test_an_unreadable_table_of_beats_leaves_its_file_out(text: str, tmp_path: Path) -> None:
    result = summary(tmp_path, {"001.mid": on_the_table(), "001.beats.txt": text.encode()})
    assert (result.parts, result.left_out) == (1, {"unreadable table of beats": 1})


def test_a_table_too_short_to_tell_anything_is_not_used(tmp_path: Path) -> None:
    write(tmp_path / "pack", {"001.beats.txt": beats_table(0.25, 0.6, 3, bar=3).encode()})
    data = prepared(tmp_path, {"001.mid": on_the_table()})
    assert set(data.column("bar_beats").tolist()) == {4 * BEAT}


def free(n: int = 200) -> list[Note]:
    """A recording without a click: onsets anywhere."""
    rng = np.random.default_rng(4)
    onset = np.cumsum(rng.integers(60, 500, n))
    return [(int(onset[i]), int(rng.integers(40, 80)), int(rng.integers(30, 110)), 300) for i in range(n)]


def test_a_recording_without_a_grid_is_known_for_one(tmp_path: Path) -> None:
    data = prepared(tmp_path, {"a.mid": song(part(free(), number=None))}, "keys")
    (row,) = data.parts
    assert (row.grid, row.played, row.instrument) == (False, True, "keys")
    assert data.column("wanted").all()


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
    }  # fmt: skip


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
    packs = ("one/midi", "two/midi", f"{tmp_path.name}/other")
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


# What is written, and what is not lost.


def test_the_index_tells_what_was_read_and_what_was_left_out(tmp_path: Path) -> None:
    files = {f"{i}.mid": song(part(lively(seed=i)), part(lively(20), channel=2)) for i in range(3)}
    result = prepare([Pack(write(tmp_path / "pack", files), "keys")], tmp_path / "out", valid_share=0.25)
    index = json.loads((tmp_path / "out" / DATASET_FILE).read_text(encoding="utf-8"))
    assert index == {
        "format": 3, "shards": [{"parts": 3, "notes": 288}], "duvhuman": duvhuman.__version__,
        "packs": [{"name": "pack", "files": 3, "instrument": "keys"}], "valid_share": 0.25, "songs": 3,
        "left_out": {"fewer than 64 notes": 3},
    }  # fmt: skip
    assert str(tmp_path) not in (tmp_path / "out" / DATASET_FILE).read_text(encoding="utf-8")
    assert (result.files, result.songs, sum(result.kept["guitar"].values())) == (3, 3, 288)


def test_a_data_set_is_replaced_by_force_alone(tmp_path: Path) -> None:
    out = tmp_path / "out"
    packs = [Pack(write(tmp_path / "pack", {"a.mid": song(part(lively()))}))]
    prepare(packs, out, parquet=True)
    before = contents(out)
    assert {"dataset.json", "0000/pitch.npy", "parquet/notes-00000.parquet"} <= before.keys()
    with pytest.raises(FileError, match="out: a data set stands there; .* --force"):
        prepare(packs, out)
    assert contents(out) == before
    write(tmp_path / "pack", {"b.mid": song(part(lively(seed=7)))})
    (out / "notes of mine.txt").write_text("keep", encoding="utf-8")
    prepare(packs, out, force=True)
    assert len(PhraseData(out).parts) == 2
    assert (out / "notes of mine.txt").exists()
    assert not list((out / "parquet").iterdir())  # tables of what was replaced


def test_folders_that_only_look_like_shards_are_never_removed(tmp_path: Path) -> None:
    pack = write(tmp_path / "pack", {"2004/a.mid": song(part(lively()))})
    for force in (False, True):
        with pytest.raises(FileError, match="2004: stands where a shard would be written; choose another --out"):
            prepare([Pack(pack)], pack, force=force)
    assert list(contents(pack)) == ["2004/a.mid"]


def test_what_a_killed_process_left_of_a_shard_is_replaced(tmp_path: Path) -> None:
    pack, out = write(tmp_path / "pack", {"a.mid": song(part(lively()))}), tmp_path / "out"
    prepare([Pack(pack)], out)
    for name in ("dataset.json", "0000/parts.json"):
        (out / name).unlink()
    prepare([Pack(pack)], out)
    assert len(PhraseData(out).parts) == 1


def test_the_data_may_be_written_among_the_files_they_are_from(tmp_path: Path) -> None:
    pack = write(tmp_path / "pack", {"a.mid": song(part(lively()))})
    assert [prepare([Pack(pack)], pack / "prepared", force=force).files for force in (False, True)] == [1, 1]


def test_if_it_fails_the_old_data_stay_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    packs = [Pack(write(tmp_path / "pack", {"a.mid": song(part(lively()))}))]
    prepare(packs, out)
    before = contents(out)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    def ended(*_: object) -> None:
        raise KeyboardInterrupt

    for failure, expected in ((full, FileError), (ended, KeyboardInterrupt)):
        for place in ("duvhuman.train.spool.Spool._write", "duvhuman.train.storage._write_shard"):
            with monkeypatch.context() as patch:
                patch.setattr(place, failure)
                for folder in (out, tmp_path / "new"):
                    with pytest.raises(expected, match="No space left on device" if failure is full else None):
                        prepare(packs, folder, force=True)
            assert contents(out) == before
            assert not (out / ".prepare").exists()
            assert not (tmp_path / "new").exists()


def test_two_at_once_do_not_write_into_one_folder(tmp_path: Path) -> None:
    packs = [Pack(write(tmp_path / "pack", {"a.mid": song(part(lively()))}))]
    (tmp_path / "out" / ".prepare").mkdir(parents=True)
    with pytest.raises(FileError, match="another prepare is writing there, or was killed .* use --force"):
        prepare(packs, tmp_path / "out")
    prepare(packs, tmp_path / "out", force=True)
    assert not (tmp_path / "out" / ".prepare").exists()


def test_progress_is_told(tmp_path: Path) -> None:
    files = {f"{i}.mid": song(part(lively(seed=i))) for i in range(70)}
    told: list[tuple[int, int]] = []
    prepare([Pack(write(tmp_path / "pack", files))], tmp_path / "out", progress=lambda *now: told.append(now))
    assert told == [(32, 70), (64, 70), (70, 70)]


def test_memory_holds_no_notes_of_parts_that_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepare_module, "GROUP_FILES", 1)
    monkeypatch.setattr(spool, "HELD_BYTES", 1 << 14)
    notes, files = 4_000, 12
    for number in range(files):
        part_of_it = [(40 * i, 50 + i % 24, 40 + (7 * i + number * i // 9) % 61, 200) for i in range(notes)]
        write(tmp_path / "pack", {f"{number:02}.mid": song(part(part_of_it))})
    held: list[int] = []
    tracemalloc.start()
    try:
        prepare(
            [Pack(tmp_path / "pack")], tmp_path / "out",
            progress=lambda *_: held.append(tracemalloc.get_traced_memory()[0]),
        )  # fmt: skip
    finally:
        tracemalloc.stop()
    assert len(held) == files
    assert held[-1] - held[1] < (files - 2) * notes * NOTE_BYTES / 4
