"""``python -m duvhuman.train``: what a user types, what they are told, and the code it ends with."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from builders import GUITAR, PIANO, part, song
from toys import tiny_network

import duvhuman
from duvhuman.instruments import INSTRUMENTS
from duvhuman.models.phrase_transformer import PhraseTransformer, read_config
from duvhuman.train import stages
from duvhuman.train.__main__ import main
from duvhuman.train.commands import COMMANDS
from duvhuman.train.dataset import PhraseData


def written(folder: Path, songs: int = 6) -> Path:
    """A folder of MIDI: guitar and piano, played by somebody who plays high notes loud."""
    folder.mkdir(parents=True)
    for number in range(songs):
        rng = np.random.default_rng(number)
        pitch, late, loud = (rng.integers(low, high, (2, 120)) for low, high in ((40, 80), (-9, 10), (-6, 7)))
        parts = [
            part(
                [(240 * i + int(late[channel, i]) + 480, int(p), int(2 * p - 46 + loud[channel, i]), 150)
                 for i, p in enumerate(pitch[channel])],
                number=program, channel=channel,
            )
            for channel, program in enumerate((GUITAR, PIANO))
        ]
        (folder / f"song {number}.mid").write_bytes(song(*parts))
    return folder


def test_from_midi_to_a_model_that_plays(
    tmp_path: Path, config_file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    midi, data, runs = written(tmp_path / "midi", 12), str(tmp_path / "data"), tmp_path / "runs"
    (midi / "bad.mid").write_bytes(b"?")
    assert main(["prepare", str(midi), "--out", data, "--valid", "0.3", "--jobs", "1"]) == 0
    out = capsys.readouterr().out
    assert f"{data}: 24 parts, 2,880 notes" in out
    assert "left out      1 parts: unreadable file" in out

    where = ["--data", data, "--out", str(runs), "--config", config_file, "--device", "cpu"]
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

    found = tmp_path / "found"
    model = str(runs / "guitar")
    judged = ["--data", data, "--model", model, "--max-parts", "60"]
    assert main(["evaluate", "guitar", *judged, "--out", str(found), "--cards"]) == 0
    out = capsys.readouterr().out
    rows = json.loads((found / "report.json").read_text(encoding="utf-8"))["guitar"]["table"]
    assert list(rows)[:5] == ["flat", "jitter", "ridge floor", "base", "base and adapter"]
    for name, row in rows.items():
        assert f"| {name} | {row['vel_r']:.3f} (" in out
    assert (found / "guitar_velocity.png").is_file()
    assert rows["base"] != rows["base and adapter"]
    card = (runs / "guitar" / "README.md").read_text(encoding="utf-8")
    assert f"Velocity r {rows['base and adapter']['vel_r']:.2f}" in card
    assert "Data from elsewhere: midi." in card
    assert "`python -m duvhuman.train evaluate guitar --data data --model guitar --max-parts 60`" in card
    assert str(tmp_path) not in card


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


def test_resuming_needs_no_more_than_the_folder(
    tmp_path: Path, config: str, prepared: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["guitar", "--data", prepared, "--out", str(tmp_path), "--config", config, "--device", "cpu"]
    assert main([*given, "--stage", "base", "--set", "lr=0.004"]) == 0
    before = (tmp_path / "guitar" / "model.safetensors").read_bytes()
    capsys.readouterr()
    assert main(["guitar", "--resume", str(tmp_path / "guitar")]) == 0
    out = capsys.readouterr().out
    assert "base: already finished" in out
    assert "epoch 1/1" not in out
    assert (tmp_path / "guitar" / "model.safetensors").read_bytes() == before
    kept = json.loads((tmp_path / "guitar" / "run.json").read_text(encoding="utf-8"))
    assert (kept["instrument"], kept["data"], kept["config"]["base"]["lr"]) == ("guitar", [prepared], 0.004)


def test_a_run_is_not_written_over_unless_that_is_wished(
    tmp_path: Path, config: str, prepared: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "my runs" / "guitar"
    given = ["guitar", "--data", prepared, "--out", str(run.parent), "--config", config, "--device", "cpu"]
    assert main([*given, "--stage", "base"]) == 0
    assert f"play with it: duvhuman humanize IN.mid -i guitar -o OUT.mid --model '{run}'\n" in capsys.readouterr().out
    before = (run / "model.safetensors").read_bytes()
    assert main([*given, "--seed", "3"]) == 2
    assert f"{run} holds a run already; go on with it by --resume '{run}', write" in capsys.readouterr().err
    assert (run / "model.safetensors").read_bytes() == before
    assert main([*given, "--stage", "base", "--seed", "3", "--force"]) == 0
    assert (run / "model.safetensors").read_bytes() != before


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--config", "v3"], "--resume goes on in the run's folder as configured there"),
        (["--out", "elsewhere"], "without --config, --out, --force"),
        (["--set", "batch_size=3"], "batch_size cannot change amid a run; what can: epochs, "),
        (["--seed", "9"], "seed cannot change amid a run"),
    ],
)
def test_what_a_resumed_run_cannot_change(
    more: list[str], message: str, tmp_path: Path, config: str, prepared: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["guitar", "--data", prepared, "--out", str(tmp_path), "--config", config, "--device", "cpu"]
    assert main([*given, "--stage", "base"]) == 0
    assert main(["guitar", "--resume", str(tmp_path / "guitar"), *more]) == 2
    assert message in capsys.readouterr().err


def test_a_resumed_run_is_of_the_same_instrument_and_there(
    tmp_path: Path, config: str, prepared: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["guitar", "--data", prepared, "--out", str(tmp_path), "--config", config, "--device", "cpu"]
    assert main([*given, "--stage", "base"]) == 0
    assert main(["bass", "--resume", str(tmp_path / "guitar")]) == 2
    assert "is a run of guitar, not of bass" in capsys.readouterr().err
    assert main(["bass", "--resume", str(tmp_path / "bass")]) == 1
    assert "run.json: no run to resume there" in capsys.readouterr().err


def test_the_four_are_trained_in_turn_and_resumed_together(
    tmp_path: Path, config: str, data: PhraseData, capsys: pytest.CaptureFixture[str]
) -> None:
    """The toys have guitar and bass only: the others are left out, and no more missed when the run is resumed."""
    given = ["all", "--data", data.name, "--out", str(tmp_path), "--config", config, "--device", "cpu"]
    assert main(given) == 1
    said = capsys.readouterr()
    assert "left out: " in said.out
    assert "error: left out keys, strings: " in said.err
    assert "0 training and 0 validation parts for keys" in said.err
    assert (tmp_path / "bass" / "adapter").is_dir()
    assert main(["all", "--resume", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert out.count("base: already finished") == out.count("lora: already finished") == 2


def test_an_interrupted_run_says_how_to_go_on(
    tmp_path: Path, config: str, prepared: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(stages, "fit", interrupt)
    runs = tmp_path / "my runs"
    given = ["guitar", "--data", prepared, "--out", str(runs), "--config", config, "--device", "cpu"]
    assert main(given) == 130
    assert f"go on with: python -m duvhuman.train guitar --resume '{runs / 'guitar'}'\n" in capsys.readouterr().err


def test_phrase_tables_are_trained_on_as_they_are(
    tmp_path: Path, config: str, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    for name, bars in (("train", 60), ("valid", 30)):
        lines = ["pitch,velocity,duration,pos,boundary,bar,instrument"]
        for bar in range(bars):
            lines += [
                f"{rng.integers(40, 80)},{rng.integers(30, 120)},0.4,{240 * k},0,{bar},guitar" for k in range(8)
            ]
        (tmp_path / f"guitar_{name}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    tables = [str(tmp_path / f"guitar_{name}.csv") for name in ("train", "valid")]
    runs = tmp_path / "runs"
    given = ["guitar", "--out", str(runs), "--config", config, "--device", "cpu", "--set", "lora.played_only=true"]
    assert main([*given, "--data", *tables]) == 0
    out = capsys.readouterr().out
    assert "guitar_train.csv: to train on: 480 rows" in out
    assert "guitar: the adapter learns from all parts; too few were played by hand (0 to train on, 0 to val" in out
    assert (runs / "guitar" / "adapter").is_dir()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["guitarr"], 2, "unknown instrument 'guitarr'. Did you mean 'guitar'?"),
        (["guitar", "--set", "base.epoch=3"], 2, "did you mean 'epochs'"),
        (["guitar", "--set", "bas.epochs=3"], 2, "no stage 'bas'; there are shallow, trunk, base, lora"),
        (["guitar", "--precision", "fp8"], 2, "precision must be one of auto, bf16, float32, not 'fp8'"),
        (["guitar", "--device", "cuda"], 2, "device 'cuda' was asked for, but cannot be used here; use auto or cpu"),
        (["guitar", "--data", "a.csv", "prepared"], 2, "one prepared folder, or CSV files, not both"),
        (["guitar", "--config", "cpuu"], 2, "neither one of cpu, shipped, v3 nor a"),
        (["guitar", "--set", "epoch=3"], 2, "did you mean 'epochs'"),
        (["guitar", "--set", "epochs=0"], 2, "epochs must be 1 or more"),
        (["guitar", "--set", "max_len=1"], 2, "max_len must be 32 or more, not 1"),
        (["trunk", "--stage", "lora"], 2, "--stage is for instruments: a trunk has no base and no adapter"),
        (["trunk", "--resume", "runs/trunk", "--stage", "base"], 2, "--stage is for instruments"),
        (["guitar", "--stage", "lora", "--init-from", "runs/trunk"], 2, "--init-from is for a base"),
        (["guitar", "--set", "fold=6/5"], 2, "fold must look like '2/5'"),
        (["guitar", "--teachers", "runs/trunk"], 2, "nothing listens to the --teachers"),
        (["guitar", "--data", "nowhere", "--device", "cpu"], 1, "nowhere: no prepared data there"),
        (["prepare", "nowhere"], 1, "nowhere: no such folder"),
        (["prepare", "nowhere=keyz"], 2, "Did you mean 'keys'"),
        (["prepare", ".", "--valid", "1.5"], 2, "--valid must be between 0 and 1, not 1.5"),
        (["prepare", "nowhere=auto"], 2, "unknown instrument 'auto'. There are: guitar, bass, keys, strings.\n"),
        (["prepare", ""], 2, "nothing stands behind prepare; name something there, such as . for this folder"),
        (["prepare", "=keys"], 2, "FOLDER is empty in '=keys'; name a folder of MIDI files"),
        (["prepare", ".", "--out", ""], 2, "nothing stands behind --out"),
        (["guitar", "--data", ""], 2, "nothing stands behind --data"),
        (["guitar", "--resume="], 2, "nothing stands behind --resume"),
        (["", "--out", "runs"], 2, "nothing stands behind train"),
        (["evaluate", "guitar", "all", "--data", "nowhere"], 1, "nowhere: no prepared data there"),
        (["evaluate", "trunk"], 2, "a trunk is not evaluated; train an instrument from it"),
        (["evaluate", "oboe"], 2, "unknown instrument 'oboe'"),
        (["evaluate", "auto"], 2, "unknown instrument 'auto'. There are: guitar, bass, keys, strings.\n"),
        (["evaluate", "guitar", "--data", "nowhere"], 1, "nowhere: no prepared data there"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_slips_are_told_without_a_traceback(
    arguments: list[str], code: int, message: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:
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
        2, "error: unknown device 'gpu'; there are auto, cpu, cuda, cuda:0, mps\n"
    )
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


def test_what_cannot_be_evaluated_is_told_before_anything_is_measured(
    tmp_path: Path, prepared: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("guitar", "bass", "strings"):
        tiny_network(instrument=name).save_pretrained(tmp_path / name)
    given = ["--data", prepared, "--model", str(tmp_path), "--out", str(tmp_path / "found")]
    assert main(["evaluate", "all", *given]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert "no training or no validation parts for keys, strings; prepare more data, or evaluate guitar bass alone" in (
        said.err
    )
    tiny_network(instrument="guitar").save_pretrained(tmp_path / "bass")
    assert main(["evaluate", "guitar", "bass", *given]) == 1
    assert "no model for bass: " in (said := capsys.readouterr().err)
    assert "is a model for guitar, not for bass" in said
    shutil.rmtree(tmp_path / "bass")
    assert main(["evaluate", "guitar", "bass", *given]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"error: no model for bass: {tmp_path}: no config.json and no model.safetensors there; ")
    assert said.err.endswith("or evaluate guitar alone\n")


def test_where_the_report_goes_is_checked_before_anything_is_measured(
    tmp_path: Path, prepared: str, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny_network(std=0.2).save_pretrained(tmp_path / "guitar")
    (tmp_path / "taken").write_text("a file")
    given = ["evaluate", "guitar", "--data", prepared, "--model", str(tmp_path / "guitar")]
    assert main([*given, "--out", str(tmp_path / "taken")]) == 1
    said = capsys.readouterr()
    assert "taken: no folder can be made there" in said.err
    assert "| base |" not in said.out


def test_a_report_that_cannot_be_written_does_not_cost_the_numbers(
    tmp_path: Path, prepared: str, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny_network(std=0.2).save_pretrained(tmp_path / "guitar")
    (tmp_path / "found" / "report.json").mkdir(parents=True)
    given = ["evaluate", "guitar", "--data", prepared, "--model", str(tmp_path / "guitar")]
    assert main([*given, "--out", str(tmp_path / "found")]) == 1
    said = capsys.readouterr()
    assert "report.json: the report cannot be written there" in said.err
    assert "| base | " in said.out
    assert "base and adapter" not in said.out


def test_a_reader_that_leaves_costs_no_file(tmp_path: Path, prepared: str) -> None:
    tiny_network(std=0.2).save_pretrained(tmp_path / "guitar")
    given = ["--data", prepared, "--model", str(tmp_path / "guitar"), "--out", str(tmp_path / "found"), "--cards"]
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "duvhuman.train", "evaluate", "guitar", *given],
            stdout=writer, stderr=subprocess.PIPE, text=True, check=False, timeout=120,
        )
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (1, "")
    assert "guitar" in json.loads((tmp_path / "found" / "report.json").read_text(encoding="utf-8"))
    assert (tmp_path / "found" / "guitar_velocity.png").is_file()
    assert (tmp_path / "guitar" / "README.md").is_file()


def test_usage_errors_end_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    guitar = (["guitar", "--stage", "head"], ["guitar", "--set"], ["guitar", "--resume"])
    for arguments in ([], ["prepare"], ["evaluate"], *guitar):
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


@pytest.mark.parametrize("command", ["train", *COMMANDS])
def test_the_help_of_a_command_fits_a_terminal(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"] if command == "train" else [command, "--help"])
    assert ended.value.code == 0
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 120


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
    assert done.returncode == 0
    assert [line.partition(";")[0] for line in done.stderr.splitlines()] == [
        f"warning: {name}: no part is held out to judge by" for name in ("guitar", "keys")
    ]
    assert "6 parts, 720 notes" in done.stdout
    assert len(PhraseData(tmp_path / "data").parts) == 6
