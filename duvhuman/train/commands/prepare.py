"""``python -m duvhuman.train prepare``: folders of MIDI become a data set to train on."""

from __future__ import annotations

import argparse
import os
import sys
import time

from duvhuman.errors import OptionError
from duvhuman.instruments import INSTRUMENTS
from duvhuman.live_line import LiveLine, clock_text
from duvhuman.train.commands.common import command_parser

EPILOG = """\
examples
  python -m duvhuman.train prepare ~/midi/lakh ~/midi/giantmidi=keys --out prepared
  python -m duvhuman.train prepare ~/midi/lakh --out lakh --parquet          # tables for other programs, too
  python -m duvhuman.train prepare /nfs/midi --out /nfs/prepared --ray auto  # on the cluster of this machine
"""
SHOWN_SECONDS = 0.2


def run(arguments: list[str]) -> None:
    """Parse the arguments and prepare; any DuvhumanError if that fails."""
    args = _parser().parse_args(arguments)
    if not 0.0 < args.valid <= 1.0:
        raise OptionError(f"--valid must be between 0 and 1, not {args.valid}")
    if args.jobs is not None and args.jobs < 1:
        raise OptionError(f"--jobs must be at least 1, not {args.jobs}")
    if args.jobs is not None and args.ray is not None:
        raise OptionError("--jobs is for this machine, --ray for a cluster: give one of them")
    from duvhuman.train.data.engines import terminated_as_interrupted
    from duvhuman.train.prepare import Pack, prepare

    line = LiveLine(sys.stderr)
    try:
        with terminated_as_interrupted():
            summary = prepare(
                [Pack.parse(text) for text in args.folders], args.out, valid_share=args.valid,
                jobs=args.jobs or os.cpu_count() or 1, ray=args.ray, parquet=args.parquet, force=args.force,
                progress=_Progress(line).show,
            )
    except KeyboardInterrupt:
        line.clear()
        print(f"interrupted; {args.out} is as it was", file=sys.stderr)
        raise
    finally:
        line.clear()
    print(f"{args.out}: {summary.parts} parts, {summary.notes:,} notes", end="")
    print(f" of {summary.songs} songs; {summary.files} files read")
    for instrument, notes in summary.kept.items():
        print(f"  {instrument:10} {notes['train']:>13,} notes to train on {notes['valid']:>11,} held out")
    for reason, count in summary.left_out.items():
        print(f"  left out {count:6} parts: {reason}")
    for instrument in INSTRUMENTS:
        notes = summary.kept.get(instrument, {"train": 0, "valid": 0})
        if notes["train"] and not notes["valid"]:
            reason = "no part is held out to judge by; prepare more data, or with a larger --valid"
            print(f"warning: {instrument}: {reason}", file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = command_parser(
        "prepare",
        "Read folders of MIDI and write a data set to train on: parts of the four instruments that are "
        "played with dynamics, without duplicates, split by song.",
        EPILOG,
    )
    parser.add_argument(
        "folders", nargs="+", metavar="FOLDER[=INSTRUMENT]",
        help="a folder of MIDI files; INSTRUMENT is what parts without a program change and a telling name are",
    )
    parser.add_argument("--out", default="prepared", metavar="DIR", help="where to write (default: prepared)")
    parser.add_argument(
        "--valid", type=float, default=0.06, metavar="SHARE", help="share of songs held out (0.06; 1: to judge by all)"
    )
    parser.add_argument("--jobs", type=int, metavar="N", help="processes on this machine (default: one per core)")
    parser.add_argument(
        "--ray", metavar="ADDRESS",
        help="read on a Ray cluster: HOST:PORT of its head, or auto; its nodes see the folders under the same paths",
    )
    parser.add_argument("--parquet", action="store_true", help="also write tables of notes to DIR/parquet")
    parser.add_argument("--force", action="store_true", help="replace the data set that stands in DIR")
    return parser


class _Progress:
    """How many files are done, how fast, and how long it will take, on a live line."""

    def __init__(self, line: LiveLine) -> None:
        self._line = line
        self._began = self._shown = time.monotonic()

    def show(self, done: int, total: int) -> None:
        now = time.monotonic()
        if done == total:
            self._line.show(f"{total:,} files read; grouping songs and writing")
        elif now - self._shown >= SHOWN_SECONDS:
            self._shown = now
            speed = done / max(now - self._began, 1e-3)
            left = clock_text((total - done) / max(speed, 1e-3))
            self._line.show(f"{done:,}/{total:,} files, {speed:,.0f} files/s, {left} left")
