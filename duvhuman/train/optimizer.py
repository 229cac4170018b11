"""The optimizers that a configuration can name.

Conventions
-----------
Both take one learning rate: Muon's steps are scaled to the size that AdamW's have at the same rate.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.optim import AdamW, Optimizer

from duvhuman.errors import OptionError
from duvhuman.train.config import TrainConfig


def make_optimizer(model: nn.Module, config: TrainConfig) -> Optimizer | MuonAndAdamW:
    """The optimizer of those parameters of `model` that require gradients; vectors do not decay.

    Raises
    ------
    OptionError
        If this version of PyTorch lacks the optimizer.
    """
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    hidden = {name for name, p in trained.items() if p.ndim == 2 and "blocks." in name}
    if config.optimizer == "adamw":
        hidden = set()
    elif not hasattr(torch.optim, "Muon"):
        raise OptionError(f"PyTorch {torch.__version__} has no Muon; 2.9 has it. Or: --set optimizer=adamw")
    others = [p for name, p in trained.items() if name not in hidden]
    groups = [
        {"params": [p for p in others if p.ndim >= 2], "weight_decay": config.weight_decay},
        {"params": [p for p in others if p.ndim < 2], "weight_decay": 0.0},
    ]
    adamw = AdamW(groups, lr=config.lr, fused=True)
    if not hidden:
        return adamw
    muon = torch.optim.Muon(
        [trained[name] for name in sorted(hidden)], lr=config.lr, weight_decay=config.weight_decay,
        adjust_lr_fn="match_rms_adamw",
    )  # fmt: skip
    return MuonAndAdamW(muon, adamw)


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
