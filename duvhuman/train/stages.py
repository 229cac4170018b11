"""The stages of a model: a trunk over all instruments, one instrument's base, and its adapter.

Conventions
-----------
A model's folder is what `duvhuman.load(..., model=folder)` takes: ``config.json``, ``model.safetensors``, ``adapter/``;
beside them ``training.json``, a record per finished stage, and a folder per stage with its state and log. A stage that
stands in the record is not run again.
"""

from __future__ import annotations

import json
import platform
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from duvhuman.errors import DataError, ModelError
from duvhuman.humanize.features import feature_names
from duvhuman.instruments import INSTRUMENTS
from duvhuman.models.config import ModelConfig
from duvhuman.models.phrase_transformer import WEIGHTS_FILE, PhraseTransformer
from duvhuman.train.adapters import add_adapter, save_adapter
from duvhuman.train.config import TrainConfig
from duvhuman.train.dataset import PartRow, PhraseData
from duvhuman.train.deadpan import Pair
from duvhuman.train.evaluate import flat_pairs, model_predictor, score_pairs
from duvhuman.train.loop import Result, Task, fit

RECORD_FILE = "training.json"
TRUNK = "trunk"
PAIRS_PER_INSTRUMENT, PAIR_NOTES = 24, 384
CALIBRATION_PARTS = 48
WANTED_SD_RATIO = 0.95
LARGEST_GAIN = 6.0


@dataclass(frozen=True)
class Run:
    """What the stages of a run share: the data, the folder of the model, the device, and how to go about it."""

    data: PhraseData
    folder: Path
    device: torch.device
    resume: bool
    log: Callable[[str], None]


def train_trunk(run: Run, shallow: TrainConfig | None, config: TrainConfig, start: Path | None = None) -> None:
    """Train the trunk over all instruments: first, if `shallow` is given, with fewer layers, then grown from those.

    Parameters
    ----------
    start : a model to begin with instead.
    """
    if shallow is not None and start is None:
        start = run.folder / "shallow"
        if not _finished(run, "shallow"):
            network = _network(shallow, TRUNK, None)
            if not _resumable(run, "shallow"):
                _begin_model(run, None)
            result = _fit(run, "shallow", network, shallow, "all", save=start)
            _record(run, "shallow", shallow, result)
    if not _finished(run, TRUNK):
        network = _network(config, TRUNK, start)
        _begin_stage(run, TRUNK)
        result = _fit(run, TRUNK, network, config, "all", save=run.folder)
        _record(run, TRUNK, config, result)


def train_base(run: Run, instrument: str, config: TrainConfig, start: Path | None) -> None:
    """Train the base of one instrument, from the weights in `start` or from random ones, and measure its gains."""
    if _finished(run, "base"):
        return
    network = _network(config, instrument, start)
    if not _resumable(run, "base"):
        _begin_model(run, start)
    result = _fit(run, "base", network, config, instrument, save=run.folder)
    best = calibrated(PhraseTransformer.from_pretrained(run.folder), run.data, instrument)
    best.save_pretrained(run.folder)
    _record(run, "base", config, result)


def train_lora(run: Run, instrument: str, config: TrainConfig) -> None:
    """Train the adapter of the base in the run's folder."""
    if _finished(run, "lora"):
        return
    network = PhraseTransformer.from_pretrained(run.folder)
    network.set_dropout(config.dropout)
    network.to(run.device)
    torch.manual_seed(config.seed)
    model = add_adapter(network, config)
    _begin_stage(run, "lora")
    adapter = run.folder / "adapter"
    result = fit(
        model, network, _task(run, instrument, config), config, run.folder / "lora", device=run.device,
        resume=_resumable(run, "lora"), save_best=lambda: save_adapter(model, adapter, f"duvhuman/{instrument}"),
        log=run.log,
    )  # fmt: skip
    _record(run, "lora", config, result)


def grown(tensors: Mapping[str, Tensor], n_layers: int) -> dict[str, Tensor]:
    """The tensors of a network with `n_layers` layers made by repeating those of a shallower one.

    Trained layers, stacked again on top of themselves, are a better start than random ones (Gong et al. 2019,
    "Efficient Training of BERT by Progressively Stacking").
    """
    layers = 1 + max(int(name.split(".")[1]) for name in tensors if name.startswith("blocks."))
    result = {name: value for name, value in tensors.items() if not name.startswith("blocks.")}
    for layer in range(n_layers):
        own = f"blocks.{layer % layers}."
        result |= {f"blocks.{layer}.{name[len(own) :]}": v for name, v in tensors.items() if name.startswith(own)}
    return result


