"""Train the network of `duvhuman.models.company`: how flat parts follow the other parts of their files.

What is learnt is how much of what a player did, and the network of the instrument does not expect, the others tell. So
that network must not know the songs: it would seem to need no others.

Conventions
-----------
N notes of a part, K other parts, C columns each. Velocities are standardised: minus their mean, over their SD.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from duvhuman.arrays import FloatArray
from duvhuman.errors import DataError, FileError, OptionError
from duvhuman.humanize.company import what_is_heard
from duvhuman.humanize.features import check_features
from duvhuman.humanize.perform import perform
from duvhuman.instruments import INSTRUMENTS
from duvhuman.models.company import CompanyNetwork, save_company
from duvhuman.models.phrase_transformer import PhraseTransformer, read_config
from duvhuman.train.company.parts import NO_BANDS, cases
from duvhuman.train.config import fold_of
from duvhuman.train.dataset import PhraseData
from duvhuman.train.evaluation.predictors import written_flat
from duvhuman.train.record import PACKS, fold_left_out

MOST_NOTES = 512
"""So many notes in the middle of a part are learnt from."""
BATCH_PARTS = 8
LEARNING_RATE, WEIGHT_DECAY, WARMUP, LARGEST_GRADIENT = 2e-3, 0.02, 0.1, 1.0
TELLS_AT_FIRST = 0.35
"""How many SDs of a player's velocities one SD of what is expected of the part alone tells, when training begins."""
BANDS_THINNED, PARTS_LEFT_OUT = 0.5, 0.2
"""So many bands are shown with each of their parts left out by such a chance: users' files have fewer parts."""


@dataclass(frozen=True)
class Example:
    """A part and its band.

    Attributes
    ----------
    heard : (N, K, C) what `duvhuman.humanize.company.what_is_heard` gives.
    alone : (N,) the velocities that are expected of the part alone, standardised.
    played : (N,) the player's, standardised.
    instrument : what it is played on.
    """

    heard: NDArray[np.float32]
    alone: FloatArray
    played: FloatArray
    instrument: str


def train_company(
    data: PhraseData, folder: Path, teachers: Sequence[Path], out: Path, log: Callable[[str], None]
) -> Path:
    """Train on what teachers expect of parts that they do not know, and write the network into `out`; its file.

    Parameters
    ----------
    folder : where the MIDI files are that `prepare` read.
    teachers : trunks, each of which was trained without one fold of the songs.
    log : told how it goes on, a line at a time.

    Raises
    ------
    DataError
        If there are too few parts with a band.
    FileError
        If the network cannot be written.
    ModelError
        If a teacher cannot be read, or is of another version.
    OptionError
        If a teacher knows all songs.
    """
    left_out = [_fold_of_teacher(teacher) for teacher in teachers]
    examples: list[Example] = []
    packs: set[str] = set()
    for teacher, (fold, folds) in zip(teachers, left_out, strict=True):
        network = PhraseTransformer.from_pretrained(teacher)  # without trees, which know all songs
        rows = [
            row for name in INSTRUMENTS for row in data.select(split="train", instrument=name)
            if fold_of(row.song, folds) == fold and (folder / row.source).is_file()
        ]
        for case in cases(data, folder, rows, MOST_NOTES):
            packs.add(case.pack)
            alone = perform(network, case.pair.score, written_flat(case.pair)).velocity
            examples.append(Example(
                what_is_heard(case.others, case.seconds, case.pair.score.pitch), _standardised(np.round(alone)),
                _standardised(case.pair.played.velocity), case.instrument,
            ))
        log(f"{teacher}: {len(examples)} parts so far")
    if not examples:
        raise DataError(f"{folder}: {NO_BANDS}")
    listener = fit_company(examples, report=lambda epoch, error: log(f"epoch {epoch}: squared error {error:.4f}"))
    try:
        return save_company(listener, out, {"parts": len(examples), "teachers": len(teachers), PACKS: sorted(packs)})
    except OSError as error:
        raise FileError(f"{out}: cannot be written there ({error.strerror}); name another folder") from None


def _fold_of_teacher(teacher: Path) -> tuple[int, int]:
    """Which fold of how many a teacher does not know, which is looked at before any is asked."""
    check_features(read_config(teacher), teacher)
    left_out = fold_left_out(teacher)
    if left_out is None:
        raise OptionError(f"{teacher}: knows all songs; train one with --set trunk.fold=1/5")
    return left_out


def _standardised(velocity: FloatArray) -> FloatArray:
    """(N,) velocities minus their mean, over their SD; 0 if they are all the same."""
    centred: FloatArray = velocity - velocity.mean()
    return centred / max(float(velocity.std()), 1e-9)


def fit_company(
    examples: Sequence[Example], *, epochs: int = 8, seed: int = 0, report: Callable[[int, float], None] | None = None
) -> CompanyNetwork:
    """A network trained on examples, each of which counts equally, by AdamW with one cycle of the learning rate.

    Parameters
    ----------
    report : called after each epoch with its number, from 1, and the mean squared error in it, in SDs of the players.

    Raises
    ------
    DataError
        If there are fewer examples than a batch holds.
    """
    if len(examples) < BATCH_PARTS:
        raise DataError(f"only {len(examples)} parts with a band, {BATCH_PARTS} are needed")
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    network = CompanyNetwork(examples[0].heard.shape[2])
    tells = torch.nn.Parameter(torch.tensor(TELLS_AT_FIRST))
    parameters = [*network.parameters(), tells]
    optimizer = torch.optim.AdamW(parameters, lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    batches = len(examples) // BATCH_PARTS
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, LEARNING_RATE, total_steps=epochs * batches, pct_start=WARMUP
    )
    for epoch in range(epochs):
        total = 0.0
        for batch in rng.permutation(len(examples))[: batches * BATCH_PARTS].reshape(batches, BATCH_PARTS):
            loss = torch.stack([_error(network, tells, examples[index], rng) for index in batch]).mean()
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(parameters, LARGEST_GRADIENT)
            optimizer.step()
            schedule.step()
            total += loss.item()
        if report is not None:
            report(epoch + 1, total / batches)
    return network.eval()


def _error(
    network: CompanyNetwork, tells: torch.Tensor, example: Example, rng: np.random.Generator
) -> torch.Tensor:
    """The mean squared error on one part, some of its band perhaps left out."""
    heard = torch.from_numpy(example.heard)
    thinned = rng.random() < BANDS_THINNED
    present = torch.from_numpy((rng.random(heard.shape[1]) >= PARTS_LEFT_OUT).astype(np.float32)) if thinned else None
    louder = network(heard, example.instrument, present)
    said = tells * (torch.from_numpy(example.alone.astype(np.float32)) + louder)
    return ((said - said.mean() - torch.from_numpy(example.played.astype(np.float32))) ** 2).mean()
