"""One step of optimisation: forward, loss, backward, clipping and the optimiser's, on this rank's share of a batch.

Conventions
-----------
Nothing here waits for the device: losses are summed where they are made and read once an epoch.
"""

from __future__ import annotations

import shutil
import timeit
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from duvhuman.errors import OptionError
from duvhuman.models.phrase_transformer import PhraseOutput
from duvhuman.train.config import TERMS, TrainConfig
from duvhuman.train.pairs.encode import Batch
from duvhuman.train.run.distributed import ALONE, World
from duvhuman.train.run.losses import loss_terms
from duvhuman.train.run.optimizer import make_optimizer


def choose_precision(name: str, device: torch.device) -> str:
    """Either "bf16" or "float32"; "auto" is bf16 on CUDA, and on a CPU only if it multiplies matrices faster there."""
    if name != "auto":
        return name
    if device.type == "cuda":
        return "bf16"
    seconds = {}
    for dtype in (torch.float32, torch.bfloat16):
        matrix = torch.ones(1024, 512, dtype=dtype)
        seconds[dtype] = min(timeit.repeat(partial(F.linear, matrix, matrix), number=1, repeat=5))
    return "bf16" if seconds[torch.bfloat16] < seconds[torch.float32] else "float32"


class Stepper:
    """Trains the parameters of a model that require gradients.

    Parameters
    ----------
    model : the network, or PEFT's wrapper of it, on `device`.
    edges : (15,) of the articulation bins, on `device`.
    precision : "bf16" or "float32".

    Attributes
    ----------
    totals : sums of the steps' loss terms (`TERMS`) over this rank's share since they were last set to 0.
    """

    def __init__(
        self, model: nn.Module, config: TrainConfig, edges: Tensor, *, device: torch.device, precision: str,
        world: World = ALONE, log: Callable[[str], None] = print,
    ) -> None:
        self._config, self._device, self._precision, self._world = config, device, precision, world
        self._edges = edges
        self.trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self.optimizer = make_optimizer(model, config, precision=precision)
        compiled = config.compile and _can_compile(device, log)
        alone = world.size == 1
        # Compiled apart, not in place: validation plays `model` at widths of its own.
        shared = cast("nn.Module", torch.compile(model, dynamic=False)) if compiled and not alone else model
        self._model = world.wrap(shared, device)
        self._graphs = compiled and alone and device.type == "cuda"
        mode = "reduce-overhead" if self._graphs else None  # with CUDA graphs: no time is lost between kernels
        self._losses = self._loss_vector
        if compiled and alone:
            self._losses = torch.compile(self._loss_vector, dynamic=False, mode=mode)
        self.totals = torch.zeros(len(TERMS), device=device)

    def _loss_vector(self, batch: Batch, norm: Tensor) -> Tensor:
        out = self._model(batch.pitch, batch.program, batch.features, batch.mask)
        out = PhraseOutput(*(tensor.float() for tensor in out))
        terms = loss_terms(out, batch, self._config, self._edges, norm=norm)
        return torch.stack([terms[name] for name in TERMS])

    def _autocast(self) -> AbstractContextManager[object]:
        if self._precision == "bf16":
            return torch.autocast(self._device.type, dtype=torch.bfloat16)
        return nullcontext()

    def _attention(self) -> AbstractContextManager[object]:
        """On a CPU in bf16, attention by plain matrix products: its fused kernel trains a quarter slower there."""
        if self._precision == "bf16" and self._device.type == "cpu":
            return _plain_attention()
        return nullcontext()

    def gradients(self, batch: Batch) -> None:
        """Add the batch's gradients to those of the parameters, as if all ranks' shares were one batch."""
        norm = self._world.sum(batch.weight.sum()).clamp(min=1.0)
        if self._graphs:
            torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
        with self._autocast(), self._attention():
            terms = self._losses(batch, norm)
        # Ranks' gradients are averaged, while the loss is a sum over ranks.
        (terms[-1] * self._world.size).backward()  # type: ignore[no-untyped-call]
        self.totals += terms.detach()

    def __call__(self, batch: Batch, lr: float) -> None:
        """Take a step with learning rate `lr`."""
        self.gradients(batch)
        if self._config.clip:
            nn.utils.clip_grad_norm_(self.trained, self._config.clip)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    def read_totals(self) -> dict[str, float]:
        """The sums of the loss terms over all ranks; waits for the device."""
        return dict(zip(TERMS, self._world.sum(self.totals.clone()).tolist(), strict=True))


@contextmanager
def speaking_of_memory(config: TrainConfig, fits: Callable[[int], bool]) -> Iterator[None]:
    """Turn "out of memory" into an `OptionError` that names the batch size which would fit.

    Parameters
    ----------
    fits : whether a step on so many phrases goes through.
    """
    try:
        yield
        return
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        message = f"batch_size {config.batch_size} does not fit into memory"
    size = config.batch_size // 2
    while size and not fits(size):
        size //= 2
    if size:
        raise OptionError(f"{message}; {size} would: --set batch_size={size}")
    raise OptionError(f"{message}, and neither would 1; use a smaller network or another --device")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the device, or the computer, had no memory left."""
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


@contextmanager
def _plain_attention() -> Iterator[None]:
    """Attention without a fused kernel, sums in bf16; PyTorch's settings are put back afterwards."""
    before = torch.backends.cuda.fp16_bf16_reduction_math_sdp_allowed()  # type: ignore[no-untyped-call]
    torch.backends.cuda.allow_fp16_bf16_reduction_math_sdp(True)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.cuda.allow_fp16_bf16_reduction_math_sdp(before)


def _can_compile(device: torch.device, log: Callable[[str], None]) -> bool:
    if device.type == "cpu" and not any(shutil.which(name) for name in ("c++", "g++", "clang++")):
        log("no C++ compiler found: training goes on without torch.compile, which is slower")
        return False
    return True
