"""``python -m duvhuman.train INSTRUMENT``: train a base, then its LoRA adapter, or the trunk they begin with.

Conventions
-----------
A run's folder is OUT/INSTRUMENT. Its ``run.json`` keeps what the run was told, so that ``--resume`` needs no more than
the folder.
"""

from __future__ import annotations

import argparse
import difflib
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from duvhuman import __version__
from duvhuman.errors import DataError, FileError, OptionError
from duvhuman.files import written_whole
from duvhuman.instruments import INSTRUMENTS, get_instrument
from duvhuman.train.config import STAGES, TrainConfig, changed, config_of, load_config, stages_in

if TYPE_CHECKING:
    import torch

    from duvhuman.train.distributed import World

ALL, TRUNK = "all", "trunk"
RUN_FILE = "run.json"
EPILOG = """\
examples
  python -m duvhuman.train prepare ~/midi/lakh ~/midi/giantmidi=keys --out prepared
  python -m duvhuman.train trunk --data prepared --out runs          # one network over all instruments
  python -m duvhuman.train guitar --data prepared --out runs --init-from runs/trunk
  python -m duvhuman.train guitar --data guitar_train.csv guitar_valid.csv --set epochs=5 --set lora.lr=1e-3
  python -m duvhuman.train guitar --resume runs/guitar
  torchrun --nproc-per-node 4 -m duvhuman.train guitar --config v3
  duvhuman humanize riff.mid -i guitar -o out.mid --model runs/guitar

Ctrl-C saves the run's state; --resume goes on from there, with exactly the steps that were left.
Other commands, each with --help: prepare, notate, average, evaluate, adapter, export-to-hub.
"""


@dataclass(frozen=True)
class Order:
    """What a run was told: everything that ``run.json`` keeps.

    Attributes
    ----------
    instrument : whose model it is, or "trunk".
    data : what ``--data`` named.
    init_from : the model it begins with, or None.
    teachers : the models that teach it.
    config : stage -> its configuration, of the stages that are run.
    """

    instrument: str
    data: tuple[str, ...]
    init_from: str | None
    config: Mapping[str, TrainConfig]
    teachers: tuple[str, ...] = ()

    def save(self, folder: Path) -> None:
        """Write ``run.json``; FileError if it cannot be written."""
        values = asdict(self) | {"duvhuman": __version__}
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with written_whole(folder / RUN_FILE) as unfinished:
                unfinished.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
        except OSError as error:
            raise FileError(f"{folder}: cannot be written ({error.strerror}); choose another --out") from None

    @classmethod
    def read(cls, folder: Path) -> Order:
        """What the run in `folder` was told; DataError if there is none."""
        path = folder / RUN_FILE
        try:
            values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            config = {stage: config_of(table, str(path)) for stage, table in values["config"].items()}
            teachers = tuple(values.get("teachers", ()))
            return cls(str(values["instrument"]), tuple(values["data"]), values["init_from"], config, teachers)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(f"{path}: no run to resume there ({error}); name the folder of a run") from None


def run(arguments: list[str]) -> None:
    """Parse the arguments and train; any DuvhumanError if that fails, KeyboardInterrupt if somebody ends it."""
    parser = _parser()
    args = parser.parse_args(arguments)
    names = list(INSTRUMENTS) if args.instrument == ALL else [_name(args.instrument)]
    if args.resume is not None and (args.config is not None or args.out is not None or args.force):
        raise OptionError("--resume goes on in the run's folder as configured there: without --config, --out, --force")
    from duvhuman.train.commands.common import choose_device
    from duvhuman.train.distributed import joined_world
    from duvhuman.train.memory import keep_freed_memory

    keep_freed_memory()
    with joined_world(choose_device(args.device)) as (world, device):
        for name in names:
            _train_one(name, args, world, device)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m duvhuman.train",
        description="Train an instrument's base and then its LoRA adapter, or the trunk they begin with.",
        epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False,
    )  # fmt: skip
    parser.add_argument("instrument", help=f"{', '.join(INSTRUMENTS)}, {ALL} (the four in turn), or {TRUNK}")
    parser.add_argument(
        "--stage", choices=("base", "lora", "all"), default="all", help="default: base, then its LoRA adapter"
    )
    parser.add_argument(
        "--data", nargs="+", metavar="DIR|CSV", help="what `prepare` wrote, or phrase CSV files (default: prepared)"
    )
    parser.add_argument("--out", metavar="DIR", help="everything is written in DIR/INSTRUMENT (default: runs)")
    parser.add_argument(
        "--config", metavar="NAME|FILE.toml",
        help="cpu (default: fits two CPU cores), v3 (the full schedules: hours on a CPU), shipped (of the bundled "
        "weights: minutes on a GPU), or a file",
    )  # fmt: skip
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE",
        help="change a key of the configuration; STAGE.KEY=VALUE for one stage alone",
    )  # fmt: skip
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
    )  # fmt: skip
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


def _settings(args: argparse.Namespace) -> list[str]:
    """All that the command line changes in the configuration, as ``key=value``."""
    own = {key: getattr(args, key) for key in ("seed", "precision", "compile")}
    return [*args.set, *(f"{key}={str(value).lower()}" for key, value in own.items() if value is not None)]


