"""What several commands share: opening data and choosing a device."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from duvhuman.errors import OptionError
from duvhuman.humanize.networks import check_device

if TYPE_CHECKING:
    import torch

    from duvhuman.train.dataset import PhraseData


def open_data(paths: Sequence[str], log: Callable[[str], None]) -> PhraseData:
    """The data set that ``--data`` names: a prepared folder, or phrase CSV files.

    Raises
    ------
    OptionError
        If folders and files are mixed, or several folders are named.
    DataError
        If there is no data set, or nothing usable in it.
    """
    from duvhuman.train.dataset import PhraseData

    tables = [path for path in paths if path.lower().endswith((".csv", ".tsv"))]
    if len(tables) == len(paths):
        from duvhuman.train.phrase_csv import read_phrase_csv

        return read_phrase_csv([Path(path) for path in tables], log=log)
    if len(paths) > 1:
        raise OptionError("--data takes one prepared folder, or CSV files, not both or several folders")
    return PhraseData(paths[0])


def choose_device(name: str) -> torch.device:
    """The device of this name; "auto" is CUDA where there is one. On a CPU all cores are used.

    Raises
    ------
    OptionError
        If there is no such device.
    """
    import torch

    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise OptionError(f"unknown device {name!r}; there are auto, cpu, cuda, cuda:0") from None
    if device.type not in ("cpu", "cuda"):
        check_device(name)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise OptionError(f"device {name!r} was asked for, but this machine has no CUDA; use --device cpu")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise OptionError(f"there is no {name!r}: this machine has {torch.cuda.device_count()} GPUs, from cuda:0")
    if device.type == "cpu" and "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(os.cpu_count() or 1)
    return device
