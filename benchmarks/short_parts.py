"""How are loops and clips of a bar or two played, and how do parts begin and end?

Excerpts of validation parts are played alone, as if they were all there is, and set beside what their players did.

    python benchmarks/short_parts.py guitar --notes 16 32

Conventions
-----------
Two excerpts of each part, at a third and at two thirds of its middle 512 notes, flat; those with a velocity SD below 2
are left out. "In context": cut from what is played on the part; "bare": the network is shown the excerpt alone;
"alone": as users get it, shown as a loop (`duvhuman.humanize.loop`). Velocity r, and the error of the articulation of
all notes and of the last chord (mean absolute, ln), are means over excerpts; "first" and "last" are how much louder
than the excerpt these chords are, and beside it how much the players' were (mean absolute difference, velocities).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from unittest.mock import patch

import numpy as np
from common import add_data_options, add_instruments, add_model_option, network_of, print_heading, print_row
from plain_errors import run

from duvhuman.arrays import FloatArray
from duvhuman.humanize import perform as performing
from duvhuman.humanize.loop import Loop, looped
from duvhuman.humanize.perform import perform
from duvhuman.humanize.score import CHORD_BEATS, Score
from duvhuman.models.phrase_transformer import PhraseTransformer
from duvhuman.train.dataset import PhraseData
from duvhuman.train.evaluation.metrics import correlation
from duvhuman.train.evaluation.predictors import flat_pairs, written_flat
from duvhuman.train.evaluation.report import sample_parts

LEAST_SD = 2.0
CONTEXT, BARE, ALONE = "in context", "bare", "alone"
COLUMNS = ("velocity r", "articulation", "of the last", "first", "last")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run it; see the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_instruments(parser)
    add_model_option(parser)
    add_data_options(parser, max_parts=60)
    parser.add_argument("--notes", type=int, nargs="+", default=[16, 32], help="lengths of excerpts (16 32)")
    options = parser.parse_args(arguments)
    data = PhraseData(options.data)
    columns = ("instrument", "pack", "notes", "excerpts", "", *COLUMNS)
    print_heading(*columns)
    for instrument in options.instruments:
        network = network_of(options.model, instrument)
        parts = sample_parts(data.select(split="valid", instrument=instrument), options.max_parts)
        for pack in dict.fromkeys(part.pack for part in parts):
            found: dict[tuple[int, str], list[list[float]]] = {}
            for pair in flat_pairs(data, [part for part in parts if part.pack == pack], max_notes=512):
                human, articulation = pair.played.velocity, np.where(pair.played.released, pair.articulation, np.nan)
                level = written_flat(pair)
                whole = played(network, pair.score, level, looped)
                for notes in options.notes:
                    for start in (len(human) // 3, 2 * len(human) // 3):
                        cut = slice(start, start + notes)
                        score = pair.score.select(cut)
                        if len(score) < notes or human[cut].std() < LEAST_SD:
                            continue
                        for name, (velocity, length) in (
                            (CONTEXT, (whole[0][cut], whole[1][cut])),
                            (BARE, played(network, score, level[cut], as_it_is)),
                            (ALONE, played(network, score, level[cut], looped)),
                        ):
                            said = measured(score, human[cut], articulation[cut], velocity, length)
                            found.setdefault((notes, name), []).append(said)
            for (notes, name), rows in found.items():
                cells = [f"{value:.3f}" for value in np.nanmean(rows, axis=0)]
                print_row(instrument, pack, notes, len(rows), name, *cells)


def as_it_is(score: Score) -> Loop:
    """A part shown as nothing but itself."""
    return Loop(np.arange(len(score)), score, slice(0, len(score)))


def played(
    network: PhraseTransformer, score: Score, level: FloatArray, shown: Callable[[Score], Loop]
) -> tuple[FloatArray, FloatArray]:
    """(N,) velocities and (N,) articulation in log2 of a flat part that the network is shown in some way."""
    with patch.object(performing, "looped", shown):
        said = perform(network, score, level)
    return said.velocity, np.log2(said.duration_beats / score.nominal_beats)


def measured(
    score: Score, human: FloatArray, articulation: FloatArray, velocity: FloatArray, said: FloatArray
) -> list[float]:
    """The figures of `COLUMNS`; NaN where no release is known."""
    first = score.onset_beats <= score.onset_beats[0] + CHORD_BEATS
    last = score.onset_beats >= score.onset_beats[-1] - CHORD_BEATS
    error = np.abs(said - articulation) * np.log(2)
    known = np.isfinite(error)
    louder = (velocity - velocity.mean()) - (human - human.mean())
    return [
        correlation(human, velocity),
        float(error[known].mean()) if known.any() else np.nan,
        float(error[known & last].mean()) if (known & last).any() else np.nan,
        abs(float(louder[first].mean())),
        abs(float(louder[last].mean())),
    ]


if __name__ == "__main__":
    run(main)