def _train_one(name: str, args: argparse.Namespace, world: World, device: torch.device) -> None:
    folder = _folder(name, args)
    resume = args.resume is not None and (args.instrument != ALL or (folder / RUN_FILE).exists())
    order = _resumed_order(name, folder, args) if resume else _new_order(name, folder, args)

    def log(line: str) -> None:
        if world.is_main:
            print(line, flush=True)

    with _asked_to_stop(alone=world.size == 1) as stop:
        try:
            _train(order, folder, world=world, device=device, resume=resume, log=log, stop=stop)
        except KeyboardInterrupt:
            again = f"python -m duvhuman.train {args.instrument} --resume {args.resume or _resume_folder(folder, args)}"
            print(f"interrupted; go on with: {again}", file=sys.stderr)
            raise


def _folder(name: str, args: argparse.Namespace) -> Path:
    if args.resume is None:
        return Path(args.out or "runs") / name
    return Path(args.resume) / name if args.instrument == ALL else Path(args.resume)


def _resume_folder(folder: Path, args: argparse.Namespace) -> Path:
    return folder.parent if args.instrument == ALL else folder


def _wanted_stages(name: str, args: argparse.Namespace) -> tuple[str, ...]:
    if name == TRUNK:
        return ("shallow", TRUNK)
    return ("base", "lora") if args.stage == "all" else (args.stage,)


def _new_order(name: str, folder: Path, args: argparse.Namespace) -> Order:
    config = args.config or "cpu"
    there, wanted = stages_in(config), _wanted_stages(name, args)
    for stage in wanted:
        if stage not in there and stage != "shallow":
            raise OptionError(f"config {config} has no table [{stage}]")
    # A value for a stage that is not run may be wrong, too; better told now than in an hour.
    configs = {stage: load_config(config, stage, _settings(args)) for stage in STAGES if stage in there}
    if args.teachers and not any(configs[stage].teacher_share for stage in wanted if stage in configs):
        raise OptionError("nothing listens to the --teachers; say how much with --set teacher_share=0.5")
    _check_free(folder, wanted, force=args.force)
    start = args.init_from
    if start is None and name != TRUNK:
        from duvhuman.train.stages import has_model

        trunk = folder.parent / TRUNK
        start = str(trunk) if has_model(trunk) else None
    stages = {stage: configs[stage] for stage in wanted if stage in configs}
    return Order(name, tuple(args.data or ["prepared"]), start, stages, tuple(args.teachers))


def _check_free(folder: Path, wanted: Sequence[str], *, force: bool) -> None:
    """Refuse to write over a run that has begun, unless that is wished."""
    from duvhuman.train.checkpoint import stage_in_progress
    from duvhuman.train.record import read_record

    if force:
        return
    known = set(read_record(folder)) if (folder / RUN_FILE).exists() else set()
    # A base that is finished may be given an adapter; one that is not has to be finished first.
    if stage := stage_in_progress(folder):
        known.add(stage)
        wanted = (*wanted, stage) if stage not in read_record(folder) else wanted
    if known & set(wanted):
        raise OptionError(
            f"{folder} holds a run already; go on with it by --resume {folder}, "
            "write elsewhere with --out, or replace it with --force"
        )


def _resumed_order(name: str, folder: Path, args: argparse.Namespace) -> Order:
    from duvhuman.train.loop import MAY_CHANGE

    order = Order.read(folder)
    if order.instrument != name:
        raise OptionError(f"{folder} is a run of {order.instrument}, not of {name}")
    settings = _settings(args)
    if fixed := [text for text in settings if text.partition("=")[0].rpartition(".")[2] not in MAY_CHANGE]:
        key = fixed[0].partition("=")[0]
        raise OptionError(f"{key} cannot change amid a run; what can: {', '.join(MAY_CHANGE)}")
    config = {stage: changed(before, stage, settings) for stage, before in order.config.items()}
    data = tuple(args.data) if args.data else order.data
    return Order(name, data, args.init_from or order.init_from, config, tuple(args.teachers) or order.teachers)


def _train(
    order: Order, folder: Path, *, world: World, device: torch.device, resume: bool, log: Callable[[str], None],
    stop: Callable[[], bool],
) -> None:  # fmt: skip
    from duvhuman.train.commands.common import open_data
    from duvhuman.train.loop import Surroundings
    from duvhuman.train.stages import Run, train_base, train_lora, train_trunk

    data = open_data(order.data, log)
    if world.is_main:
        order.save(folder)
    jobs = max(1, (os.cpu_count() or 1) // world.on_this_machine)
    around = Surroundings(folder, device, world, log, sys.stderr, stop, jobs=jobs)
    a_run = Run(data, around, resume, [Path(folder) for folder in order.teachers])
    name, start = order.instrument, Path(order.init_from) if order.init_from else None
    if name == TRUNK:
        train_trunk(a_run, order.config.get("shallow"), order.config[TRUNK], start)
        log(f"{folder} holds the trunk; train an instrument from it with --init-from {folder}")
        return
    if "base" in order.config:
        log(f"{name}: base from {start or 'random weights'}")
        train_base(a_run, name, order.config["base"], start)
    if "lora" in order.config:
        log(f"{name}: adapter")
        train_lora(a_run, name, order.config["lora"])
    log(f"{folder} holds the model; play with it: duvhuman humanize IN.mid -i {name} -o OUT.mid --model {folder}")


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
