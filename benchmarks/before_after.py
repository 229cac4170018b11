"""Draw a part before and after: velocities and lengths, flat as written and as played.

    python benchmarks/before_after.py examples/midi/guitar.mid guitar docs/before_after.png

Needs matplotlib (``pip install duvhuman[train]``).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from plain_errors import run

import duvhuman
from duvhuman.midi.notes import NoteTable
from duvhuman.models.store import BUNDLED

SEED = 1


def main() -> None:
    """Run it; see the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("midi")
    parser.add_argument("instrument", choices=list(duvhuman.INSTRUMENTS))
    parser.add_argument("png")
    parser.add_argument("--bars", type=int, default=8, help="how many bars to show (8)")
    args = parser.parse_args()
    before = duvhuman.MidiFile(Path(args.midi).read_bytes())
    after = duvhuman.humanize(args.midi, args.instrument, seed=SEED, model=BUNDLED)
    figure, axes = plt.subplots(2, 2, figsize=(12, 5.2), sharex=True, height_ratios=(3, 2), layout="constrained")
    for column, (title, midi) in enumerate((("as written", before), ("as played by duvhuman", after))):
        part = next(part for part in midi.notes if not part.is_drums)
        notes = part.notes.select(part.notes.bar < args.bars)
        draw_roll(axes[0, column], notes)
        axes[0, column].set_title(title)
        axes[1, column].vlines(notes.onset_beats, 0, notes.velocity, colors=plt.cm.viridis(notes.velocity / 127), lw=2)
        axes[1, column].set_ylim(0, 127)
        axes[1, column].set_xlabel("beat")
    axes[0, 0].set_ylabel("pitch")
    axes[1, 0].set_ylabel("velocity")
    figure.savefig(args.png, dpi=110)


def draw_roll(axis: Axes, notes: NoteTable) -> None:
    """Draw notes as bars, coloured by velocity."""
    lines = [
        [(onset, pitch), (onset + length, pitch)]
        for onset, length, pitch in zip(notes.onset_beats, notes.duration_beats, notes.pitch, strict=True)
    ]
    axis.add_collection(LineCollection(lines, colors=plt.cm.viridis(notes.velocity / 127), lw=4, capstyle="butt"))
    axis.set_ylim(notes.pitch.min() - 2, notes.pitch.max() + 2)


if __name__ == "__main__":
    run(main)
