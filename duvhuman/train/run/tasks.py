"""Which parts of the data a stage trains on, and which it is judged by.

Conventions
-----------
The parts of an instrument, or of ``"all"``; of those that are held out some are played after every epoch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from duvhuman.errors import DataError
from duvhuman.instruments import INSTRUMENTS
from duvhuman.train.config import TrainConfig
from duvhuman.train.data.storage import PartRow
from duvhuman.train.dataset import PhraseData
from duvhuman.train.evaluation.predictors import PAIR_NOTES, flat_pairs
from duvhuman.train.pairs.deadpan import Pair
from duvhuman.train.run.teachers import Teachers

MOST_PAIRS = 24


@dataclass(frozen=True)
class Task:
    """What a run trains on, and what it is judged by.

    Attributes
    ----------
    train, valid : parts of the data set.
    pairs : flat parts for the metrics of each epoch, through the inference path.
    teachers : those whom the network listens to.
    heard : the folder of the model whose trees are heard beside the network where pairs are played; None: no trees.
    """

    data: PhraseData
    train: Sequence[PartRow]
    valid: Sequence[PartRow]
    pairs: Sequence[Pair]
    teachers: Teachers | None = None
    heard: Path | None = None


def task_of(data: PhraseData, instrument: str, config: TrainConfig, teachers: Teachers | None = None) -> Task:
    """What a stage with this configuration trains on and is judged by.

    Raises
    ------
    DataError
        If there are no parts for one or the other, or none to be judged by has dynamics.
    """
    train, valid = _parts(data, instrument, config)
    remedy = "take all parts with --set played_only=false" if config.played_only else "prepare more data"
    if train and not valid and not config.played_only:
        remedy += ", or with a larger --valid"
    if not train or not valid:
        kind = "parts played by hand" if config.played_only else "parts"
        raise DataError(
            f"{data.name}: {len(train)} training and {len(valid)} validation {kind} for {instrument}; {remedy}"
        )
    pairs = _sample_pairs(data, valid)
    if not pairs:
        raise DataError(f"{data.name}: no validation part of {instrument} has dynamics in its middle; {remedy}")
    return Task(data, train, valid, pairs, teachers)


def adapter_config(
    data: PhraseData, instrument: str, config: TrainConfig, log: Callable[[str], None]
) -> TrainConfig:
    """`config` of an adapter; where too little was played by hand to train and to judge it, that of all parts.

    Parameters
    ----------
    log : told if it is.
    """
    train, valid = _parts(data, instrument, config)
    if not config.played_only or (train and valid and _sample_pairs(data, valid)):
        return config
    of_all = replace(config, played_only=False)
    if all(_parts(data, instrument, of_all)):
        log(
            f"{instrument}: the adapter learns from all parts; too few were played by hand ({len(train)} to train on, "
            f"{len(valid)} to validate)"
        )
    return of_all


def _parts(data: PhraseData, instrument: str, config: TrainConfig) -> tuple[list[PartRow], list[PartRow]]:
    train = data.select(split="train", instrument=instrument, played_only=config.played_only, extra=config.extra)
    return train, data.select(split="valid", instrument=instrument, played_only=config.played_only)


def _sample_pairs(data: PhraseData, valid: Sequence[PartRow]) -> list[Pair]:
    rng = np.random.default_rng(1)
    chosen: list[PartRow] = []
    names = [name for name in INSTRUMENTS if any(part.instrument == name for part in valid)]
    for name in names:
        parts = [part for part in valid if part.instrument == name]
        chosen += [parts[i] for i in rng.permutation(len(parts))[: MOST_PAIRS // len(names)]]
    return flat_pairs(data, chosen, max_notes=PAIR_NOTES)
