"""The command line of training: ``python -m duvhuman.train --help``."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from duvhuman.errors import DuvhumanError, FileError, OptionError
from duvhuman.instruments import INSTRUMENTS, get_instrument

if TYPE_CHECKING:
    import torch

    from duvhuman.train.stages import Run

ALL, TRUNK = "all", "trunk"
INTERRUPTED = 130
EPILOG = """\
examples
  python -m duvhuman.train prepare ~/midi/lakh ~/midi/giantmidi=keys --out prepared
  python -m duvhuman.train trunk --data prepared --out runs          # one network over all instruments
  python -m duvhuman.train guitar --data prepared --out runs --init-from runs/trunk
  python -m duvhuman.train evaluate guitar --data prepared --model runs/guitar
  duvhuman humanize riff.mid -i guitar -o out.mid --model runs/guitar

A run is interrupted with Ctrl-C and goes on with the same command and --resume.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: 0 done, 1 failed, 2 usage, 130 interrupted."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    commands = {"prepare": _prepare, "evaluate": _evaluate}
    try:
        if arguments and arguments[0] in commands:
            commands[arguments[0]](arguments[1:])
        else:
            _train(arguments)
    except OptionError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except DuvhumanError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; the same command with --resume goes on from the last checkpoint", file=sys.stderr)
        return INTERRUPTED
    return 0


def _train(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m duvhuman.train",
        description="Train an instrument's base and then its LoRA adapter, or the trunk they begin with. "
        "Other commands: prepare, evaluate (each with --help).",
        epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False,
    )  # fmt: skip
    parser.add_argument("instrument", help=f"{', '.join(INSTRUMENTS)}, {ALL} (the four in turn), or {TRUNK}")
    parser.add_argument("--data", default="prepared", metavar="DIR", help="what `prepare` wrote (default: prepared)")
    parser.add_argument("--out", default="runs", metavar="DIR", help="models go to DIR/INSTRUMENT (default: runs)")
    parser.add_argument("--stage", choices=("base", "lora", "all"), default="all", help="default: base, then lora")
    parser.add_argument(
        "--config", default="cpu", metavar="NAME|FILE.toml",
        help="cpu (default: fits two CPU cores), v3 (the full schedules: hours on a CPU), or a file",
    )  # fmt: skip
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change a key of the config")
    parser.add_argument(
        "--init-from", metavar="DIR", help="begin with this model's weights (default: OUT/trunk if there)"
    )
    parser.add_argument("--resume", action="store_true", help="go on with what stands in OUT")
    parser.add_argument("--seed", type=int, help="of everything random (default: the config's)")
    parser.add_argument("--device", default="auto", help="auto (default), cpu, cuda, cuda:1, ...")
    args = parser.parse_args(arguments)
    names = list(INSTRUMENTS) if args.instrument == ALL else [args.instrument]
    if names != [TRUNK]:
        names = [get_instrument(name).name for name in names]
    settings = [*args.set, *([f"seed={args.seed}"] if args.seed is not None else [])]
    for name in names:
        _train_one(name, args, settings)


def _train_one(name: str, args: argparse.Namespace, settings: Sequence[str]) -> None:
    from duvhuman.train.config import load_config, stages_in
    from duvhuman.train.stages import has_model, train_base, train_lora, train_trunk

    configs = {stage: load_config(args.config, stage, settings) for stage in stages_in(args.config)}
    wanted = (TRUNK,) if name == TRUNK else ("base", "lora") if args.stage == "all" else (args.stage,)
    for stage in wanted:
        if stage not in configs:
            raise OptionError(f"config {args.config} has no table [{stage}]")
    run = _run(name, args)
    start = Path(args.init_from) if args.init_from else None
    if name == TRUNK:
        train_trunk(run, configs.get("shallow"), configs["trunk"], start)
        print(f"{run.folder} holds the trunk; train an instrument from it with --init-from {run.folder}")
        return
    if start is None and has_model(Path(args.out) / TRUNK):
        start = Path(args.out) / TRUNK
    if "base" in wanted:
        print(f"{name}: base from {start or 'random weights'}")
        train_base(run, name, configs["base"], start)
    if "lora" in wanted:
        print(f"{name}: adapter")
        train_lora(run, name, configs["lora"])
    print(
        f"{run.folder} holds the model; play with it: "
        f"duvhuman humanize IN.mid -i {name} -o OUT.mid --model {run.folder}"
    )


