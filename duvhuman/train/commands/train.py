"""``python -m duvhuman.train INSTRUMENT``: train a base, then its LoRA adapter, or the trunk they begin with.

Conventions
-----------
A run's folder is OUT/INSTRUMENT. Its ``run.json`` keeps what the run was told, so that ``--resume`` needs no more than
the folder.
"""

from __future__ import annotations

import argparse
import difflib
import os
import shlex
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from duvhuman.errors import DataError, FileError, OptionError
from duvhuman.instruments import INSTRUMENTS, get_instrument
from duvhuman.train.commands import COMMANDS
from duvhuman.train.commands.common import add_data_option, choose_device, command_parser, open_data
from duvhuman.train.commands.orders import new_order, resumed_order, wanted_stages
from duvhuman.train.config import TrainConfig, packs_named
from duvhuman.train.record import TRUNK, read_record
from duvhuman.train.run.order import RUN_FILE, Order

if TYPE_CHECKING:
    import torch

    from duvhuman.train.dataset import PhraseData
    from duvhuman.train.loop import Surroundings
    from duvhuman.train.run.distributed import World
    from duvhuman.train.stages import Run

ALL = "all"
EPILOG = f"""\
examples
  python -m duvhuman.train prepare ~/midi/lakh ~/midi/giantmidi=keys --out prepared
  python -m duvhuman.train trunk --data prepared --out runs          # one network over all instruments
  python -m duvhuman.train guitar --data prepared --out runs --init-from runs/trunk
  python -m duvhuman.train guitar --data guitar_train.csv guitar_valid.csv --set epochs=5 --set lora.lr=1e-3
  python -m duvhuman.train guitar --resume runs/guitar
  torchrun --nproc-per-node 4 -m duvhuman.train guitar --config v3
  duvhuman humanize riff.mid -i guitar -o out.mid --model runs/guitar

Ctrl-C saves the run's state (with torchrun the last one stands); --resume goes on from there, with exactly the steps
that were left.
Other commands, each with --help: {', '.join(COMMANDS)}.
"""


def run(arguments: list[str]) -> None:
    """Parse the arguments and train; any DuvhumanError if that fails, KeyboardInterrupt if somebody ends it."""
    parser = _parser()
    args = parser.parse_args(arguments)
    names = list(INSTRUMENTS) if args.instrument == ALL else [_name(args.instrument)]
    if args.resume is not None and (args.config is not None or args.out is not None or args.force):
        raise OptionError("--resume goes on in the run's folder as configured there: without --config, --out, --force")
    if names == [TRUNK] and args.stage not in (None, "all"):
        raise OptionError("--stage is for instruments: a trunk has no base and no adapter; leave --stage out")
    from duvhuman.train.run.distributed import joined_world
    from duvhuman.train.run.malloc import keep_freed_memory

    keep_freed_memory()
    with joined_world(choose_device(args.device)) as (world, device), _asked_to_stop(alone=world.size == 1) as stop:
        _train_all(names, args, world, device, stop)


