"""Validation: the loss on fixed flat phrases, and the metrics of whole parts played as users' parts are.

Conventions
-----------
Floors are what a flat input and the ridge regression reach on the same parts; they are computed once a run.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import nullcontext

import numpy as np
import torch
from torch import Tensor

from duvhuman.arrays import IntArray
from duvhuman.errors import DataError
from duvhuman.models.phrase_transformer import PhraseTransformer
from duvhuman.models.trees import hear_trees
from duvhuman.train.config import TrainConfig
from duvhuman.train.data.parts import FEWEST_WANTED, SHORTEST_PHRASE
from duvhuman.train.data.storage import PartRow
from duvhuman.train.dataset import PhraseData
from duvhuman.train.evaluation.metrics import mean_over_parts
from duvhuman.train.evaluation.predictors import flat_pairs, flat_predictor, quick_metrics, score_pairs
from duvhuman.train.evaluation.ridge import RidgeFloor
from duvhuman.train.pairs.encode import Batch
from duvhuman.train.run.losses import loss_terms
from duvhuman.train.run.tasks import Task

VALIDATION_PHRASES = 192
VALIDATION_SEED = 12345
RIDGE_PARTS, RIDGE_NOTES = 100, 512
PAIRS_ALONE = 4
"""So many parts tell whether what a network says without its trees is constant."""


class Validator:
    """Judges a network after every epoch.

    Raises
    ------
    DataError
        If no phrase can be cut from the validation parts.
    """

    def __init__(self, task: Task, config: TrainConfig, edges: Tensor, *, max_len: int, device: torch.device) -> None:
        self._pairs, self._heard, self._config, self._edges = task.pairs, task.heard, config, edges
        self._batches = [batch.to(device) for batch in _validation_batches(task, max_len)]

    def __call__(self, network: PhraseTransformer) -> dict[str, float]:
        """``val_loss``, the mean metrics of the parts, and ``failed``: 1 if predictions are constant or no numbers."""
        training = network.training
        network.eval()
        try:
            found = {"val_loss": self.loss(network)}
            if self._heard is None:
                return found | quick_metrics(network, self._pairs)
            alone = quick_metrics(network, self._pairs[:PAIRS_ALONE])  # trees vary whatever the network says
            with hear_trees(network, self._heard) or nullcontext():
                return found | quick_metrics(network, self._pairs) | {"failed": alone["failed"]}
        finally:
            network.train(training)

    def loss(self, network: PhraseTransformer) -> float:
        """The mean of the batches' losses per note, each weighing as many phrases as it has."""
        total = torch.zeros((), device=self._edges.device)
        with torch.inference_mode():
            for batch in self._batches:
                out = network(batch.pitch, batch.program, batch.features, batch.mask)
                total += loss_terms(out, batch, self._config, self._edges)["total"] * len(batch.pitch)
        return total.item() / sum(len(batch.pitch) for batch in self._batches)


def floors(task: Task) -> dict[str, float]:
    """What has to be beaten: ``flat_vel_mae``, ``flat_art_mae``, ``ridge_vel_r`` and ``ridge_vel_sd_ratio``."""
    rng = np.random.default_rng(2)
    parts = [task.train[i] for i in rng.permutation(len(task.train))[:RIDGE_PARTS]]
    ridge = RidgeFloor.fit(flat_pairs(task.data, parts, max_notes=RIDGE_NOTES))
    flat = mean_over_parts(score_pairs(task.pairs, flat_predictor))
    floor = mean_over_parts(score_pairs(task.pairs, ridge))
    return {
        "flat_vel_mae": flat["vel_mae"], "flat_art_mae": flat["art_mae"], "ridge_vel_r": floor["vel_r"],
        "ridge_vel_sd_ratio": floor["vel_sd_ratio"],
    }


def no_phrase(data: PhraseData, parts: Sequence[PartRow], kind: str) -> DataError:
    """The error of parts without a usable phrase, and which filter removed what."""
    short = sum(part.stop - part.start < SHORTEST_PHRASE for part in parts)
    return DataError(
        f"{data.name}: no usable phrase in {len(parts)} {kind} parts: {short} have fewer than {SHORTEST_PHRASE} notes, "
        f"in the other {len(parts) - short} no phrase has {FEWEST_WANTED} notes outside repeated bars; add longer parts"
    )


def validation_phrases(task: Task, rng: np.random.Generator, max_len: int) -> IntArray:
    """(P, 4) phrases of the validation parts; DataError if there are none."""
    phrases = task.data.cut_phrases(task.valid, rng, max_len=max_len, passes={})
    if not len(phrases):
        raise no_phrase(task.data, task.valid, "validation")
    return phrases


def _validation_batches(task: Task, max_len: int) -> list[Batch]:
    """Flat versions of some validation phrases, the same in every epoch and every run.

    There are as many of each instrument in each pack, so that the largest pack does not decide alone.
    """
    rng = np.random.default_rng(VALIDATION_SEED)
    phrases = validation_phrases(task, rng, max_len)
    phrases = phrases[rng.permutation(len(phrases))]
    kinds = np.array([f"{part.pack}/{part.instrument}" for part in task.valid])[phrases[:, 2]]
    share = math.ceil(VALIDATION_PHRASES / len(np.unique(kinds)))
    phrases = np.concatenate([phrases[kinds == kind][:share] for kind in np.unique(kinds)])
    return [
        task.data.batch(phrases[i : i + 32], task.valid, seed=VALIDATION_SEED, epoch=0, width=max_len)
        for i in range(0, len(phrases), 32)
    ]


def summary_of(floor: Mapping[str, float]) -> str:
    """The floors in a line."""
    return (
        f"floors: flat velocity MAE {floor['flat_vel_mae']:.2f}, articulation as written MAE "
        f"{floor['flat_art_mae']:.3f}; ridge velocity r {floor['ridge_vel_r']:.3f}, SD ratio "
        f"{floor['ridge_vel_sd_ratio']:.2f}"
    )
