"""What the tests of benchmarks share: how benchmarks are run, and toy data, some of it with those of training."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "train"))  # toys.py and prepared_folders.py

from toys import PART_NOTES, toy_performance, write_data

from duvhuman.models import store

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def run(tiny: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run a benchmark with these arguments, the tiny models in the place of those that ship; returns what it prints."""
    monkeypatch.syspath_prepend(BENCHMARKS)  # they import their neighbours
    monkeypatch.setattr(store, "BUNDLED", tiny)

    def run_benchmark(name: str, *arguments: object) -> str:
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            runpy.run_path(str(BENCHMARKS / f"{name}.py"), run_name="__main__")
        assert not stopped.value.code
        return capsys.readouterr().out

    return run_benchmark


@pytest.fixture
def functions(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], dict[str, Any]]:
    """The functions of a benchmark, by name."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    return lambda name: runpy.run_path(str(BENCHMARKS / f"{name}.py"))


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Toy parts of the guitar, every second passage of which is loud."""
    folder = tmp_path_factory.mktemp("prepared")
    parts = []
    for number in range(11):
        values = toy_performance(number)
        loud = np.arange(PART_NOTES) // 32 % 2
        special = {"split": "train" if number < 6 else "valid"}
        parts.append((special, values | {"velocity": values["velocity"] + 20 * loud}))
    write_data(folder, parts)
    return folder
