"""The stages of a model: a trunk over all instruments, one instrument's base, and its adapter.

Conventions
-----------
A run's folder is what `duvhuman.load(..., model=folder)` takes: ``config.json``, ``model.safetensors``, ``adapter/``;
beside them ``training.json``, a record per finished stage, and what the loop writes: ``state.pt`` (of the stage in
progress), ``metrics.csv``, ``curves.png``. On resuming, a stage that stands in the record is not run again, and one
that has a state goes on from there, without the model that it began with.
"""

from __future__ import annotations

import platform
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from duvhuman.errors import ModelError, OptionError
from duvhuman.humanize.features import check_features, feature_names
from duvhuman.models.config import ModelConfig
from duvhuman.models.files import ADAPTER_FOLDER, CONFIG_FILE, PERSONAL_FILE, trees_file
from duvhuman.models.phrase_transformer import PhraseTransformer, read_config, write_config
from duvhuman.models.trees import read_trees
from duvhuman.train.adapters import add_adapter, save_adapter
from duvhuman.train.calibrate import TREES_SHARE, calibrate_adapter, calibrate_base
from duvhuman.train.checkpoint import STATE_FILE, load_state, stage_in_progress
from duvhuman.train.config import TrainConfig
from duvhuman.train.dataset import PhraseData
from duvhuman.train.loop import Result, Surroundings, check_goes_on, digests_of, fit
from duvhuman.train.record import EARLIER, PACKS, TRUNK, earlier_stages, read_record, write_record
from duvhuman.train.run.curves import draw_curves
from duvhuman.train.run.feed import Feed
from duvhuman.train.run.tasks import Task, task_of
from duvhuman.train.run.teachers import Teachers
from duvhuman.train.run.validate import VALIDATION_SEED, validation_phrases


@dataclass(frozen=True)
class Run:
    """What the stages of a run share: the data, where it takes place, whether it goes on with what is there, and the
    folders of its teachers.
    """

    data: PhraseData
    around: Surroundings
    resume: bool = False
    teachers: Sequence[Path] = ()

    @property
    def folder(self) -> Path:
        """The run's folder."""
        return self.around.folder


def check(run: Run, instrument: str, stages: Mapping[str, TrainConfig], start: Path | None) -> None:
    """Raise what would keep the stages that are left from being trained, before any of them begins.

    Parameters
    ----------
    instrument : whose model it is, or "trunk".
    stages : stage -> its configuration, in the order of training.
    start : the model that the first of them begins with, or None.

    Raises
    ------
    DataError
        If there are no parts, or no phrase, to train on or to judge by; or a state is of other data or teachers.
    ModelError
        If weights to begin with, teachers, or trees that will be heard, cannot be read or do not fit.
    OptionError
        If a configuration leaves nothing to train on, wants teachers where there are none, or is not the state's.
    """
    done = read_record(run.folder) if run.resume else {}
    left = [stage for stage in stages if stage not in done and not (stage == "shallow" and start is not None)]
    if not left:
        return
    if left[0] == "lora":
        network = PhraseTransformer.from_pretrained(run.folder)
        check_features(network.config, run.folder)
    else:
        first = _shallow(run) if start is None and "shallow" in done else start
        network = _network(run, left[0], stages[left[0]], instrument, first)
    if instrument != TRUNK:
        read_trees(trees_file(run.folder), network.config.feature_names)
    for stage in left:
        config, max_len = stages[stage], network.config.max_len
        task = _task(run, "all" if instrument == TRUNK else instrument, config, network)
        Feed(run.data, task.train, config, max_len=max_len, device=run.around.device).steps()
        validation_phrases(task, np.random.default_rng(VALIDATION_SEED), max_len)
        if _in_progress(run, stage):
            check_goes_on(load_state(run.folder), task, config, digests_of(task), run.folder)


def forget_former(run: Run, stages: Sequence[str], start: Path | None) -> None:
    """Forget how far a former run in the folder had come, so that none of these stages, if resumed, goes on with it."""
    if not run.around.world.is_main:
        return
    (run.folder / STATE_FILE).unlink(missing_ok=True)
    if "base" in stages:
        write_record(run.folder, _history(start))
    elif TRUNK in stages:
        write_record(run.folder, {} if start is None else {EARLIER: earlier_stages(start)})
    else:
        _forget_stage(run, "lora")


