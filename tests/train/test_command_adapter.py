"""``python -m duvhuman.train adapter``: from a take to an adapter with a name."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from builders import GUITAR, part, song
from toys import tiny_network

import duvhuman
from duvhuman.errors import DuvhumanWarning
from duvhuman.models.player import read_player
from duvhuman.train.__main__ import main
from duvhuman.train.personal import fit as personal

pytestmark = pytest.mark.usefixtures("quick")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # the host's threads are left alone
    monkeypatch.setattr(personal, "STEPS", 4)


@pytest.fixture
def take(tmp_path: Path) -> str:
    """Ninety-six eighths, every second one loud."""
    rng = np.random.default_rng(0)
    pitch, wobble = rng.integers(45, 70, 96), rng.integers(-9, 10, 96)
    notes = [(240 * i, int(pitch[i]), 60 + 40 * (i % 2) + int(wobble[i]), 150) for i in range(96)]
    (tmp_path / "take.mid").write_bytes(song(part(notes, number=GUITAR)))
    return str(tmp_path / "take.mid")


def test_an_adapter_is_fitted_judged_and_played(
    take: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DUVHUMAN_MODELS", raising=False)
    given = ["adapter", "--name", "my-feel", "--base", "guitar", take, "--device", "cpu"]
    assert main(given) == 0
    out = capsys.readouterr().out
    assert "guitar: 96 notes in 1 parts of 1 takes" in out
    assert "96 notes, each held out once: velocity r " in out
    assert "use it: duvhuman humanize IN.mid -i guitar --adapter my-feel/ -o OUT.mid" in out
    flat = song(part([(240 * i, 50 + i % 12, 80, 200) for i in range(64)], number=GUITAR))
    velocity = duvhuman.predict(flat, "guitar", adapter="my-feel/", seed=1).velocity
    assert velocity[1::2].mean() - velocity[::2].mean() > 15
    assert main(given) == 1
    assert "my-feel: is there already; choose another --name or --out" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--name", "a/b", "--base", "guitar", "x.mid"], 2, "--name takes letters, digits"),
        (["--name", "default", "--base", "guitar", "x.mid"], 2, "--name takes letters, digits"),
        (["--name", "trees.safetensors", "--base", "guitar", "x.mid"], 2, "--name takes letters, digits"),
        (["--name", "config.json", "--base", "guitar", "x.mid"], 2, "--name takes letters, digits"),
        (["--name", "mine", "--base", "oboe", "x.mid"], 2, "unknown instrument 'oboe'"),
        (["--name", "mine", "--base", "guitar", "x.mid"], 1, "x.mid"),
    ],
)
def test_slips_are_told_without_a_traceback(
    arguments: list[str], code: int, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["adapter", *arguments]) == code
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert message in said
    assert list(tmp_path.iterdir()) == []


def test_an_adapter_on_another_base_names_it_and_warns_beside_others(
    take: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    tiny_network(1, std=0.2, instrument="guitar").save_pretrained(tmp_path / "mine")
    assert main(["adapter", "--name", "feel", "--base", "guitar", "--model", "mine", take, "--device", "cpu"]) == 0
    assert "humanize IN.mid -i guitar --model mine --adapter feel/ -o OUT.mid" in capsys.readouterr().out
    where = ["--out", "my feel", "--device", "cpu"]
    assert main(["adapter", "--name", "feel", "--base", "guitar", "--model", "mine", take, *where]) == 0
    assert "humanize IN.mid -i guitar --model mine --adapter 'my feel/' -o OUT.mid" in capsys.readouterr().out
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_player(Path("mine"), Path("feel"))
    tiny_network(2, std=0.2, instrument="guitar").save_pretrained(tmp_path / "mine")
    with pytest.warns(DuvhumanWarning, match="feel: was fitted to other weights than those in mine"):
        read_player(Path("mine"), Path("feel"))
    assert main(["adapter", "--name", "low", "--base", "bass", "--model", "mine", take]) == 1
    assert "mine: is a model for guitar, not for bass" in capsys.readouterr().err
