"""The files of models and adapters: how they are named, and how they are read and written.

Conventions
-----------
Importing this imports neither torch nor safetensors: what looks for files does not need them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from duvhuman.errors import ModelError
from duvhuman.files import write_whole

if TYPE_CHECKING:
    from torch import Tensor

Told = TypeVar("Told")

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
MODEL_FILES = (CONFIG_FILE, WEIGHTS_FILE)
ADAPTER_CONFIG_FILE = "adapter_config.json"
ADAPTER_WEIGHTS_FILE = "adapter_model.safetensors"
ADAPTER_FILES = (ADAPTER_CONFIG_FILE, ADAPTER_WEIGHTS_FILE)
PERSONAL_FILE = "duvhuman.json"
"""How a personal adapter is played (`duvhuman.models.personal`)."""
MEMORY_FILE = "memory.safetensors"
"""What it remembers of the takes (`duvhuman.models.memory`)."""
ADAPTER_FOLDER = "adapter"
"""The sub-folder of a model in which its default adapter lies."""
TREES_FILE = "trees.safetensors"
TREES_FOLDER = Path(__file__).parent / "weights" / "trees"
"""The trees that come with the package; a model hears its own instead that has some (`duvhuman.models.trees`)."""
CARD_FILE = "README.md"
FILES_BESIDE_MODEL = (
    TREES_FILE, CARD_FILE,
    *(f"{ADAPTER_FOLDER}/{name}" for name in (*ADAPTER_FILES, PERSONAL_FILE, MEMORY_FILE, CARD_FILE)),
)
"""What may lie beside `MODEL_FILES`, by its path from there, in a repository of the Hugging Face hub, too: safetensors
and text."""


def trees_file(folder: Path) -> Path:
    """Where the trees of the model in `folder` are: there, or where those lie that come with the package."""
    own = folder / TREES_FILE
    return own if own.is_file() else TREES_FOLDER / TREES_FILE


def has_model(folder: Path) -> bool:
    """Whether a model's weights stand in `folder`."""
    return (folder / WEIGHTS_FILE).exists()


def weights_files(folder: Path) -> list[Path]:
    """The weights of the model in `folder`, and the trees if it hears any."""
    try:
        hears = bool(json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8")).get("trees_share"))
    except (OSError, ValueError, AttributeError):  # what is wrong with it is told where it is read
        hears = False
    return [folder / WEIGHTS_FILE, *([trees_file(folder)] if hears else [])]


def weights_digest(folder: Path) -> str:
    """What tells `weights_files` of the model in `folder` from all others (SHA-256).

    Raises
    ------
    OSError
        If they cannot be read.
    """
    return hashlib.sha256(b"".join(file.read_bytes() for file in weights_files(folder))).hexdigest()


def adapter_files(folder: Path) -> list[Path]:
    """All that decides how an adapter plays: its weights and configuration, and what a personal one has beside them."""
    return sorted([*folder.glob("*.safetensors"), *folder.glob("*.json")])


def told_of_files(folder: Path, adapter: Path | None, tell: Callable[[Path], Told]) -> list[Told]:
    """What `tell` gives for each file that decides how the model in `folder` plays with an adapter.

    An OSError of `tell` becomes a ModelError that names the file.
    """
    told = []
    for file in [folder / CONFIG_FILE, *weights_files(folder), *(adapter_files(adapter) if adapter else [])]:
        try:
            told.append(tell(file))
        except OSError as error:
            why = error.strerror or error
            raise ModelError(f"{file}: cannot be read ({why}); get or train the model anew") from None
    return told


def read_json(path: Path, advice: str) -> dict[str, Any]:
    """The JSON object in a file; ModelError, which ends with `advice`, if it cannot be read or holds something else."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: cannot be read ({error}); {advice}") from None
    if not isinstance(values, dict):
        raise ModelError(f"{path}: must hold a JSON object; {advice}")
    return values


def read_tensors(path: Path, advice: str) -> dict[str, Tensor]:
    """The tensors of a safetensors file, on the CPU.

    Parameters
    ----------
    advice : what to do if they cannot be read.

    Raises
    ------
    ModelError
        If the file is missing or damaged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except FileNotFoundError:
        raise ModelError(f"{path.parent}: no {path.name} there; {advice}") from None
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path}: cannot be read ({error}); {advice}") from None


def read_about(path: Path) -> dict[str, str]:
    """What stands in the metadata of a safetensors file; ModelError if that cannot be read."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            return dict(file.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path}: cannot be read ({error})") from None


def write_tensors(path: Path, tensors: Mapping[str, Tensor], about: Mapping[str, str] | None = None) -> None:
    """Write tensors, as they are, to a safetensors file, whole or not at all; OSError if that cannot be done.

    Not by safetensors itself, whose files none but their owner may read.

    Parameters
    ----------
    about : what stands in the file's metadata, for `read_about`.
    """
    from safetensors.torch import save

    stored = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_whole(path, save(stored, metadata={"format": "pt"} | dict(about or {})))
