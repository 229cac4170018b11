"""Scores and small songs, for tests.

Conventions
-----------
Songs have 480 ticks per beat. A note is (onset in ticks, pitch, velocity, duration in ticks).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
from midi_bytes import off, on, program, smf, title, track

from duvhuman.humanize.features import compute_features, feature_names
from duvhuman.humanize.score import Hints, Score
from duvhuman.models.phrase_transformer import PhraseTransformer
from duvhuman.models.store import find_model

Note = tuple[int, int, int, int]
GUITAR, BASS, PIANO, STRINGS, FLUTE = 25, 33, 0, 48, 73


def score(
    onset: Sequence[float] | np.ndarray,
    pitch: Sequence[int] | np.ndarray | int = 60,
    *,
    length: Sequence[float] | np.ndarray | float = 1.0,
    tempo: float = 120.0,
    bar: float = 4.0,
    grid: bool = True,
    segment: Sequence[int] | np.ndarray | int = 0,
) -> Score:
    """A score whose bars begin at beat 0."""
    time = np.asarray(onset, dtype=np.float64)

    def column(value: object, kind: type) -> np.ndarray:
        return np.broadcast_to(np.asarray(value, dtype=kind), time.shape).copy()

    return Score(
        onset_beats=time,
        nominal_beats=column(length, float),
        pitch=column(pitch, np.int64),
        program=column(GUITAR, np.int64),
        tempo_bpm=column(tempo, float),
        beat_in_bar=np.mod(time, bar),
        bar_beats=column(bar, float),
        grid_known=column(grid, bool),
        segment=column(segment, np.int64),
    )


def random_score(n: int, *, seed: int = 0) -> Score:
    """Melody, chords and rests on a sixteenth grid."""
    rng = np.random.default_rng(seed)
    onset = np.cumsum(rng.choice([0.0, 0.25, 0.5, 1.0, 2.0], n, p=[0.3, 0.4, 0.2, 0.07, 0.03]))
    pitch = rng.integers(45, 80, n)
    order = np.lexsort((pitch, onset))
    return score(onset[order], pitch[order], length=rng.choice([0.2, 0.25, 0.5, 1.0], n))


def columns_of(score: Score, hints: Hints | None = None) -> dict[str, np.ndarray]:
    """The features by name, each (N,)."""
    values = compute_features(score, hints or Hints.none(len(score)))
    return dict(zip(feature_names(), values.T, strict=True))


def riff(
    n: int = 64, *, velocity: int | Sequence[int] = 80, step: int = 240, length: int = 240, low: int = 50
) -> list[Note]:
    """A flat part of n notes, one every `step` ticks."""
    velocities = [velocity] * n if isinstance(velocity, int) else list(velocity)
    return [(step * i, low + (5 * i) % 13, velocities[i], length) for i in range(n)]


def part(
    notes: Iterable[Note], *, number: int | None = GUITAR, channel: int = 0, name: str = "", before: bytes = b""
) -> bytes:
    """A track; at one tick note-offs stand before note-ons. A note of duration -1 is never ended."""
    events = []
    for onset, pitch, velocity, duration in notes:
        events.append((onset, 1, on, pitch, velocity))
        if duration >= 0:
            events.append((onset + duration, 0 if duration else 2, off, pitch, 64))
    out = [title(name)] if name else []
    out += [program(0, number, channel)] if number is not None else []
    now = 0
    for tick, _, event, pitch, velocity in sorted(events, key=lambda e: e[:2]):
        out.append(event(tick - now, pitch, velocity, channel))
        now = tick
    return track(before, *out)


def song(*parts: bytes, **header: int) -> bytes:
    return smf(*parts, **header)


def flat_song(n: int = 64, **options: int) -> bytes:
    """One flat guitar part."""
    return song(part(riff(n, **options)))


def eighths(n: int) -> Score:
    """A line of seven pitches, over and over."""
    return score(np.arange(n) / 2, 60 + np.arange(n) % 7)


def shipped_keys(**config: float) -> PhraseTransformer:
    """The base of the keys that ship, with other values in its config."""
    network = PhraseTransformer.from_pretrained(find_model("keys", None)).eval()
    network.config = replace(network.config, **config)
    return network
