"""LoRA adapters: put on a network for training, saved in PEFT's own format.

Conventions
-----------
PEFT is imported inside the functions: it takes seconds, and only training needs it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from duvhuman.models.phrase_transformer import PhraseTransformer
from duvhuman.train.config import TrainConfig

if TYPE_CHECKING:
    from peft import PeftModel

LORA_TARGETS = ("q_proj", "v_proj", "out_proj", "ff_in", "ff_out")
ADAPTER_CONFIG_FILE = "adapter_config.json"


def add_adapter(network: PhraseTransformer, config: TrainConfig) -> PeftModel:
    """Wrap `network` in PEFT with a fresh adapter; only the adapter's tensors are trained.

    The network is changed in place, so that playing with it plays with the adapter.
    """
    from peft import LoraConfig, get_peft_model

    lora = LoraConfig(
        r=config.lora_r, lora_alpha=config.lora_alpha, lora_dropout=config.lora_dropout,
        target_modules=list(LORA_TARGETS),
    )  # fmt: skip
    return get_peft_model(network, lora)


def save_adapter(model: PeftModel, folder: Path, base_name: str) -> None:
    """Write the adapter in PEFT's format, naming its base and without a path of this machine."""
    model.save_pretrained(str(folder))
    path = folder / ADAPTER_CONFIG_FILE
    config = json.loads(path.read_text(encoding="utf-8"))
    config["base_model_name_or_path"] = base_name
    config["target_modules"] = sorted(config["target_modules"])
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    (folder / "README.md").unlink(missing_ok=True)
