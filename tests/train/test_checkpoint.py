"""The state of a run on the disk: whole or not at all, and nothing but numbers."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from duvhuman.errors import DataError, FileError
from duvhuman.train.checkpoint import load_state, save_state


def test_a_full_disk_leaves_the_state_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_state(tmp_path, {"step": 1})

    def full(state: object, file: Any) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(FileError, match=r"state\.pt: cannot be written \(disk full\); make room"):
        save_state(tmp_path, {"step": 2})
    assert load_state(tmp_path) == {"step": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["state.pt"]


class Malice:
    """What a pickle may hold and a state may not."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return print, ("run by a pickle",)


def test_a_state_runs_no_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"model": Malice()}, tmp_path / "state.pt")
    with pytest.raises(DataError):
        load_state(tmp_path)
    assert capsys.readouterr().out == ""


def test_a_state_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    save_state(tmp_path / "new", {"step": 3, "model": {"a": torch.arange(3.0)}, "best": {"val_loss": math.inf}})
    state = load_state(tmp_path / "new")
    assert state["step"] == 3
    assert state["best"] == {"val_loss": math.inf}
    assert state["model"]["a"].tolist() == [0.0, 1.0, 2.0]
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["state.pt"]
