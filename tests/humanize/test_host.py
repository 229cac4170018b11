"""The program around: what it sets torch to, its last threads, and its forks neither change nor stop what is played."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from builders import BASS, GUITAR, flat_song, part, riff, song

from duvhuman import predict
from duvhuman.humanize import networks
from duvhuman.humanize.like import CACHE_VARIABLE
from duvhuman.models.company import load_company
from duvhuman.models.phrase_transformer import PhraseTransformer
from duvhuman.train.personal import fit as personal

LIVELY = [int(velocity) for velocity in np.random.default_rng(1).integers(40, 110, 80)]
BAND = song(part(riff(80), number=GUITAR), part(riff(80, velocity=LIVELY), number=BASS))
TAKE = song(part(riff(80, velocity=LIVELY), number=GUITAR))


@contextmanager
def float64() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


def autocast() -> AbstractContextManager[None]:
    return torch.autocast("cpu", dtype=torch.bfloat16)


@pytest.mark.filterwarnings("ignore:the take of guitar tells little")  # its velocities are drawn at random
@pytest.mark.parametrize("setting", [float64, autocast, torch.no_grad, torch.inference_mode])
def test_what_torch_is_set_to_changes_nothing(
    setting: Callable[[], AbstractContextManager[None]], tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = PhraseTransformer.from_pretrained(tiny / "guitar")
    network.config = replace(network.config, trees_share=0.3)
    network.save_pretrained(tmp_path / "model")
    monkeypatch.setattr(personal, "STEPS", 2)

    def played(cache: Path) -> list[bytes]:
        monkeypatch.setenv(CACHE_VARIABLE, str(cache))
        networks._networks.clear()
        load_company.cache_clear()
        told = [predict(BAND, "guitar", seed=1, model=tmp_path / "model", like=like) for like in (None, TAKE)]
        arrays = [values for one in told for values in (one.velocity, one.duration_beats, one.velocity_probabilities)]
        return [*(values.tobytes() for values in arrays), *(f.read_bytes() for f in sorted(cache.glob("like/*/*")))]

    alone = played(tmp_path / "one")
    with setting():
        assert played(tmp_path / "other") == alone
    assert len(alone) == 11


def run(code: str) -> subprocess.CompletedProcess[bytes]:
    """Run Python in a process of its own, with a song on its standard input and the models that ship."""
    environment = {name: value for name, value in os.environ.items() if name != "DUVHUMAN_MODELS"}
    command = [sys.executable, "-c", "import torch; torch.set_num_threads(2)\n" + code]
    return subprocess.run(
        command, input=flat_song(200), capture_output=True, timeout=300, check=False, env=environment
    )


def test_a_thread_that_outlives_the_main_thread_plays_on() -> None:
    result = run("""
import sys, threading
from duvhuman import load
player, song = load("guitar"), sys.stdin.buffer.read()
def late():
    threading.main_thread().join()
    print(player.humanize(song).report.parts[0].played)
threading.Thread(target=late).start()
""")
    assert result.stdout.split() == [b"200"], result.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing is forked here")
def test_a_forked_process_plays_what_its_parent_does() -> None:
    result = run("""
import multiprocessing, sys
from duvhuman import load
player, song = load("guitar"), sys.stdin.buffer.read()
wanted = player.humanize(song).to_bytes()
def play():
    sys.exit(0 if player.humanize(song).to_bytes() == load("guitar").humanize(song).to_bytes() == wanted else 3)
child = multiprocessing.get_context("fork").Process(target=play, daemon=True)
child.start()
child.join(60)
print(child.exitcode, torch.get_num_threads())
""")
    assert result.stdout.split() == [b"0", b"2"], result.stderr