def train_trunk(run: Run, shallow: TrainConfig | None, config: TrainConfig, start: Path | None = None) -> None:
    """Train the trunk over all instruments: first, if `shallow` is given, with fewer layers, then grown from those.

    Parameters
    ----------
    start : a model to begin with instead.
    """
    given = start
    if shallow is not None and start is None:
        start = _shallow(run)
        if not _finished(run, "shallow"):
            network = _network(run, "shallow", shallow, TRUNK, None)
            if _begins(run, "shallow"):
                _begin_model(run, None)
            _fit(run, "shallow", network, shallow, "all", save=start)
    if not _finished(run, TRUNK):
        network = _network(run, TRUNK, config, TRUNK, start)
        if _begins(run, TRUNK):
            _forget_stage(run, TRUNK)
            if given is not None and run.around.world.is_main:
                write_record(run.folder, read_record(run.folder) | {EARLIER: earlier_stages(given)})
        _fit(run, TRUNK, network, config, "all", save=run.folder)


def train_base(run: Run, instrument: str, config: TrainConfig, start: Path | None) -> None:
    """Train the base of one instrument, from the weights in `start` or from random ones, and measure its gains."""
    if _finished(run, "base"):
        return
    network = _network(run, "base", config, instrument, start)
    if _begins(run, "base"):
        _begin_model(run, start)
    _fit(run, "base", network, config, instrument, save=run.folder)


def train_lora(run: Run, instrument: str, config: TrainConfig) -> None:
    """Train the adapter of the base in the run's folder, and measure its gains."""
    if _finished(run, "lora"):
        return
    network = PhraseTransformer.from_pretrained(run.folder)
    network.set_dropout(config.dropout, config.channel_dropout)
    network.to(run.around.device)
    torch.manual_seed(config.seed)
    model = add_adapter(network, config)
    if _begins(run, "lora"):
        _forget_stage(run, "lora")
        if run.around.world.is_main:  # gains of the adapter before are not those of the one that takes its place
            (run.folder / ADAPTER_FOLDER / PERSONAL_FILE).unlink(missing_ok=True)
    task = replace(_task(run, instrument, config, network), heard=run.folder)
    result = fit(
        model, network, task, config, run.around, stage="lora",
        resume=_in_progress(run, "lora"),
        save_best=lambda: save_adapter(model, run.folder / ADAPTER_FOLDER, f"duvhuman/{instrument}"),
    )
    if run.around.world.is_main:
        run.around.log("lora: measuring its gains")
        calibrate_adapter(run.folder, run.data, instrument, run.around.device, stop=run.around.stop)
    _record(run, "lora", config, task, result)


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


def _shallow(run: Run) -> Path:
    return run.folder / "shallow"


def _network(
    run: Run, stage: str, config: TrainConfig, instrument: str, start: Path | None
) -> PhraseTransformer:
    """The network that a stage begins with, or, amid it, one of the shape that its state has the weights of."""
    torch.manual_seed(config.seed)
    state = load_state(run.folder) if _in_progress(run, stage) else {}
    if state:
        stored = ModelConfig.from_dict(state["network"])
        check_features(stored, run.folder / STATE_FILE)
        network = PhraseTransformer(stored)
        network.set_dropout(config.dropout, config.channel_dropout)
        return network
    before = None if start is None else PhraseTransformer.from_pretrained(start)
    if before is not None:
        check_features(before.config, start)
        if (deeper := before.config.n_layers) > config.n_layers:
            raise OptionError(
                f"{start}: has {deeper} layers, and n_layers={config.n_layers} would cut it; "
                f"--set {stage}.n_layers={deeper}"
            )
    shape = before.config if before is not None else ModelConfig(
        d_model=config.d_model, n_heads=config.n_heads, d_ff=config.d_ff, max_len=config.max_len,
        feature_names=feature_names(),
    )
    network = PhraseTransformer(shape.without_gains(instrument, config.n_layers))
    network.set_dropout(config.dropout, config.channel_dropout)
    if before is not None:
        network.load_state_dict(grown(before.state_dict(), config.n_layers))
    return network


