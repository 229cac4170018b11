"""The state of a run on disk: written whole or not at all, read without unpickling anything but tensors.

Conventions
-----------
``state.pt`` holds plain containers, numbers, strings and tensors, and is loaded with ``weights_only=True``.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch

from duvhuman.errors import DataError, FileError
from duvhuman.files import written_whole

STATE_FILE = "state.pt"


def save_state(folder: Path, state: dict[str, Any]) -> None:
    """Write the state atomically: an interruption, or a full disk (FileError), leaves the one before."""
    path = folder / STATE_FILE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with written_whole(path) as unfinished, unfinished.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())  # else a power cut may leave the new name with nothing in it
    except (OSError, RuntimeError) as error:  # torch's writer turns a full disk into a RuntimeError
        raise FileError(f"{path}: cannot be written ({error}); make room, then go on with --resume") from None


def load_state(folder: Path) -> dict[str, Any]:
    """Read the state of a run; DataError if there is none, or it is unreadable or damaged."""
    path = folder / STATE_FILE
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise DataError(f"{path}: no run to resume there; start one without --resume") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); make it readable, then go on") from None
    except Exception:  # noqa: BLE001 - torch raises many kinds for a damaged file; each means the same here
        raise DataError(f"{path}: damaged; start anew without --resume, with --force") from None
    return state


def stage_in_progress(folder: Path) -> str | None:
    """The stage whose state is kept in `folder`, or None if there is none."""
    return str(load_state(folder)["stage"]) if (folder / STATE_FILE).exists() else None
