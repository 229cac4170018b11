"""Peak memory of a training run over a data set much larger than memory should hold: 50 million synthetic notes.

    python benchmarks/streaming_memory.py [--notes 50000000] [--max-phrases 1600] [--folder DIR]

The notes are written as `prepare` writes them, shard after shard, into a folder that is removed afterwards. Then one
process reads every note of the training split once, in the order of an epoch, and another runs the training command:
it cuts all phrases of an epoch, draws so many of them, and goes through all shards. The peak of each is what the kernel
says of the process (``VmHWM``), mapped pages of the data included. Exit code 1 if one is above 2 GB. Needs Linux.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from plain_errors import run

from duvhuman.arrays import IntArray
from duvhuman.train.data.parts import not_alive
from duvhuman.train.data.storage import TEMPO_UNIT, TICKS_PER_BEAT, PartRow, StoredPart, write_dataset
from duvhuman.train.run.history import History

LIMIT_BYTES = 2_000_000_000
PART_NOTES = 1600
"""On average, as in the MIDI collections that the shipped weights were trained on."""
VALID_SHARE = 0.06
VOICES = np.array([0, 4, 7, 12])
READ_AT_ONCE = 256
READ_ALL = """
import sys
import numpy as np
from duvhuman.train.dataset import PhraseData
data = PhraseData(sys.argv[1])
parts = data.select(split="train", instrument="guitar")
phrases = data.cut_phrases(parts, np.random.default_rng(0), max_len=128, passes={})
notes = 0
for start in range(0, len(phrases), int(sys.argv[2])):
    played = data.performance(phrases[start : start + int(sys.argv[2])], parts, context=16)
    notes += int(played.core.sum())
print(notes)
"""


@dataclass(frozen=True)
class Peak:
    """What a child process needed: its peak resident memory, its time, its exit code and its output."""

    resident_bytes: int
    seconds: float
    code: int
    output: str


def main() -> int:
    """Run it; see the module. Returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--notes", type=int, default=50_000_000)
    parser.add_argument("--max-phrases", type=int, default=1600, help="that the training command draws (1600)")
    parser.add_argument("--folder", type=Path, help="where to write (default: the system's folder for temporary files)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.folder) as name:
        data, runs = Path(name, "data"), Path(name, "runs")
        start = time.perf_counter()
        parts, notes = write_dataset(data, synthetic_parts(args.notes))
        written = Peak(peak_of(os.getpid()), time.perf_counter() - start, 0, "")
        size = sum(path.stat().st_size for path in data.rglob("*") if path.is_file())
        print(f"{notes:,} notes in {parts:,} parts, {size / 1e6:,.0f} MB on disk", flush=True)
        read = measured(["-c", READ_ALL, str(data), str(READ_AT_ONCE)])
        train = measured(
            ["-m", "duvhuman.train", "guitar", "--stage", "base", "--data", str(data), "--out", str(runs),
             "--set", "epochs=1", "--set", f"max_phrases={args.max_phrases}"]
        )
        print(train.output)
        epochs = History(runs / "guitar").rows()
    notes_read = int(read.output) if not read.code else 0
    trained = f"{epochs[-1]['notes_per_s']:,.0f}" if epochs else "-"
    rows = {
        "write the data": (written, f"{notes / written.seconds:,.0f}"),
        "read every training note once": (read, f"{notes_read / read.seconds:,.0f}"),
        f"training command, {args.max_phrases:,} phrases": (train, trained),
    }
    print("| process | peak resident memory | limit | notes/s | seconds | exit code |")
    print("|---|---|---|---|---|---|")
    for what, (peak, speed) in rows.items():
        resident, limit = f"{peak.resident_bytes / 1e6:,.0f} MB", f"{LIMIT_BYTES / 1e6:,.0f} MB"
        print(f"| {what} | {resident} | {limit} | {speed} | {peak.seconds:.0f} | {peak.code} |")
    return int(any(peak.code or peak.resident_bytes > LIMIT_BYTES for peak, _ in rows.values()))


def synthetic_parts(notes: int) -> Iterator[StoredPart]:
    """Guitar parts of at least so many notes together: chords and runs whose loudness follows beat, pitch and mood."""
    rng = np.random.default_rng(0)
    made = number = 0
    while made < notes:
        length = int(np.clip(rng.lognormal(np.log(PART_NOTES) - 0.5, 1.0), 64, 50_000))
        part = _part(rng, length, number)
        if number == 0 and (reason := not_alive(part.columns["velocity"].astype(np.int64))):
            raise ValueError(f"the synthetic parts would be left out by prepare: {reason}")
        yield part
        made += length
        number += 1


def _part(rng: np.random.Generator, length: int, number: int) -> StoredPart:
    """One part of `length` notes, in 4/4 at one tempo."""
    step = rng.choice(np.array([0, 120, 240, 480]), length, p=[0.35, 0.25, 0.3, 0.1])
    step[0] = 0
    onset: IntArray = np.cumsum(step)
    melody = 52 + np.cumsum(rng.integers(-2, 3, length)) % 24
    pitch = np.clip(melody + np.where(step == 0, rng.choice(VOICES, length), 0), 40, 88)
    mood = np.sin(np.arange(length) / rng.uniform(20, 80)) * 8
    accent = 10 * (onset % (4 * TICKS_PER_BEAT) == 0) + 5 * (onset % TICKS_PER_BEAT == 0)
    velocity = np.clip(np.round(66 + mood + accent + (pitch - 64) * 0.5 + rng.normal(0, 5, length)), 1, 127)
    columns = {
        "onset": onset,
        "duration": np.maximum(np.round(rng.uniform(0.4, 1.1, length) * np.append(np.maximum(step[1:], 120), 480)), 1),
        "pitch": pitch,
        "velocity": velocity,
        "program": np.full(length, 25),
        "tempo": np.full(length, rng.integers(70, 160) / TEMPO_UNIT),
        "beat_in_bar": onset % (4 * TICKS_PER_BEAT),
        "bar_beats": np.full(length, 4 * TICKS_PER_BEAT),
        "wanted": rng.random(length) < 0.9,
        "released": np.ones(length),
    }
    row = PartRow(
        pack="synthetic", song=f"synthetic/{number:08}", source=f"{number:08}.mid", instrument="guitar",
        split="valid" if rng.random() < VALID_SHARE else "train", start=0, stop=0, grid=True, played=True,
        level=round(float(velocity.mean()), 2), range=round(float(velocity.std()), 2),
    )
    return StoredPart(row, columns)


def measured(arguments: list[str]) -> Peak:
    """Run Python with these arguments and read its peak resident memory until it ends."""
    start = time.perf_counter()
    peak = 0
    with tempfile.TemporaryFile("w+", encoding="utf-8") as output:
        child = subprocess.Popen([sys.executable, *arguments], stdout=output, stderr=subprocess.STDOUT)
        while child.poll() is None:
            peak = max(peak, peak_of(child.pid))
            time.sleep(0.05)
        output.seek(0)
        return Peak(peak, time.perf_counter() - start, child.returncode, output.read())


def peak_of(process: int) -> int:
    """Peak resident bytes of a running process so far; 0 once it has ended."""
    try:
        status = Path(f"/proc/{process}/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return 0
    lines = [line.split() for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(lines[0][1]) * 1024 if lines else 0


if __name__ == "__main__":
    run(main)