def _fit(
    run: Run, stage: str, network: PhraseTransformer, config: TrainConfig, instrument: str, *, save: Path
) -> None:
    """Train all of a network, the best of which is saved in `save`, and record the stage."""
    network.to(run.around.device)
    task = _task(run, instrument, config, network)
    result = fit(
        network, network, task, config, run.around, stage=stage,
        resume=_in_progress(run, stage), save_best=lambda: network.save_pretrained(save),
    )
    if stage == "base" and run.around.world.is_main:
        write_config(replace(read_config(save), trees_share=TREES_SHARE[instrument]), save / CONFIG_FILE)
        run.around.log("base: measuring its gains")
        calibrate_base(save, run.data, instrument, run.around.device, stop=run.around.stop)
    _record(run, stage, config, task, result)


def _task(run: Run, instrument: str, config: TrainConfig, network: PhraseTransformer) -> Task:
    return task_of(run.data, instrument, config, _teachers(run, config, network))


def _teachers(run: Run, config: TrainConfig, network: PhraseTransformer) -> Teachers | None:
    """Those whom a network listens to in a stage."""
    if not config.teacher_share:
        return None
    if not run.teachers:
        raise OptionError("teacher_share is for runs with --teachers; name the folders of models, or set it to 0")
    teachers = Teachers(run.teachers, run.around.device)
    if teachers.duration_edges != network.config.duration_edges:
        raise ModelError(f"{run.teachers[0]}: has other articulation bins than the network that is to be taught")
    return teachers


def _in_progress(run: Run, stage: str) -> bool:
    """Whether the run goes on amid this stage."""
    return run.resume and stage_in_progress(run.folder) == stage


def _begins(run: Run, stage: str) -> bool:
    """Whether the stage begins with its first step; said where a run that is resumed has lost its state."""
    if run.resume and not (run.folder / STATE_FILE).exists():
        run.around.log(f"{stage}: {run.folder} holds no {STATE_FILE}, the stage begins with its first step")
    return not _in_progress(run, stage)


def _finished(run: Run, stage: str) -> bool:
    done = run.resume and stage in read_record(run.folder)
    if done:
        run.around.log(f"{stage}: already finished")
    return done


def _record(run: Run, stage: str, config: TrainConfig, task: Task, result: Result) -> None:
    """Write down that the stage is finished, and draw its curves; the other ranks wait for it."""
    if run.around.world.is_main:
        passes = config.pack_passes()
        entry = {
            "config": asdict(config), "best_epoch": result.best_epoch, "notes_seen": result.notes_seen,
            "minutes": round(result.seconds / 60, 1), "device": _device_name(run.around),
            "metrics": {name: round(value, 4) for name, value in result.metrics.items()},
            PACKS: sorted({part.pack for part in task.train if passes.get(part.pack, 1) > 0}),
        }
        if config.teacher_share:
            entry["teachers"] = [earlier_stages(folder) for folder in run.teachers]
        write_record(run.folder, read_record(run.folder) | {stage: entry})
        draw_curves(run.folder)
    run.around.world.from_main([])


def _forget_stage(run: Run, stage: str) -> None:
    """Forget that the stage was ever finished."""
    if run.around.world.is_main:
        write_record(run.folder, {name: entry for name, entry in read_record(run.folder).items() if name != stage})


def _begin_model(run: Run, start: Path | None) -> None:
    """Forget the model that the folder held, with what was made for it, and keep the history of `start`."""
    if run.around.world.is_main:
        write_record(run.folder, _history(start))
        shutil.rmtree(run.folder / ADAPTER_FOLDER, ignore_errors=True)


def _history(start: Path | None) -> dict[str, Any]:
    """The record of a base that has not been trained yet: the stages that made the weights it begins with."""
    history = {} if start is None else read_record(start)
    if "base" in history and start is not None:
        return {EARLIER: earlier_stages(start)}
    return {name: entry for name, entry in history.items() if name in (EARLIER, "shallow", TRUNK)}


def _device_name(around: Surroundings) -> str:
    count = f"{around.world.size} x " if around.world.size > 1 else ""
    if around.device.type == "cuda":
        return count + str(torch.cuda.get_device_name(around.device))
    return f"{count}{torch.get_num_threads()} CPU threads ({platform.machine()})"
