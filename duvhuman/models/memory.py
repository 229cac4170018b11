"""What a personal adapter remembers of its takes: a correction for notes that resemble those of the takes.

A note of the takes is remembered by its features and by what the player did there that the network would not have
done. A new note is corrected by what was done on the notes most like it (kernel ridge regression with an exponential
kernel; Rasmussen and Williams 2006, ch. 2 and 4); one unlike all of them is left as the network plays it.

Conventions
-----------
M remembered notes with K feature columns each, standardised over the takes. Two notes at distance d (root of the mean
over all columns of their squared difference times the column's importance) are alike by ``exp(-d)``, in 0..1. Each of
the two corrections, of velocity and of articulation, has an importance of its own: what makes two notes equally loud
does not make them equally long. Corrections are in MIDI velocities and in log2(performed / written duration). Tensors
have B phrases of T notes.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from duvhuman.errors import ModelError
from duvhuman.models.config import VELOCITY_BIN_EDGES, VELOCITY_SCALE, ModelConfig
from duvhuman.models.files import MEMORY_FILE, read_tensors, write_tensors
from duvhuman.models.phrase_transformer import PhraseOutput, PhraseTransformer

RIDGE = 0.04
"""How much the notes' own noise is trusted less than what alike notes have in common."""
BELIEVED = (0.7, 1.0)
"""How much of what was done on alike notes is done again, velocity and articulation: a take is short, and some of it is
chance, of lengths next to nothing."""
SMALLEST_SCALE = 0.3
"""A column that varies less over the takes than this is not blown up to vary as much as the others."""
_NAMES = ("columns", "middle", "scale", "importance", "notes", "weights", "offset")


class Memory(nn.Module):
    """Corrects what a network says of notes by what was played on notes like them.

    Parameters
    ----------
    columns : (K,) int64, the features that are compared.
    middle, scale : (K,) of the standardisation.
    importance : (2, K) of each column for the correction of velocity and of articulation, over the number of columns.
    notes : (M, K) standardised features of the remembered notes.
    weights : (M, 2) their weights for velocity and articulation.
    offset : (2,) corrections of every note.
    config : of the network.
    """

    columns: Tensor
    middle: Tensor
    scale: Tensor
    importance: Tensor
    notes: Tensor
    weights: Tensor
    offset: Tensor
    velocity_edges: Tensor
    duration_edges: Tensor

    def __init__(
        self, *, columns: Tensor, middle: Tensor, scale: Tensor, importance: Tensor, notes: Tensor, weights: Tensor,
        offset: Tensor, config: ModelConfig,
    ) -> None:
        super().__init__()
        given = (columns, middle, scale, importance, notes, weights, offset)
        for name, tensor in zip(_NAMES, given, strict=True):
            self.register_buffer(name, tensor, persistent=False)  # no part of the network's own weights
        for name, edges in (("velocity", VELOCITY_BIN_EDGES), ("duration", config.closed_duration_edges)):
            self.register_buffer(f"{name}_edges", torch.tensor(edges, dtype=torch.float32), persistent=False)

    @classmethod
    def fit(
        cls, features: Tensor, residual: Tensor, columns: Tensor, config: ModelConfig, *, offset: Tensor,
        importance: Tensor | None = None,
    ) -> Memory:
        """Remember M notes.

        Parameters
        ----------
        features : (M, F) all features of the notes.
        residual : (M, 2) what was played minus what the network says, velocity and articulation; NaN where it is not
            known what was played.
        columns : (C,) int64, the features that may be compared; those that do not vary tell nothing and are left out.
        offset : (2,) the part of `residual` that every note is given.
        importance : (2, C) of each column for velocity and for articulation; by default 1.
        """
        varies = features[:, columns].std(dim=0, correction=0) > 1e-3
        weighed = torch.ones(2, len(columns), dtype=torch.float32) if importance is None else importance
        weighed = weighed / len(columns)
        columns, weighed = columns[varies], weighed[:, varies]
        chosen = features[:, columns].double()
        middle, scale = chosen.mean(dim=0), chosen.std(dim=0, correction=0).clamp(min=SMALLEST_SCALE)
        notes = (chosen - middle) / scale
        weights = torch.zeros(len(notes), 2, dtype=torch.float64)
        for which, done in enumerate((residual - offset).double().T):
            known = done.isfinite()
            system = alike(notes[known], notes[known], weighed[which].double())
            system += RIDGE * torch.eye(len(system), dtype=torch.float64)
            solved = torch.cholesky_solve(done[known, None], torch.linalg.cholesky(system))
            weights[known, which] = BELIEVED[which] * solved[:, 0]
        return cls(
            columns=columns, middle=middle.float(), scale=scale.float(), importance=weighed.float(),
            notes=notes.float(), weights=weights.float(), offset=offset.float(), config=config,
        )

    def corrections(self, features: Tensor) -> Tensor:
        """(..., 2) the corrections of velocity and articulation for notes with `features` (..., F)."""
        notes = (features[..., self.columns].float() - self.middle) / self.scale
        notes = notes.reshape(-1, notes.shape[-1])
        each = [
            alike(notes, self.notes, weighs) @ weights
            for weighs, weights in zip(self.importance, self.weights.T, strict=True)
        ]
        return (torch.stack(each, dim=1) + self.offset).reshape(*features.shape[:-1], 2)

    def forward(self, features: Tensor, out: PhraseOutput) -> PhraseOutput:
        """What the network says, `out`, of notes with `features` (B, T, F), corrected: bins and regressions alike."""
        velocity, articulation = self.corrections(features).unbind(-1)
        return out._replace(
            velocity_logits=moved(out.velocity_logits, self.velocity_edges, velocity),
            velocity_value=out.velocity_value + velocity / VELOCITY_SCALE,
            duration_logits=moved(out.duration_logits, self.duration_edges, articulation),
            duration_value=out.duration_value + articulation,
        )

    def save(self, folder: Path) -> None:
        """Write `MEMORY_FILE` into the adapter's folder."""
        write_tensors(folder / MEMORY_FILE, {name: getattr(self, name) for name in _NAMES})

    @classmethod
    def load(cls, folder: Path, config: ModelConfig) -> Memory:
        """Read what `save` wrote for a network with this config; ModelError if it is damaged or does not fit."""
        path = folder / MEMORY_FILE
        tensors = read_tensors(path, "get or train the adapter anew")
        if set(tensors) != set(_NAMES) or not _fits(tensors, len(config.feature_names)):
            raise ModelError(f"{path}: does not fit this version's features; train the adapter anew")
        return cls(**tensors, config=config)