def _run(name: str, args: argparse.Namespace) -> Run:
    import torch

    from duvhuman.train.dataset import PhraseData
    from duvhuman.train.stages import Run

    device = _device(args.device)
    if device.type == "cpu" and "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(os.cpu_count() or 1)
    return Run(PhraseData(args.data), Path(args.out) / name, device, args.resume, lambda line: print(line, flush=True))


def _device(name: str) -> torch.device:
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise OptionError(f"unknown device {name!r}; there are auto, cpu, cuda, cuda:0") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise OptionError(f"device {name!r} was asked for, but this machine has no CUDA; use --device cpu")
    return device


def _prepare(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m duvhuman.train prepare",
        description="Read folders of MIDI and write a data set to train on: parts of the four instruments that are "
        "played with dynamics, without duplicates, split by song.",
    )
    parser.add_argument(
        "folders", nargs="+", metavar="FOLDER[=INSTRUMENT]",
        help="a folder of MIDI files; INSTRUMENT is what parts without a program change and a telling name are",
    )  # fmt: skip
    parser.add_argument("--out", default="prepared", metavar="DIR", help="where to write (default: prepared)")
    parser.add_argument("--valid", type=float, default=0.06, metavar="SHARE", help="share of songs held out (0.06)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes (default: one per core)")
    args = parser.parse_args(arguments)
    if not 0.0 < args.valid < 1.0:
        raise OptionError(f"--valid must be between 0 and 1, not {args.valid}")
    from duvhuman.train.prepare import Pack, prepare

    summary = prepare([Pack.parse(text) for text in args.folders], args.out, valid_share=args.valid, jobs=args.jobs)
    print(f"{args.out}: {summary.parts} parts, {summary.notes:,} notes")
    for reason, count in sorted(summary.left_out.items(), key=lambda item: -item[1]):
        print(f"  left out {count:6} parts: {reason}")


def _evaluate(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m duvhuman.train evaluate",
        description="Play the flattened validation parts and compare with the players, beside flat, jitter and the "
        "ridge floor.",
    )
    parser.add_argument("instruments", nargs="+", help=f"{', '.join(INSTRUMENTS)}, or {ALL}")
    parser.add_argument("--data", default="prepared", metavar="DIR", help="what `prepare` wrote (default: prepared)")
    parser.add_argument("--model", metavar="DIR", help="a model, or a folder of models (default: the bundled ones)")
    parser.add_argument("--max-parts", type=int, default=60, help="at most so many parts of each pack (60)")
    parser.add_argument("--report", metavar="FILE", help="write the numbers here as JSON")
    parser.add_argument("--cards", action="store_true", help="rewrite the model card beside each model")
    args = parser.parse_args(arguments)
    names = list(INSTRUMENTS) if args.instruments == [ALL] else [get_instrument(n).name for n in args.instruments]
    from duvhuman.models.lora import merge_adapter
    from duvhuman.models.phrase_transformer import PhraseTransformer
    from duvhuman.models.store import find_adapter, find_model
    from duvhuman.train.card import write_card
    from duvhuman.train.dataset import PhraseData
    from duvhuman.train.evaluate import evaluate_instrument, format_report

    data = PhraseData(args.data)
    report = {}
    for name in names:
        folder = find_model(name, args.model)
        adapter = find_adapter(name, "default", folder)
        models = {"base": PhraseTransformer.from_pretrained(folder)}
        if adapter is not None:
            models["base and adapter"] = PhraseTransformer.from_pretrained(folder)
            merge_adapter(models["base and adapter"], adapter)
        report[name] = evaluate_instrument(data, name, models, max_parts=args.max_parts)
        if args.cards:
            write_card(folder, name, report[name])
    print(format_report(report))
    if args.report:
        try:
            Path(args.report).write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
        except OSError as error:
            raise FileError(f"{args.report}: the report cannot be written there ({error}); name another file") from None


if __name__ == "__main__":
    sys.exit(main())
