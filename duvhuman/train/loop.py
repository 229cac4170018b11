"""The training loop of every stage: trunk, base and LoRA adapter.

Conventions
-----------
A step is one batch of ``batch_size`` phrases. Every batch and every dropout mask follow from (seed, epoch, batch)
alone, so that a resumed run goes on exactly as an uninterrupted one. Losses are means per trained note.
"""

from __future__ import annotations

import json
import math
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from duvhuman.errors import DataError, OptionError
from duvhuman.models.phrase_transformer import VELOCITY_CENTRE, VELOCITY_SCALE, PhraseOutput, PhraseTransformer
from duvhuman.train.checkpoint import load_state, save_state
from duvhuman.train.config import PRECISIONS, TrainConfig
from duvhuman.train.dataset import Batch, PartRow, PhraseData
from duvhuman.train.deadpan import Pair
from duvhuman.train.evaluate import quick_metrics

CHECKPOINT_SECONDS = 300.0
ESTIMATE_STEPS = 12
"""After so many steps the time of the whole run is estimated."""
FINAL_LR = 0.05
VALIDATION_PHRASES = 192
LOG_FILE = "log.jsonl"
MAY_CHANGE = ("epochs", "stop_after", "early_stopping", "precision", "compile")
"""What a resumed run may do otherwise than it began; with anything else changed it would be another run."""


@dataclass(frozen=True)
class Task:
    """What a run trains on, and what it is judged by.

    Attributes
    ----------
    train, valid : parts of the data set.
    pairs : flat parts for the metrics of each epoch, through the inference path.
    """

    data: PhraseData
    train: Sequence[PartRow]
    valid: Sequence[PartRow]
    pairs: Sequence[Pair]


@dataclass(frozen=True)
class Result:
    """The best epoch of a run: its validation loss and metrics, and the notes seen in the whole run."""

    best_epoch: int
    metrics: dict[str, float]
    notes_seen: int
    seconds: float


def loss_terms(out: PhraseOutput, batch: Batch, config: TrainConfig, duration_edges: Tensor) -> dict[str, Tensor]:
    """Each term of the loss, a mean over the trained notes, and their weighted ``total``."""
    weight = batch.weight
    norm = weight.sum().clamp(min=1.0)

    def mean(values: Tensor) -> Tensor:
        return (values * weight).sum() / norm

    velocity_bin = (batch.velocity.long() * 16) // 128
    duration_bin = torch.bucketize(batch.articulation, duration_edges, right=True)
    terms = {
        "boundary": mean(F.binary_cross_entropy_with_logits(out.boundary_logits, batch.boundary, reduction="none")),
        "vel_value": mean(
            F.smooth_l1_loss(out.velocity_value, (batch.velocity - VELOCITY_CENTRE) / VELOCITY_SCALE, reduction="none")
        ),
        "dur_value": mean(F.smooth_l1_loss(out.duration_value, batch.articulation, reduction="none")),
        "vel_bins": mean(F.cross_entropy(out.velocity_logits.transpose(1, 2), velocity_bin, reduction="none")),
        "dur_bins": mean(F.cross_entropy(out.duration_logits.transpose(1, 2), duration_bin, reduction="none")),
    }
    terms["total"] = (
        config.boundary_weight * terms["boundary"]
        + config.regression_weight * (terms["vel_value"] + terms["dur_value"])
        + config.classification_weight * (terms["vel_bins"] + terms["dur_bins"])
    )
    return terms


