"""LoRA adapters: put on a network for training, saved in PEFT's own format.

Conventions
-----------
PEFT is imported inside the functions: it takes seconds, and only training needs it.
"""

from __future__ import annotations

import errno
import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import torch

from duvhuman.errors import ModelError
from duvhuman.files import write_whole
from duvhuman.models.files import ADAPTER_CONFIG_FILE, ADAPTER_WEIGHTS_FILE, CARD_FILE, MEMORY_FILE
from duvhuman.models.lora import read_adapter
from duvhuman.models.phrase_transformer import PhraseTransformer
from duvhuman.train.config import TrainConfig

if TYPE_CHECKING:
    from peft import PeftModel

LORA_TARGETS = ("q_proj", "v_proj", "out_proj", "ff_in", "ff_out")
HEAD_TARGETS = ("velocity_head", "duration_head")
"""What a personal adapter adapts beside them."""


def add_adapter(network: PhraseTransformer, config: TrainConfig) -> PeftModel:
    """Wrap `network` in PEFT with a fresh adapter; only the adapter's tensors are trained.

    The network is changed in place, so that playing with it plays with the adapter.
    """
    from peft import LoraConfig, get_peft_model

    lora = LoraConfig(
        r=config.lora_r, lora_alpha=config.lora_alpha, lora_dropout=config.lora_dropout,
        target_modules=list(LORA_TARGETS),
    )
    return get_peft_model(network, lora)


def continue_adapter(network: PhraseTransformer, start: Path | None, config: TrainConfig) -> PeftModel:
    """Wrap `network` in PEFT with an adapter for the heads, too, that begins by playing as the adapter in `start`.

    Parameters
    ----------
    start : a folder in PEFT's format; None to begin with the bare network.
    config : rank, alpha and dropout, of which the first two come from `start` if there is one.

    Raises
    ------
    ModelError
        If the adapter in `start` adapts more than a personal one can, or is a personal one, with a memory of its own.
    """
    from peft import LoraConfig, get_peft_model

    if start is not None and (start / MEMORY_FILE).exists():
        raise ModelError(f"{start}: is fitted to takes already; begin with the model's own adapter, and give all takes")
    settings, tensors = ({"r": config.lora_r, "lora_alpha": config.lora_alpha}, {}) if start is None else (
        read_adapter(start)
    )
    lora = LoraConfig(
        r=int(settings["r"]), lora_alpha=settings["lora_alpha"], lora_dropout=config.lora_dropout,
        rank_pattern=settings.get("rank_pattern") or {}, alpha_pattern=settings.get("alpha_pattern") or {},
        use_rslora=bool(settings.get("use_rslora")), target_modules=[*LORA_TARGETS, *HEAD_TARGETS],
    )
    model = get_peft_model(network, lora)
    own = dict(model.named_parameters())
    with torch.no_grad():
        for key, tensor in tensors.items():
            name = key.removesuffix(".weight") + ".default.weight"
            if name not in own or own[name].shape != tensor.shape:
                raise ModelError(f"{start}: {key} cannot be continued by a personal adapter; begin with adapter=None")
            own[name].copy_(tensor)
    return model


def save_adapter(model: PeftModel, folder: Path, base_name: str) -> None:
    """Write the adapter in PEFT's format, naming its base and without a path of this machine; OSError if that fails."""
    from safetensors import SafetensorError

    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as name:
        saved = Path(name)
        try:
            model.save_pretrained(name)
        except SafetensorError as error:
            raise OSError(errno.EIO, str(error), name) from None
        config = json.loads((saved / ADAPTER_CONFIG_FILE).read_text(encoding="utf-8"))
        weights = (saved / ADAPTER_WEIGHTS_FILE).read_bytes()
    config["base_model_name_or_path"] = base_name
    config["target_modules"] = sorted(config["target_modules"])
    write_whole(folder / ADAPTER_WEIGHTS_FILE, weights)
    write_whole(folder / ADAPTER_CONFIG_FILE, json.dumps(config, indent=2, sort_keys=True) + "\n")
    (folder / CARD_FILE).unlink(missing_ok=True)  # of another adapter that was there