def calibrated(network: PhraseTransformer, data: PhraseData, instrument: str) -> PhraseTransformer:
    """`network` with the range and the velocity gain of its instrument's players, measured on training parts.

    The gain is chosen so that the velocity SD of flat parts played through the inference path is on average
    `WANTED_SD_RATIO` of the players'; it stays 1 if the middle of no part has dynamics.
    """
    parts = data.select(split="train", instrument=instrument)
    rng = np.random.default_rng(7)
    sample = [parts[i] for i in rng.permutation(len(parts))[:CALIBRATION_PARTS]]
    pairs = flat_pairs(data, sample, max_notes=PAIR_NOTES)
    network.config = replace(network.config, typical_range=float(np.median([part.range for part in parts])))
    gain = 1.0
    for _ in range(3 if pairs else 0):  # clipping at 1 and 127 makes the ratio a little less than proportional
        network.config = replace(network.config, velocity_gain=gain)
        ratio = float(np.mean([row["vel_sd_ratio"] for row in score_pairs(pairs, model_predictor(network))]))
        gain = round(min(gain * WANTED_SD_RATIO / max(ratio, 1e-3), LARGEST_GAIN), 3)
    network.config = replace(network.config, velocity_gain=gain)
    return network


def read_record(folder: Path) -> dict[str, Any]:
    """The record of the stages that made the model in `folder`; empty if there is none."""
    path = folder / RECORD_FILE
    record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return record


def _network(config: TrainConfig, instrument: str, start: Path | None) -> PhraseTransformer:
    torch.manual_seed(config.seed)
    before = None if start is None else PhraseTransformer.from_pretrained(start)
    if before is not None and before.config.feature_names != feature_names():
        raise ModelError(f"{start}: made for other features than this version of duvhuman computes; train it anew")
    shape = ModelConfig() if before is None else before.config
    network = PhraseTransformer(
        ModelConfig(
            instrument=instrument, d_model=shape.d_model, n_heads=shape.n_heads, n_layers=config.n_layers,
            d_ff=shape.d_ff, max_len=shape.max_len, feature_names=feature_names(),
            duration_edges=shape.duration_edges,
        )
    )  # fmt: skip
    network.set_dropout(config.dropout)
    if before is not None:
        network.load_state_dict(grown(before.state_dict(), config.n_layers))
    return network


def _fit(
    run: Run, stage: str, network: PhraseTransformer, config: TrainConfig, instrument: str, *, save: Path
) -> Result:
    network.to(run.device)
    return fit(
        network, network, _task(run, instrument, config), config, run.folder / stage, device=run.device,
        resume=_resumable(run, stage), save_best=lambda: network.save_pretrained(save), log=run.log,
    )  # fmt: skip


def _task(run: Run, instrument: str, config: TrainConfig) -> Task:
    played = True if config.played_only else None
    train = run.data.select(split="train", instrument=instrument, played=played)
    valid = run.data.select(split="valid", instrument=instrument, played=played)
    if not train or not valid:
        kind = "parts played by hand" if played else "parts"
        raise DataError(
            f"{run.data.folder}: {len(train)} training and {len(valid)} validation {kind} for {instrument}; "
            "prepare more data"
        )
    pairs = _sample_pairs(run.data, valid)
    if not pairs:
        raise DataError(f"{run.data.folder}: no validation part of {instrument} has dynamics in its middle")
    return Task(run.data, train, valid, pairs)


def _sample_pairs(data: PhraseData, valid: Sequence[PartRow]) -> list[Pair]:
    rng = np.random.default_rng(1)
    chosen: list[PartRow] = []
    names = [name for name in INSTRUMENTS if any(part.instrument == name for part in valid)]
    for name in names:
        parts = [part for part in valid if part.instrument == name]
        chosen += [parts[i] for i in rng.permutation(len(parts))[: PAIRS_PER_INSTRUMENT // len(names)]]
    return flat_pairs(data, chosen, max_notes=PAIR_NOTES)


def _resumable(run: Run, stage: str) -> bool:
    return run.resume and (run.folder / stage / "state.pt").exists()


def _finished(run: Run, stage: str) -> bool:
    done = run.resume and stage in read_record(run.folder)
    if done:
        run.log(f"{stage}: already finished")
    return done


def _record(run: Run, stage: str, config: TrainConfig, result: Result) -> None:
    entry = {
        "config": asdict(config), "best_epoch": result.best_epoch, "notes_seen": result.notes_seen,
        "minutes": round(result.seconds / 60, 1), "device": _device_name(run.device),
        "metrics": {name: round(value, 4) for name, value in result.metrics.items()},
    }  # fmt: skip
    _write_record(run.folder, read_record(run.folder) | {stage: entry})


def _begin_stage(run: Run, stage: str) -> None:
    """Forget that the stage was ever finished, unless the run goes on with it."""
    if not _resumable(run, stage):
        _write_record(run.folder, {name: entry for name, entry in read_record(run.folder).items() if name != stage})


def _begin_model(run: Run, start: Path | None) -> None:
    """Forget the model that the folder held, with the adapter made for it, and keep the history of `start`."""
    history = {} if start is None else read_record(start)
    _write_record(run.folder, {name: entry for name, entry in history.items() if name in ("shallow", TRUNK)})
    shutil.rmtree(run.folder / "adapter", ignore_errors=True)


def _write_record(folder: Path, record: Mapping[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / RECORD_FILE).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return str(torch.cuda.get_device_name(device))
    return f"{torch.get_num_threads()} CPU threads ({platform.machine()})"


def has_model(folder: Path) -> bool:
    """Whether a model's weights stand in `folder`."""
    return (folder / WEIGHTS_FILE).exists()
