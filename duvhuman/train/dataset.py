"""The prepared data set on disk, phrases drawn from it, and batches for the network.

Conventions
-----------
A prepared folder holds one ``.npy`` file per column of `COLUMNS`, all parts one after another, and ``parts.json`` with
one object per part. Times on disk are in 1/480 beat. A batch has B phrases of T = ``max_len`` notes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from os import PathLike
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from duvhuman.errors import DataError, FileError
from duvhuman.humanize.features import CONTEXT_NOTES, compute_features
from duvhuman.humanize.score import Hints, IntArray, Score, concatenated_ranges, contour, separate_segments
from duvhuman.train.deadpan import Performance, deadpan

TICKS_PER_BEAT = 480
TEMPO_UNIT = 1 / 32
COLUMNS: Mapping[str, type] = {
    "onset": np.int32, "duration": np.uint16, "pitch": np.uint8, "velocity": np.uint8, "program": np.uint8,
    "tempo": np.uint16, "beat_in_bar": np.uint16, "bar_beats": np.uint16, "wanted": np.bool_,
}  # fmt: skip
"""Column -> type on disk. Times are in 1/480 beat, tempo in 1/32 BPM; ``wanted`` is False in repeated bars."""
PARTS_FILE = "parts.json"
ALIVE_NOTES, ALIVE_DISTINCT, ALIVE_SD = 64, 12, 6.0
"""A part teaches something if it has this many notes, distinct velocities, and this velocity SD."""
SHORTEST_PHRASE = 32
FEWEST_WANTED = 16
BOUNDARY_REST_BEATS = 0.5
HINT_CHANCES = {"level": 0.7, "range": 0.7, "contour": 0.35}


@dataclass(frozen=True)
class PartRow:
    """One part of the data set.

    Attributes
    ----------
    pack, song, source : where it is from; parts of one song never stand in two splits.
    instrument, split : "train" or "valid".
    start, stop : its notes in the columns, stop exclusive.
    grid : whether its beats mean something.
    played : whether it was played by hand rather than programmed.
    level, range : mean and SD of its velocities.
    """

    pack: str
    song: str
    source: str
    instrument: str
    split: str
    start: int
    stop: int
    grid: bool
    played: bool
    level: float
    range: float


class Batch(NamedTuple):
    """B phrases of T notes, padded; all (B, T) but ``features`` (B, T, F)."""

    pitch: Tensor
    program: Tensor
    features: Tensor
    mask: Tensor
    velocity: Tensor
    articulation: Tensor
    boundary: Tensor
    weight: Tensor

    def to(self, device: torch.device) -> Batch:
        """The same batch on another device."""
        return Batch(*(tensor.to(device, non_blocking=True) for tensor in self))


class PhraseData:
    """A prepared data set, memory-mapped.

    Parameters
    ----------
    folder : what `duvhuman.train.prepare` wrote.

    Raises
    ------
    DataError
        If the folder holds no prepared data.
    """

    def __init__(self, folder: str | PathLike[str]) -> None:
        self.folder = Path(folder)
        try:
            rows = json.loads((self.folder / PARTS_FILE).read_text(encoding="utf-8"))
            self.parts = [PartRow(**row) for row in rows]
            self.columns = {name: np.load(self.folder / f"{name}.npy", mmap_mode="r") for name in COLUMNS}
        except (OSError, ValueError, TypeError) as error:
            raise DataError(
                f"{self.folder}: no prepared data there ({error}); "
                "make it with: python -m duvhuman.train prepare FOLDER... --out DIR"
            ) from None
        self._wanted_total = np.concatenate([[0], np.cumsum(self.columns["wanted"], dtype=np.int64)])

    def select(self, *, split: str, instrument: str = "all", played: bool | None = None) -> list[PartRow]:
        """The parts of a split, of one instrument or ``"all"``, all of them or only those (not) played by hand."""
        return [
            part for part in self.parts
            if part.split == split and instrument in ("all", part.instrument) and played in (None, part.played)
        ]  # fmt: skip

    def cut_phrases(
        self, parts: Sequence[PartRow], rng: np.random.Generator, *, max_len: int, passes: Mapping[str, float]
    ) -> IntArray:
        """Cut parts into phrases at random places, in random order.

        Parameters
        ----------
        passes : how often an epoch goes through each pack (a fraction draws some of its parts); 1 if not named.

        Returns
        -------
        (P, 3) array of start, stop and index into `parts`.
        """
        cuts: list[IntArray] = [np.zeros((0, 3), dtype=np.int64)]
        for index, part in enumerate(parts):
            count = passes.get(part.pack, 1.0)
            for _ in range(int(count) + (rng.random() < count % 1)):
                edges = np.arange(part.start + int(rng.integers(max_len)), part.stop, max_len)
                edges = np.unique(np.concatenate([[part.start], edges, [part.stop]]))
                cuts.append(np.stack([edges[:-1], edges[1:], np.full(len(edges) - 1, index)], axis=1))
        phrases = np.concatenate(cuts)
        long_enough = phrases[:, 1] - phrases[:, 0] >= SHORTEST_PHRASE
        wanted = self._wanted_total[phrases[:, 1]] - self._wanted_total[phrases[:, 0]] >= FEWEST_WANTED
        phrases = phrases[long_enough & wanted]
        drawn: IntArray = phrases[rng.permutation(len(phrases))]
        return drawn

    def performance(self, phrases: IntArray, parts: Sequence[PartRow], *, context: int = 0) -> Performance:
        """The notes of some phrases (P, 3), each a segment, with up to `context` notes of its part on either side."""
        rows = [parts[int(index)] for index in phrases[:, 2]]
        low = np.maximum(phrases[:, 0] - context, [row.start for row in rows])
        high = np.minimum(phrases[:, 1] + context, [row.stop for row in rows])
        index, segment = concatenated_ranges(low, high)
        column = {name: np.asarray(values[index]) for name, values in self.columns.items()}
        beats = {name: column[name] / TICKS_PER_BEAT for name in ("onset", "duration", "beat_in_bar", "bar_beats")}
        core = (index >= phrases[segment, 0]) & (index < phrases[segment, 1])
        return Performance(
            Score(
                onset_beats=beats["onset"],
                nominal_beats=np.full(len(index), np.nan),
                pitch=column["pitch"].astype(np.int64),
                program=column["program"].astype(np.int64),
                tempo_bpm=column["tempo"] * TEMPO_UNIT,
                beat_in_bar=beats["beat_in_bar"],
                bar_beats=beats["bar_beats"],
                grid_known=np.array([row.grid for row in rows])[segment],
                segment=segment,
            ),
            velocity=column["velocity"].astype(np.float64),
            duration_beats=beats["duration"],
            level=np.array([row.level for row in rows])[segment],
            range=np.array([row.range for row in rows])[segment],
            wanted=column["wanted"] & core,
            core=core,
        )

    def batch(self, phrases: IntArray, parts: Sequence[PartRow], rng: np.random.Generator, *, max_len: int) -> Batch:
        """A random flat version of some phrases (B, 3) and what was played on them."""
        pair = deadpan(self.performance(phrases, parts, context=CONTEXT_NOTES), rng)
        score, played = pair.score, pair.played
        features = compute_features(score, random_hints(played, rng))
        core, segment = played.core, score.segment
        row = segment[core]
        column = np.arange(len(row)) - np.searchsorted(row, row, "left")

        def padded(values: NDArray[np.generic], dtype: torch.dtype) -> Tensor:
            out = np.zeros((len(phrases), max_len, *values.shape[1:]), dtype=values.dtype)
            out[row, column] = values[core]
            return torch.from_numpy(out).to(dtype)

        return Batch(
            pitch=padded(score.pitch, torch.int64),
            program=padded(score.program, torch.int64),
            features=padded(features, torch.float32),
            mask=padded(np.ones(len(score), dtype=np.bool_), torch.bool),
            velocity=padded(played.velocity, torch.float32),
            articulation=padded(pair.articulation, torch.float32),
            boundary=padded(phrase_ends(played), torch.float32),
            weight=padded(played.wanted, torch.float32),
        )


def random_hints(played: Performance, rng: np.random.Generator) -> Hints:
    """The hints of each segment, each given or withheld at random."""
    segment = played.score.segment
    segments = int(segment[-1]) + 1 if len(segment) else 0
    given = {name: (rng.random(segments) < chance)[segment] for name, chance in HINT_CHANCES.items()}
    swell, accent = contour(played.score.onset_beats, played.velocity, segment, played.level)
    return Hints(
        level=np.where(given["level"], played.level, np.nan),
        range=np.where(given["range"], played.range, np.nan),
        swell=np.where(given["contour"], swell, np.nan),
        accent=np.where(given["contour"], accent, np.nan),
    )


def phrase_ends(played: Performance) -> NDArray[np.bool_]:
    """(N,) whether a note is followed by a rest: nothing sounds for half a beat or more."""
    score = played.score
    time = separate_segments(score.onset_beats, score.segment)
    silence = np.append(time[1:], np.inf) - np.maximum.accumulate(time + played.duration_beats)
    last = np.append(np.diff(score.segment) != 0, True)
    ends: NDArray[np.bool_] = (silence >= BOUNDARY_REST_BEATS) & ~last
    return ends


def save_parts(folder: Path, rows: Sequence[PartRow], columns: Mapping[str, NDArray[np.generic]]) -> None:
    """Write a prepared data set; ``parts.json`` comes last, so that half a folder is never taken for a whole one.

    Raises
    ------
    FileError
        If `folder` cannot be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / PARTS_FILE).unlink(missing_ok=True)
        for name, dtype in COLUMNS.items():
            np.save(folder / f"{name}.npy", columns[name].astype(dtype))
        (folder / PARTS_FILE).write_text(json.dumps([asdict(row) for row in rows], indent=0), encoding="utf-8")
    except OSError as error:
        raise FileError(f"{folder}: the data cannot be written there ({error}); choose another --out") from None
