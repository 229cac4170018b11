"""The command line where standard streams are closed, as a daemon's may be."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from duvhuman.cli import main

pytestmark = pytest.mark.skipif(os.name == "nt", reason="a shell that closes streams is needed")
EXAMPLE = Path(__file__).parents[1] / "examples" / "midi" / "bass.mid"


def closed(redirection: str, *arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = shlex.join([sys.executable, "-m", "duvhuman", *arguments])
    return subprocess.run(
        ["sh", "-c", f"{command} {redirection}"], cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )  # fmt: skip


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("redirection", [">&-", "2>&-", ">&- 2>&-"])
def test_a_file_is_written_though_nothing_can_be_printed(redirection: str, tmp_path: Path) -> None:
    result = closed(redirection, "humanize", str(EXAMPLE), "-i", "bass", "-o", "out.mid", folder=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    assert (tmp_path / "out.mid").stat().st_size > 1000


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("command", ["humanize", "predict"])
def test_a_closed_standard_input_is_told(command: str, tmp_path: Path) -> None:
    result = closed("<&-", command, "-", "-i", "bass", "-o", "out", folder=tmp_path)
    assert result.returncode == 1
    assert "standard input is closed" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("output", ["", "a-file/out.csv", 300 * "x"])
def test_an_output_that_cannot_be_written_is_named(
    output: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a-file").write_text("")
    assert main(["predict", str(EXAMPLE), "-i", "bass", "-o", output]) in (1, 2)
    said = capsys.readouterr().err
    assert "cannot write" in said
    assert ".tmp" not in said
