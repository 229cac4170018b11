"""What several commands share: their parsers, naming data and opening it, and choosing a device."""

from __future__ import annotations

import argparse
import os
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from duvhuman.errors import OptionError
from duvhuman.models.device import check_device

if TYPE_CHECKING:
    import torch

    from duvhuman.train.dataset import PhraseData


def command_parser(name: str, description: str, epilog: str = "") -> argparse.ArgumentParser:
    """The parser of a command; without a name that of training itself. Only the description is wrapped."""
    return argparse.ArgumentParser(
        prog=f"python -m duvhuman.train {name}".rstrip(), description=textwrap.fill(description, 80), epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False,
    )


def add_data_option(parser: argparse.ArgumentParser, *, default: Sequence[str] | None = None) -> None:
    """The option ``--data``, for `open_data`."""
    parser.add_argument(
        "--data", nargs="+", default=default, metavar="DIR|CSV",
        help="what `prepare` wrote, or phrase CSV files (default: prepared)",
    )


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
    """The device that `check_device` finds. On a CPU all cores are used. OptionError if there is no such device."""
    import torch

    device = torch.device(check_device(name))
    if device.type == "cpu" and "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(os.cpu_count() or 1)
    return device
