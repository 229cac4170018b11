"""``python -m duvhuman.train``: what a user types, what they are told, and the code it ends with."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from builders import GUITAR, PIANO, part, song
from toys import tiny_config, tiny_network

import duvhuman
from duvhuman.instruments import INSTRUMENTS
from duvhuman.models.phrase_transformer import PhraseTransformer, read_config
from duvhuman.train import stages
from duvhuman.train.__main__ import main
from duvhuman.train.dataset import PhraseData

CONFIG = """\
[shallow]
n_layers = 1
epochs = 1
batch_size = 8
lr = 5e-3
[trunk]
n_layers = 2
epochs = 1
batch_size = 8
lr = 5e-3
[base]
n_layers = 2
epochs = 1
batch_size = 8
lr = 5e-3
[lora]
epochs = 1
batch_size = 8
lr = 5e-3
"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A configuration of seconds, and tiny networks."""
    monkeypatch.setattr(stages, "ModelConfig", tiny_config)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # the host's threads are left alone
    path = tmp_path / "config.toml"
    path.write_text(CONFIG, encoding="utf-8")
    return str(path)


def written(folder: Path, songs: int = 6) -> Path:
    """A folder of MIDI: guitar and piano, played by somebody."""
    folder.mkdir(parents=True)
    for number in range(songs):
        rng = np.random.default_rng(number)
        parts = [
            part(
                [(240 * i + int(rng.integers(-9, 10)) + 480, int(rng.integers(40, 80)), int(rng.integers(40, 110)), 150)
                 for i in range(120)],
                number=program, channel=channel,
            )
            for channel, program in enumerate((GUITAR, PIANO))
        ]  # fmt: skip
        (folder / f"song {number}.mid").write_bytes(song(*parts))
    return folder


def test_from_midi_to_a_model_that_plays(tmp_path: Path, config: str, capsys: pytest.CaptureFixture[str]) -> None:
    midi, data, runs = written(tmp_path / "midi", 12), str(tmp_path / "data"), tmp_path / "runs"
    (midi / "bad.mid").write_bytes(b"?")
    assert main(["prepare", str(midi), "--out", data, "--valid", "0.3", "--jobs", "1"]) == 0
    out = capsys.readouterr().out
    assert f"{data}: 24 parts, 2,880 notes" in out
    assert "left out      1 parts: unreadable file" in out

    where = ["--data", data, "--out", str(runs), "--config", config, "--device", "cpu"]
    assert main(["trunk", *where]) == 0
    out = capsys.readouterr().out
    assert f"train an instrument from it with --init-from {runs / 'trunk'}" in out
    assert out.count("epoch 1/1: train ") == 2

    assert main(["guitar", *where]) == 0
    out = capsys.readouterr().out
    assert f"guitar: base from {runs / 'trunk'}" in out
    assert "guitar: adapter" in out
    assert f"duvhuman humanize IN.mid -i guitar -o OUT.mid --model {runs / 'guitar'}" in out
    assert isinstance(duvhuman.load("guitar", model=runs / "guitar", device="cpu"), duvhuman.Humanizer)

    report = tmp_path / "report.json"
    given = ["evaluate", "guitar", "--data", data, "--model", str(runs / "guitar"), "--report", str(report), "--cards"]
    assert main(given) == 0
    out = capsys.readouterr().out
    rows = json.loads(report.read_text(encoding="utf-8"))["guitar"]
    assert list(rows) == ["flat", "jitter", "ridge floor", "base", "base and adapter"]
    for name, row in rows.items():
        assert f"| guitar | {name} | {row['vel_r']:.3f} (" in out
    assert rows["base"] != rows["base and adapter"]
    card = (runs / "guitar" / "README.md").read_text(encoding="utf-8")
    assert f"Velocity r {rows['base and adapter']['vel_r']:.2f}" in card


@pytest.fixture
def prepared(data: PhraseData) -> str:
    return str(data.folder)


def test_one_stage_alone_and_then_the_other(tmp_path: Path, config: str, prepared: str) -> None:
    where = ["guitar", "--data", prepared, "--out", str(tmp_path), "--config", config, "--device", "cpu"]
    assert main([*where, "--stage", "base"]) == 0
    assert not (tmp_path / "guitar" / "adapter").exists()
    assert main([*where, "--stage", "lora"]) == 0
    assert (tmp_path / "guitar" / "adapter" / "adapter_config.json").is_file()


