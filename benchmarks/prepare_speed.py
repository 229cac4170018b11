"""How fast `prepare` is, beside pretty_midi that only parses the same files, and how long a million files would take.

    python benchmarks/prepare_speed.py ~/midi/lakh ~/midi/pop909 ~/midi/giantmidi=keys --files 300

Two measurements, both on a sample of each folder, spread evenly, whose files were read once before:

- alone: one process, file after file: what `prepare` does with a file (parse, pair, filter, columns) and
  ``pretty_midi.PrettyMIDI(file)``;
- all in all: `prepare` from the list of files to the finished data set, and pretty_midi parsing in as many processes,
  each from the start of its processes to their end.

Notes are those that pretty_midi finds (prepare reads all of them, too, and keeps what is worth training on).
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import tempfile
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from plain_errors import run

from duvhuman.train.data.read_midi import FileGroup, find_files, read_group
from duvhuman.train.prepare import GROUP_FILES, Pack, prepare


@dataclass(frozen=True)
class Times:
    """What was measured of some files; seconds."""

    files: int
    notes: int
    unread: int
    theirs: float
    ours: float


def main() -> None:
    """Run it; see the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", help="as for `prepare`: FOLDER or FOLDER=INSTRUMENT")
    parser.add_argument("--files", type=int, default=300, help="at most so many files of each folder (300)")
    parser.add_argument("--jobs", type=int, default=2, help="processes (2)")
    parser.add_argument("--tables", action="store_true", help="let prepare write Parquet tables, too")
    args = parser.parse_args()
    packs = [Pack.parse(text) for text in args.folders]
    with tempfile.TemporaryDirectory() as place:
        samples = [_sample(pack, Path(place) / pack.folder.resolve().name, args.files) for pack in packs]
        alone = {pack.folder.name: _alone(pack) for pack in samples}
        whole, kept = _all_in_all(samples, Path(place) / "out", args.jobs, args.tables)
    print(f"{'':26}{'files':>7}{'notes':>11}{'pretty_midi':>22}{'prepare':>31}{'':>8}")
    print(f"{'':44}{'files/s':>10}{'notes/s':>12}{'files/s':>10}{'notes/s':>12}{'speedup':>17}")
    for name, times in alone.items():
        _print(f"alone, {name}", times)
    total = list(alone.values())
    _print("alone, all folders", Times(*(sum(getattr(t, key) for t in total) for key in Times.__dataclass_fields__)))
    _print(f"all in all, {args.jobs} processes", whole)
    speed = whole.files / whole.ours
    print(f"{kept:,} notes were kept; pretty_midi could not read {whole.unread} files")
    print(
        f"a million such files: {1e6 / speed / 3600:.1f} hours on {args.jobs} cores, "
        f"{1e6 / speed / 3600 * args.jobs / 64 * 60:.0f} minutes on 64 if they and the storage keep up"
    )


def _sample(pack: Pack, folder: Path, files: int) -> Pack:
    """A folder with links to some files of a pack, and to their tables of beats."""
    found = find_files(pack.folder)
    chosen = [found[i] for i in np.unique(np.linspace(0, len(found) - 1, min(files, len(found))).astype(int))]
    for name in chosen:
        source, target = (pack.folder / name).resolve(), folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(source)
        target.read_bytes()
        if (beats := source.with_name(source.stem + ".beats.txt")).exists():
            target.with_name(beats.name).symlink_to(beats)
            beats.read_bytes()
    return Pack(folder, pack.instrument, folder.name)


def _alone(pack: Pack) -> Times:
    files = find_files(pack.folder)
    paths = [str(pack.folder / name) for name in files]
    parse(paths[:2])  # imports
    read_group(FileGroup(pack, tuple(files[:2])))
    start = time.perf_counter()
    notes, unread = parse(paths)
    middle = time.perf_counter()
    for first in range(0, len(files), GROUP_FILES):
        read_group(FileGroup(pack, tuple(files[first : first + GROUP_FILES])))
    return Times(len(files), notes, unread, middle - start, time.perf_counter() - middle)


def _all_in_all(packs: Sequence[Pack], out: Path, jobs: int, tables: bool) -> tuple[Times, int]:
    paths = [str(pack.folder / name) for pack in packs for name in find_files(pack.folder)]
    groups = [paths[first : first + GROUP_FILES] for first in range(0, len(paths), GROUP_FILES)]
    start = time.perf_counter()
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        counts = pool.map(parse, groups, chunksize=1)
    middle = time.perf_counter()
    summary = prepare(packs, out, jobs=jobs, parquet=tables)
    stop = time.perf_counter()
    notes, unread = (sum(column) for column in zip(*counts, strict=True))
    return Times(len(paths), notes, unread, middle - start, stop - middle), summary.notes


def parse(paths: Sequence[str]) -> tuple[int, int]:
    """Parse files with pretty_midi: the number of notes, and of files that it does not read."""
    import pretty_midi

    notes = unread = 0
    for path in paths:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                midi = pretty_midi.PrettyMIDI(path)
        except Exception:  # noqa: BLE001 - damaged files raise anything there
            unread += 1
        else:
            notes += sum(len(instrument.notes) for instrument in midi.instruments)
    return notes, unread


def _print(name: str, times: Times) -> None:
    print(
        f"{name:26}{times.files:7,}{times.notes:11,}{times.files / times.theirs:10,.0f}"
        f"{times.notes / times.theirs:12,.0f}{times.files / times.ours:10,.0f}{times.notes / times.ours:12,.0f}"
        f"{times.theirs / times.ours:16.1f}x"
    )


if __name__ == "__main__":
    if "OMP_NUM_THREADS" not in os.environ:
        os.environ["OMP_NUM_THREADS"] = "1"
    run(main)
