"""The training loop of every stage: trunk, base and LoRA adapter.

Conventions
-----------
A step is one batch of ``batch_size`` phrases, over all ranks. Every batch and every dropout mask follow from (seed,
epoch, batch) alone, so that a resumed run goes on exactly as an uninterrupted one. Losses are means per trained note.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TextIO

import torch
from torch import nn

from duvhuman.errors import DataError, OptionError
from duvhuman.models.phrase_transformer import PhraseTransformer
from duvhuman.train.checkpoint import load_state, save_state
from duvhuman.train.config import TrainConfig
from duvhuman.train.pairs.encode import Batch
from duvhuman.train.run.curves import CURVES_FILE, can_draw, draw_curves
from duvhuman.train.run.distributed import ALONE, World
from duvhuman.train.run.feed import Feed, Plan
from duvhuman.train.run.history import EventWriter, History
from duvhuman.train.run.losses import learning_rate
from duvhuman.train.run.progress import ProgressLine
from duvhuman.train.run.step import Stepper, choose_precision, speaking_of_memory
from duvhuman.train.run.tasks import Task
from duvhuman.train.run.validate import Validator, floors, summary_of

CHECKPOINT_SECONDS = 120.0
CHECKPOINT_STEPS = 1000
"""Several ranks cannot agree on the time without waiting for each other, and save after so many steps."""
SECONDS_BETWEEN_PICTURES = 30.0
"""``curves.png`` is drawn anew after an epoch when so much time has passed, and when a stage ends."""
MAY_CHANGE = ("epochs", "stop_after", "early_stopping", "precision", "compile")
"""What a resumed run may do otherwise than it began; with anything else changed it would be another run."""


@dataclass(frozen=True)
class Result:
    """The best epoch of a run: its validation loss and metrics, and the notes seen in the whole run."""

    best_epoch: int
    metrics: dict[str, float]
    notes_seen: int
    seconds: float


@dataclass(frozen=True)
class Surroundings:
    """Where a run takes place.

    Attributes
    ----------
    folder : of the run: ``state.pt``, ``metrics.csv``, events.
    device, world : of this process.
    log : takes a line.
    progress : where the live line is drawn, if it is wanted.
    stop : whether somebody wants the run to end; it then saves its state and raises KeyboardInterrupt.
    jobs : processes that encode a data set which stays on the device.
    """

    folder: Path
    device: torch.device
    world: World = ALONE
    log: Callable[[str], None] = print
    progress: TextIO | None = None
    stop: Callable[[], bool] = lambda: False
    jobs: int = 1


@dataclass
class Progress:
    """How far a run has come: what its state keeps beside tensors.

    `batch` and `epoch_notes` are of the epoch under way, whose number is `epoch`, from 0.
    """

    epoch: int = 0
    batch: int = 0
    step: int = 0
    notes_seen: int = 0
    epoch_notes: int = 0
    seconds: float = 0.0
    best_epoch: int = -1
    best_loss: float = math.inf


def fit(
    model: nn.Module,
    network: PhraseTransformer,
    task: Task,
    config: TrainConfig,
    around: Surroundings,
    *,
    stage: str,
    resume: bool = False,
    save_best: Callable[[], None],
) -> Result:
    """Train until the schedule ends.

    Parameters
    ----------
    model : what is trained: the network itself, or PEFT's wrapper of it.
    network : the network inside, which validation plays with.
    stage : the name of the stage, under which its epochs and its state are kept.
    save_best : called whenever the validation loss is the lowest so far.

    Raises
    ------
    DataError
        If no phrase can be cut from the parts, if the loss stops being a number, if every epoch's predictions were
        constant, there is nothing to resume, or a run is resumed with other data or teachers than it began with.
    OptionError
        If a run is resumed with another configuration than it began with, this leaves no phrase of the parts, or a
        batch does not fit into memory.
    """
    return _Fit(model, network, task, config, around, stage, resume, save_best).run()


class _Fit:
    """One call of `fit`."""

    def __init__(
        self, model: nn.Module, network: PhraseTransformer, task: Task, config: TrainConfig, around: Surroundings,
        stage: str, resume: bool, save_best: Callable[[], None],
    ) -> None:
        self.model, self.network, self.config, self.stage, self.save_best = model, network, config, stage, save_best
        self.around, self.world, self.log = around, around.world, around.log
        self.folder, self.device = around.folder, around.device
        self.at = Progress()
        self.metrics_of_best: dict[str, float] = {}
        state = load_state(self.folder) if resume else None
        self.digests = digests_of(task)
        if state is not None:
            check_goes_on(state, task, config, self.digests, self.folder)
        precision = self._common_precision() if state is None else str(state["precision"])
        self.precision = config.precision if config.precision != "auto" else precision
        if task.teachers is not None:
            task.teachers.compute_in(self.precision)
        max_len = network.config.max_len
        self.feed = Feed(
            task.data, task.train, config, max_len=max_len, device=self.device, world=self.world, jobs=around.jobs,
            teachers=task.teachers,
        )
        self.steps_per_epoch = self.feed.steps()
        edges = torch.tensor(network.config.duration_edges, device=self.device)
        self.stepper = Stepper(
            model, config, edges, device=self.device, precision=self.precision, world=self.world, log=self.log
        )
        if self.world.is_main:
            self.validator = Validator(task, config, edges, max_len=max_len, device=self.device)
            self.floors = floors(task)
            self.history = History(self.folder)
            self.events = EventWriter(self.folder)
        if state is not None:
            model.load_state_dict(state["model"])
            self.stepper.optimizer.load_state_dict(state["optimizer"])
            self.at = Progress(**state["progress"])
            self.metrics_of_best = state["metrics"]
            if self.at.epoch < self.last_epoch:
                self.log(f"goes on in epoch {self.at.epoch + 1}, behind step {self.at.step:,}")
            if self.world.is_main:
                self.stepper.totals += state["totals"].to(self.device)
                self.history.drop_after(stage, self.at.epoch)
        elif self.world.is_main:
            self.history.forget(stage)
        parts, trained = len(task.train), sum(p.numel() for p in self.stepper.trained)
        ranks = f" over {self.world.size} processes" if self.world.size > 1 else ""
        self.log(
            f"{parts} parts, {self.steps_per_epoch} steps an epoch, {self.last_epoch} epochs, batch {config.batch_size}"
            f"{ranks}, {self.precision}, {trained:,} parameters trained"
        )
        if self.world.is_main:
            self.log(summary_of(self.floors))
            pictures = {CURVES_FILE: can_draw(), "TensorBoard events": self.events.available}
            if missing := [name for name, there in pictures.items() if not there]:
                self.log(f"{' and '.join(missing)} left out: pip install 'duvhuman[train]'")

    @property
    def last_epoch(self) -> int:
        return min(self.config.stop_after or self.config.epochs, self.config.epochs)

    def run(self) -> Result:
        self.started = self.last_saved = self.last_drawn = time.monotonic()
        self.line: ProgressLine | None = None
        if self.around.progress is not None and self.world.is_main:
            self.line = ProgressLine(
                self.steps_per_epoch * self.last_epoch, self.around.progress, epochs=self.last_epoch,
                label=f"{self.network.config.instrument} {self.stage}",
            )
        try:
            while self.at.epoch < self.last_epoch and not self._is_stale():
                self._train_epoch()
                self._end_epoch()
        finally:
            self.feed.close()
            if self.line is not None:
                self.line.clear()
            if self.world.is_main:
                self.events.close()
        if self.at.best_epoch >= 0:
            self.log(f"best epoch {self.at.best_epoch + 1}")
        else:
            raise DataError("every epoch's predictions were constant; the weights are of no use and were not kept")
        if self.at.epoch == self.last_epoch < self.config.epochs and self.world.is_main:
            self.save_best()  # the next stage goes on from the last weights: the best are of a schedule not yet ended
        return Result(self.at.best_epoch + 1, self.metrics_of_best, self.at.notes_seen, self._seconds())

    def _is_stale(self) -> bool:
        """Whether validation has not got better for too long."""
        patience, at = self.config.early_stopping, self.at
        stale = bool(patience) and at.best_epoch >= 0 and at.epoch - 1 - at.best_epoch >= patience
        if stale:
            self.log(f"stopped early: no better validation loss for {patience} epochs")
        return stale

    def _train_epoch(self) -> None:
        config, at = self.config, self.at
        plan = self.feed.plan(at.epoch)
        self.model.train()
        self.epoch_started, notes_before = time.monotonic(), at.epoch_notes
        total_steps = self.steps_per_epoch * config.epochs
        with speaking_of_memory(config, self._fits(plan)) if self.world.size == 1 else nullcontext():
            for batch in self.feed.batches(plan, at.epoch, at.batch):
                # hash() of a tuple of whole numbers is the same in every process
                torch.manual_seed(hash((config.seed, at.epoch, at.batch, self.world.rank)) & 0x7FFFFFFF)
                self._step(batch, learning_rate(config, at.step, total_steps))
                notes = plan.notes(at.batch)
                at.step, at.batch = at.step + 1, at.batch + 1
                at.epoch_notes, at.notes_seen = at.epoch_notes + notes, at.notes_seen + notes
                if self.line is not None:
                    self.line.update(at.step, at.notes_seen)
                if self._is_due():
                    self._checkpoint()
                if self.around.stop():
                    self._checkpoint()
                    raise KeyboardInterrupt
        self.totals = self.stepper.read_totals()  # waits for the device
        self.speed = (at.epoch_notes - notes_before) / (time.monotonic() - self.epoch_started)
        self._check_number(self.totals["total"])

    def _step(self, batch: Batch, lr: float) -> None:
        try:
            self.stepper(batch, lr)
        except Exception:
            if self.around.stop():  # the signal reached the compiler's processes, too, and they are gone
                raise KeyboardInterrupt from None
            raise

    def _fits(self, plan: Plan) -> Callable[[int], bool]:
        """Whether so many phrases go through a step."""

        def fits(size: int) -> bool:
            self.stepper.optimizer.zero_grad(set_to_none=True)
            if self.device.type == "cuda":
                torch.cuda.empty_cache()
            try:
                batch = next(self.feed.batches(Plan(plan.phrases, [plan.batches[0][:size]]), self.at.epoch, 0))
                self.stepper.gradients(batch)
            except RuntimeError:
                return False
            return True

        return fits

    def _is_due(self) -> bool:
        if self.world.size > 1:
            return self.at.step % CHECKPOINT_STEPS == 0
        return time.monotonic() - self.last_saved > CHECKPOINT_SECONDS

    def _end_epoch(self) -> None:
        at = self.at
        judged = [0.0, 0.0]
        if self.world.is_main:
            metrics = self.validator(self.network)
            judged = [metrics["val_loss"], metrics["failed"]]
        val_loss, failed = self.world.from_main(judged)
        self._check_number(val_loss)
        better = val_loss < at.best_loss and not failed
        if better:
            at.best_epoch, at.best_loss = at.epoch, val_loss
        if self.world.is_main:
            if better:
                self.metrics_of_best = metrics
                self.save_best()
            self._write_row(metrics)
        at.epoch, at.batch, at.epoch_notes = at.epoch + 1, 0, 0
        self.stepper.totals.zero_()
        self._checkpoint()

    def _common_precision(self) -> str:
        """What rank 0 computes in, on all ranks: weights that are updated in different precisions drift apart."""
        bf16 = self.world.is_main and choose_precision(self.config.precision, self.device) == "bf16"
        return "bf16" if self.world.from_main([float(bf16)])[0] else "float32"

    def _write_row(self, metrics: Mapping[str, float]) -> None:
        at = self.at
        # An epoch that drew no phrase, from few parts, has no losses.
        losses = {f"train_{name}": value / at.batch if at.batch else math.nan for name, value in self.totals.items()}
        losses["train_loss"] = losses.pop("train_total")
        lr = learning_rate(self.config, at.step, self.steps_per_epoch * self.config.epochs)
        row: dict[str, float | str] = {
            "stage": self.stage, "epoch": at.epoch + 1, **losses, **metrics, **self.floors, "lr": lr,
            "notes_seen": at.notes_seen, "notes_per_s": self.speed, "seconds": self._seconds(),
        }
        self.history.append(row)
        if time.monotonic() - self.last_drawn > SECONDS_BETWEEN_PICTURES:
            draw_curves(self.folder)
            self.last_drawn = time.monotonic()
        self.events.add(self.stage, at.epoch + 1, row)
        if self.line is not None:
            self.line.clear()
        self.log(_epoch_line(row, self.last_epoch))

    def _checkpoint(self) -> None:
        """Write the state, which first waits for the device and looks whether all is well."""
        at = self.at
        totals = self.world.sum(self.stepper.totals.clone())
        if at.batch:
            self._check_number(float(totals[-1]))
        if self.world.is_main:
            at.seconds, self.started = self._seconds(), time.monotonic()
            save_state(
                self.folder,
                {
                    "stage": self.stage, "model": self.model.state_dict(), "totals": totals.cpu(),
                    "optimizer": self.stepper.optimizer.state_dict(), "progress": asdict(at),
                    "metrics": self.metrics_of_best, "config": asdict(self.config), "precision": self.precision,
                    "network": self.network.config.to_dict(), **self.digests,
                },
            )
        self.last_saved = time.monotonic()

    def _seconds(self) -> float:
        return self.at.seconds + time.monotonic() - self.started

    def _check_number(self, loss: float) -> None:
        """Stop before weights that are no numbers replace those in the last state."""
        if not math.isfinite(loss):
            raise DataError(
                f"the loss is not a number in epoch {self.at.epoch + 1}; {self.folder} keeps the state before; "
                f"start anew with a lower lr than {self.config.lr:g} (--force)"
            )


def digests_of(task: Task) -> dict[str, str]:
    """What tells the data and the teachers of a task from others, as its state keeps it."""
    return {"data": task.data.digest(), "teachers": task.teachers.digest() if task.teachers is not None else ""}


def check_goes_on(
    state: Mapping[str, Any], task: Task, config: TrainConfig, digests: Mapping[str, str], run: Path
) -> None:
    """Batches and schedule follow from the configuration and the data: a state goes on only with its own.

    Raises
    ------
    OptionError
        If the configuration is another than the state was made with.
    DataError
        If the data or the teachers are.
    """
    anew = "or start anew without --resume, with --force"
    before, defaults = state["config"], asdict(TrainConfig())  # of keys that had not been thought of when it began
    for key, value in asdict(config).items():
        began = before.get(key, defaults[key])
        if key not in MAY_CHANGE and began != value:
            raise OptionError(
                f"{run} began with {key}={began} and cannot go on with {key}={value}; give the same as then, {anew}"
            )
    last = min(config.stop_after or config.epochs, config.epochs)
    if (done := state["progress"]["epoch"]) > last:
        raise OptionError(f"{run} is through {done} epochs and cannot end after {last}; give more, {anew}")
    if state["data"] != digests["data"]:
        raise DataError(
            f"{task.data.name} is not what {run} was trained on so far: prepared or written down anew; "
            f"give the data of then with --data, {anew}"
        )
    if state["teachers"] != digests["teachers"]:
        raise DataError(
            f"the teachers are not those that {run} was taught by so far: trained anew, or others; "
            f"give those of then with --teachers, {anew}"
        )


def _epoch_line(row: Mapping[str, float | str], epochs: int) -> str:
    failed = " FAILED: constant predictions" if row["failed"] else ""
    return (
        f"epoch {row['epoch']}/{epochs}: train {row['train_loss']:.4f} valid {row['val_loss']:.4f} "
        f"vel_r {row['vel_r']:.3f} mae {row['vel_mae']:.2f} sd {row['vel_sd_ratio']:.2f} art_r {row['art_r']:.3f} "
        f"art_mae {row['art_mae']:.3f} {row['notes_per_s']:,.0f} notes/s{failed}"
    )


