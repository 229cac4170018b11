"""Toy data and tiny networks, for the tests of training.

Conventions
-----------
Times in columns are in 1/480 beat, as on disk; everything else is in beats.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from duvhuman.humanize.features import feature_names
from duvhuman.humanize.score import Score
from duvhuman.instruments import INSTRUMENTS
from duvhuman.models.config import ModelConfig
from duvhuman.models.phrase_transformer import PhraseTransformer
from duvhuman.models.trees import NODES, save_trees
from duvhuman.train.data.storage import TEMPO_UNIT, TICKS_PER_BEAT, PartRow, StoredPart, write_dataset
from duvhuman.train.dataset import PhraseData
from duvhuman.train.pairs.deadpan import Pair
from duvhuman.train.pairs.draws import Draws, phrase_keys
from duvhuman.train.pairs.encode import Batch
from duvhuman.train.pairs.performance import Performance

Columns = dict[str, np.ndarray]
PART_NOTES = 240


class KilledError(Exception):
    """Stands for whatever ends a process."""


def columns(onset: Any, **given: Any) -> Columns:
    """Columns as on disk, of notes that begin at `onset` in 1/480 beat; in 4/4 at 120 BPM unless said otherwise."""
    onset = np.asarray(onset)
    defaults = {
        "onset": onset, "duration": 240, "pitch": 60, "velocity": 64, "program": 25, "tempo": 120 / TEMPO_UNIT,
        "beat_in_bar": np.mod(onset, 4 * TICKS_PER_BEAT), "bar_beats": 4 * TICKS_PER_BEAT, "wanted": True,
        "released": True,
    }
    return {name: np.broadcast_to(values, onset.shape) for name, values in (defaults | given).items()}


def numbered(notes: int, **given: object) -> Columns:
    """Notes whose pitch and velocity tell which they are (up to 128)."""
    index = np.arange(notes)
    return columns(240 * index, **({"pitch": index % 128, "velocity": 1 + index % 127} | given))


def stored_parts(parts: list[tuple[dict[str, Any], Columns]]) -> list[StoredPart]:
    """Parts to be stored, of (what is special about its row, columns) for each."""
    stored = []
    for number, (special, values) in enumerate(parts):
        row = {
            "pack": "toys", "song": f"toys/{number}", "source": f"{number}.mid", "instrument": "guitar",
            "split": "train", "start": 0, "stop": 0, "grid": True, "played": True,
            "level": float(np.mean(values["velocity"])), "range": float(np.std(values["velocity"])),
        }
        stored.append(StoredPart(PartRow(**(row | special)), values))
    return stored


def write_data(folder: Path, parts: list[tuple[dict[str, Any], Columns]], **options: Any) -> PhraseData:
    """A prepared data set of such parts."""
    write_dataset(folder, stored_parts(parts), **options)
    return PhraseData(folder)


def column_of(data: PhraseData, name: str) -> np.ndarray:
    """One column over all shards."""
    shards = data._shards
    return np.concatenate([shards.columns(shard)[name] for shard in range(len(shards.bounds) - 1)])


def seeded_draws(seed: int, segments: int) -> Draws:
    """Draws for so many phrases that follow from a seed."""
    return Draws(phrase_keys(seed, 0, np.arange(segments)[:, None]))


def toy_performance(seed: int, notes: int = PART_NOTES) -> Columns:
    """Eighth notes with a rule to learn: the beat and high notes are loud, and everything is played half as written."""
    rng = np.random.default_rng(seed)
    onset = 240 * np.arange(notes)
    pitch = rng.integers(48, 73, notes)
    velocity = 60 + 24 * (onset % 480 == 0) + (pitch - 60) + rng.integers(-2, 3, notes)
    return columns(onset, duration=120, pitch=pitch, velocity=velocity)


def toy_data(folder: Path, counts: Mapping[tuple[str, str], int]) -> PhraseData:
    """So many toy parts of each (instrument, split)."""
    parts: list[tuple[dict[str, Any], Columns]] = []
    for (instrument, split), count in counts.items():
        for _ in range(count):
            values = toy_performance(len(parts)) | {
                "program": np.full(PART_NOTES, INSTRUMENTS[instrument].default_program)
            }
            parts.append(({"instrument": instrument, "split": split}, values))
    return write_data(folder, parts)


def tiny_config(**changes: Any) -> ModelConfig:
    shape = {"d_model": 16, "n_heads": 2, "n_layers": 2, "d_ff": 32, "dropout": 0.1, "feature_names": feature_names()}
    return ModelConfig(**(shape | changes))


def tiny_network(seed: int = 0, *, std: float = 0.02, **changes: Any) -> PhraseTransformer:
    """A network of random weights; with a large `std` the notes it plays differ."""
    torch.manual_seed(seed)
    network = PhraseTransformer(tiny_config(**changes))
    for weight in network.parameters():
        if weight.ndim == 2:
            torch.nn.init.normal_(weight, std=std)
    return network.eval()


def save_a_tree(folder: Path, high: float = 1.0) -> None:
    """A tree for `folder` that says -`high` of notes up to E4, and `high` of higher ones."""
    pitch = feature_names().index("pitch")
    nodes = {
        "feature": [[pitch, 0, 0]], "threshold": [[4.5 / 24, 0, 0]], "left": [[1, 1, 2]], "right": [[2, 1, 2]],
        "value": [[0, -high, high]],
    }
    tensors = {name: torch.tensor(value).to(NODES[name]) for name, value in nodes.items()}
    save_trees(tensors, feature_names(), folder, {})


def weights(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in module.state_dict().items()}


def same_weights(one: Mapping[str, torch.Tensor], other: Mapping[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def same_batch(one: Batch, other: Batch) -> bool:
    """Whether two batches hold the same bits; where a length is not known, NaN is NaN."""
    return all(torch.equal(a.nan_to_num(-1e4), b.nan_to_num(-1e4)) for a, b in zip(one, other, strict=True))


def epoch_row(stage: str = "base", epoch: int = 1, **given: float) -> dict[str, float | str]:
    """What a run tells of an epoch."""
    return {"stage": stage, "epoch": epoch, "val_loss": 3.0 - 0.1 * epoch, "vel_r": 0.2, "failed": 0} | given


def performance(score: Score, *, velocity: Any = 64, duration: Any = 0.25) -> Performance:
    """What was played on a score; all of it wanted, nothing of it context."""
    n = len(score)
    velocities = np.broadcast_to(np.asarray(velocity, dtype=np.float64), n).copy()
    return Performance(
        score.replace(nominal_beats=np.full(n, np.nan)),
        velocity=velocities,
        duration_beats=np.broadcast_to(np.asarray(duration, dtype=np.float64), n).copy(),
        level=np.full(n, velocities.mean()),
        range=np.full(n, velocities.std()),
        written_beats=np.full(n, np.nan),
        written_bar_beats=np.full(n, np.nan),
        released=np.ones(n, dtype=np.bool_),
        wanted=np.ones(n, dtype=np.bool_),
        core=np.ones(n, dtype=np.bool_),
    )


def pair(line: Score, velocity: object, *, duration: object = 0.5) -> Pair:
    """A part written as `line` says and played so."""
    played = performance(line, velocity=velocity, duration=duration)
    return Pair(line, played, np.log2(played.duration_beats / line.nominal_beats))
