"""Songs of a band whose beats are known, and how a file has them that knows nothing of beats, for tests.

Conventions
-----------
Files have 480 ticks per beat and say 120 beats per minute, so that a second has 960 ticks.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from builders import BASS, GUITAR, Note, part, song

KICK, SNARE, HAT, CRASH = 36, 38, 42, 49
TICKS_PER_SECOND = 960
Tune = list[tuple[float, int]]
"""Beats, pitch."""


def band(bars: int, *, beats: int = 4, triplets: bool = False, seed: int = 0) -> tuple[Tune, Tune, Tune]:
    """Drums, bass and guitar: kick on one (and three of four), snare on the others, a new chord in every bar."""
    rng = np.random.default_rng(seed)
    drums, bass, guitar = [], [], []
    offbeats = (0.0, 2 / 3) if triplets else (0.0, 0.5)
    for bar in range(bars):
        root = int(rng.choice([0, 5, 7, 9, 2]))
        if bar % 8 == 0:
            drums.append((float(bar * beats), CRASH))
        for beat in range(beats):
            at = float(bar * beats + beat)
            drums.append((at, KICK if beat in ((0, 2) if beats == 4 else (0,)) else SNARE))
            drums += [(at + offbeat, HAT) for offbeat in offbeats]
            if beat % 2 == 0:
                bass.append((at, 33 + root))
            guitar += [
                (at + offbeat, 52 + root + pitch) for offbeat in offbeats if rng.random() < 0.8 for pitch in (0, 4, 7)
            ]
    return sorted(drums), bass, sorted(guitar)


def clock(beats: float | np.ndarray, bpm: float, *, drift: float = 0.03) -> np.ndarray:
    """Seconds after some beats, at a tempo that swings by `drift` octaves within 48 beats."""
    grid = np.arange(0, 4096) / 8
    tempo = bpm * 2 ** (drift * np.sin(2 * np.pi * grid / 48))
    return np.interp(beats, grid, np.append(0.0, np.cumsum(7.5 / tempo))[:-1])


def free(
    tunes: Sequence[Tune], bpm: float, *, jitter: float = 0.008, start: float = 0.0, seed: int = 0, velocity: int = 80
) -> bytes:
    """A file of drums, bass and guitar as a recording into a sequencer has it that plays no click."""
    rng = np.random.default_rng(seed)

    def notes(tune: Tune) -> list[Note]:
        seconds = clock(np.array([at for at, _ in tune]), bpm) + start + rng.uniform(0, jitter, len(tune))
        ticks = np.round(seconds * TICKS_PER_SECOND).astype(int).tolist()
        return [(tick, pitch, velocity, 150) for tick, (_, pitch) in zip(ticks, tune, strict=True)]

    drums, bass, guitar = map(notes, tunes)
    return song(
        part(drums, number=None, channel=9), part(bass, number=BASS, channel=1), part(guitar, number=GUITAR)
    )


def swelling_songs(folder: Path, songs: int = 8) -> Path:
    """Songs of a guitar that is loud where the drums are, and nowhere else: it alone tells nothing of that."""
    folder.mkdir()
    for number in range(songs):
        rng = np.random.default_rng(number)
        swell = 70 + 30 * np.sin(np.arange(160) / rng.uniform(10, 30))
        guitar, drums = (
            [(240 * i, int(rng.integers(40, 50)), int(swell[i] + rng.integers(9)), 200) for i in range(160)]
            for _ in range(2)
        )
        (folder / f"{number}.mid").write_bytes(song(part(guitar), part(drums, number=None, channel=9)))
    return folder
