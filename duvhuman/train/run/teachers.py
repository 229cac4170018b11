"""Teachers for a network: other networks, which say what they expect of each note.

What one player does to a note is mostly chance, and a network of millions of weights that is trained on it learns much
of the chance by heart. A network that never saw the song does not know it; what that one expects is less noisy, and
the network in training learns it, too (distillation: Hinton et al. 2015). Songs are therefore dealt into folds, and a
teacher is trained with one of these left out (`TrainConfig.fold`). Models that know all songs may teach as well: the
mean of several that err differently is better than each of them.

Conventions
-----------
What is taught of a note are `TAUGHT` numbers: the probabilities of 16 velocity and 16 articulation bins, and the two
regressions, in the network's units.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from duvhuman.arrays import IntArray
from duvhuman.errors import ModelError
from duvhuman.humanize.features import check_features
from duvhuman.models.config import DURATION_BINS, VELOCITY_BINS
from duvhuman.models.phrase_transformer import PhraseOutput, PhraseTransformer
from duvhuman.train.config import fold_of
from duvhuman.train.pairs.encode import Batch
from duvhuman.train.record import fold_left_out

TAUGHT = VELOCITY_BINS + DURATION_BINS + 2


class Teachers:
    """Some networks. One that was trained with a fold of the songs left out teaches that fold, any other all songs; of
    several the mean is taught.

    Parameters
    ----------
    folders : of the models.
    device : where they are asked.

    Raises
    ------
    ModelError
        If one cannot be read, or knows other features or other articulation bins than the first; if they speak of
        different numbers of folds, or nobody teaches one of these.
    """

    def __init__(self, folders: Sequence[Path], device: torch.device) -> None:
        self._device, self._bf16 = device, device.type == "cuda"
        self._networks = [PhraseTransformer.from_pretrained(folder).to(device) for folder in folders]
        self._left_out = [fold_left_out(folder) for folder in folders]
        self.duration_edges = self._networks[0].config.duration_edges
        for folder, network in zip(folders, self._networks, strict=True):
            check_features(network.config, folder)
            if network.config.duration_edges != self.duration_edges:
                raise ModelError(f"{folder}: has other articulation bins than {folders[0]}")
        counts = {fold[1] for fold in self._left_out if fold is not None}
        if len(counts) > 1:
            raise ModelError(f"teachers left out one of {' and one of '.join(map(str, sorted(counts)))} folds of songs")
        self.folds = counts.pop() if counts else 1
        if missing := [fold for fold in range(self.folds) if not self._of_fold(fold)]:
            which = f"{missing[0] + 1}/{self.folds}"
            raise ModelError(f"no teacher left out fold {which} of the songs; train one with --set fold={which}")

    def compute_in(self, precision: str) -> None:
        """Multiply matrices in "bf16", as on CUDA they always do, or in "float32"."""
        self._bf16 = precision == "bf16" or self._device.type == "cuda"

    def digest(self) -> str:
        """A short text that is another for other teachers, wherever they lie."""
        content = hashlib.blake2b(repr(self._left_out).encode(), digest_size=16)
        for network in self._networks:
            for tensor in network.state_dict().values():
                content.update(tensor.cpu().numpy().tobytes())
        return content.hexdigest()

    def _of_fold(self, fold: int) -> list[PhraseTransformer]:
        """Those who teach it."""
        whose = zip(self._networks, self._left_out, strict=True)
        return [network for network, left_out in whose if left_out is None or left_out[0] == fold]

    def teach(self, batch: Batch, songs: Sequence[str]) -> Batch:
        """The batch with what is expected of its notes, ``taught`` (B, T, `TAUGHT`).

        Parameters
        ----------
        batch : B phrases, on the device.
        songs : (B,) of each phrase.
        """
        folds: IntArray = np.array([fold_of(song, self.folds) for song in songs])
        taught = torch.zeros(*batch.pitch.shape, TAUGHT, device=self._device)
        for fold in np.unique(folds).tolist():
            rows = torch.from_numpy(np.flatnonzero(folds == fold)).to(self._device)
            taught[rows] = torch.stack([self._said(network, batch, rows) for network in self._of_fold(fold)]).mean(0)
        return batch._replace(taught=taught)

    def _said(self, network: PhraseTransformer, batch: Batch, rows: Tensor) -> Tensor:
        """(R, T, TAUGHT) what a network says of some of the phrases."""
        with torch.no_grad(), torch.autocast(self._device.type, dtype=torch.bfloat16, enabled=self._bf16):
            out = network(batch.pitch[rows], batch.program[rows], batch.features[rows], batch.mask[rows])
        return as_taught(out)


def as_taught(out: PhraseOutput) -> Tensor:
    """(B, T, TAUGHT) what a network says, as it is taught."""
    bins = [logits.float().softmax(-1) for logits in (out.velocity_logits, out.duration_logits)]
    values = [value.float()[..., None] for value in (out.velocity_value, out.duration_value)]
    return torch.cat([*bins, *values], dim=-1)
