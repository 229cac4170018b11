"""``python -m duvhuman.train adapter``: an adapter of one's own, from a take or a handful of them."""

from __future__ import annotations

import argparse
import os
import re
import shlex
import tempfile
from pathlib import Path

from duvhuman.errors import FileError, OptionError
from duvhuman.files import user_path
from duvhuman.instruments import INSTRUMENTS, get_instrument
from duvhuman.models.files import ADAPTER_FILES, ADAPTER_FOLDER, MODEL_FILES, TREES_FILE
from duvhuman.train.commands.common import choose_device, command_parser

EXAMPLES = """\
examples:
  python -m duvhuman.train adapter --name my-feel --base guitar take1.mid take2.mid
  duvhuman humanize riff.mid -i guitar --adapter my-feel/ -o riff.mine.mid

The takes (of fewer than four: their bars) are dealt into four folds; each is held out in turn to judge what was fitted
to the others.
"""
NAME = re.compile(r"\w[\w.-]*")
RESERVED = ("default", "none", ADAPTER_FOLDER, *MODEL_FILES, TREES_FILE)
"""Names that mean something else to --adapter, or to a model's folder."""


def run(arguments: list[str]) -> None:
    """Parse the arguments, fit the adapter and say how good it is.

    Raises
    ------
    OptionError
        For a name that cannot be one, or a device that is not there.
    FileError
        If a take cannot be read, or the adapter cannot be written or is there already.
    DataError, MidiError, ModelError
        If there is nothing to learn from in the takes, one is not MIDI, or the weights are damaged.
    """
    args = _parser().parse_args(arguments)
    instrument = get_instrument(args.base)
    if not NAME.fullmatch(args.name) or args.name in RESERVED:
        others = ", ".join(RESERVED)
        raise OptionError(f"--name takes letters, digits, '.', '_' and '-', and none of {others}; not {args.name!r}")
    out = Path(args.out) if args.out else _default_folder(instrument.name, args.name)
    if out.exists() and not args.force:
        raise FileError(f"{out}: is there already; choose another --name or --out, or replace it with --force")
    if out.exists() and not _is_adapter(out):
        raise FileError(f"{out}: is no adapter, and is not replaced; choose another --name or --out")

    from duvhuman.humanize.networks import check_fits
    from duvhuman.midi.interop import open_midi
    from duvhuman.models.store import find_adapter, find_model
    from duvhuman.train.personal.fit import fit_personal
    from duvhuman.train.personal.takes import read_takes

    model = find_model(instrument.name, args.model)
    start = find_adapter(instrument.name, "default", model)
    check_fits(model, start, instrument.name)
    passages = read_takes([open_midi(take) for take in args.takes], instrument.name)
    notes = sum(len(passage.played) for passage in passages)
    print(f"{instrument.name}: {notes} notes in {len(passages)} parts of {len(args.takes)} takes", flush=True)
    device = choose_device(args.device)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".new-", dir=out.parent) as folder:
            made = Path(folder) / args.name
            fitted = fit_personal(
                passages, model, start, made, base_name=f"duvhuman/{instrument.name}", seed=args.seed,
                device=str(device),
            )
            replaced = Path(folder) / "replaced"
            if out.exists():
                out.rename(replaced)
            try:
                made.rename(out)
            except OSError:
                if replaced.exists():
                    replaced.rename(out)
                raise
    except OSError as error:
        raise FileError(f"{out}: the adapter cannot be written there ({error}); choose another --out") from None
    judged = fitted.held_out
    for what, both in (
        ("velocity r", judged.velocity_r), ("velocity SD ratio", judged.velocity_sd_ratio),
        ("articulation MAE", judged.articulation_mae),
    ):
        if both is not None:
            print(f"{judged.notes} notes, each held out once: {what} {both[0]:.3f} before, {both[1]:.3f} after")
    before, after = judged.velocity_r
    if after <= before:
        print("it plays the held-out notes no better than the adapter that comes with the model; more takes may help")
    print(f"{out} written in {fitted.seconds:.0f} s")
    base = ["--model", args.model] if args.model else []
    typed = shlex.join(["-i", instrument.name, *base, "--adapter", f"{out}{os.sep}"])
    print(f"use it: duvhuman humanize IN.mid {typed} -o OUT.mid")


def _parser() -> argparse.ArgumentParser:
    parser = command_parser(
        "adapter",
        "Fit a personal adapter to MIDI takes of one player, in seconds, on top of the shipped weights.",
        EXAMPLES,
    )
    parser.add_argument("takes", nargs="+", metavar="TAKE", help="MIDI files with velocities as they were played")
    parser.add_argument("--name", required=True, help="what to call the adapter")
    parser.add_argument("--base", required=True, metavar="INSTRUMENT", help=f"what is played: {', '.join(INSTRUMENTS)}")
    parser.add_argument(
        "--out", metavar="DIR", help="where to (default: $DUVHUMAN_MODELS/INSTRUMENT/NAME if that is set, else ./NAME)"
    )
    parser.add_argument("--model", metavar="DIR", help="another base than the one that comes with duvhuman")
    parser.add_argument("--seed", type=_seed, default=0, metavar="N", help="of everything random (0)")
    parser.add_argument("--device", default="auto", help="auto (default), cpu, cuda, ...")
    parser.add_argument("--force", action="store_true", help="replace an adapter that is there")
    return parser


def _seed(text: str) -> int:
    if not re.fullmatch(r"\d{1,18}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0")
    return int(text)


def _default_folder(instrument: str, name: str) -> Path:
    from duvhuman.models.store import MODELS_VARIABLE

    models = os.environ.get(MODELS_VARIABLE)
    return user_path(models) / instrument / name if models else Path(name)


def _is_adapter(folder: Path) -> bool:
    return all((folder / file).is_file() for file in ADAPTER_FILES)
