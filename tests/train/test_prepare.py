"""Preparing data: which parts are kept, and what is written."""

from __future__ import annotations

import errno
import json
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from builders import FLUTE, GUITAR, part, song
from midi_bytes import meta, off, on, program, tempo, track
from packs import by_source, lively, prepared, summary, with_velocities, write
from prepared_folders import contents
from toys import column_of

import duvhuman
from duvhuman.errors import DataError, FileError, OptionError
from duvhuman.train import prepare as prepare_module
from duvhuman.train.data import spool
from duvhuman.train.data.spool import NOTE_BYTES
from duvhuman.train.data.storage import COLUMNS, DATASET_FILE
from duvhuman.train.dataset import PhraseData
from duvhuman.train.prepare import Pack, prepare

# What is kept.


def test_a_part_becomes_its_columns(tmp_path: Path) -> None:
    notes = lively(64)
    data = prepared(tmp_path, {"a.mid": song(part([(onset + 960, *rest) for onset, *rest in notes]))})
    (row,) = data.parts
    assert (row.pack, row.song, row.source, row.instrument) == ("pack", "pack/a", "a.mid", "guitar")
    assert (row.start, row.stop, row.grid) == (0, 64, True)
    column = {name: column_of(data, name).tolist() for name in COLUMNS}
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
    assert column_of(data, "onset").tolist() == [240 * i for i in range(64)]
    assert set(column_of(data, "duration").tolist()) == {200}


def test_the_tempo_is_that_of_the_file(tmp_path: Path) -> None:
    data = prepared(tmp_path, {"a.mid": song(part(lively(64), before=tempo(0, 400_000)))})
    assert set(column_of(data, "tempo").tolist()) == {150 * 32}


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
    assert [set(column_of(data, "program")[row.start : row.stop].tolist()) for row in rows] == [{33}, {25}, {0}]


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


# What is written, and what is not lost.


def test_the_index_tells_what_was_read_and_what_was_left_out(tmp_path: Path) -> None:
    files = {f"{i}.mid": song(part(lively(seed=i)), part(lively(20), channel=2)) for i in range(3)}
    result = prepare([Pack(write(tmp_path / "pack", files), "keys")], tmp_path / "out", valid_share=0.25)
    index = json.loads((tmp_path / "out" / DATASET_FILE).read_text(encoding="utf-8"))
    assert index == {
        "format": 3, "shards": [{"parts": 3, "notes": 288}], "duvhuman": duvhuman.__version__,
        "packs": [{"name": "pack", "files": 3, "instrument": "keys"}], "valid_share": 0.25, "songs": 3,
        "left_out": {"fewer than 64 notes": 3},
    }
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
        for place in ("duvhuman.train.data.spool.Spool._write", "duvhuman.train.data.storage._write_shard"):
            with monkeypatch.context() as patch:
                patch.setattr(place, failure)
                for folder in (out, tmp_path / "new"):
                    with pytest.raises(expected, match="No space left on device" if failure is full else None):
                        prepare(packs, folder, force=True)
            assert contents(out) == before
            assert not (out / ".prepare").exists()
            assert not (tmp_path / "new").exists()


def interrupted(*_: object) -> None:
    raise KeyboardInterrupt


def test_if_it_fails_while_one_takes_the_place_of_the_other_the_old_data_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, pack = tmp_path / "out", tmp_path / "pack"
    prepare([Pack(write(pack, {"a.mid": song(part(lively()))}))], out, parquet=True)
    before = contents(out)
    write(pack, {"b.mid": song(part(lively(seed=7)))})
    rename, moved = Path.rename, 0

    # An index, a shard and a table go, are said to be gone, and others come; then what is undone fails, too.
    for failing in [(k,) for k in range(1, 8)] + [(k, k + 1) for k in range(2, 8)]:

        def fail(path: Path, target: Path, failing: tuple[int, ...] = failing) -> Path:
            nonlocal moved
            if ".prepare" in f"{path}{target}":
                moved += 1
                if moved in failing:
                    raise KeyboardInterrupt
            return rename(path, target)

        moved = 0
        with monkeypatch.context() as patch:
            patch.setattr(Path, "rename", fail)
            with pytest.raises(KeyboardInterrupt):
                prepare([Pack(pack)], out, parquet=True, force=True)
        if len(failing) == 2:  # the next one begins with what is left to be undone
            monkeypatch.setattr("duvhuman.train.prepare.Spool", interrupted)
            with pytest.raises(KeyboardInterrupt):
                prepare([Pack(pack)], out, parquet=True, force=True)
            monkeypatch.undo()
        assert contents(out) == before
    prepare([Pack(pack)], out, parquet=True, force=True)
    assert len(PhraseData(out).parts) == 2


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
        )
    finally:
        tracemalloc.stop()
    assert len(held) == files
    assert held[-1] - held[1] < (files - 2) * notes * NOTE_BYTES / 4
