"""Packs of files to prepare, and what came of them, for tests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from builders import Note, part, song

from duvhuman.train.data.storage import PartRow
from duvhuman.train.dataset import PhraseData
from duvhuman.train.prepare import Pack, Summary, prepare

BEAT = 480


def lively(n: int = 96, *, seed: int = 0, step: int = 240, low: int = 50) -> list[Note]:
    """A part with dynamics: n notes, no two bars alike."""
    rng = np.random.default_rng(seed)
    return [(step * i, low + int(rng.integers(24)), int(rng.integers(40, 110)), 200) for i in range(n)]


def free(n: int = 200) -> list[Note]:
    """A recording without a click: onsets anywhere."""
    rng = np.random.default_rng(4)
    onset = np.cumsum(rng.integers(60, 500, n))
    return [(int(onset[i]), int(rng.integers(40, 80)), int(rng.integers(30, 110)), 300) for i in range(n)]


def write(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def prepared(tmp_path: Path, files: dict[str, bytes], instrument: str | None = None, **options: Any) -> PhraseData:
    write(tmp_path / "pack", files)
    prepare([Pack(tmp_path / "pack", instrument)], tmp_path / "out", **options)
    return PhraseData(tmp_path / "out")


def summary(tmp_path: Path, files: dict[str, bytes]) -> Summary:
    """What is left out when these files stand beside one that is fine."""
    write(tmp_path / "pack", files | {"fine.mid": song(part(lively(seed=99)))})
    return prepare([Pack(tmp_path / "pack")], tmp_path / "out")


def by_source(data: PhraseData) -> list[PartRow]:
    """The parts by the names of their files; in the data set they are shuffled."""
    return sorted(data.parts, key=lambda row: (row.source, row.instrument))


def with_velocities(velocities: Sequence[int]) -> bytes:
    return song(part([(240 * i, 60 + i % 7, velocity, 200) for i, velocity in enumerate(velocities)]))
