"""``python -m duvhuman.train prepare``: what a user types, and what they are told."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from prepared_folders import contents, midi_folder

from duvhuman.errors import DataError, FileError, OptionError
from duvhuman.train.commands.prepare import run
from duvhuman.train.dataset import PhraseData


def test_it_tells_what_was_kept_and_what_was_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, out = midi_folder(tmp_path / "pack", 12), tmp_path / "out"
    (folder / "bad.mid").write_bytes(b"?")
    run([str(folder), "--out", str(out), "--valid", "0.3", "--jobs", "1"])
    said, error = capsys.readouterr()
    # No progress where there is no terminal.
    assert error == "warning: guitar: no part is held out to judge by; prepare more data, or with a larger --valid\n"
    lines = said.splitlines()
    assert lines[0] == f"{out}: 18 parts, 1,260 notes of 6 songs; 13 files read"
    told = re.fullmatch(r"  guitar +([\d,]+) notes to train on +([\d,]+) held out", lines[1])
    assert told is not None
    assert [int(notes.replace(",", "")) for notes in told.groups()] == [
        sum(row.stop - row.start for row in PhraseData(out).select(split=split)) for split in ("train", "valid")
    ]
    assert lines[2:] == [
        "  left out      6 parts: duplicate of another part",
        "  left out      1 parts: unreadable file",
    ]


def test_parquet_and_force(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    where = [str(midi_folder(tmp_path / "pack", 2)), "--out", str(tmp_path / "out"), "--jobs", "1"]
    run(where)
    with pytest.raises(FileError, match="--force"):
        run([*where, "--parquet"])
    run([*where, "--parquet", "--force"])
    assert "parquet/notes-00000.parquet" in contents(tmp_path / "out")


def test_songs_can_all_be_held_out_to_judge_models_by(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run([str(midi_folder(tmp_path / "pack", 2)), "--valid", "1", "--out", str(tmp_path / "out"), "--jobs", "1"])
    said, error = capsys.readouterr()
    assert re.search(r"guitar +0 notes to train on +[1-9]\d* held out", said)
    assert error == ""


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        (["nowhere"], DataError, "nowhere: no such folder"),
        (["nowhere=keyz"], OptionError, "Did you mean 'keys'"),
        ([".", "--valid", "1.5"], OptionError, "--valid must be between 0 and 1, not 1.5"),
        ([".", "--valid", "nan"], OptionError, "--valid must be between 0 and 1, not nan"),
        ([".", "--jobs", "0"], OptionError, "--jobs must be at least 1, not 0"),
        ([".", "--jobs", "2", "--ray", "auto"], OptionError, "give one of them"),
    ],
)
def test_what_is_wrong_is_told(arguments: list[str], error: type[Exception], match: str, tmp_path: Path) -> None:
    with pytest.raises(error, match=match):
        run([*arguments, "--out", str(tmp_path / "out")])
    assert not (tmp_path / "out").exists()


def test_a_file_is_no_folder_of_files(tmp_path: Path) -> None:
    (tmp_path / "take.mid").write_bytes(b"MThd")
    for given in ("take.mid", "take.mid=keys"):
        with pytest.raises(DataError, match=r"take\.mid: a file, not a folder; name folders of MIDI files"):
            run([str(tmp_path / given), "--out", str(tmp_path / "out")])


def test_a_terminal_shows_files_per_second_and_the_time_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = iter([0.0, 2.0, 2.1, 5.0])  # begun, 32, 64 and 70 files
    monkeypatch.setattr("duvhuman.train.commands.prepare.time.monotonic", lambda: next(now))
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    run([str(midi_folder(tmp_path / "pack", 70)), "--out", str(tmp_path / "out"), "--jobs", "1"])
    shown = capsys.readouterr().err.split("\r")
    assert [line.rstrip() for line in shown] == [
        "", "32/70 files, 16 files/s, 0:02 left", "70 files read; grouping songs and writing", "", "",
    ]


def test_ctrl_c_is_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def ended(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("duvhuman.train.data.read_midi.read_file", ended)
    with pytest.raises(KeyboardInterrupt):
        run([str(midi_folder(tmp_path / "pack", 1)), "--out", str(tmp_path / "out"), "--jobs", "1"])
    assert capsys.readouterr().err == f"interrupted; {tmp_path / 'out'} is as it was\n"
    assert not (tmp_path / "out").exists()
