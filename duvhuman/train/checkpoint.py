"""The state of a run on disk: written whole or not at all, read without unpickling anything but tensors.

Conventions
-----------
``state.pt`` holds plain containers, numbers, strings and tensors, and is loaded with ``weights_only=True``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from duvhuman.errors import DataError

STATE_FILE = "state.pt"


def save_state(folder: Path, state: dict[str, Any]) -> None:
    """Write the state atomically: an interruption leaves the one before."""
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / (STATE_FILE + ".tmp")
    torch.save(state, temporary)
    temporary.replace(folder / STATE_FILE)


def load_state(folder: Path) -> dict[str, Any]:
    """Read the state of a run; DataError if there is none or it is unreadable."""
    path = folder / STATE_FILE
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # noqa: BLE001 - torch raises many kinds for a damaged file; each means the same here
        raise DataError(f"{path}: no run to resume there ({error}); start one without --resume") from None
    return state