def _parser() -> argparse.ArgumentParser:
    parser = command_parser(
        "",
        "Train an instrument's base and then its LoRA adapter, or the trunk they begin with.",
        EPILOG,
    )
    parser.add_argument("instrument", help=f"{', '.join(INSTRUMENTS)}, {ALL} (the four in turn), or {TRUNK}")
    parser.add_argument(
        "--stage", choices=("base", "lora", "all"), help="default: all: the base, then its LoRA adapter"
    )
    add_data_option(parser)
    parser.add_argument("--out", metavar="DIR", help="everything is written in DIR/INSTRUMENT (default: runs)")
    parser.add_argument(
        "--config", metavar="NAME|FILE.toml",
        help="cpu (default: fits two CPU cores), v3 (the full schedules: hours on a CPU), shipped (of the bundled "
        "weights: minutes on a GPU), or a file",
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE",
        help="change a key of the configuration; STAGE.KEY=VALUE for one stage alone",
    )
    parser.add_argument("--resume", metavar="RUN", help="go on with the run in this folder (all: a folder of runs)")
    parser.add_argument("--seed", type=int, help="of everything random (default: the configuration's)")
    parser.add_argument("--device", default="auto", help="auto (default), cpu, cuda, cuda:1, ...")
    parser.add_argument("--precision", help="auto (default), bf16 or float32")
    parser.add_argument("--compile", action=argparse.BooleanOptionalAction, help="use torch.compile, or do not")
    parser.add_argument(
        "--init-from", metavar="MODEL", help="begin with this model's weights (default: OUT/trunk if there)"
    )
    parser.add_argument(
        "--teachers", nargs="+", default=[], metavar="MODEL",
        help="models that teach it (--set teacher_share=0.5): those trained without a fold of the songs (--set fold="
        "1/5) teach that fold, any other teaches all",
    )
    parser.add_argument("--force", action="store_true", help="replace a run that stands in the folder")
    return parser


