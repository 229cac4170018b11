"""The command line: what it reads, writes, says and refuses, and its exit codes.

Exit codes: 0 all done, 1 some file failed, 2 usage (nothing touched), 130 interrupted. A tiny untrained model stands in
for the real one. What depends on the process is tested in test_cli_streams.py; here `main` is called.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from duvhuman.cli import main
from duvhuman.instruments import INSTRUMENTS

GUITAR, DRUM_CHANNEL = 25, 9


def midi_bytes(*, program: int = GUITAR, channel: int = 0, n_notes: int = 24, title: bytes = b"Riff") -> bytes:
    """A flat part in format 0 at 96 ticks per quarter: eighth notes of velocity 80, each as long as it is written."""
    track = b"\x00\xff\x03" + bytes([len(title)]) + title + bytes([0, 0xC0 | channel, program])
    for note in range(n_notes):
        pitch = 50 + note % 7
        track += bytes([0, 0x90 | channel, pitch, 80, 48, 0x80 | channel, pitch, 0])
    track += b"\x00\xff\x2f\x00"
    return b"MThd\x00\x00\x00\x06\x00\x00\x00\x01\x00\x60" + b"MTrk" + len(track).to_bytes(4, "big") + track


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The empty folder in which each test runs."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(name: str, data: bytes | None = None) -> Path:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(midi_bytes() if data is None else data)
    return path


def files_below(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())


# Usage: exit code 2, nothing touched


@pytest.mark.parametrize("command", ["humanize", "predict", "models"])
def test_the_help_of_each_command_has_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    assert f"  duvhuman {command}" in capsys.readouterr().out


USAGE_ERRORS = {
    "unknown instrument": (["-i", "guitr"], "Did you mean 'guitar'?"),
    "intensity too high": (["--intensity", "1.5"], "intensity"),
    "intensity negative": (["--intensity", "-0.1"], "intensity"),
    "intensity not a number": (["--intensity", "nan"], "intensity"),
    "intensity a word": (["--intensity", "much"], "--intensity"),
    "variation too high": (["--variation", "2"], "variation"),
    "seed negative": (["--seed", "-1"], "seed"),
    "seed a fraction": (["--seed", "1.5"], "--seed"),
    "dynamics unknown": (["--dynamics", "loud"], "dynamics"),
    "tracks a word": (["--tracks", "first"], "list of numbers"),
    "protect backwards": (["--protect", "20-0"], "list of numbers"),
    "protect beyond MIDI": (["--protect", "100-200"], "0 to 127"),
    "protect a word": (["--protect", "low"], "list of numbers"),
    "device unknown": (["--device", "abacus"], "abacus"),
    "option shortened": (["--inten", "1"], "--inten"),
}


@pytest.mark.parametrize("error", USAGE_ERRORS)
@pytest.mark.usefixtures("tiny")
def test_an_illegal_option_is_told_before_any_file_is_touched(
    error: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options, message = USAGE_ERRORS[error]
    write("a.mid")
    try:
        code = main(["humanize", "a.mid", "gone.mid", "-i", "guitar", "-o", "out/", *options])
    except SystemExit as ended:
        code = ended.code
    printed = capsys.readouterr()
    assert code == 2
    assert message in printed.err
    assert "gone.mid" not in printed.err.split("error:")[-1]
    assert files_below(folder) == ["a.mid"]


def test_overwriting_is_refused_before_any_work(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write("in/a.mid")
    write("in/b.mid")
    write("out/b.mid", b"precious")
    assert main(["humanize", "in", "-i", "guitar", "-o", "out"]) == 2
    assert "b.mid exists" in capsys.readouterr().err
    assert files_below(folder / "out") == ["b.mid"]
    assert Path("out/b.mid").read_bytes() == b"precious"


@pytest.mark.parametrize("spelling", ["a.mid", "./a.mid", "link.mid"])
def test_it_never_writes_over_its_input(spelling: str, capsys: pytest.CaptureFixture[str]) -> None:
    write("a.mid")
    Path("link.mid").symlink_to("a.mid")
    assert main(["humanize", "a.mid", "-i", "guitar", "-o", spelling, "--force"]) == 2
    assert "over an input" in capsys.readouterr().err
    assert Path("a.mid").read_bytes() == midi_bytes()


# Files in, files out


@pytest.mark.usefixtures("tiny")
def test_one_file_and_its_summary(capsys: pytest.CaptureFixture[str]) -> None:
    write("a.mid")
    assert main(["humanize", "a.mid", "-i", "guitar", "-o", "b.mid", "--seed", "7"]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    heading, columns, row = printed.out.splitlines()
    assert heading == "a.mid -> b.mid  (seed 7)"
    assert columns.split()[:3] == ["tracks", "name", "instrument"]
    assert row.split()[:4] == ["0", "Riff", "guitar", "24"]
    assert "80 -> " in row
    assert Path("b.mid").read_bytes() != midi_bytes()
    assert len(Path("b.mid").read_bytes()) >= len(midi_bytes()) - 24  # running status aside, the same events


@pytest.mark.usefixtures("tiny")
def test_a_seed_is_told_where_something_is_drawn(capsys: pytest.CaptureFixture[str]) -> None:
    write("a.mid")
    for options, told in (([], False), (["--variation", "0.5"], True)):
        assert main(["humanize", "a.mid", "-i", "guitar", "-o", "b.mid", "--force", *options]) == 0
        assert ("(seed " in capsys.readouterr().out) == told


@pytest.mark.usefixtures("tiny")
def test_the_same_seed_gives_the_same_bytes_and_force_replaces() -> None:
    write("a.mid")
    for output in ("b.mid", "c.mid"):
        assert main(["humanize", "a.mid", "-i", "guitar", "-o", output, "--seed", "7", "--quiet"]) == 0
    assert Path("b.mid").read_bytes() == Path("c.mid").read_bytes()
    write("c.mid", b"old")
    assert main(["humanize", "a.mid", "-i", "guitar", "-o", "c.mid", "--seed", "7", "--quiet", "--force"]) == 0
    assert Path("b.mid").read_bytes() == Path("c.mid").read_bytes()


@pytest.mark.usefixtures("tiny")
def test_switches_reach_the_api() -> None:
    write("a.mid")
    common = ["humanize", "a.mid", "-i", "guitar", "--seed", "7", "--quiet"]
    assert main([*common, "-o", "none.mid", "--no-velocity", "--no-duration"]) == 0
    assert main([*common, "-o", "zero.mid", "--intensity", "0"]) == 0
    assert main([*common, "-o", "all_protected.mid", "--protect", "0-127"]) == 0
    for unchanged in ("none.mid", "zero.mid", "all_protected.mid"):
        assert Path(unchanged).read_bytes() == midi_bytes()


@pytest.mark.usefixtures("tiny")
def test_a_folder_keeps_relative_paths_with_r_and_leaves_other_files_out(folder: Path) -> None:
    for name in ("in/a.mid", "in/B.MIDI", "in/deep/a.mid"):
        write(name)
    write("in/notes.txt", b"no")
    assert main(["humanize", "in", "-i", "guitar", "-o", "flat", "--quiet"]) == 0
    assert files_below(folder / "flat") == ["B.MIDI", "a.mid"]
    assert main(["humanize", "in/", "-i", "guitar", "-o", "all/of/them", "-r", "--quiet"]) == 0
    assert files_below(folder / "all" / "of" / "them") == ["B.MIDI", "a.mid", "deep/a.mid"]


@pytest.mark.usefixtures("tiny")
def test_json_has_one_object_per_file_of_one_shape(capsys: pytest.CaptureFixture[str]) -> None:
    write("in/a.mid")
    write("in/b.mid", b"this is a text, not a MIDI file")
    assert main(["humanize", "in", "-i", "auto", "-o", "out", "--json", "--seed", "3"]) == 1
    printed = capsys.readouterr()
    assert printed.err == ""
    good, bad = map(json.loads, printed.out.splitlines())
    assert set(good) == set(bad) >= {"input", "output", "ok", "error", "seed", "changed", "warnings", "parts"}
    assert (good["ok"], good["error"], good["seed"], good["changed"]) == (True, None, 3, True)
    assert (good["input"], good["output"]) == (str(Path("in/a.mid")), str(Path("out/a.mid")))
    assert (bad["ok"], bad["parts"], bad["changed"]) == (False, [], False)
    assert "not_midi" in bad["error"] or "b.mid" in bad["error"]
    (part,) = good["parts"]
    assert (part["name"], part["instrument"], part["notes"]) == ("Riff", "guitar", 24)
    assert part["velocity_before"] == [80, 80]


# Nothing to play: unchanged, a warning, exit code 0


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("n_notes", [0, 8])
def test_drums_only_and_no_notes_come_back_unchanged_with_a_warning(
    n_notes: int, capsys: pytest.CaptureFixture[str]
) -> None:
    drums = midi_bytes(channel=DRUM_CHANNEL, program=0, n_notes=n_notes)
    write("drums.mid", drums)
    assert main(["humanize", "drums.mid", "-i", "guitar", "-o", "out.mid"]) == 0
    printed = capsys.readouterr()
    (line,) = printed.err.splitlines()
    assert line.startswith("duvhuman: warning: ")
    assert "drums.mid" in line
    assert Path("out.mid").read_bytes() == drums
    assert ("all: drums" in printed.out) == (n_notes > 0)

    assert main(["humanize", "drums.mid", "-i", "guitar", "-o", "json.mid", "--json"]) == 0
    outcome = json.loads(capsys.readouterr().out)
    assert (outcome["ok"], outcome["changed"], len(outcome["warnings"])) == (True, False, 1)
    assert main(["humanize", "drums.mid", "-i", "guitar", "-o", "quiet.mid", "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")


# Bad input: exit code 1, the others done, no traceback, nothing half-written


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("output", ["no/such/folder/b.mid", "a.mid/b.mid"])
def test_an_output_that_cannot_be_written(output: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write("a.mid")
    assert main(["humanize", "a.mid", "-i", "guitar", "-o", output]) == 1
    assert output in capsys.readouterr().err
    assert files_below(folder) == ["a.mid"]


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("output", ["", "a-file/out.csv", 300 * "x"])
def test_an_output_that_cannot_be_written_is_named(output: str, capsys: pytest.CaptureFixture[str]) -> None:
    write("a.mid")
    write("a-file")
    assert main(["predict", "a.mid", "-i", "guitar", "-o", output]) in (1, 2)
    said = capsys.readouterr().err
    assert "cannot write" in said
    assert ".tmp" not in said


@pytest.mark.usefixtures("tiny")
def test_an_output_folder_that_cannot_be_made(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write("a.mid")
    write("file")
    assert main(["humanize", "a.mid", "-i", "guitar", "-o", "file/out/"]) == 1
    assert "cannot make this folder" in capsys.readouterr().err
    assert files_below(folder) == ["a.mid", "file"]


def test_weights_that_are_missing_fail_every_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write("a.mid")
    write("b.mid")
    empty = folder / "nothing"
    empty.mkdir()
    arguments = ["humanize", "a.mid", "b.mid", "-i", "guitar", "-o", "out/", "--model", str(empty)]
    assert main(arguments) == 1
    printed = capsys.readouterr()
    assert printed.err.count("duvhuman: error: ") == 1
    assert str(empty) in printed.err
    assert main([*arguments, "--json"]) == 1
    outcomes = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(outcome["input"], outcome["ok"]) for outcome in outcomes] == [("a.mid", False), ("b.mid", False)]
    assert not Path("out").exists()


def test_weights_that_are_corrupt(models: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write("a.mid")
    shutil.copytree(models / "guitar", "broken")
    weights = folder / "broken" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    assert main(["humanize", "a.mid", "-i", "guitar", "-o", "b.mid", "--model", "broken"]) == 1
    assert str(Path("broken/model.safetensors")) in capsys.readouterr().err
    assert not Path("b.mid").exists()


@pytest.mark.usefixtures("tiny")
def test_a_track_that_does_not_exist_fails_its_file_only(capsys: pytest.CaptureFixture[str]) -> None:
    write("a.mid")
    assert main(["humanize", "a.mid", "-i", "guitar", "-o", "b.mid", "--tracks", "5"]) == 1
    assert "track" in capsys.readouterr().err


@pytest.mark.usefixtures("tiny")
def test_a_bug_met_in_one_file_is_reported_and_the_others_are_done(
    monkeypatch: pytest.MonkeyPatch, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from duvhuman.humanize.api import Humanizer

    play = Humanizer.humanize

    def play_or_break(self: Humanizer, midi: object, **options: object) -> object:
        if midi == "bad.mid":
            raise ZeroDivisionError("oops")
        return play(self, midi, **options)

    monkeypatch.setattr(Humanizer, "humanize", play_or_break)
    write("bad.mid")
    write("good.mid")
    assert main(["humanize", "bad.mid", "good.mid", "-i", "guitar", "-o", "out/", "--quiet"]) == 1
    line = capsys.readouterr().err
    assert line.startswith("duvhuman: error: bad.mid: internal error (ZeroDivisionError: oops; test_cli.py, line ")
    assert files_below(folder / "out") == ["good.mid"]


# predict and models


@pytest.mark.usefixtures("tiny")
def test_predict_prints_a_row_per_note(capsys: pytest.CaptureFixture[str]) -> None:
    write("a.mid")
    assert main(["predict", "a.mid", "-i", "guitar", "--seed", "7"]) == 0
    heading, *rows = capsys.readouterr().out.splitlines()
    assert heading == (
        "onset_ticks,pitch,velocity_bin,duration_bin,velocity,duration_beats,spread,duration_ticks,track,channel"
    )
    notes = [tuple(map(float, row.split(","))) for row in rows]
    assert [note[:2] for note in notes] == [(48 * n, 50 + n % 7) for n in range(24)]
    assert all(0 <= note[2] <= 15 and 0 <= note[3] <= 15 and 1 <= note[4] <= 127 for note in notes)


@pytest.mark.usefixtures("tiny")
def test_predict_writes_json_to_a_file_once(capsys: pytest.CaptureFixture[str]) -> None:
    write("a.mid")
    arguments = ["predict", "a.mid", "-i", "guitar", "--seed", "7", "--json", "-o", "notes.json"]
    assert main(arguments) == 0
    assert capsys.readouterr().out == ""
    predicted = json.loads(Path("notes.json").read_text())
    assert (predicted["input"], predicted["seed"], len(predicted["notes"])) == ("a.mid", 7, 24)
    assert predicted["notes"][1]["onset_ticks"] == 48
    assert main(arguments) == 2
    assert "notes.json exists" in capsys.readouterr().err
    assert main([*arguments, "--force"]) == 0
    assert main(["predict", "a.mid", "-i", "guitar", "-o", "./a.mid", "--force"]) == 2


@pytest.mark.usefixtures("tiny")
def test_predict_of_a_file_that_is_not_midi(capsys: pytest.CaptureFixture[str]) -> None:
    write("bad.mid", b"this is a text, not a MIDI file")
    assert main(["predict", "bad.mid", "-i", "guitar"]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "bad.mid" in printed.err


@pytest.mark.usefixtures("tiny")
def test_predict_says_what_it_was_warned_of_though_it_fails(capsys: pytest.CaptureFixture[str]) -> None:
    write("cut.mid", midi_bytes()[:-40])
    assert main(["predict", "cut.mid", "-i", "guitar", "--tracks", "9"]) == 2
    printed = capsys.readouterr().err
    assert "warning: cut.mid: " in printed
    assert "there is no track 9" in printed


@pytest.mark.usefixtures("tiny")
def test_models_lists_what_is_found(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models"]) == 0
    assert str(models / "guitar") in capsys.readouterr().out
    assert main(["models", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    mine = [row for row in rows if row["source"] == "$DUVHUMAN_MODELS"]
    assert [row["instrument"] for row in mine] == list(INSTRUMENTS)
    assert all(row["used"] and row["size_bytes"] > 0 and row["adapters"] == [] for row in mine)
