"""What an adapter's folder may hold beside PEFT's two files: gains, a player's own spread, and a memory of the takes.

Conventions
-----------
``duvhuman.json`` holds ``config``, the keys of the model's config that are otherwise with this adapter (`PERSONAL`),
and of a personal one ``base``, the digest of the weights that it was fitted to, and ``held_out``, how well it plays
bars it was not fitted to (for people to read).
``memory.safetensors`` is a `duvhuman.models.memory.Memory`. Either may be missing; PEFT itself reads neither.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from duvhuman.errors import ModelError
from duvhuman.files import write_whole
from duvhuman.models.config import ModelConfig
from duvhuman.models.files import MEMORY_FILE, PERSONAL_FILE, read_json
from duvhuman.models.memory import Memory, attach
from duvhuman.models.phrase_transformer import PhraseTransformer

PERSONAL = (
    "velocity_gain", "contour_gain", "swell_gain", "spread_share", "typical_range", "typical_level", "furthest_below",
    "furthest_above",
)


def make_personal(network: PhraseTransformer, folder: Path) -> None:
    """Give `network` what the adapter in `folder` holds beside its tensors; nothing if it holds nothing.

    Raises
    ------
    ModelError
        If a file is damaged, or does not fit the network.
    """
    config = personal_config(network.config, folder)
    memory = Memory.load(folder, config) if (folder / MEMORY_FILE).exists() else None
    network.config = config
    if memory is not None:
        attach(network, memory)


def personal_config(config: ModelConfig, folder: Path) -> ModelConfig:
    """A model's `config` as it is with the adapter in `folder`; ModelError if what the folder says is damaged.

    A ``velocity_gain`` that comes without a ``spread_share`` is all of the gain.
    """
    changes = read_personal(folder).get("config", {})
    wrong = not isinstance(changes, dict) or any(
        key not in PERSONAL or not isinstance(value, (int, float)) for key, value in changes.items()
    )
    if wrong:
        raise ModelError(f"{folder / PERSONAL_FILE}: config may hold {', '.join(PERSONAL)}; train it anew")
    if "velocity_gain" in changes:
        changes = {"spread_share": 0.0} | changes
    return ModelConfig.from_dict(config.to_dict() | changes)


def read_personal(folder: Path) -> dict[str, Any]:
    """What ``duvhuman.json`` of the adapter in `folder` says; empty if there is none; ModelError if it is damaged."""
    path = folder / PERSONAL_FILE
    return read_json(path, "get or train the adapter anew") if path.exists() else {}


def write_personal(folder: Path, values: Mapping[str, Any]) -> None:
    """Write ``duvhuman.json`` into the folder of an adapter, whole or not at all."""
    write_whole(folder / PERSONAL_FILE, json.dumps(values, indent=1) + "\n")
