"""``python -m duvhuman.train evaluate``: a model's validation figures beside the floors' and the ceiling's."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from duvhuman.errors import DataError, FileError, ModelError, OptionError
from duvhuman.files import write_whole
from duvhuman.instruments import INSTRUMENTS, get_instrument
from duvhuman.train.commands.common import add_data_option, command_parser, open_data
from duvhuman.train.record import TRUNK

if TYPE_CHECKING:
    from duvhuman.train.dataset import PhraseData

ALL = "all"
DATA, MAX_PARTS = "prepared", 120
REPORT_FILE = "report.json"


def run(arguments: list[str]) -> None:
    """Parse the arguments and print the tables; OptionError, DataError, ModelError or FileError if that fails."""
    parser = command_parser(
        "evaluate",
        "Play the flattened validation parts and compare with the players, beside flat, jitter, the ridge "
        "floor and the players' own repetitions. Writes report.json and plots.",
    )
    parser.add_argument("instruments", nargs="+", help=f"{', '.join(INSTRUMENTS)}, or {ALL}")
    add_data_option(parser, default=[DATA])
    parser.add_argument("--model", metavar="DIR", help="a model, or a folder of models (default: the bundled ones)")
    parser.add_argument("--max-parts", type=int, default=MAX_PARTS, help="at most so many parts of each pack (120)")
    parser.add_argument("--out", metavar="DIR", default="evaluation", help=f"for {REPORT_FILE} and plots (evaluation)")
    parser.add_argument("--cards", action="store_true", help="rewrite the model card beside each model")
    args = parser.parse_args(arguments)
    if TRUNK in args.instruments:
        raise OptionError("a trunk is not evaluated; train an instrument from it")
    names = list(INSTRUMENTS) if ALL in args.instruments else [get_instrument(n).name for n in args.instruments]
    if args.max_parts < 1:
        parser.error(f"--max-parts must be 1 or more, not {args.max_parts}")
    out = _folder(args.out)
    from duvhuman.models.player import read_player
    from duvhuman.train.evaluation.card import write_card
    from duvhuman.train.evaluation.plots import draw_evaluation
    from duvhuman.train.evaluation.report import ADAPTER, BASE, evaluate_instrument, format_report, format_summary
    from duvhuman.train.run.curves import can_draw

    data = open_data(args.data, print)
    _check_parts(data, names)
    packs = {part.pack for part in data.parts}
    reports = []
    for name, (folder, adapter) in _models(names, args.model).items():
        models = {BASE: read_player(folder)}
        if adapter is not None:
            models[ADAPTER] = read_player(folder, adapter)
        report = evaluate_instrument(data, name, models, max_parts=args.max_parts, log=print)
        reports.append(report)
        try:
            _write(out / REPORT_FILE, json.dumps({one.instrument: one.to_dict() for one in reports}, indent=1) + "\n")
            if can_draw():
                draw_evaluation(report, models[BASE].config, out)
            if args.cards:
                write_card(folder, report, packs, _options(args, folder))
        finally:  # files first: nobody may be listening any more; but what cannot be written is told still
            print(format_report(report), end="\n\n", flush=True)
        if not can_draw():
            print("no plots: they need matplotlib (pip install 'duvhuman[train]')")
    print(format_summary(reports), f"{out / REPORT_FILE} holds all figures", sep="\n\n")


def _options(args: argparse.Namespace, folder: Path) -> list[str]:
    """The options that led to the figures of the model in `folder`, as its card tells them to anybody: without the
    folders of this machine that absolute paths name.
    """
    from duvhuman.models.store import BUNDLED

    data = [_told_path(path) for path in args.data]
    bundled = folder.resolve().is_relative_to(BUNDLED.resolve())
    return [
        *(["--data", *data] if data != [DATA] else []),
        *(["--model", _told_path(args.model)] if args.model and not bundled else []),
        *(["--max-parts", str(args.max_parts)] if args.max_parts != MAX_PARTS else []),
    ]


def _told_path(path: str) -> str:
    return Path(path).name if Path(path).is_absolute() else path


def _models(names: Sequence[str], model: str | None) -> dict[str, tuple[Path, Path | None]]:
    """Each instrument's model and its adapter; ModelError names all without one that fits, before any plays."""
    from duvhuman.humanize.networks import check_fits
    from duvhuman.models.store import find_adapter, find_model

    found, missing = {}, {}
    for name in names:
        try:
            folder = find_model(name, model)
            adapter = find_adapter(name, "default", folder)
            check_fits(folder, adapter, name)
            found[name] = folder, adapter
        except ModelError as error:
            missing[name] = str(error)
    if missing:
        reason = next(iter(missing.values()))
        others = f"no model for {', '.join(missing)}: {reason}, or evaluate {' '.join(found)} alone"
        raise ModelError(others if found else reason)
    return found


def _check_parts(data: PhraseData, names: Sequence[str]) -> None:
    """DataError if some of several instruments have no parts, before any is played."""
    missing = [
        name for name in names
        if not (data.select(split="valid", instrument=name) and data.select(split="train", instrument=name))
    ]
    if missing and len(missing) < len(names):
        others = " ".join(name for name in names if name not in missing)
        raise DataError(
            f"{data.name}: no training or no validation parts for {', '.join(missing)}; prepare more data, or evaluate "
            f"{others} alone"
        )


def _folder(name: str) -> Path:
    folder = Path(name)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(f"{name}: no folder can be made there ({error}); name another with --out") from None
    return folder


def _write(path: Path, text: str) -> None:
    try:
        write_whole(path, text)
    except OSError as error:
        raise FileError(f"{path}: the report cannot be written there ({error}); name another folder") from None