def test_settings_and_seed_reach_the_run(
    tmp_path: Path, config: str, prepared: str, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["--data", prepared, "--out", str(tmp_path), "--config", config, "--device", "cpu", "--stage", "base"]
    assert main(["gtr", *where, "--set", "epochs=2", "--set", "lr=0.002", "--seed", "5"]) == 0
    entry = json.loads((tmp_path / "guitar" / "training.json").read_text(encoding="utf-8"))["base"]
    assert (entry["config"]["epochs"], entry["config"]["lr"], entry["config"]["seed"]) == (2, 0.002, 5)
    assert "epoch 2/2" in capsys.readouterr().out


def test_a_base_begins_with_the_weights_that_are_named(
    tmp_path: Path, config: str, prepared: str, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny_network(std=0.1, d_model=8, n_heads=1).save_pretrained(tmp_path / "mine")
    where = ["--data", prepared, "--out", str(tmp_path), "--config", config, "--device", "cpu", "--stage", "base"]
    assert main(["guitar", *where, "--init-from", str(tmp_path / "mine"), "--set", "lr=0"]) == 0
    assert f"base from {tmp_path / 'mine'}" in capsys.readouterr().out
    assert read_config(tmp_path / "guitar").d_model == 8
    one, other = (PhraseTransformer.from_pretrained(tmp_path / name) for name in ("mine", "guitar"))
    assert one.velocity_head.weight.equal(other.velocity_head.weight)


def test_resuming_says_what_is_finished(
    tmp_path: Path, config: str, prepared: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [
        "guitar",
        "--data",
        prepared,
        "--out",
        str(tmp_path),
        "--config",
        config,
        "--device",
        "cpu",
        "--stage",
        "base",
    ]
    assert main(given) == 0
    capsys.readouterr()
    assert main([*given, "--resume"]) == 0
    out = capsys.readouterr().out
    assert "base: already finished" in out
    assert "epoch 1/1" not in out


def test_an_interrupted_run_says_how_to_go_on(
    tmp_path: Path, config: str, prepared: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(stages, "fit", interrupt)
    given = ["guitar", "--data", prepared, "--out", str(tmp_path), "--config", config, "--device", "cpu"]
    assert main(given) == 130
    assert "the same command with --resume goes on" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["guitarr"], 2, "unknown instrument 'guitarr'. Did you mean 'guitar'?"),
        (["guitar", "--config", "cpuu"], 2, "neither one of cpu, v3 nor a readable file"),
        (["guitar", "--set", "epoch=3"], 2, "did you mean 'epochs'"),
        (["guitar", "--set", "epochs=0"], 2, "epochs must be 1 or more"),
        (["guitar", "--data", "nowhere"], 1, "nowhere: no prepared data there"),
        (["prepare", "nowhere"], 1, "nowhere: no such folder"),
        (["prepare", "nowhere=keyz"], 2, "Did you mean 'keys'"),
        (["prepare", ".", "--valid", "1.5"], 2, "--valid must be between 0 and 1, not 1.5"),
        (["evaluate", "oboe"], 2, "unknown instrument 'oboe'"),
        (["evaluate", "guitar", "--data", "nowhere"], 1, "nowhere: no prepared data there"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_slips_are_told_without_a_traceback(
    arguments: list[str], code: int, message: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == code
    said = capsys.readouterr()
    assert said.err.startswith("error: ")
    assert message in said.err
    assert said.out == ""


def test_bad_devices_models_and_tables_are_told(
    tmp_path: Path, config: str, prepared: str, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["--data", prepared, "--out", str(tmp_path / "runs"), "--config", config]

    def error(*given: str) -> tuple[int, str]:
        code = main([*given])
        return code, capsys.readouterr().err

    assert error("guitar", *where, "--device", "gpu") == (
        2, "error: unknown device 'gpu'; there are auto, cpu, cuda, cuda:0\n"
    )  # fmt: skip
    code, said = error("guitar", *where, "--device", "cpu", "--init-from", str(tmp_path / "none"))
    assert (code, "none" in said, "cannot be read" in said) == (1, True, True)
    code, said = error("evaluate", "guitar", "--data", prepared, "--model", str(tmp_path / "none"))
    assert (code, "no such folder" in said) == (1, True)
    half = tmp_path / "half.toml"
    half.write_text("[lora]\nepochs = 1\n", encoding="utf-8")
    for name, table in (("guitar", "base"), ("trunk", "trunk")):
        assert error(name, *where, "--config", str(half)) == (2, f"error: config {half} has no table [{table}]\n")
    code, said = error("strings", *where, "--device", "cpu", "--stage", "base")
    assert (code, "0 training and 0 validation parts for strings" in said) == (1, True)


def test_a_report_that_cannot_be_written_does_not_cost_the_numbers(
    tmp_path: Path, prepared: str, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny_network(std=0.2).save_pretrained(tmp_path / "guitar")
    given = ["evaluate", "guitar", "--data", prepared, "--model", str(tmp_path / "guitar")]
    assert main([*given, "--report", str(tmp_path / "no" / "report.json")]) == 1
    said = capsys.readouterr()
    assert "report.json: the report cannot be written there" in said.err
    assert "| guitar | base | " in said.out
    assert "base and adapter" not in said.out


def test_usage_errors_end_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in ([], ["guitar", "--stage", "head"], ["prepare"], ["evaluate"], ["guitar", "--set"]):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == 2
        assert "usage: python -m duvhuman.train" in capsys.readouterr().err


def test_the_module_explains_itself() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "duvhuman.train", "--help"], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0
    assert done.stderr == ""
    for expected in (*INSTRUMENTS, "trunk", "prepare", "evaluate", "--config", "v3", "--resume", "--set", "examples"):
        assert expected in done.stdout


def test_the_module_prepares_in_a_process_of_its_own(tmp_path: Path) -> None:
    midi = written(tmp_path / "midi", 3)
    command = [
        sys.executable,
        "-m",
        "duvhuman.train",
        "prepare",
        str(midi),
        "--out",
        str(tmp_path / "data"),
        "--jobs",
        "1",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    assert "6 parts, 720 notes" in done.stdout
    assert len(PhraseData(tmp_path / "data").parts) == 6
