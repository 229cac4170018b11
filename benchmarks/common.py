"""What several benchmarks share: their options, the rows of their tables, and the models that names stand for.

Conventions
-----------
A model is a folder, or ``shipped``: the one that comes with the package, whatever ``$DUVHUMAN_MODELS`` holds. ``:base``
after it leaves its adapter out.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from duvhuman.errors import OptionError
from duvhuman.instruments import INSTRUMENTS, get_instrument
from duvhuman.models import store
from duvhuman.models.phrase_transformer import PhraseTransformer
from duvhuman.models.player import read_player
from duvhuman.train.evaluation.metrics import bootstrap_interval

SHIPPED, WITHOUT_ADAPTER = "shipped", ":base"


def add_data_options(
    parser: argparse.ArgumentParser, *, max_parts: int, max_notes: int | None = None, of: str = "pack"
) -> None:
    """What parts are played: the folder, how many of each pack (or instrument), and how many notes of each."""
    parser.add_argument("--data", default="prepared", metavar="DIR", help="what prepare wrote (prepared)")
    help_parts = f"at most so many parts of each {of} ({max_parts})"
    parser.add_argument("--max-parts", type=int, default=max_parts, help=help_parts)
    if max_notes is not None:
        help_notes = f"of a part at most so many, from its middle ({max_notes})"
        parser.add_argument("--max-notes", type=int, default=max_notes, help=help_notes)


def add_model_option(parser: argparse.ArgumentParser) -> None:
    """Which model plays."""
    parser.add_argument("--model", default=SHIPPED, help="a folder, or shipped (the default); with :base, no adapter")


def add_instruments(parser: argparse.ArgumentParser, name: str = "instruments") -> None:
    """Which instruments are played, by their names or aliases; all four if none is named."""

    def known(text: str) -> str:
        try:
            return get_instrument(text).name
        except OptionError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    parser.add_argument(name, nargs="+" if name.startswith("-") else "*", type=known, default=list(INSTRUMENTS))


def print_heading(*names: str) -> None:
    """Begin a table in Markdown."""
    print_row(*names)
    print("|" + "---|" * len(names), flush=True)


def print_row(*cells: object) -> None:
    """Go on with it."""
    print(f"| {' | '.join(map(str, cells))} |", flush=True)


def difference(values: Iterable[float], songs: Iterable[str] | None = None) -> str:
    """The mean of differences with its 95 % bootstrap interval, in which songs are drawn whole; NaN is left out."""
    each = np.array(list(values))
    known = np.isfinite(each)
    low, high = bootstrap_interval(each[known], None if songs is None else np.array(list(songs))[known])
    return f"{each[known].mean():+.3f} ({low:+.3f} to {high:+.3f})"


def folders_of(name: str, instrument: str) -> tuple[Path, Path | None]:
    """The folders of a model that was named, and of its adapter if it has one."""
    model = name.removesuffix(WITHOUT_ADAPTER)
    folder = store.find_model(instrument, store.BUNDLED if model == SHIPPED else model)
    return folder, None if name.endswith(WITHOUT_ADAPTER) else store.find_adapter(instrument, "default", folder)


def network_of(name: str, instrument: str) -> PhraseTransformer:
    """The network of a model that was named, with its adapter merged if it has one."""
    return read_player(*folders_of(name, instrument))
