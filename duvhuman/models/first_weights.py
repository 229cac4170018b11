"""What the layers of a new network hold at first, without a draw from torch's global generator.

Conventions
-----------
That generator is the program's that duvhuman runs in, and all its threads share it: numbers drawn there would depend on
what the others draw, and theirs on ours. Training, which has the program to itself, draws from it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

_DRAWS = (nn.init.normal_, nn.init.uniform_, nn.init.kaiming_uniform_)


class FirstWeights(TorchFunctionMode):
    """A context for this thread: layers that are made in it are float32, whatever torch's default is.

    Parameters
    ----------
    generator : what random weights are drawn from; None: they hold anything until they are loaded.
    """

    def __init__(self, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self._generator = generator

    def __torch_function__(
        self, func: Callable[..., Any], types: Sequence[type], args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        named = dict(kwargs or {})
        if func is torch.empty and named.get("dtype") is None:
            named["dtype"] = torch.float32
        elif func in _DRAWS:
            if self._generator is None:
                return named["tensor"]
            named["generator"] = self._generator
        return func(*args, **named)
