"""Whether one model is better than another on the same parts: differences part by part, with their intervals.

Every model plays the same flattened validation parts. Between models, velocity r and articulation MAE differ far less
than between parts, so that the interval of the mean difference is several times narrower than that of either mean.

Conventions
-----------
The first model is what the others are compared with. A model is a folder, or ``shipped``: the one that comes with the
package. ``:base`` after it leaves its adapter out. Parts are drawn as `evaluate` draws them, at most so many of each
pack, and the middle of each is played. Differences are means over parts, with 95 % bootstrap intervals; better is a
higher r and a lower MAE.

    python benchmarks/compare_models.py shipped shipped:base runs/trunk --instruments guitar bass

Songs of one's own, none of which was trained on, and the floors beside the models:

    python -m duvhuman.train prepare my_songs --valid 1 --out mine
    python benchmarks/compare_models.py shipped:base shipped --data mine --floors prepared
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from common import add_data_options, add_instruments, difference, network_of, print_heading, print_row
from plain_errors import run

from duvhuman.train.dataset import PhraseData
from duvhuman.train.evaluation.metrics import mean_over_parts
from duvhuman.train.evaluation.predictors import flat_pairs, flat_predictor, model_predictor, score_pairs
from duvhuman.train.evaluation.report import FLAT, RIDGE, ridge_floor, sample_parts

HEADINGS = ("instrument", "model", "parts", "velocity r", "difference", "SD ratio", "articulation MAE", "difference")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run it; see the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", metavar="MODEL", help="a folder, or shipped; with :base, no adapter")
    add_data_options(parser, max_parts=60, max_notes=1024)
    add_instruments(parser, "--instruments")
    parser.add_argument("--played-only", action="store_true", help="only parts played by hand, which adapters are for")
    parser.add_argument(
        "--floors", metavar="DIR", help="what prepare wrote: also show flat input, and the ridge floor fitted to that"
    )
    parser.add_argument(
        "--as-scores", action="store_true", help="play only what `notate` wrote down, as the scores that it made of it"
    )
    options = parser.parse_args(arguments)
    data, floors = PhraseData(options.data), PhraseData(options.floors) if options.floors else None
    print_heading(*HEADINGS)
    for instrument in options.instruments:
        judged = data.select(split="valid", instrument=instrument, played_only=options.played_only)
        parts = sample_parts(judged, options.max_parts)
        pairs = flat_pairs(data, parts, max_notes=options.max_notes, as_scores=options.as_scores)
        if not pairs:
            raise SystemExit(f"{options.data}: no part of {instrument} to play")
        songs = [pair.song for pair in pairs]
        if floors is not None:
            for name, floor in ((FLAT, flat_predictor), (RIDGE, ridge_floor(floors, instrument))):
                rows = score_pairs(pairs, floor)
                print_row(*line(instrument, name, rows, rows, songs))
        first: list[dict[str, float]] = []
        for name in options.models:
            rows = score_pairs(pairs, model_predictor(network_of(name, instrument)))
            first = first or rows
            print_row(*line(instrument, name, rows, first, songs))


def line(
    instrument: str, name: str, rows: Sequence[dict[str, float]], first: Sequence[dict[str, float]],
    songs: Sequence[str],
) -> list[str]:
    """The cells of the table for one model."""
    cells = [instrument, name, str(len(rows))]
    for key in ("vel_r", "vel_sd_ratio", "art_mae"):
        cells.append(f"{mean_over_parts(rows)[key]:.3f}")
        if key != "vel_sd_ratio":
            gains = (row[key] - other[key] for row, other in zip(rows, first, strict=True))
            cells.append("-" if rows is first else difference(gains, songs))
    return cells


if __name__ == "__main__":
    run(main)
