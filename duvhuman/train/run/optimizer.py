"""The optimizers that a configuration can name.

Conventions
-----------
Both take one learning rate: Muon's steps are scaled to the size that AdamW's have at the same rate.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer

from duvhuman.train.config import TrainConfig

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
"""The polynomial's coefficients (Jordan et al. 2024): five rounds bring every singular value near 1."""


def make_optimizer(model: nn.Module, config: TrainConfig, *, precision: str) -> Optimizer | MuonAndAdamW:
    """The optimizer of those parameters of `model` that require gradients; vectors do not decay.

    Parameters
    ----------
    precision : "bf16" or "float32", of Muon's matrix products.
    """
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    hidden = {name for name, p in trained.items() if p.ndim == 2 and "blocks." in name}
    if config.optimizer == "adamw":
        hidden = set()
    others = [p for name, p in trained.items() if name not in hidden]
    groups = [
        {"params": [p for p in others if p.ndim >= 2], "weight_decay": config.weight_decay},
        {"params": [p for p in others if p.ndim < 2], "weight_decay": 0.0},
    ]
    adamw = AdamW(groups, lr=config.lr, fused=True)
    if not hidden:
        return adamw
    matrices = [trained[name] for name in sorted(hidden)]
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    return MuonAndAdamW(Muon(matrices, lr=config.lr, weight_decay=config.weight_decay, dtype=dtype), adamw)


class Muon(Optimizer):
    """Momentum whose steps are made orthogonal (Jordan et al. 2024), as large as AdamW's at the same rate.

    It takes the steps of `torch.optim.Muon`, which multiplies matrices in bfloat16 alone: on a CPU without instructions
    for that, this takes a minute a step instead of a second.

    Parameters
    ----------
    params : matrices.
    dtype : in which they are multiplied.
    """

    def __init__(
        self, params: Iterable[Tensor], *, lr: float, weight_decay: float, dtype: torch.dtype, momentum: float = 0.95
    ) -> None:
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})
        self._dtype = dtype

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]  # there is no closure
        """Take a step."""
        for group in self.param_groups:
            updates: dict[torch.Size, list[tuple[Tensor, Tensor]]] = {}
            for matrix in group["params"]:
                if matrix.grad is not None:
                    update = self._with_momentum(matrix, matrix.grad, group["momentum"])
                    updates.setdefault(matrix.shape, []).append((matrix, update))
            for shape, alike in updates.items():  # at once: a GPU would spend its time between small products
                stacked = torch.stack([update for _, update in alike])
                for (matrix, _), step in zip(alike, _orthogonal(stacked.to(self._dtype)), strict=True):
                    matrix.mul_(1 - group["lr"] * group["weight_decay"])
                    matrix.add_(step, alpha=-group["lr"] * 0.2 * math.sqrt(max(shape)))

    def _with_momentum(self, matrix: Tensor, gradient: Tensor, momentum: float) -> Tensor:
        """The gradient of a matrix with Nesterov's momentum."""
        state = self.state[matrix]
        if not state:
            state["momentum_buffer"] = torch.zeros_like(matrix)
        return gradient.lerp(state["momentum_buffer"].lerp_(gradient, 1 - momentum), momentum)


def _orthogonal(matrices: Tensor) -> Tensor:
    """To each of K matrices (K, m, n) the nearest whose singular values are all the same, about 1, by Newton-Schulz
    iteration.
    """
    a, b, c = NEWTON_SCHULZ
    tall = matrices.shape[1] > matrices.shape[2]
    wide = matrices.mT if tall else matrices
    wide = wide / wide.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)
    for _ in range(5):
        gram = wide @ wide.mT
        wide = torch.baddbmm(wide, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), wide, beta=a)
    return wide.mT if tall else wide


class MuonAndAdamW:
    """Muon for matrices between layers (Jordan et al. 2024), AdamW for the rest, as one optimizer."""

    def __init__(self, *both: Optimizer) -> None:
        self._both = both

    @property
    def param_groups(self) -> Sequence[dict[str, Any]]:
        """The groups of both."""
        return [group for one in self._both for group in one.param_groups]

    def step(self) -> None:
        """Take a step with both."""
        for one in self._both:
            one.step()

    def zero_grad(self, *, set_to_none: bool = True) -> None:
        """Forget the gradients."""
        for one in self._both:
            one.zero_grad(set_to_none=set_to_none)

    def state_dict(self) -> dict[str, Any]:
        """The states of both."""
        return {str(number): one.state_dict() for number, one in enumerate(self._both)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The inverse of `state_dict`."""
        for number, one in enumerate(self._both):
            one.load_state_dict(state[str(number)])
