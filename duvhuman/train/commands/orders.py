"""What the command line of a training run comes to: the `Order` of a new run, or of one that is resumed.

Conventions
-----------
`args` are those of ``python -m duvhuman.train INSTRUMENT``; a run's folder is OUT/INSTRUMENT. Nothing is written here.
"""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from duvhuman.errors import DataError, ModelError, OptionError
from duvhuman.models.files import has_model
from duvhuman.train.config import STAGES, TrainConfig, changed, load_config, stages_in
from duvhuman.train.record import TRUNK, read_record
from duvhuman.train.run.order import RUN_FILE, Order


def wanted_stages(name: str, args: argparse.Namespace) -> tuple[str, ...]:
    """The stages that a run goes through, in their order."""
    if name == TRUNK:
        return ("shallow", TRUNK)
    return ("base", "lora") if args.stage in (None, "all") else (args.stage,)


def _settings(args: argparse.Namespace) -> list[str]:
    """All that the command line changes in the configuration, as ``key=value``."""
    own = {key: getattr(args, key) for key in ("seed", "precision", "compile")}
    return [*args.set, *(f"{key}={str(value).lower()}" for key, value in own.items() if value is not None)]


def new_order(name: str, folder: Path, args: argparse.Namespace) -> Order:
    """What a new run is told.

    Raises
    ------
    OptionError
        If an option is wrong or does not go with another, or `folder` holds a run already.
    DataError
        If the state or the record there is damaged.
    """
    config = args.config or "cpu"
    there, wanted = stages_in(config), wanted_stages(name, args)
    for stage in wanted:
        if stage not in there and stage != "shallow":
            raise OptionError(f"config {config} has no table [{stage}]")
    # A value for a stage that is not run may be wrong, too; better told now than in an hour.
    configs = {stage: load_config(config, stage, _settings(args)) for stage in STAGES if stage in there}
    if args.teachers and not any(configs[stage].teacher_share for stage in wanted if stage in configs):
        raise OptionError("nothing listens to the --teachers; say how much with --set teacher_share=0.5")
    if args.init_from is not None and wanted == ("lora",):
        raise OptionError(f"--init-from is for a base; an adapter is of the base that stands in {folder}")
    _check_free(folder, wanted, force=args.force)
    stages = {stage: configs[stage] for stage in wanted if stage in configs}
    data, teachers = tuple(args.data or ["prepared"]), tuple(args.teachers)
    if wanted == ("lora",):
        base_start, base = _finished_base(folder)
        return Order(name, data, base_start, {**base, **stages}, teachers)
    start = args.init_from
    if start is None and name != TRUNK:
        trunk = folder.parent / TRUNK
        start = str(trunk) if has_model(trunk) else None
    return Order(name, data, start, stages, teachers)


def _finished_base(folder: Path) -> tuple[str | None, Mapping[str, TrainConfig]]:
    """What the finished base in `folder` began with, and its configuration, which its adapter's run keeps."""
    try:
        order = Order.read(folder)
    except DataError:
        return None, {}
    if "base" not in read_record(folder):
        return None, {}
    return order.init_from, {stage: config for stage, config in order.config.items() if stage == "base"}


def _check_free(folder: Path, wanted: Sequence[str], *, force: bool) -> None:
    """Refuse to write over a run that has begun, unless that is wished."""
    from duvhuman.train.checkpoint import stage_in_progress

    if force:
        return
    known = set(read_record(folder)) if (folder / RUN_FILE).exists() else set()
    # A base that is finished may be given an adapter; one that is not has to be finished first.
    if stage := stage_in_progress(folder):
        known.add(stage)
        wanted = (*wanted, stage) if stage not in read_record(folder) else wanted
    if known & set(wanted):
        raise OptionError(
            f"{folder} holds a run already; go on with it by --resume {shlex.quote(str(folder))}, "
            "write elsewhere with --out, or replace it with --force"
        )


def resumed_order(name: str, folder: Path, args: argparse.Namespace, log: Callable[[str], None]) -> Order:
    """What the run in `folder` was told, with what may change on resuming.

    Parameters
    ----------
    log : told what comes too late.

    Raises
    ------
    OptionError
        If it is another model's run, or an option would make another run of it.
    DataError
        If there is no run, or its state or record is damaged.
    ModelError
        If the model that it is to begin with is gone.
    """
    from duvhuman.train.loop import MAY_CHANGE

    order = Order.read(folder)
    if order.instrument != name:
        raise OptionError(f"{folder} is a run of {order.instrument}, not of {name}")
    settings = _settings(args)
    if fixed := [text for text in settings if text.partition("=")[0].rpartition(".")[2] not in MAY_CHANGE]:
        key = fixed[0].partition("=")[0]
        raise OptionError(f"{key} cannot change amid a run; what can: {', '.join(MAY_CHANGE)}")
    done = [stage for stage in order.config if stage in read_record(folder)]
    left = {stage: before for stage, before in order.config.items() if stage not in done}
    if args.stage is not None and name != TRUNK and not set(left) <= set(wanted_stages(name, args)) <= {*order.config}:
        raise OptionError(f"{folder} is a run of {' and '.join(order.config)}; resume it without --stage")
    if args.teachers and not any(config.teacher_share for config in left.values()):
        raise OptionError(f"nothing that is left to do in {folder} listens to the --teachers; resume it without them")
    config = {stage: changed(before, stage, settings) for stage, before in order.config.items()}
    for stage in done:
        if config[stage] != order.config[stage]:
            log(f"{stage}: finished before; what is set now does not change it")
    start = _resumed_start(order, folder, args.init_from)
    return replace(
        order, data=tuple(args.data or order.data), init_from=start, teachers=tuple(args.teachers or order.teachers),
        config=config | {stage: order.config[stage] for stage in done},
    )


def _resumed_start(order: Order, folder: Path, given: str | None) -> str | None:
    """The model that a run begins with: the one it was told, which may have moved if it is still to be read."""
    from duvhuman.train.checkpoint import stage_in_progress

    start = order.start
    gone = start is not None and not has_model(start)
    if given is None and not gone:
        return order.init_from
    known = {stage_in_progress(folder), *read_record(folder)}
    begun = not known.isdisjoint(order.config) or list(order.config) == ["lora"]
    if given is None:
        if not begun:
            raise ModelError(
                f"{start}: the model that {folder} is to begin with is gone; say where it is now with --init-from"
            )
        return order.init_from
    same = start is not None and Path(given).resolve() == start.resolve()
    if not (same or gone):
        began = start or "random weights"
        raise OptionError(f"{folder} begins with {began}, not {given}; resume it without --init-from")
    return order.init_from if same or begun else given
