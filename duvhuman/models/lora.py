"""Merge a LoRA adapter in PEFT's file format into a network, without PEFT (whose import costs seconds).

Conventions
-----------
An adapter is a folder with ``adapter_config.json`` and ``adapter_model.safetensors``. Its tensors are named
``base_model.model.<module>.lora_A.weight`` (r, in) and ``...lora_B.weight`` (out, r) for a Linear whose weight W is
(out, in), and ``base_model.model.<module>.weight`` or ``.bias`` for what was trained whole (``modules_to_save``).
A personal adapter's folder may hold more, see `duvhuman.models.personal`; merging applies that, too.
Merging does ``W += scale * B @ A``, scale being ``lora_alpha / r``, or ``lora_alpha / sqrt(r)`` where ``use_rslora``
is set (Hu et al. 2021, arXiv:2106.09685; Kalajdzievski 2023, arXiv:2312.03732). Sums are formed in float32.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from duvhuman.errors import ModelError
from duvhuman.instruments import INSTRUMENTS
from duvhuman.models.files import ADAPTER_CONFIG_FILE, ADAPTER_WEIGHTS_FILE, read_json, read_tensors
from duvhuman.models.personal import make_personal
from duvhuman.models.phrase_transformer import PhraseTransformer

PREFIX = "base_model.model."
UNSUPPORTED = (
    "fan_in_fan_out", "use_dora", "use_qalora", "use_bdlora", "lora_bias", "layer_replication", "target_parameters",
    "trainable_token_indices", "alora_invocation_tokens", "arrow_config", "velora_config", "kasa_config",
    "monteclora_config",
)
"""Settings of PEFT's LoraConfig under which an adapter is something else than ``W + scale * B @ A``."""
PLAIN_STARTS = (None, True, False, "gaussian", "orthogonal", "eva")
"""Ways to initialise an adapter that leave the base as it is; the others (PiSSA, OLoRA, ...) change its weights."""


def instrument_of_adapter(folder: Path) -> str | None:
    """The instrument whose model an adapter says it was made for; None if it names none. Errors as `read_adapter`."""
    name = str(_read_config(folder / ADAPTER_CONFIG_FILE).get("base_model_name_or_path"))
    instrument = name.removeprefix("duvhuman/")
    return instrument if name != instrument and instrument in INSTRUMENTS else None


def merge_adapter(model: PhraseTransformer, folder: Path) -> None:
    """Merge the adapter in `folder` into `model`, in place; if it cannot be merged whole, nothing is changed.

    Parameters
    ----------
    model : the network that the adapter was trained on; its dtype and device stay as they are.
    folder : a folder that PEFT's ``save_pretrained`` wrote.

    Raises
    ------
    ModelError
        If a file is missing or corrupt, if the adapter names a module that the network has not or a tensor of
        another shape, or if it uses a variant of LoRA that is not merged here.
    """
    config, tensors = read_adapter(folder)
    parameters = dict(model.named_parameters())
    try:
        merged = dict(_merged(parameters, tensors, config))
    except ModelError as error:
        raise ModelError(f"{folder / ADAPTER_WEIGHTS_FILE}: {error}") from None
    make_personal(model, folder)  # before the weights: it raises before it changes anything
    with torch.no_grad():
        for name, value in merged.items():
            parameters[name].copy_(value)


