"""How well are recordings without a beat written down? Told by performances whose scores are known.

Reads match files, as `piano_scores.py` does, looks at nothing but when notes are played and at their pitches, and
compares what `python -m duvhuman.train notate` makes of them with the scores.

    pip install partitura mido
    python benchmarks/rhythm.py vienna4x22/match --data prepared

Conventions
-----------
F is the harmonic mean of precision and recall, over chords, of standing on a downbeat or on a beat (a dotted quarter in
6/8). "Gaps right" is the share of gaps between chords, "16 chords right" that of spans of 16 chords, that are written
as long as in the score; that everything is written twice or half as long does not count as an error there.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from common import print_heading, print_row
from piano_scores import TICKS_PER_BEAT, read_match, tick_of
from plain_errors import run

from duvhuman.arrays import BoolArray, FloatArray
from duvhuman.rhythm.cues import find_cues
from duvhuman.rhythm.metre import CHORD_SECONDS, UNITS
from duvhuman.train.data.rhythm import CueTable, write_down
from duvhuman.train.dataset import PhraseData
from duvhuman.train.notate import count_cues

SPAN = 16
HEADINGS = ("metre", "written in", "downbeat F", "beat F", "gaps right", f"{SPAN} chords right")


def main() -> None:
    """Run it; see the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path, help="with match files in them, or below")
    parser.add_argument("--data", default="prepared", metavar="DIR", help="what prepare wrote: cues are counted on it")
    options = parser.parse_args()
    paths = sorted(path for folder in options.folders for path in folder.rglob("*.match"))
    if not paths:
        raise SystemExit(f"no match files below {', '.join(map(str, options.folders))}")
    table, parts = count_cues(PhraseData(options.data), "keys")
    print(f"{len(paths)} performances; cues counted on {parts} parts")
    print_heading("", *HEADINGS)
    figures = []
    for path in paths:
        metre, written_in, *row = judged(path, table)
        figures.append(row)
        print_row(path.stem, metre, written_in, *(f"{value:.2f}" for value in row))
    print_row("mean", "", "", *(f"{value:.3f}" for value in np.mean(figures, axis=0)))


def judged(path: Path, table: CueTable) -> tuple[str, str, float, float, float, float]:
    """One performance: its metre, the one it is written in, and the figures of the table."""
    file, metres, seconds_per_tick = read_match(path)
    notes = sorted(
        (float(note.Onset) * seconds_per_tick, int(note.MidiPitch),
         tick_of(float(written.OnsetInBeats), metres) / TICKS_PER_BEAT)
        for written, note in file.note_pairs
    )
    onset, pitch, beats = (np.array(column) for column in zip(*notes, strict=True))
    starts = np.append(True, np.diff(onset) > CHORD_SECONDS)
    chord = np.cumsum(starts) - 1
    truth: FloatArray = np.array([np.median(beats[chord == number]) for number in range(chord[-1] + 1)])
    rhythm = write_down(onset[starts], table.log_likelihood(find_cues(onset[starts], chord, pitch)))
    ours, metre = rhythm.onset / UNITS, rhythm.metre

    _, numerator, unit = metres[0]
    compound = unit == 8 and numerator % 3 == 0
    gaps = np.stack([np.diff(truth), np.diff(ours)])[:, np.diff(truth) > 1e-3]
    octaves = np.log2(np.maximum(gaps[1], 1e-3) / gaps[0])
    scale = 2.0 ** np.round(np.median(octaves))
    drift = (ours - scale * truth)[SPAN:] - (ours - scale * truth)[:-SPAN]
    return (
        f"{numerator}/{unit}",
        metre.name,
        f_measure(on(truth, numerator * 4 / unit), rhythm.onset % metre.bar == 0),
        f_measure(on(truth, 1.5 if compound else 1.0), rhythm.onset % metre.bar % metre.beat == 0),
        float((np.abs(octaves - np.log2(scale)) < 0.05).mean()),
        float((np.abs(drift) < 0.05).mean()),
    )


def on(beats: FloatArray, every: float) -> BoolArray:
    """(C,) whether chords stand on a multiple of so many beats."""
    return np.abs(beats / every - np.round(beats / every)) < 0.02


def f_measure(truth: BoolArray, said: BoolArray) -> float:
    """The harmonic mean of precision and recall."""
    return float(2 * (truth & said).sum() / max(truth.sum() + said.sum(), 1))


if __name__ == "__main__":
    run(main)
