"""How faithfully files of MIDI survive: read and written back, performed at random, and humanized.

For every file: does it parse, do its bytes come back identical, and (as asked for) does a performance of random
velocities and lengths, or `duvhuman.humanize`, change only note-on velocities and note-off ticks?

Conventions
-----------
Counts are of files unless they say notes. A file is refused if duvhuman raises one of its own errors; any other
exception, and any difference that is not allowed, is a failure. The exit code is 1 if anything failed.

    python benchmarks/byte_identity.py FOLDER... [--perform] [--intensity-0] [--humanize] [--every N]
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
from plain_errors import run

from duvhuman.errors import DuvhumanError, DuvhumanWarning
from duvhuman.midi.edit import apply_performance
from duvhuman.midi.notes import read_parts
from duvhuman.midi.smf import END_OF_TRACK, META, SmfFile, Track, parse_smf

Check = Callable[[bytes, SmfFile], str]
"""What is wrong with a file: "" if nothing is."""


def main(arguments: list[str] | None = None) -> int:
    """Check the files and print the counts; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("folders", nargs="+", type=Path, help="folders of .mid and .midi files, searched to the bottom")
    parser.add_argument("--perform", action="store_true", help="give every file random velocities and lengths")
    parser.add_argument("--intensity-0", action="store_true", help="humanize at intensity 0: the bytes must not change")
    parser.add_argument("--humanize", action="store_true", help="humanize at intensity 1 and compare the events")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="take every N-th file only")
    options = parser.parse_args(arguments)

    checks: dict[str, Check] = {"byte-identical when written back": check_identity}
    if options.perform:
        checks["only velocities and note-offs differ, performed at random"] = check_performance
    if options.intensity_0:
        checks["byte-identical when humanized at intensity 0"] = check_intensity_0
    if options.humanize:
        checks["only velocities and note-offs differ, humanized"] = check_humanized
    failed = False
    for folder in options.folders:
        paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in {".mid", ".midi"})[:: options.every]
        if not paths:
            parser.error(f"no .mid or .midi files in {folder}")
        failed |= check_folder(folder, paths, checks)
    return int(failed)


def check_folder(folder: Path, paths: list[Path], checks: dict[str, Check]) -> bool:
    """Run the checks over the files and print the counts; whether anything failed."""
    passed = dict.fromkeys(checks, 0)
    seconds = dict.fromkeys(["parse", *checks], 0.0)
    problems: list[str] = []
    parsed = size = events = notes = 0
    for number, path in enumerate(paths):
        if sys.stderr.isatty():
            print(f"\r{folder}: {number}/{len(paths)}", end="", file=sys.stderr)
        data = path.read_bytes()
        try:
            started = time.process_time()
            file = parse_smf(data, source=str(path))
            seconds["parse"] += time.process_time() - started
            notes += sum(len(part.notes) for part in read_parts(file))
        except DuvhumanError as error:
            problems.append(f"refused: {error}")
            continue
        parsed += 1
        size += len(data)
        events += sum(map(len, file.tracks))
        for name, check in checks.items():
            started = time.process_time()
            try:
                wrong = check(data, file)
            except Exception as error:  # noqa: BLE001 - whatever one file brings up is counted, and the next is tried
                wrong = f"{type(error).__name__}: {error}"
            seconds[name] += time.process_time() - started
            passed[name] += not wrong
            if wrong:
                problems.append(f"{path}: not {name}: {wrong}")
    print(f"\r{folder}: {len(paths)} files, {parsed} parse ({size / 1e6:.1f} MB, {events} events, {notes} notes, "
          f"{events / max(seconds['parse'], 1e-9) / 1e6:.2f} M events/s)")
    for name, count in passed.items():
        print(f"  {count} of {parsed} {name} ({seconds[name]:.0f} s)")
    for problem in problems:
        print(f"  {problem}")
    return any(count < parsed for count in passed.values()) or parsed < len(paths)


def check_identity(data: bytes, file: SmfFile) -> str:
    """Whether the file writes back as it was, untouched and with every value set to what it is."""
    if file.to_bytes() != data:
        return "the codec's bytes differ"
    same = [(part.notes, part.notes.velocity, part.notes.duration_ticks) for part in read_parts(file)]
    return "" if apply_performance(file, same).to_bytes() == data else "the unchanged performance's bytes differ"