def read_adapter(folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The configuration and the tensors of the adapter in `folder`; ModelError as of `merge_adapter`."""
    return _read_config(folder / ADAPTER_CONFIG_FILE), _read_tensors(folder / ADAPTER_WEIGHTS_FILE)


def _merged(
    parameters: Mapping[str, Tensor], tensors: Mapping[str, Tensor], config: Mapping[str, Any]
) -> Iterable[tuple[str, Tensor]]:
    """The name and the new float32 value of every parameter that the adapter changes."""
    down: dict[str, Tensor] = {}
    up: dict[str, Tensor] = {}
    for key, tensor in tensors.items():
        if not tensor.isfinite().all():
            raise ModelError(f"{key} holds NaN or infinite values; get or train the adapter anew")
        name = key.removeprefix(PREFIX)
        if name.endswith(".lora_A.weight"):
            down[name.removesuffix(".lora_A.weight")] = tensor
        elif name.endswith(".lora_B.weight"):
            up[name.removesuffix(".lora_B.weight")] = tensor
        else:
            name = re.sub(r"\.modules_to_save(\.default)?(?=\.)", "", name)  # written by some versions of PEFT
            _check_target(name, tuple(tensor.shape), parameters, key)
            yield name, tensor.float()
    if half := sorted(down.keys() ^ up.keys()):
        raise ModelError(f"{half[0]} has only one of lora_A and lora_B; the file is incomplete, get it anew")
    for module, a in down.items():
        b, name = up[module], f"{module}.weight"
        rank = _by_pattern(config.get("rank_pattern"), module, config["r"])
        alpha = _by_pattern(config.get("alpha_pattern"), module, config["lora_alpha"])
        if a.ndim != 2 or b.ndim != 2 or not a.shape[0] == b.shape[1] == rank:
            raise ModelError(
                f"{module} has lora_A {tuple(a.shape)} and lora_B {tuple(b.shape)}, but {ADAPTER_CONFIG_FILE} says "
                f"rank {rank}; the two files come from different adapters"
            )
        _check_target(name, (b.shape[0], a.shape[1]), parameters, module)
        weight = parameters[name].detach()
        scale = alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)
        yield name, weight.float() + scale * (b.to(weight.device).float() @ a.to(weight.device).float())


def _check_target(name: str, shape: tuple[int, ...], parameters: Mapping[str, Tensor], key: str) -> None:
    """Raise ModelError unless the network has a parameter of this name and shape."""
    if name not in parameters:
        raise ModelError(f"{key} has no counterpart in the network; use the base model it was trained on")
    if tuple(parameters[name].shape) != shape:
        raise ModelError(
            f"{key} is made for a {name} of shape {shape}, the network's is {tuple(parameters[name].shape)}; "
            "use the base model it was trained on"
        )


def _by_pattern(patterns: Mapping[str, Any] | None, module: str, default: float) -> float:
    """What the first pattern that matches the end of the module's path says, else the default."""
    for pattern, value in (patterns or {}).items():
        if re.match(rf"(.*\.)?({pattern})$", module):
            return float(value)
    return default


def _read_config(path: Path) -> dict[str, Any]:
    """The adapter's configuration; ModelError if it cannot be read or says something that is not merged here."""
    if not path.exists():
        raise ModelError(f"{path}: not there; name a folder that holds an adapter in PEFT's format")
    config = read_json(path, "get or train the adapter anew")
    if config.get("peft_type") != "LORA":
        raise ModelError(f"{path}: does not describe a LoRA adapter (peft_type is not LORA); use one that is LoRA")
    for key in ("r", "lora_alpha"):
        value = config.get(key)
        if not isinstance(value, (int, float)) or isinstance(value, bool) or value <= 0:
            raise ModelError(f"{path}: {key} must be a number above 0, not {value!r}; get or train the adapter anew")
    for key in ("rank_pattern", "alpha_pattern"):
        patterns = config.get(key) or {}
        if not isinstance(patterns, dict) or not all(isinstance(value, (int, float)) for value in patterns.values()):
            raise ModelError(f"{path}: {key} must map names to numbers, not {patterns!r}; train the adapter anew")
        for pattern in patterns:
            try:
                re.compile(pattern)
            except re.error as error:
                raise ModelError(f"{path}: {key} {pattern!r} is no pattern ({error}); train the adapter anew") from None
    if config.get("bias", "none") != "none":
        raise ModelError(f"{path}: trained biases ({config['bias']!r}) cannot be merged; train with bias='none'")
    if (start := config.get("init_lora_weights")) not in PLAIN_STARTS:
        raise ModelError(f"{path}: initialised by {start!r}, which changes the base; train a plain LoRA adapter")
    if used := [key for key in UNSUPPORTED if config.get(key)]:
        raise ModelError(f"{path}: uses {', '.join(used)}, which cannot be merged; train a plain LoRA adapter")
    return config


def _read_tensors(path: Path) -> dict[str, Tensor]:
    """The adapter's tensors, on the CPU; ModelError if the file is missing, corrupt or empty."""
    tensors = read_tensors(path, "get or train the adapter anew, in PEFT's format")
    if not tensors:
        raise ModelError(f"{path}: holds no tensors; get or train the adapter anew")
    return tensors
