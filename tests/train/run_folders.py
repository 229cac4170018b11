"""A run's folder as training leaves it, for tests of what is made of it."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from toys import tiny_network

from duvhuman.models.personal import write_personal

WHOLE = {
    "config.json", "model.safetensors", "README.md", "training.json", "metrics.csv", "curves.png",
    "adapter/adapter_config.json", "adapter/adapter_model.safetensors", "adapter/duvhuman.json",
}
PRIVATE = ("state.pt", "state.pt.tmp", "run.json", "events.out.tfevents.1", "adapter/optimizer.bin", "base/config.json")


def make_adapter(folder: Path, scale: float = 0.1) -> None:
    """A LoRA adapter of rank 2 on the first query projection of a tiny network."""
    folder.mkdir(parents=True)
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": 2, "lora_alpha": 4}))
    name = "base_model.model.blocks.0.attention.q_proj"
    tensors = {f"{name}.lora_A.weight": torch.ones(2, 16), f"{name}.lora_B.weight": scale * torch.ones(16, 2)}
    save_file(tensors, folder / "adapter_model.safetensors")


def make_run(folder: Path, instrument: str = "guitar", *, adapter: bool = True) -> Path:
    """A run's folder as training leaves it, with everything that nobody else should have."""
    tiny_network(instrument=instrument).save_pretrained(folder)
    for name in ("README.md", "training.json", "metrics.csv"):
        (folder / name).write_text(f"# {name}\n")
    (folder / "curves.png").write_bytes(b"\x89PNG")
    if adapter:
        make_adapter(folder / "adapter")
        write_personal(folder / "adapter", {"config": {"velocity_gain": 2.5}})
    for name in PRIVATE:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("not for others")
    return folder
