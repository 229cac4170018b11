"""The training loop with a tiny network on toys, killed or stopped where a test wants it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from toys import KilledError, tiny_network, weights

from duvhuman.models.phrase_transformer import PhraseTransformer
from duvhuman.train.config import TrainConfig
from duvhuman.train.dataset import PhraseData
from duvhuman.train.evaluation.predictors import flat_pairs
from duvhuman.train.loop import Result, Surroundings, fit
from duvhuman.train.run.history import History
from duvhuman.train.run.tasks import Task

CPU = torch.device("cpu")
CONFIG = TrainConfig(epochs=3, batch_size=4, lr=3e-3, warmup_steps=2, precision="float32", seed=11)


@dataclass
class Trained:
    """A run: what it has said, and the weights that it called the best."""

    folder: Path
    network: PhraseTransformer
    lines: list[str] = field(default_factory=list)
    best: list[dict[str, torch.Tensor]] = field(default_factory=list)
    result: Result | None = None

    @property
    def rows(self) -> list[dict[str, Any]]:
        return History(self.folder).rows()


def task(data: PhraseData) -> Task:
    valid = data.select(split="valid", instrument="guitar")
    return Task(data, data.select(split="train", instrument="guitar"), valid, flat_pairs(data, valid))


def train(
    data: PhraseData, folder: Path, config: TrainConfig = CONFIG, *, resume: bool = False, seed: int = 1,
    kill_at_step: int = 0, kill_at_line: str = "never", stop_at_step: int = 0,
) -> Trained:
    """Train a tiny network.

    The run is killed after a step or at a line of its log that begins so; or asked to stop after a step.
    """
    run = Trained(folder, tiny_network(seed))
    steps = 0

    def log(line: str) -> None:
        run.lines.append(line)
        if line.startswith(kill_at_line):
            raise KilledError(line)

    def stop() -> bool:
        nonlocal steps
        steps += 1
        if steps == kill_at_step:
            raise KilledError
        return steps == stop_at_step

    around = Surroundings(folder, CPU, log=log, stop=stop)
    with suppress(KilledError, KeyboardInterrupt):
        run.result = fit(
            run.network, run.network, task(data), config, around, stage="base", resume=resume,
            save_best=lambda: run.best.append(weights(run.network)),
        )
    return run