def learning_rate(config: TrainConfig, step: int, total_steps: int) -> float:
    """Linear warm-up, then a cosine down to a twentieth."""
    warmup = max(min(config.warmup_steps, total_steps // 10), 1)
    if step < warmup:
        return config.lr * (step + 1) / warmup
    progress = min((step - warmup) / max(total_steps - warmup, 1), 1.0)
    return config.lr * (FINAL_LR + (1 - FINAL_LR) * 0.5 * (1 + math.cos(math.pi * progress)))


def choose_precision(name: str, device: torch.device) -> str:
    """Either "bf16" or "float32"; "auto" is bf16 on CUDA, and on a CPU only if it multiplies matrices faster there."""
    if name not in PRECISIONS:
        raise OptionError(f"precision must be one of {', '.join(PRECISIONS)}, not {name!r}")
    if name != "auto":
        return name
    if device.type == "cuda":
        return "bf16"
    seconds = {}
    for dtype in (torch.float32, torch.bfloat16):
        matrix = torch.ones(1024, 512, dtype=dtype)
        F.linear(matrix, matrix)
        start = time.perf_counter()
        F.linear(matrix, matrix)
        seconds[dtype] = time.perf_counter() - start
    return "bf16" if seconds[torch.bfloat16] < seconds[torch.float32] else "float32"


def fit(
    model: nn.Module,
    network: PhraseTransformer,
    task: Task,
    config: TrainConfig,
    run: Path,
    *,
    device: torch.device,
    resume: bool = False,
    save_best: Callable[[], None],
    log: Callable[[str], None] = print,
) -> Result:
    """Train until the schedule ends.

    Parameters
    ----------
    model : what is trained: the network itself, or PEFT's wrapper of it.
    network : the network inside, which validation plays with.
    run : folder for ``state.pt`` and ``log.jsonl``, a line per epoch.
    save_best : called whenever the validation loss is the lowest so far.

    Raises
    ------
    DataError
        If no phrase can be cut from the parts, if the loss stops being a number, or there is nothing to resume.
    OptionError
        If a run is resumed with another configuration than it began with.
    """
    run.mkdir(parents=True, exist_ok=True)
    max_len = network.config.max_len
    passes = config.pack_passes()

    def cut(epoch: int) -> np.ndarray[Any, np.dtype[np.int64]]:
        rng = np.random.default_rng((config.seed, epoch))
        phrases = task.data.cut_phrases(task.train, rng, max_len=max_len, passes=passes)
        return phrases[: config.max_phrases] if config.max_phrases else phrases

    steps_per_epoch = math.ceil(len(cut(0)) / config.batch_size)
    if not steps_per_epoch:
        raise DataError(f"{task.data.folder}: no usable phrase in {len(task.train)} training parts")
    total_steps = steps_per_epoch * config.epochs
    valid = _validation_batches(task, max_len)
    edges = torch.tensor(network.config.duration_edges, device=device)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    decayed = [p for p in trained if p.ndim >= 2]
    plain = [p for p in trained if p.ndim < 2]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": config.weight_decay}, {"params": plain, "weight_decay": 0.0}],
        lr=config.lr, fused=True,
    )  # fmt: skip
    precision = choose_precision(config.precision, device)
    forward = _compiled(model, device, log) if config.compile else model

    def autocast() -> AbstractContextManager[object]:
        return torch.autocast(device.type, dtype=torch.bfloat16) if precision == "bf16" else nullcontext()

    epoch = first_batch = step = notes_seen = 0
    best = {"epoch": -1.0, "val_loss": math.inf}
    metrics_of_best: dict[str, float] = {}
    seconds_before = 0.0
    if resume:
        state = load_state(run)
        _check_unchanged(state["config"], config, run)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        epoch, first_batch, step, notes_seen = (state[k] for k in ("epoch", "batch", "step", "notes_seen"))
        best, metrics_of_best, seconds_before = state["best"], state["metrics"], state["seconds"]
        _drop_rows_after(run / LOG_FILE, epoch)
    else:
        (run / LOG_FILE).unlink(missing_ok=True)

    def checkpoint(at_epoch: int, at_batch: int) -> None:
        save_state(
            run,
            {
                "model": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": at_epoch, "batch": at_batch,
                "step": step, "notes_seen": notes_seen, "best": best, "metrics": metrics_of_best,
                "seconds": seconds_before + time.monotonic() - started,
                "config": asdict(config),
            },
        )  # fmt: skip

    started = last_saved = time.monotonic()
    log(
        f"{len(task.train)} parts, {steps_per_epoch} steps an epoch, {config.epochs} epochs, "
        f"batch {config.batch_size}, {precision}, {sum(p.numel() for p in trained):,} parameters trained"
    )
    while epoch < min(config.stop_after or config.epochs, config.epochs):
        phrases = cut(epoch)
        sums: dict[str, Tensor] = {}
        epoch_start, notes_before = time.monotonic(), notes_seen
        model.train()
        batches = math.ceil(len(phrases) / config.batch_size)
        for number in range(first_batch, batches):
            rows = phrases[number * config.batch_size : (number + 1) * config.batch_size]
            rng = np.random.default_rng((config.seed, epoch, number))
            batch = task.data.batch(rows, task.train, rng, max_len=max_len).to(device)
            torch.manual_seed(hash((config.seed, epoch, number)) & 0x7FFFFFFF)
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(config, step, total_steps)
            with autocast():
                terms = loss_terms(
                    PhraseOutput(*(t.float() for t in forward(batch.pitch, batch.program, batch.features, batch.mask))),
                    batch, config, edges,
                )  # fmt: skip
            terms["total"].backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(trained, config.clip)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            for name, value in terms.items():
                sums[name] = sums.get(name, torch.zeros((), device=device)) + value.detach()
            step += 1
            notes_seen += int((rows[:, 1] - rows[:, 0]).sum())
            if step == ESTIMATE_STEPS:
                left = (time.monotonic() - epoch_start) / (number + 1 - first_batch) * (total_steps - step)
                log(f"about {left / 3600:.1f} hours to go" if left > 5400 else f"about {left / 60:.0f} minutes to go")
            if time.monotonic() - last_saved > CHECKPOINT_SECONDS:
                done = {name: round(value.item() / (number + 1 - first_batch), 4) for name, value in sums.items()}
                _check_number(done["total"], epoch, run)
                checkpoint(epoch, number + 1)
                last_saved = time.monotonic()
                speed = (notes_seen - notes_before) / (last_saved - epoch_start)
                log(f"  epoch {epoch + 1} batch {number + 1}/{batches}: {done} {speed:.0f} notes/s")
        losses = {name: value.item() / max(batches - first_batch, 1) for name, value in sums.items()}
        _check_number(losses.get("total", 0.0), epoch, run)
        speed = (notes_seen - notes_before) / (time.monotonic() - epoch_start)
        model.eval()
        val_loss = _validation_loss(network, valid, config, edges, device)
        _check_number(val_loss, epoch, run)
        metrics = quick_metrics(network, task.pairs)
        if val_loss < best["val_loss"] and not metrics["failed"]:
            best = {"epoch": float(epoch), "val_loss": val_loss}
            metrics_of_best = metrics | {"val_loss": val_loss}
            save_best()
        row = {
            "epoch": epoch + 1, "train_loss": losses.get("total", math.nan), "val_loss": val_loss, **metrics,
            **{f"train_{name}": value for name, value in losses.items() if name != "total"},
            "lr": learning_rate(config, step, total_steps), "notes_seen": notes_seen, "notes_per_s": speed,
        }  # fmt: skip
        with (run / LOG_FILE).open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        log(_epoch_line(row, config.epochs))
        epoch, first_batch = epoch + 1, 0
        checkpoint(epoch, 0)
        last_saved = time.monotonic()
        if config.early_stopping and epoch - 1 - best["epoch"] >= config.early_stopping:
            log(f"stopped early: no better validation loss for {config.early_stopping} epochs")
            break
    if best["epoch"] < 0:
        raise DataError("every epoch's predictions were constant; the weights are of no use and were not kept")
    if config.stop_after:
        save_best()  # the next stage goes on from the last weights: the best ones are of a schedule not yet ended
    return Result(int(best["epoch"]) + 1, metrics_of_best, notes_seen, seconds_before + time.monotonic() - started)


def _check_number(loss: float, epoch: int, run: Path) -> None:
    """Stop before weights that are no numbers replace those in the last state."""
    if not math.isfinite(loss):
        raise DataError(f"the loss is not a number in epoch {epoch + 1}; {run} keeps the state before; lower lr")


def _check_unchanged(before: Mapping[str, object], config: TrainConfig, run: Path) -> None:
    """Batches and schedule follow from the configuration: a state goes on only with the one that it was made with."""
    for key, value in asdict(config).items():
        if key not in MAY_CHANGE and before.get(key, value) != value:
            raise OptionError(
                f"{run} began with {key}={before[key]} and cannot go on with {key}={value}; "
                "give the same as then, or start anew without --resume"
            )


def _drop_rows_after(path: Path, epoch: int) -> None:
    """Remove the rows of epochs that the state does not know of; they are about to be trained again."""
    rows = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else []
    path.write_text("".join(row for row in rows if json.loads(row)["epoch"] <= epoch), encoding="utf-8")


def _compiled(model: nn.Module, device: torch.device, log: Callable[[str], None]) -> Callable[..., PhraseOutput]:
    """`model` compiled, or itself where there is nothing to compile with."""
    if device.type == "cpu" and not any(shutil.which(name) for name in ("c++", "g++", "clang++")):
        log("no C++ compiler found: training goes on without torch.compile, about a quarter slower")
        return model
    compiled: Callable[..., PhraseOutput] = torch.compile(model, dynamic=False)
    return compiled


def _validation_batches(task: Task, max_len: int) -> list[Batch]:
    """Flat versions of some validation phrases, the same in every epoch and every run.

    There are as many of each instrument in each pack, so that the largest pack does not decide alone.
    """
    rng = np.random.default_rng(12345)
    phrases = task.data.cut_phrases(task.valid, rng, max_len=max_len, passes={})
    if not len(phrases):
        raise DataError(f"{task.data.folder}: no usable phrase in {len(task.valid)} validation parts")
    kinds = np.array([f"{part.pack}/{part.instrument}" for part in task.valid])[phrases[:, 2]]
    share = math.ceil(VALIDATION_PHRASES / len(np.unique(kinds)))
    phrases = np.concatenate([phrases[kinds == kind][:share] for kind in np.unique(kinds)])
    chunks: Iterator[int] = iter(range(0, len(phrases), 32))
    return [task.data.batch(phrases[i : i + 32], task.valid, rng, max_len=max_len) for i in chunks]


def _validation_loss(
    network: PhraseTransformer, batches: Sequence[Batch], config: TrainConfig, edges: Tensor, device: torch.device
) -> float:
    total = 0.0
    with torch.inference_mode():
        for host_batch in batches:
            batch = host_batch.to(device)
            out = network(batch.pitch, batch.program, batch.features, batch.mask)
            total += loss_terms(out, batch, config, edges)["total"].item() * len(batch.pitch)
    return total / sum(len(batch.pitch) for batch in batches)


def _epoch_line(row: dict[str, float], epochs: int) -> str:
    failed = " FAILED: constant predictions" if row["failed"] else ""
    return (
        f"epoch {row['epoch']}/{epochs}: train {row['train_loss']:.4f} valid {row['val_loss']:.4f} "
        f"vel_r {row['vel_r']:.3f} mae {row['vel_mae']:.2f} sd {row['vel_sd_ratio']:.2f} art_r {row['art_r']:.3f} "
        f"art_mae {row['art_mae']:.3f} {row['notes_per_s']:.0f} notes/s{failed}"
    )
