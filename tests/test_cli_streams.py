"""The command line in a process of its own: exit codes, streams, closed ones too, and signals."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from builders import flat_song

from duvhuman import __version__
from duvhuman.cli import main

EXAMPLE = Path(__file__).parents[1] / "examples" / "midi" / "bass.mid"
FLAT = flat_song()
HOSTILE = {
    "not_midi.mid": b"this is a text, not a MIDI file, whatever its name says",
    "empty.mid": b"",
    "header_cut_short.mid": b"MThd\x00\x00\x00\x06\x00\x01",
}

shell = pytest.mark.skipif(os.name == "nt", reason="a shell that closes streams is needed")


@pytest.fixture(autouse=True)
def _in_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def duvhuman(*arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run the real command line in a process of its own."""
    command = [sys.executable, "-m", "duvhuman", *arguments]
    return subprocess.run(command, input=stdin, capture_output=True, timeout=120, check=False)


def test_without_a_command_it_prints_help() -> None:
    result = duvhuman()
    assert result.returncode == 2
    assert b"usage: duvhuman" in result.stderr
    for command in (b"humanize", b"predict", b"models"):
        assert command in result.stderr


def test_version() -> None:
    result = duvhuman("--version")
    assert (result.returncode, result.stdout.decode().strip()) == (0, f"duvhuman {__version__}")


def test_a_usage_error_has_no_traceback_and_loads_nothing_heavy() -> None:
    code = (
        "import sys; from duvhuman.cli import main\n"
        "code = main(['humanize', 'a.mid', '-i', 'guitr', '-o', 'b.mid'])\n"
        "print(code, 'torch' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert result.stdout.split() == ["2", "False"]
    assert result.stderr.startswith("duvhuman: error: unknown instrument 'guitr'")
    assert "Traceback" not in result.stderr


@pytest.mark.usefixtures("tiny")
def test_standard_input_to_standard_output() -> None:
    result = duvhuman("humanize", "-", "-i", "guitar", "-o", "-", "--seed", "7", stdin=FLAT)
    assert result.returncode == 0
    assert result.stdout.startswith(b"MThd")
    assert result.stdout != FLAT
    assert b"seed 7" in result.stderr

    Path("a.mid").write_bytes(FLAT)
    main(["humanize", "a.mid", "-i", "guitar", "-o", "b.mid", "--seed", "7", "--quiet"])
    assert result.stdout == Path("b.mid").read_bytes()


@pytest.mark.usefixtures("tiny")
def test_hostile_files_fail_by_name_and_the_others_are_done(tmp_path: Path) -> None:
    for name, data in HOSTILE.items():
        Path(name).write_bytes(data)
    Path("good.mid").write_bytes(FLAT)
    inputs = [*HOSTILE, "missing.mid", "good.mid"]
    result = duvhuman("humanize", *inputs, "-i", "guitar", "-o", "out/")
    errors = [line for line in result.stderr.decode().splitlines() if line.startswith("duvhuman: error: ")]
    assert result.returncode == 1
    assert b"Traceback" not in result.stderr
    assert len(errors) == len(inputs) - 1
    for name, line in zip(inputs, errors, strict=False):
        assert name in line
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["good.mid"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
@pytest.mark.usefixtures("tiny")
def test_an_interrupt_says_how_much_was_done_and_leaves_nothing_half_written(tmp_path: Path) -> None:
    Path("a.mid").write_bytes(FLAT)
    os.mkfifo("waits.mid")  # nobody writes to it: the second file is being read until the interrupt comes
    as_in_a_terminal = (  # a process started in the background would ignore the signal
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from duvhuman.cli import main; sys.exit(main())"
    )
    command = [sys.executable, "-c", as_in_a_terminal, "humanize", "a.mid", "waits.mid", "-i", "guitar", "-o", "out/"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    while not Path("out/a.mid").exists() and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"interrupted: 1 of 2 files done" in stderr
    assert b"Traceback" not in stderr
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["a.mid"]


def test_a_reader_that_leaves_early_is_no_traceback() -> None:
    command = [sys.executable, "-m", "duvhuman", "models", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1


# Streams that are closed, as a daemon's may be


def closed(redirection: str, *arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = shlex.join([sys.executable, "-m", "duvhuman", *arguments])
    return subprocess.run(
        ["sh", "-c", f"{command} {redirection}"], cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )


@shell
@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("redirection", [">&-", "2>&-", ">&- 2>&-"])
def test_a_file_is_written_though_nothing_can_be_printed(redirection: str, tmp_path: Path) -> None:
    result = closed(redirection, "humanize", str(EXAMPLE), "-i", "bass", "-o", "out.mid", folder=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    assert (tmp_path / "out.mid").stat().st_size > 1000


@shell
@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("command", ["humanize", "predict"])
def test_a_closed_standard_input_is_told(command: str, tmp_path: Path) -> None:
    result = closed("<&-", command, "-", "-i", "bass", "-o", "out", folder=tmp_path)
    assert result.returncode == 1
    assert "standard input is closed" in result.stderr
    assert "Traceback" not in result.stderr