def check_performance(data: bytes, file: SmfFile) -> str:
    """Whether random velocities and lengths come back from the bytes, and nothing else changes."""
    random = np.random.default_rng(len(data))
    changes = []
    for part in read_parts(file):
        count = len(part.notes)
        lengths = (part.notes.duration_ticks * random.uniform(0.1, 3.0, count)).astype(np.int64)
        changes.append((part.notes, random.integers(1, 128, count), lengths))
    edited = apply_performance(file, changes)
    again = parse_smf(edited.to_bytes())
    if wrong := event_difference(file, again):
        return wrong
    parts = read_parts(again)
    if len(parts) != len(changes):
        return f"{len(parts)} parts instead of {len(changes)}"
    for (before, velocity, _), part in zip(changes, parts, strict=True):
        after = part.notes
        if not (np.array_equal(after.onset_ticks, before.onset_ticks) and np.array_equal(after.pitch, before.pitch)):
            return "the notes pair otherwise"
        if not np.array_equal(after.velocity, velocity):
            return "the velocities are not those asked for"
    return ""


def check_intensity_0(data: bytes, _: SmfFile) -> str:
    """Whether humanizing at intensity 0 returns the bytes that it got."""
    return "" if humanized(data, 0.0) == data else "the bytes differ"


def check_humanized(data: bytes, file: SmfFile) -> str:
    """Whether humanizing at full intensity changes velocities and note-offs only."""
    return event_difference(file, parse_smf(humanized(data, 1.0)))


def humanized(data: bytes, intensity: float) -> bytes:
    """What `duvhuman.humanize` makes of the file; files with nothing to play warn, and that is fine here."""
    import duvhuman

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DuvhumanWarning)
        result: bytes = duvhuman.humanize(data, "auto", intensity=intensity, seed=0).to_bytes()
    return result


def event_difference(before: SmfFile, after: SmfFile) -> str:
    """What differs other than velocities, note-off ticks, chunk lengths and an End of Track that a note-off passes.

    Returns
    -------
    str
        The first difference, "" if there is none.
    """
    if before.header != after.header:
        return "the header differs"
    if [c for c in before.chunks if isinstance(c, bytes)] != [c for c in after.chunks if isinstance(c, bytes)]:
        return "an unknown chunk differs"
    if [isinstance(c, Track) for c in before.chunks] != [isinstance(c, Track) for c in after.chunks]:
        return "the order of the chunks differs"
    for number, (old, new) in enumerate(zip(before.tracks, after.tracks, strict=True)):
        if old.body[old.readable :] != new.body[new.readable :]:
            return f"track {number}: the bytes behind its last event differ"
        old_kept, old_offs, old_end = split_events(old)
        new_kept, new_offs, new_end = split_events(new)
        if old_kept != new_kept:
            pairs = itertools.zip_longest(old_kept, new_kept)
            return "track {}: {} became {}".format(number, *next(pair for pair in pairs if pair[0] != pair[1]))
        if old_offs != new_offs:
            return f"track {number}: the note-offs differ in more than their ticks"
        if old_end != new_end and new_end != int(new.ticks.max()):
            return f"track {number}: the End of Track moved from {old_end} to {new_end}"
        if new_end < old_end:
            return f"track {number}: the End of Track moved forward"
    return ""


def split_events(track: Track) -> tuple[list[tuple[int, int, bytes]], Counter[tuple[int, bytes]], int]:
    """The events in order (note-ons without their velocity), the note-offs without ticks, and the end's tick."""
    kept, offs, end = [], Counter[tuple[int, bytes]](), -1
    for tick, status, data in track.events:
        kind = status & 0xF0
        if kind == 0x80 or (kind == 0x90 and data[-1] == 0):
            offs[status, data] += 1
        elif kind == 0x90:
            kept.append((tick, status, data[:-1]))
        elif status == META and data[0] == END_OF_TRACK:
            end = tick
        else:
            kept.append((tick, status, data))
    return kept, offs, end


if __name__ == "__main__":
    run(main)
