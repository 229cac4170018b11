"""Several processes that train one model together, each on its share of every batch (started by ``torchrun``).

Conventions
-----------
A *rank* is one of ``size`` processes; rank 0 writes, logs and validates. Without ``torchrun`` there is one rank, and
nothing here touches ``torch.distributed``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn

from duvhuman.errors import OptionError


@dataclass(frozen=True)
class World:
    """The place of a process among those that train together, and how many of them share its machine."""

    rank: int = 0
    size: int = 1
    on_this_machine: int = 1

    @property
    def is_main(self) -> bool:
        """Whether this process writes and speaks for all."""
        return self.rank == 0

    def sum(self, value: Tensor) -> Tensor:
        """The sum of `value` over all ranks; in place, without waiting for the device."""
        if self.size > 1:
            dist.all_reduce(value)
        return value

    def from_main(self, values: list[float]) -> list[float]:
        """The numbers that rank 0 has, on every rank."""
        if self.size == 1:
            return values
        box: list[object] = [values]
        dist.broadcast_object_list(box, src=0)
        return box[0]  # type: ignore[return-value]

    def wrap(self, model: nn.Module, device: torch.device) -> nn.Module:
        """`model` with gradients averaged over the ranks."""
        if self.size == 1:
            return model
        return nn.parallel.DistributedDataParallel(model, device_ids=[device] if device.type == "cuda" else None)


ALONE = World()
"""A process that trains by itself."""


@contextmanager
def joined_world(device: torch.device) -> Iterator[tuple[World, torch.device]]:
    """Join the processes that ``torchrun`` has started, if it has, and leave them at the end.

    Yields
    ------
    This process's place, and its device: with CUDA one GPU per local rank.

    Raises
    ------
    OptionError
        If there are more local ranks than GPUs.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield ALONE, device
        return
    local = int(os.environ.get("LOCAL_RANK", "0"))
    if device.type == "cuda":
        if local >= torch.cuda.device_count():
            raise OptionError(
                f"local rank {local} has no GPU of its own: there are {torch.cuda.device_count()}; "
                "start as many processes with --nproc-per-node, or use --device cpu"
            )
        device = torch.device("cuda", local)
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield World(dist.get_rank(), size, int(os.environ.get("LOCAL_WORLD_SIZE", "1"))), device
        # All leave together: gloo may abort a process whose connections another one closes while it ends.
        dist.barrier(device_ids=[device.index] if device.type == "cuda" else None)
    finally:
        dist.destroy_process_group()
