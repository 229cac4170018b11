"""Made-up pieces whose score is known, and how they might be played."""

from __future__ import annotations

import numpy as np

from duvhuman.rhythm.metre import UNITS
from duvhuman.train.data.rhythm import LevelMetre


def tune(metre: LevelMetre, bars: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Chords of a made-up piece: units since it began, the number of each note's chord, and its pitch.

    A bass note and a full chord stand on each downbeat, single notes on beats and on some eighths.
    """
    rng = np.random.default_rng(seed)
    units, chord, pitch = [], [], []
    for bar in range(bars):
        root = 36 + int(rng.choice([0, 5, 7, 9]))
        for place in range(0, metre.bar, 6):
            if place % metre.beat and rng.random() < 0.4:
                continue
            notes = [root, root + 16, root + 19, root + 36] if place == 0 else [root + 24 + int(rng.choice([4, 7, 12]))]
            chord += [len(units)] * len(notes)
            pitch += notes
            units.append(bar * metre.bar + place)
    return np.array(units), np.array(chord), np.array(pitch)


def performed(units: np.ndarray, bpm: float, *, rubato: float = 0.0, jitter: float = 0.0, seed: int = 0) -> np.ndarray:
    """When chords are played: the tempo swings by `rubato` octaves over some 24 beats, and fingers err by seconds."""
    rng = np.random.default_rng(seed)
    tempo = bpm * 2.0 ** (rubato * np.sin(2 * np.pi * np.arange(units[-1] + 1) / UNITS / 24))
    clock = np.concatenate([[0.0], np.cumsum(60 / tempo / UNITS)])
    return clock[units] + rng.uniform(-jitter, jitter, len(units))
