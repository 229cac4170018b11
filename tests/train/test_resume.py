"""Runs in processes of their own: killed without warning, asked to stop, on several ranks, and resumed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from duvhuman.train.checkpoint import load_state
from duvhuman.train.dataset import PhraseData
from duvhuman.train.run.history import History

CONFIG = """\
[base]
epochs = 4
batch_size = 2
lr = 5e-3
n_layers = 2
d_model = 16
n_heads = 2
d_ff = 32
precision = "float32"
[lora]
epochs = 3
batch_size = 2
lr = 5e-3
precision = "float32"
"""
EVERY_STEP = """
import sys
from duvhuman.train import loop
from duvhuman.train.__main__ import main

loop.CHECKPOINT_SECONDS, loop.CHECKPOINT_STEPS = -1.0, 1
sys.exit(main())
"""
"""The command line, saving its state after every step."""


@pytest.fixture
def arguments(data: PhraseData, tmp_path: Path) -> list[str]:
    config = tmp_path / "config.toml"
    config.write_text(CONFIG, encoding="utf-8")
    script = tmp_path / "every_step.py"
    script.write_text(EVERY_STEP, encoding="utf-8")
    return [str(script), "guitar", "--data", data.name, "--config", str(config), "--device", "cpu"]


def start(arguments: list[str], *, ranks: int = 1) -> subprocess.Popen[str]:
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(ranks)] if ranks > 1 else []
    return subprocess.Popen(
        [sys.executable, *launcher, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )


def finish(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=180)
    assert process.returncode == 0, err
    return out


def wait_for_state(folder: Path, process: subprocess.Popen[str], *, after_ns: int = 0) -> int:
    """Wait until a state newer than `after_ns` is written; its time. 0 if the process ends before."""
    state = folder / "state.pt"
    while process.poll() is None:
        if state.exists() and (written := state.stat().st_mtime_ns) > after_ns:
            return written
        time.sleep(0.001)
    return 0


def kill_with_ranks(launcher: subprocess.Popen[str]) -> None:
    """SIGKILL to a launcher and to its ranks, each of which has a process group of its own and would outlive it."""
    ranks = Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children").read_text(encoding="ascii").split()
    launcher.kill()
    for rank in ranks:
        os.killpg(int(rank), signal.SIGKILL)
    launcher.communicate()
    assert len(ranks) == 2


def files_of(folder: Path) -> dict[str, bytes]:
    """The weights of a run, byte for byte."""
    names = ("model.safetensors", "config.json", "adapter/adapter_model.safetensors", "adapter/adapter_config.json")
    return {name: (folder / name).read_bytes() for name in names}


@pytest.mark.slow
def test_killed_again_and_again_a_run_ends_in_the_same_bytes(arguments: list[str], tmp_path: Path) -> None:
    """SIGKILL at random steps, in both stages, each time shortly after a state was written; then resumed."""
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    finish(start([*arguments, "--out", str(whole)]))
    rng, kills, written = random.Random(3), 0, 0
    process = start([*arguments, "--out", str(killed)])
    while kills < 12 and (written := wait_for_state(killed / "guitar", process, after_ns=written)):
        time.sleep(rng.uniform(0, 0.15))
        process.kill()
        process.communicate()
        kills += process.returncode == -signal.SIGKILL
        process = start([arguments[0], "guitar", "--resume", str(killed / "guitar"), "--device", "cpu"])
    finish(process)
    assert kills >= 4
    assert files_of(killed / "guitar") == files_of(whole / "guitar")
    rows = [History(folder / "guitar").rows() for folder in (whole, killed)]
    assert [(row["stage"], row["epoch"], row["val_loss"]) for row in rows[0]] == [
        (row["stage"], row["epoch"], row["val_loss"]) for row in rows[1]
    ]


def test_ctrl_c_saves_the_state_and_says_how_to_go_on(arguments: list[str], tmp_path: Path) -> None:
    process = start([*arguments, "--out", str(tmp_path), "--stage", "base", "--set", "epochs=100000"])
    assert wait_for_state(tmp_path / "guitar", process)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.splitlines()[-1] == (
        f"interrupted; go on with: python -m duvhuman.train guitar --resume {tmp_path / 'guitar'}"
    )
    assert "Traceback" not in err
    assert load_state(tmp_path / "guitar")["progress"]["step"] > 0


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
def test_two_ranks_train_one_model_and_one_goes_on_with_it(arguments: list[str], tmp_path: Path) -> None:
    """With dropout off, two processes and one take the same steps, but for rounding; one may go on for two."""
    same = ["--set", "dropout=0.0", "--set", "lora_dropout=0.0"]
    alone, both, mixed = (tmp_path / name for name in ("alone", "both", "mixed"))
    finish(start([*arguments, *same, "--out", str(alone)]))
    out = finish(start([*arguments, *same, "--out", str(both)], ranks=2))
    assert out.count("epoch 1/4: train") == 1  # one of them speaks
    assert "batch 2 over 2 processes" in out
    assert [row["train_loss"] for row in History(both / "guitar").rows()] == pytest.approx(
        [row["train_loss"] for row in History(alone / "guitar").rows()], rel=1e-3
    )
    process = start([*arguments, *same, "--out", str(mixed)], ranks=2)
    assert wait_for_state(mixed / "guitar", process)
    kill_with_ranks(process)
    before = load_state(mixed / "guitar")["progress"]["step"]
    finish(start([arguments[0], "guitar", "--resume", str(mixed / "guitar"), "--device", "cpu"]))
    rows = History(mixed / "guitar").rows()
    assert [(row["stage"], row["epoch"]) for row in rows] == [("base", n) for n in range(1, 5)] + [
        ("lora", n) for n in range(1, 4)
    ]
    assert before > 0
    assert [row["train_loss"] for row in rows] == pytest.approx(
        [row["train_loss"] for row in History(alone / "guitar").rows()], rel=1e-3
    )