def _name(instrument: str) -> str:
    if instrument == TRUNK:
        return TRUNK
    try:
        return get_instrument(instrument).name
    except OptionError:
        known = (*INSTRUMENTS, ALL, TRUNK)
        near = difflib.get_close_matches(instrument, known, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else f"There are {', '.join(known)}."
        raise OptionError(f"unknown instrument {instrument!r}. {hint}") from None


@dataclass(frozen=True)
class _Job:
    """A run that nothing is in the way of: what it was told, the stages of it that are gone through, and where."""

    order: Order
    stages: Mapping[str, TrainConfig]
    run: Run


def _train_all(
    names: Sequence[str], args: argparse.Namespace, world: World, device: torch.device, stop: Callable[[], bool]
) -> None:
    """Train models in turn. All are looked at, and their ``run.json`` is written, before the first begins."""
    from duvhuman.train.loop import Surroundings

    def log(line: str) -> None:
        if world.is_main:
            print(line, flush=True)

    if args.resume is not None and args.instrument == ALL:
        names = _begun(Path(args.resume), log)
    opened: dict[tuple[str, ...], PhraseData] = {}
    jobs: list[_Job] = []
    left_out: dict[str, DataError] = {}
    processes = max(1, (os.cpu_count() or 1) // world.on_this_machine)
    for name in names:
        around = Surroundings(_folder(name, args), device, world, log, sys.stderr, stop, jobs=processes)
        try:
            jobs.append(_checked_job(name, args, around, opened))
        except DataError as error:
            left_out[name] = error
    if not jobs:
        raise next(iter(left_out.values()))
    for reason in left_out.values():
        log(f"left out: {reason}")
    world.from_main([])  # nothing is written before all ranks have read what is there
    for job in jobs:
        _begin(job)
    for job in jobs:
        try:
            _train(job)
        except KeyboardInterrupt:
            again = args.resume or (job.run.folder.parent if args.instrument == ALL else job.run.folder)
            command = f"python -m duvhuman.train {args.instrument} --resume {shlex.quote(str(again))}"
            print(f"interrupted; go on with: {command}", file=sys.stderr)
            raise
    if left_out:
        raise DataError(f"left out {', '.join(left_out)}: {next(iter(left_out.values()))}")


def _begun(folder: Path, log: Callable[[str], None]) -> list[str]:
    """The instruments with a run in a folder of runs, for the first call left the others out; DataError if none has."""
    names = [name for name in INSTRUMENTS if (folder / name / RUN_FILE).exists()]
    if not names:
        raise DataError(f"no run to resume in {folder}; name the folder of the runs, or begin without --resume")
    for name in INSTRUMENTS:
        if name not in names:
            log(f"{name}: no run to resume in {folder}")
    return names


def _checked_job(
    name: str, args: argparse.Namespace, around: Surroundings, opened: dict[tuple[str, ...], PhraseData]
) -> _Job:
    """What is to be done for one model; any DuvhumanError that keeps it from being trained, before anything is written.

    Parameters
    ----------
    opened : what ``--data`` named -> the data, which several models share.
    """
    from duvhuman.train.run.tasks import adapter_config
    from duvhuman.train.stages import Run, check

    folder, resume = around.folder, args.resume is not None
    order = resumed_order(name, folder, args, around.log) if resume else new_order(name, folder, args)
    if order.data not in opened:
        opened[order.data] = _open(order.data, around.log, resume=resume)
        _check_packs(args.set, opened[order.data])
    run = Run(opened[order.data], around, resume, [Path(folder) for folder in order.teachers])
    todo = list(order.config) if resume else [stage for stage in wanted_stages(name, args) if stage in order.config]
    if "lora" in todo and not (resume and "lora" in read_record(folder)):
        order = replace(
            order,
            config={**order.config, "lora": adapter_config(run.data, name, order.config["lora"], around.log)},
        )
    stages = {stage: order.config[stage] for stage in todo}
    check(run, name, stages, order.start)
    return _Job(order, stages, run)


def _open(paths: tuple[str, ...], log: Callable[[str], None], *, resume: bool) -> PhraseData:
    try:
        return open_data(paths, log)
    except (DataError, FileError) as error:
        if resume and not all(Path(path).exists() for path in paths):
            raise type(error)(f"{error}; if the data have moved, say where to with --data") from None
        raise


def _check_packs(settings: Sequence[str], data: PhraseData) -> None:
    """Refuse `passes` of a pack that the data lack, which would change nothing; a file may name others."""
    there = sorted({part.pack for part in data.parts})
    for setting in settings:
        key, _, value = setting.partition("=")
        named = packs_named(value) if key.strip().rpartition(".")[2] == "passes" else None
        if unknown := [pack for pack in named or () if pack not in there]:
            raise OptionError(f"--set {setting}: {data.name} has no pack {unknown[0]!r}; there are {', '.join(there)}")


def _folder(name: str, args: argparse.Namespace) -> Path:
    if args.resume is None:
        return Path(args.out or "runs") / name
    return Path(args.resume) / name if args.instrument == ALL else Path(args.resume)


def _begin(job: _Job) -> None:
    """Write down what a run was told, unless all of it is done; a new one forgets the former run in its folder."""
    from duvhuman.train.stages import forget_former

    run = job.run
    if not run.around.world.is_main or (run.resume and job.stages.keys() <= read_record(run.folder).keys()):
        return
    job.order.save(run.folder)
    if not run.resume:
        forget_former(run, list(job.stages), job.order.start)


def _train(job: _Job) -> None:
    from duvhuman.train.stages import train_base, train_lora, train_trunk

    name, run, stages, start = job.order.instrument, job.run, job.stages, job.order.start
    folder, log = run.folder, run.around.log
    typed = shlex.quote(str(folder))
    if name == TRUNK:
        train_trunk(run, stages.get("shallow"), stages[TRUNK], start)
        log(f"{folder} holds the trunk; train an instrument from it with --init-from {typed}")
        return
    if "base" in stages:
        log(f"{name}: base from {start or 'random weights'}")
        train_base(run, name, stages["base"], start)
    if "lora" in stages:
        log(f"{name}: adapter")
        train_lora(run, name, stages["lora"])
    log(f"{folder} holds the model; play with it: duvhuman humanize IN.mid -i {name} -o OUT.mid --model {typed}")


@contextmanager
def _asked_to_stop(*, alone: bool) -> Iterator[Callable[[], bool]]:
    """Whether Ctrl-C or SIGTERM has come: the first lets the run save its state, the second ends it at once.

    Ranks cannot stop at the same step without waiting for each other: of several, each ends at once.
    """
    asked = threading.Event()
    if not alone or threading.current_thread() is not threading.main_thread():
        yield asked.is_set
        return

    def ask(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - as signal.signal wants it
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
