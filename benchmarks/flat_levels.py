"""Does it matter how loud a flat part is written? Velocity r and articulation MAE of the same parts at several levels.

Users write flat parts at 64, 80 or 100 for reasons of their own, and what a model plays should not depend on it. A
network does depend on the level that it is told; a model's `typical_level` is told in place of the written one.

Conventions
-----------
Parts are drawn as `evaluate` draws them, at most so many of each pack, and the middle of each is played, all its notes
written at the level of the column; "own" is the mean of the part's own player, which no user knows. Figures are means
over the parts of a pack.

    python benchmarks/flat_levels.py guitar bass --typical-level 0      # as written, whatever the model's config says
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from common import add_data_options, add_instruments, add_model_option, network_of, print_heading, print_row
from plain_errors import run

from duvhuman.arrays import FloatArray
from duvhuman.train.dataset import PhraseData
from duvhuman.train.evaluation.metrics import mean_over_parts
from duvhuman.train.evaluation.predictors import flat_pairs, model_predictor, score_pairs, written_flat
from duvhuman.train.evaluation.report import sample_parts
from duvhuman.train.pairs.deadpan import Pair

LEVELS = (48, 64, 80, 96, 112, 127)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run it; see the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_instruments(parser)
    add_model_option(parser)
    parser.add_argument(
        "--typical-level", type=float, metavar="L", help="in place of the model's; 0: as written; -1: as it expects"
    )
    add_data_options(parser, max_parts=60, max_notes=512)
    options = parser.parse_args(arguments)
    data = PhraseData(options.data)
    columns = ("instrument", "pack", "parts", "", "own", *map(str, LEVELS))
    print_heading(*columns)
    for instrument in options.instruments:
        network = network_of(options.model, instrument)
        if options.typical_level is not None:
            network.config = replace(network.config, typical_level=options.typical_level)
        predict = model_predictor(network)
        parts = sample_parts(data.select(split="valid", instrument=instrument), options.max_parts)
        for pack in dict.fromkeys(part.pack for part in parts):
            pairs = flat_pairs(data, [part for part in parts if part.pack == pack], max_notes=options.max_notes)
            writing = [written_flat, *(written_at(level) for level in LEVELS)]
            found = [mean_over_parts(score_pairs(pairs, predict, written)) for written in writing]
            for name, label in (("vel_r", "velocity r"), ("vel_sd_ratio", "SD ratio"), ("art_mae", "articulation MAE")):
                print_row(instrument, pack, len(pairs), label, *(f"{metrics[name]:.3f}" for metrics in found))


def written_at(level: int) -> Callable[[Pair], FloatArray]:
    """What is written when every note of a part is written at `level`."""
    return lambda pair: np.full(len(pair.score), float(level))


if __name__ == "__main__":
    run(main)
