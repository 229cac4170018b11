"""Grow the trees of `duvhuman.models.trees` on training parts of all instruments.

They learn what each note of a player's velocities is above the part's mean, in the part's SDs, so that lively players
do not drown the others. A part counts by the root of the number of its notes, and more where its player has dynamics.

Conventions
-----------
N notes of several parts, F features and the number of the instrument behind them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from duvhuman.errors import DataError, FileError, OptionError
from duvhuman.humanize.features import feature_names
from duvhuman.humanize.loop import looped
from duvhuman.humanize.perform import as_shown
from duvhuman.humanize.score import Hints, Score
from duvhuman.humanize.windows import window_features, window_starts
from duvhuman.models.config import ModelConfig
from duvhuman.models.files import TREES_FILE
from duvhuman.models.trees import NODES, save_trees, tree_columns
from duvhuman.train.config import Growth
from duvhuman.train.data.storage import PartRow
from duvhuman.train.dataset import PhraseData
from duvhuman.train.evaluation.predictors import flat_pair
from duvhuman.train.record import PACKS

MOST_NOTES = 2048
"""So many notes in the middle of a part are learnt from."""
FEWEST_LEAVES = 4
"""A tree whose notes would not fill so many leaves is none."""
LIVELY = 12.0
"""A player counts by the root of the velocity SD up to this: of what is less alive more is chance."""


def grow(
    data: PhraseData, passes: Mapping[str, float], growth: Growth, out: Path, log: Callable[[str], None]
) -> Path:
    """Grow trees and write them, with how they were grown, into the folder `out`, which is made if missing; the file.

    Parameters
    ----------
    passes : pack -> the share of its parts that is learnt from; 1 for packs that it does not name.
    log : told how it goes on, a line at a time.

    Raises
    ------
    DataError
        If there are too few notes with dynamics.
    FileError
        If the folder cannot be written.
    OptionError
        If LightGBM is not there, or `passes` names a pack that is not.
    """
    check_lightgbm()
    if unknown := sorted(set(passes) - {part.pack for part in data.parts}):
        raise OptionError(f"{data.name}: holds no pack called {' or '.join(unknown)}")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(out, error) from None
    started = time.monotonic()
    rng = np.random.default_rng(growth.seed)
    parts = [part for part in data.select(split="train", extra=True) if rng.random() < passes.get(part.pack, 1.0)]
    notes = gather(data, parts)
    needed = round(FEWEST_LEAVES * growth.fewest / growth.notes)
    if len(notes.louder) < needed:
        raise DataError(f"{data.name}: {len(notes.louder)} training notes with dynamics, {needed:,} are needed")
    log(f"{len(notes.louder):,} notes of {notes.parts:,} parts to grow {growth.sets} x {growth.trees} trees on")
    nodes = fitted(notes, growth, log)
    told = {
        "config": asdict(growth) | {"passes": dict(passes)}, "notes": len(notes.louder), "parts": notes.parts,
        "minutes": round((time.monotonic() - started) / 60, 1), PACKS: sorted({part.pack for part in parts}),
    }
    try:
        save_trees({name: torch.from_numpy(values) for name, values in nodes.items()}, feature_names(), out, told)
    except OSError as error:
        raise _unwritable(out, error) from None
    return out / TREES_FILE


def _unwritable(folder: Path, error: OSError) -> FileError:
    return FileError(f"{folder}: trees cannot be written there ({error.strerror}); name another folder")


@dataclass(frozen=True)
class Notes:
    """What trees are grown on.

    Attributes
    ----------
    columns : (N, F + 1).
    louder : (N,) SDs of the part above its mean.
    weight : (N,) how much each counts.
    parts : how many parts they are of.
    """

    columns: NDArray[np.float32]
    louder: NDArray[np.float32]
    weight: NDArray[np.float32]
    parts: int


def gather(data: PhraseData, parts: Sequence[PartRow]) -> Notes:
    """The notes of those parts that are not played flat, written as the evaluation writes them, without any hint."""
    columns, louder, weight = [], [], []
    for part in parts:
        pair = flat_pair(data, part, max_notes=MOST_NOTES)
        if pair is None:
            continue
        velocity, n, counts = pair.played.velocity, len(pair.score), pair.played.wanted > 0
        columns.append(tree_columns(features_when_played(pair.score), part.instrument)[counts])
        louder.append(((velocity - velocity.mean()) / velocity.std())[counts])
        weight.append(np.full(counts.sum(), np.sqrt(min(velocity.std(), LIVELY) / n)))
    if not columns:
        return Notes(np.empty((0, 1), np.float32), np.empty(0, np.float32), np.empty(0, np.float32), 0)
    joined = [np.concatenate(values).astype(np.float32) for values in (columns, louder, weight)]
    return Notes(joined[0], joined[1], joined[2], parts=len(columns))


def features_when_played(score: Score) -> NDArray[np.float32]:
    """(N, F) what trees are shown of a part's notes, without hints: of each in the window whose middle is nearest."""
    loop = looped(as_shown(score))
    width = min(ModelConfig.max_len, len(loop.score))
    starts = window_starts(loop.score, width, max(width // 2, 1))
    features = window_features(loop.score, Hints.none(len(loop.score)), starts, width)
    note = np.arange(len(loop.score))[loop.own]
    window = np.abs(note[:, None] - (starts + width // 2)).argmin(axis=1)
    return features[window, note - starts[window]]


def check_lightgbm() -> None:
    """OptionError, which says how to get it, if LightGBM cannot be used."""
    try:
        import lightgbm  # noqa: F401
    except (ImportError, OSError) as error:  # the latter: a library of the system's that it needs is not there
        raise OptionError(f"growing trees needs LightGBM, pip install 'duvhuman[train]' ({error})") from None


def fitted(notes: Notes, growth: Growth, log: Callable[[str], None]) -> dict[str, NDArray[np.generic]]:
    """The nodes of trees that are grown on `notes` by LightGBM (Ke et al. 2017); they say the mean of all sets."""
    import lightgbm

    settings = {
        "objective": "l2", "num_leaves": growth.leaves, "max_depth": growth.depth, "learning_rate": growth.rate,
        "min_data_in_leaf": growth.fewest, "lambda_l2": growth.ridge, "feature_fraction": growth.features,
        "bagging_fraction": growth.notes, "bagging_freq": 1, "max_bin": 127,
        "deterministic": True, "force_row_wise": True, "verbosity": -1,
    }
    weight = notes.weight / notes.weight.mean()
    table = lightgbm.Dataset(notes.columns, label=notes.louder, weight=weight, params=settings)
    trees: list[Mapping[str, Any]] = []

    def told(env: Any) -> None:
        if (env.iteration + 1) % 50 == 0:
            log(f"{len(trees) + env.iteration + 1} of {growth.sets * growth.trees} trees")

    for number in range(growth.sets):
        draws = {"seed": growth.seed * growth.sets + number}
        grown = lightgbm.train(settings | draws, table, num_boost_round=growth.trees, callbacks=[told])
        trees += [tree["tree_structure"] for tree in grown.dump_model()["tree_info"]]
    nodes = stored_nodes(trees)
    value: NDArray[np.float32] = nodes["value"].astype(np.float32) / np.float32(growth.sets)
    return nodes | {"value": value}


def stored_nodes(trees: Sequence[Mapping[str, Any]]) -> dict[str, NDArray[np.generic]]:
    """`duvhuman.models.trees.NODES` of trees as LightGBM tells them, in the order in which a walk comes upon them."""
    walks = [list(_walk(tree, 0)) for tree in trees]
    shape = len(trees), max(map(len, walks))
    nodes = {name: torch.zeros(shape, dtype=kind).numpy() for name, kind in NODES.items()}
    for tree, walk in enumerate(walks):
        for number in range(nodes["left"].shape[1]):  # nodes that are never reached are leaves, too
            nodes["left"][tree, number] = nodes["right"][tree, number] = number
        for number, row in enumerate(walk):
            for name, value in row.items():
                nodes[name][tree, number] = value
    return nodes


def _walk(node: Mapping[str, Any], number: int) -> Iterator[dict[str, float]]:
    """A node and all below it, the left ones first, if it is the one of that number."""
    if "leaf_value" in node:
        yield {"value": node["leaf_value"]}
        return
    left = list(_walk(node["left_child"], number + 1))
    right = number + 1 + len(left)
    yield {
        "feature": node["split_feature"], "threshold": _no_higher(node["threshold"]), "left": number + 1,
        "right": right,
    }
    yield from left
    yield from _walk(node["right_child"], right)


def _no_higher(threshold: float) -> float:
    """The largest float32 that is not above a threshold: features of float32 go the same way at both."""
    near = np.float32(threshold)
    return float(near if float(near) <= threshold else np.nextafter(near, np.float32(-np.inf)))
