"""Humanize every MIDI file below some folders in memory: how many are done, how many refused and why, notes per second.

    python benchmarks/humanize_folder.py ~/midi/lakh --instrument auto

The weights are read before the clock starts.
"""

from __future__ import annotations

import argparse
import os
import time
import warnings
from collections import Counter
from pathlib import Path

import torch
from plain_errors import run

import duvhuman


def main() -> None:
    """Run it; see the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--instrument", default="auto")
    parser.add_argument("--every", type=int, default=1, help="only every Nth file (default: all)")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    files = sorted(p for folder in args.folders for p in folder.rglob("*") if p.suffix.lower() in (".mid", ".midi"))
    files = files[:: args.every]
    if not files:
        parser.error(f"no .mid or .midi files in {', '.join(map(str, args.folders))}")
    player = duvhuman.load(args.instrument)
    done = nothing = notes = parts = 0
    refused: Counter[str] = Counter()
    left_alone: Counter[str] = Counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", duvhuman.DuvhumanWarning)
        for instrument in duvhuman.INSTRUMENTS:
            duvhuman.load(instrument)
        start = time.perf_counter()
        for path in files:
            try:
                report = player.humanize(path, seed=0).report
            except duvhuman.DuvhumanError as error:
                refused[str(error).replace(str(path), "FILE")] += 1
                continue
            done += 1
            played = [part for part in report.parts if not part.skipped]
            nothing += not played
            parts += len(played)
            notes += sum(part.played for part in played)
            left_alone.update(part.skipped.split(" (")[0] for part in report.parts if part.skipped)
        seconds = time.perf_counter() - start
    print(f"{len(files)} files: {done} done ({nothing} of them with nothing to play), {sum(refused.values())} refused")
    for reason, count in refused.most_common():
        print(f"  refused {count}: {reason}")
    speed = f"{notes / seconds:,.0f} notes/s, {args.threads} threads"
    print(f"{parts} parts, {notes:,} notes played in {seconds:.0f} s: {speed}")
    for reason, count in left_alone.most_common():
        print(f"  parts left alone: {count:6} {reason}")


if __name__ == "__main__":
    run(main)
