"""Boosted trees that tell how much louder than the rest of its part a note is, beside any model's network.

Trees see one note at a time, through the features that the network sees of it, and no phrase. They know less of music
than the network, but err otherwise: what the two expect of a note, averaged, is nearer to players than what either does
(an ensemble; Hansen and Salamon 1990, "Neural Network Ensembles"). One set of trees (gradient boosting; Friedman 2001,
"Greedy Function Approximation") knows all instruments. Lengths are the network's alone.

Conventions
-----------
J trees of K nodes each, the root first; smaller trees are filled up with nodes that are never reached. At a node a note
goes left if its feature is no more than the threshold. A leaf leads to itself. A note has F features, and one column
behind them, the number of the instrument. What trees say is in SDs of the velocities of a part, about their mean.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.hooks import RemovableHandle

from duvhuman.errors import ModelError
from duvhuman.instruments import INSTRUMENTS
from duvhuman.models.config import VELOCITY_BIN_CENTRES, VELOCITY_BIN_EDGES, VELOCITY_CENTRE, VELOCITY_SCALE
from duvhuman.models.files import TREES_FILE, read_about, read_tensors, trees_file, write_tensors
from duvhuman.models.memory import moved
from duvhuman.models.phrase_transformer import PhraseOutput, PhraseTransformer

NODES = {
    "feature": torch.int16, "threshold": torch.float32, "left": torch.int16, "right": torch.int16,
    "value": torch.float32,
}
"""What is known of each node, and how it is stored: the column, the threshold, the children's numbers in their tree,
and of leaves what is added to the sum over all trees."""
GROWN_ON = "grown_on"
"""Beside the nodes stands what tells the names of the columns from all others."""
GROWTH = "growth"
"""In the file's metadata stands how they were grown."""
NOTES_AT_ONCE = 32
"""As many notes as the caches of a core have room for, with what every tree knows."""
CONTOUR_FLAGS = ("swell_given", "accent_given")
"""Where one of these features is not 0 the network is told dynamics, of which trees know nothing: they are silent."""


def instrument_number(instrument: str) -> int:
    """What trees know an instrument by: its number, or one that stands for all others."""
    names = tuple(INSTRUMENTS)
    return names.index(instrument) if instrument in names else len(names)


def tree_columns(features: NDArray[np.float32], instrument: str) -> NDArray[np.float32]:
    """(N, F + 1) what trees know of notes with `features` (N, F) that are played on `instrument`."""
    played_on = np.full((len(features), 1), instrument_number(instrument), dtype=np.float32)
    return np.concatenate([features, played_on], axis=1)


def columns_digest(feature_names: tuple[str, ...]) -> Tensor:
    """(32,) uint8, what tells these features and the instruments behind them from all others."""
    names = json.dumps([*feature_names, *INSTRUMENTS])
    return torch.tensor(list(hashlib.sha256(names.encode()).digest()), dtype=torch.uint8)


class Trees:
    """The trees; they are on the CPU, wherever the network is.

    Parameters
    ----------
    nodes : `NODES` -> (J, K), each of its kind.

    Raises
    ------
    ModelError
        If they are no trees, or go round in circles.
    """

    def __init__(self, nodes: Mapping[str, Tensor]) -> None:
        shapes = {values.shape for values in nodes.values()}
        kinds = {name: values.dtype for name, values in nodes.items()}
        if kinds != NODES or len(shapes) != 1 or nodes["feature"].ndim != 2 or not nodes["feature"].numel():
            raise ModelError("are none of this version")
        feature, threshold, left, right, value = (nodes[name].numpy() for name in NODES)
        trees, size = feature.shape
        first = np.arange(trees, dtype=np.int32)[:, None] * size  # nodes are numbered through all trees
        children = np.stack([left, right], axis=2) + first[..., None]
        here = np.arange(trees * size).reshape(trees, size, 1)
        inside = (children >= here) & (children < first[..., None] + size)  # no way leads back
        if not inside.all() or (feature < 0).any() or not np.isfinite([threshold, value]).all():
            raise ModelError("are damaged")
        self.columns = int(feature.max()) + 1
        """How many columns a note needs at least."""
        self._feature, self._children = feature.astype(np.intp).ravel(), children.astype(np.intp).ravel()
        self._threshold, self._value = threshold.ravel(), value.ravel()
        self._roots = first[:, 0].astype(np.intp)
        self._levels, reached = 0, self._roots
        while not np.array_equal(reached, deeper := np.unique(children.reshape(-1, 2)[reached])):
            self._levels, reached = self._levels + 1, deeper

    def __call__(self, features: NDArray[np.float32], instrument: str) -> NDArray[np.float32]:
        """(...) how much louder notes with `features` (..., F) are that are played on `instrument`."""
        notes = tree_columns(features.reshape(-1, features.shape[-1]), instrument)
        numbers: dict[bytes, int] = {}  # windows overlap: many notes are shown twice alike
        number = [numbers.setdefault(note.tobytes(), len(numbers)) for note in notes]
        different = np.frombuffer(b"".join(numbers), dtype=np.float32).reshape(-1, notes.shape[1])
        some = [different[start : start + NOTES_AT_ONCE] for start in range(0, len(different), NOTES_AT_ONCE)]
        said = self._walked(some, min(torch.get_num_threads(), len(some)))
        return np.concatenate([np.empty(0, np.float32), *said])[number].reshape(features.shape[:-1])

    def _walked(self, some: Sequence[NDArray[np.float32]], threads: int) -> list[NDArray[np.float32]]:
        """`_walk` for each, on so many threads if they can be had."""
        if threads > 1:
            with suppress(RuntimeError), ThreadPoolExecutor(threads) as cores:  # none begins once the main thread ended
                return list(cores.map(self._walk, some))  # NumPy's `take` lets other threads run
        return [self._walk(notes) for notes in some]

    def _walk(self, notes: NDArray[np.float32]) -> NDArray[np.float32]:
        """(N,) what all trees together say of notes (N, F + 1).

        All is done in place, by `take`, which is twice as fast as indexing, and faster where it need not watch for
        wrong numbers (``clip``): there are none.
        """
        row = np.arange(len(notes))[:, None] * notes.shape[1]
        values, node = notes.ravel(), np.tile(self._roots, (len(notes), 1))  # (N, J)
        spare, value, threshold = np.empty_like(node), *np.empty((2, *node.shape), dtype=np.float32)
        right = np.empty(node.shape, dtype=np.bool_)
        for _ in range(self._levels):
            self._feature.take(node, out=spare, mode="clip")
            spare += row
            values.take(spare, out=value, mode="clip")
            self._threshold.take(node, out=threshold, mode="clip")
            np.greater(value, threshold, out=right)
            node *= 2
            node += right
            node, spare = self._children.take(node, out=spare, mode="clip"), node
        return self._value.take(node).sum(axis=1)


