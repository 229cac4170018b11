"""Networks that are kept in memory for those who ask for them next, until their files change.

Conventions
-----------
A process that is forked once a network was loaded computes on one thread: those of the parent are not there any more,
and OpenMP would wait for them forever.
"""

from __future__ import annotations

import os
import threading
from functools import cache, partial
from pathlib import Path

import torch

from duvhuman.errors import ModelError
from duvhuman.humanize.features import check_features
from duvhuman.instruments import INSTRUMENTS
from duvhuman.models.files import told_of_files
from duvhuman.models.lora import instrument_of_adapter
from duvhuman.models.phrase_transformer import PhraseTransformer, read_config
from duvhuman.models.player import read_player

KEPT_NETWORKS = 8
_networks: dict[tuple[str, str, str, tuple[tuple[int, int], ...]], PhraseTransformer] = {}
_locks: dict[tuple[int, str], threading.Lock] = {}


def check_fits(folder: Path, adapter: Path | None, instrument: str) -> None:
    """ModelError unless the model in `folder` and the adapter are of this version and for this instrument.

    A model that says none, such as a trunk, is for all. Nothing is read but what the two say of themselves.
    """
    if adapter is not None and (meant := instrument_of_adapter(adapter)) not in (None, instrument):
        raise ModelError(f"{adapter}: is an adapter for {meant}, not for {instrument}; name one for {instrument}")
    config = read_config(folder)
    check_features(config, folder)
    if (meant := config.instrument) in INSTRUMENTS and meant != instrument:
        raise ModelError(f"{folder}: is a model for {meant}, not for {instrument}; name one for {instrument}")


def load_network(folder: Path, adapter: Path | None, device: str, instrument: str) -> PhraseTransformer:
    """The network in `folder` as it plays with an adapter; kept in memory until the files change.

    Raises
    ------
    ModelError
        If a file is missing or damaged, or if the network or the adapter was made for another instrument or version.
    """
    check_fits(folder, adapter, instrument)
    stamps = [(status.st_mtime_ns, status.st_size) for status in told_of_files(folder, adapter, Path.stat)]
    key = (str(folder), str(adapter), device, tuple(sorted(stamps)))
    mind_forks()
    # Merging an adapter is arithmetic, too, which autocast of whoever calls must not change.
    with own_lock("networks"), torch.autocast("cpu", enabled=False):
        if key not in _networks:
            network = read_player(folder, adapter)
            while len(_networks) >= KEPT_NETWORKS:
                _networks.pop(next(iter(_networks)))
            _networks[key] = network.to(device).eval()
        return _networks[key]


@cache
def mind_forks() -> None:
    """Let every process that is forked from now on compute on one thread; Windows forks none."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=partial(torch.set_num_threads, 1))


def own_lock(name: str) -> threading.Lock:
    """The lock of that name of this process: that of the parent may have been held when this one was forked."""
    return _locks.setdefault((os.getpid(), name), threading.Lock())