def attach(network: PhraseTransformer, memory: Memory) -> None:
    """From now on `network` is corrected by `memory` whenever it plays, in place of any other memory."""
    first = not hasattr(network, "memory")
    network.add_module("memory", memory)  # so that it moves to another device with the network
    if first:
        network.register_forward_hook(_correct)


def _correct(network: nn.Module, arguments: tuple[Tensor, ...], out: PhraseOutput) -> PhraseOutput:
    return network.get_submodule("memory")(arguments[2], out)


def alike(one: Tensor, other: Tensor, importance: Tensor) -> Tensor:
    """(N, M) how alike notes (N, K) and (M, K) are by columns of which `importance` (K,) tells what each weighs."""
    one, other = one * importance.sqrt(), other * importance.sqrt()
    squares = (one**2).sum(1)[:, None] + (other**2).sum(1) - 2 * one @ other.T
    return torch.exp(-torch.sqrt(squares.clamp(min=1e-12)))  # above 0, where the root has no slope


def moved(logits: Tensor, edges: Tensor, by: Tensor) -> Tensor:
    """Bins (..., K) with K + 1 edges moved by an amount (...): what leaves at one end stays in the last bin there."""
    below = torch.nn.functional.pad(logits.float().softmax(-1).cumsum(-1), (1, 0))
    wanted = edges[1:-1] - by[..., None]
    high = torch.searchsorted(edges, wanted.contiguous()).clamp(1, len(edges) - 1)
    share = ((wanted - edges[high - 1]) / (edges[high] - edges[high - 1])).clamp(0.0, 1.0)
    low_value, high_value = below.gather(-1, high - 1), below.gather(-1, high)
    inner = low_value + share * (high_value - low_value)
    cumulative = torch.cat([torch.zeros_like(inner[..., :1]), inner, torch.ones_like(inner[..., :1])], -1)
    return torch.log(cumulative.diff(dim=-1).clamp(min=1e-7))


def _fits(tensors: dict[str, Tensor], features: int) -> bool:
    columns, notes, weights = tensors["columns"], tensors["notes"], tensors["weights"]
    return (
        columns.dtype == torch.int64 and columns.ndim == 1 and notes.ndim == 2 and notes.shape[1] == len(columns)
        and tensors["middle"].shape == tensors["scale"].shape == columns.shape
        and tensors["importance"].shape == (2, len(columns))
        and weights.shape == (len(notes), 2) and tensors["offset"].shape == (2,)
        and bool(((columns >= 0) & (columns < features)).all())
        and all(bool(tensor.isfinite().all()) for tensor in tensors.values())
    )