def read_trees(path: Path, feature_names: tuple[str, ...]) -> Trees:
    """The trees in a file, grown on these features; kept in memory until the file changes.

    Raises
    ------
    ModelError
        If it cannot be read, or holds no such trees.
    """
    status = path.stat() if path.exists() else None
    return _read(path, feature_names, status and (status.st_mtime_ns, status.st_size))


@lru_cache(maxsize=4)
def _read(path: Path, feature_names: tuple[str, ...], _stamp: tuple[int, int] | None) -> Trees:
    tensors = read_tensors(path, "get or grow the trees anew")
    grown_on = tensors.pop(GROWN_ON, torch.empty(0))
    try:
        trees = Trees(tensors)
    except ModelError as error:
        raise ModelError(f"{path}: the trees {error}; get or grow them anew") from None
    if not torch.equal(grown_on, columns_digest(feature_names)) or trees.columns > len(feature_names) + 1:
        raise ModelError(f"{path}: the trees were grown on other features than the network sees; grow them anew")
    return trees


def save_trees(
    nodes: Mapping[str, Tensor], feature_names: tuple[str, ...], folder: Path, growth: Mapping[str, Any]
) -> None:
    """Write nodes, grown on these features, into a folder, which is made if missing; OSError if that cannot be done.

    Parameters
    ----------
    growth : how they were grown, for `read_growth`: it goes wherever the file goes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    about = {GROWTH: json.dumps(growth)}
    write_tensors(folder / TREES_FILE, {**nodes, GROWN_ON: columns_digest(feature_names)}, about)


def read_growth(path: Path) -> dict[str, Any]:
    """How the trees in a file were grown, as `save_trees` was told; ModelError if it cannot be read."""
    try:
        growth = json.loads(read_about(path).get(GROWTH, "{}"))
    except ValueError:
        growth = None
    if not isinstance(growth, dict):
        raise ModelError(f"{path}: does not tell how it was grown; get or grow the trees anew")
    return growth


def hear_trees(network: PhraseTransformer, folder: Path) -> RemovableHandle | None:
    """From now on let trees have a say, of ``config.trees_share``, in the velocities that `network` expects.

    `folder` is that of its model. What is returned ends it, in a ``with`` statement, too; None if the share is 0.

    Its velocity bins are moved, about as wide as before, and so is its regression. What trees say lies about the level
    that the network is told, or without one about the mean of what it expects of a phrase, and is in SDs of
    ``config.typical_range``.

    Raises
    ------
    ModelError
        If the trees cannot be read, or do not fit.
    """
    if network.config.trees_share == 0:
        return None
    trees = read_trees(trees_file(folder), network.config.feature_names)
    return network.register_forward_hook(_Louder(trees))


@dataclass(frozen=True)
class _Louder:
    """What a network says, moved towards what trees say of the same notes; no closure, which could not be pickled."""

    trees: Trees

    def __call__(self, network: PhraseTransformer, arguments: tuple[Tensor, ...], out: PhraseOutput) -> PhraseOutput:
        config, features = network.config, arguments[2]
        column = config.feature_names.index
        sds = torch.from_numpy(self.trees(features.float().cpu().numpy(), config.instrument)).to(features.device)
        edges, centres = (
            torch.tensor(bins, dtype=torch.float32, device=features.device)
            for bins in (VELOCITY_BIN_EDGES, VELOCITY_BIN_CENTRES)
        )
        expected = out.velocity_logits.float().softmax(-1) @ centres  # (B, T)
        mask = arguments[3] if len(arguments) > 3 else None
        notes = torch.ones_like(expected) if mask is None else mask.to(expected.dtype)
        mean = (expected * notes).sum(-1, keepdim=True) / notes.sum(-1, keepdim=True).clamp(min=1)  # not of padding
        told = VELOCITY_CENTRE + VELOCITY_SCALE * features[..., column("level")]
        about = torch.where(features[..., column("level_given")] > 0, told, mean)
        by = config.trees_share * (about + config.typical_range * sds - expected)
        by = torch.where((features[..., [*map(column, CONTOUR_FLAGS)]] > 0).any(dim=-1), 0.0, by)
        return out._replace(
            velocity_logits=moved(out.velocity_logits, edges, by),
            velocity_value=out.velocity_value + by / VELOCITY_SCALE,
        )
