"""Are the bars of a loop played alike, and what does a note less change elsewhere in the part?

    python benchmarks/steadiness.py

Conventions
-----------
Validation parts on a grid, the middle of each, flat. A loop is two bars from there, as they were played, over and
over; "range" is how far velocities lie apart within its bars, "apart" how far one note's lie apart from time to time,
and "end" how much louder or softer than on the whole its last two bars are (velocities, means over parts; in brackets
those of the worst part). Then one note is taken out, a third of the way through the part: how many of the notes that
come more than `--far` notes before or after it have another velocity, or a length that differs by more than a twentieth
(per cent), and how far the velocities differ at most.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np
from common import add_data_options, add_instruments, add_model_option, network_of, print_heading, print_row
from plain_errors import run

from duvhuman.errors import DataError
from duvhuman.humanize.perform import Played, perform
from duvhuman.humanize.score import Score
from duvhuman.models.phrase_transformer import PhraseTransformer
from duvhuman.train.dataset import PhraseData
from duvhuman.train.evaluation.predictors import flat_pairs
from duvhuman.train.evaluation.report import sample_parts

BARS, FEWEST_NOTES = 2, 6
AS_LONG = 0.05
VELOCITY = 80.0
COLUMNS = ("loops", "range", "apart", "end", "parts", "other velocities, %", "at most", "other lengths, %")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run it; see the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_instruments(parser)
    add_model_option(parser)
    add_data_options(parser, max_parts=60, max_notes=768)
    parser.add_argument("--times", type=int, default=16, help="how often a loop is played (16)")
    parser.add_argument("--far", type=int, default=200, help="how many notes from the one that is taken out (200)")
    options = parser.parse_args(arguments)
    data = PhraseData(options.data)
    print_heading("instrument", *COLUMNS)
    for instrument in options.instruments:
        network = network_of(options.model, instrument)
        parts = sample_parts(data.select(split="valid", instrument=instrument), options.max_parts)
        scores = [pair.score for pair in flat_pairs(data, parts, max_notes=options.max_notes)]
        scores = [score for score in scores if score.grid_known.all()]
        loops = [loop for score in scores if (loop := loop_of(score, options.times)) is not None]
        alike = np.array([alikeness(network, loop, options.times) for loop in loops])
        edits = np.array([found for score in scores if (found := a_note_less(network, score, options.far)) is not None])
        if not loops or not len(edits):
            raise DataError(f"no parts for {instrument} on a grid that are long enough in {options.data}")
        within, apart, end = np.abs(alike).mean(axis=0)
        worst = np.abs(alike).max(axis=0)
        cells = [str(len(loops)), f"{within:.1f}", f"{apart:.1f} ({worst[1]:.0f})", f"{end:.1f} ({worst[2]:.0f})"]
        velocities, most, lengths = edits.T
        cells += [str(len(edits)), f"{velocities.mean():.1f}", f"{most.max():.0f}", f"{lengths.mean():.1f}"]
        print_row(instrument, *cells)


def flat(network: PhraseTransformer, score: Score) -> Played:
    """What is played on a score that is written flat."""
    return perform(network, score, np.full(len(score), VELOCITY))


def loop_of(score: Score, times: int) -> Score | None:
    """Two bars of a part, from its middle, so many times over; None if they hold hardly anything."""
    begin = score.onset_beats - score.beat_in_bar
    first = begin[len(score) // 2]
    length = BARS * score.bar_beats[len(score) // 2]
    bars = score.select((begin > first - 0.01) & (begin < first + length - 0.01))
    if len(bars) < FEWEST_NOTES:
        return None
    shift = np.repeat(np.arange(times), len(bars)) * length
    loop = bars.select(np.tile(np.arange(len(bars)), times))
    return loop.replace(onset_beats=loop.onset_beats + shift)


def alikeness(network: PhraseTransformer, loop: Score, times: int) -> tuple[float, float, float]:
    """How far velocities lie apart within the bars of a loop, from time to time, and how the last time differs."""
    velocity = np.round(flat(network, loop).velocity).reshape(times, -1)
    end = velocity[-1].mean() - velocity.mean()
    return float(np.ptp(velocity.mean(axis=0))), float(np.ptp(velocity, axis=0).mean()), float(end)


def a_note_less(network: PhraseTransformer, score: Score, notes: int) -> tuple[float, float, float] | None:
    """What changes more than so many notes from one that is taken out: velocities (%, at most by) and lengths (%)."""
    note = len(score) // 3
    others = np.arange(len(score)) != note
    far = np.abs(np.flatnonzero(others) - note) > notes
    if not far.any():
        return None
    before, after = flat(network, score), flat(network, score.select(others))
    louder = np.abs(np.round(after.velocity) - np.round(before.velocity[others]))[far]
    longer = np.abs(np.log(after.duration_beats / before.duration_beats[others]))[far]
    return 100 * float(np.mean(louder > 0)), float(louder.max()), 100 * float(np.mean(longer > AS_LONG))


if __name__ == "__main__":
    run(main)
