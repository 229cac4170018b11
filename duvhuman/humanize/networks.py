"""Networks that are kept in memory for those who ask for them next, until their files change."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from duvhuman.errors import ModelError, OptionError
from duvhuman.humanize.features import check_features
from duvhuman.instruments import INSTRUMENTS
from duvhuman.models.files import trees_file
from duvhuman.models.lora import instrument_of_adapter
from duvhuman.models.phrase_transformer import PhraseTransformer
from duvhuman.models.player import read_player

KEPT_NETWORKS = 8
_networks: dict[tuple[str, str, str, tuple[tuple[int, int], ...]], PhraseTransformer] = {}
_networks_lock = threading.Lock()


def check_device(name: str) -> str:
    """The name of a device that can be used, "auto" resolved; OptionError if it is unknown or cannot."""
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except (RuntimeError, TypeError):
        raise OptionError(f"unknown device {name!r}; there are auto, cpu, cuda, cuda:0, mps") from None
    try:
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError, NotImplementedError):
        raise OptionError(f"device {name!r} was asked for, but cannot be used here; use auto or cpu") from None
    return str(device)


def load_network(folder: Path, adapter: Path | None, device: str, instrument: str) -> PhraseTransformer:
    """The network in `folder` as it plays with an adapter; kept in memory until the files change.

    Raises
    ------
    ModelError
        If a file is missing or damaged, or if the network or the adapter was made for another instrument or version.
    """
    if adapter is not None and (meant := instrument_of_adapter(adapter)) not in (None, instrument):
        raise ModelError(f"{adapter}: is an adapter for {meant}, not for {instrument}; name one for {instrument}")
    places = [folder, trees_file(folder).parent, *([adapter] if adapter else [])]
    files = [file for place in places for kind in ("*.safetensors", "*.json") for file in place.glob(kind)]
    try:
        stamp = tuple(sorted((status.st_mtime_ns, status.st_size) for status in map(os.stat, files)))
    except OSError as error:  # gone since it was found
        raise ModelError(f"{error.filename}: cannot be read ({error.strerror}); get or train the model anew") from None
    key = (str(folder), str(adapter), device, stamp)
    with _networks_lock:
        if key not in _networks:
            network = read_player(folder, adapter)
            check_features(network.config, folder)
            while len(_networks) >= KEPT_NETWORKS:
                _networks.pop(next(iter(_networks)))
            _networks[key] = network.to(device).eval()
        network = _networks[key]
    if (meant := network.config.instrument) in INSTRUMENTS and meant != instrument:
        raise ModelError(f"{folder}: is a model for {meant}, not for {instrument}; name one for {instrument}")
    return network
