"""Folders of MIDI to prepare, and what is in a folder, for tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from builders import part, song


def midi_folder(folder: Path, files: int, *, notes: int = 70) -> Path:
    """Songs ``0000.mid`` ... of two guitar parts; every second song has a part of the song before it."""
    folder.mkdir(parents=True)
    for number in range(files):
        parts = []
        for channel, seed in enumerate((number // 2, 10_000 + number)):
            rng = np.random.default_rng(seed)
            pitch, velocity = rng.integers(40, 80, notes), rng.integers(40, 110, notes)
            parts.append(part([(240 * i, int(pitch[i]), int(velocity[i]), 200) for i in range(notes)], channel=channel))
        (folder / f"{number:04}.mid").write_bytes(song(*parts))
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, by its path."""
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()}
