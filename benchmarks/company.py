"""What is it worth to a flat part to follow the other parts of its file, where these are played with dynamics?

Held-out parts are played flat, alone and in company (`duvhuman.humanize.company`): of the other parts of the file
those are heard that are not flat themselves, with the velocities that the file has.

    python benchmarks/company.py ~/midi/lakh --data prepared
    python benchmarks/company.py ~/midi/lakh --data prepared --no-doubles

Conventions
-----------
Parts are written flat as in the evaluation, of each the middle `--max-notes` notes, and never hear themselves
(`duvhuman.train.company.parts`). Differences with 95 % bootstrap intervals. Needs the MIDI files that `prepare` read,
in its folder.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from common import SHIPPED, add_data_options, add_instruments, difference, network_of, print_heading, print_row
from plain_errors import run

from duvhuman.arrays import FloatArray
from duvhuman.humanize.company import company
from duvhuman.humanize.perform import perform
from duvhuman.models.phrase_transformer import PhraseTransformer
from duvhuman.train.company.parts import NO_BANDS, Case, cases
from duvhuman.train.dataset import PhraseData
from duvhuman.train.evaluation.metrics import mean_over_parts, velocity_metrics
from duvhuman.train.evaluation.predictors import written_flat
from duvhuman.train.evaluation.report import sample_parts

HEADINGS = ("instrument", "parts", "velocity r alone", "in company", "difference", "SD ratio alone", "in company")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run it; see the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="the MIDI files of a pack that prepare read")
    add_instruments(parser)
    parser.add_argument("--no-doubles", action="store_true", help="do not hear parts that double the one played")
    add_data_options(parser, max_parts=120, max_notes=512)
    options = parser.parse_args(arguments)
    data = PhraseData(options.data)
    print_heading(*HEADINGS)
    everything: list[tuple[str, dict[str, float], dict[str, float]]] = []
    for instrument in options.instruments:
        rows = [
            row for row in data.select(split="valid", instrument=instrument) if (options.folder / row.source).is_file()
        ]
        network = network_of(SHIPPED, instrument)
        judged = [
            (case.pair.song, metrics(network, case, None), metrics(network, case, heard(case)))
            for case in cases(
                data, options.folder, sample_parts(rows, options.max_parts), options.max_notes,
                doubles=not options.no_doubles,
            )
        ]
        if judged:
            print_row(*line(instrument, judged))
            everything += judged
    if not everything:
        raise SystemExit(f"{options.folder}: {NO_BANDS}")
    print_row(*line("all", everything))


def line(name: str, judged: Sequence[tuple[str, dict[str, float], dict[str, float]]]) -> list[str]:
    """The cells of the table for some parts: the song of each, and how it is played alone and in company."""
    songs, *rows = zip(*judged, strict=True)
    alone, together = map(mean_over_parts, rows)
    gains = (both["vel_r"] - one["vel_r"] for _, one, both in judged)
    return [
        name, str(len(judged)), f"{alone['vel_r']:.3f}", f"{together['vel_r']:.3f}",
        difference(gains, songs),
        f"{alone['vel_sd_ratio']:.2f}", f"{together['vel_sd_ratio']:.2f}",
    ]


def heard(case: Case) -> FloatArray:
    """(N,) by how many SDs the notes are louder in company."""
    return company(case.others, case.seconds, case.pair.score.pitch, case.instrument)


def metrics(network: PhraseTransformer, case: Case, together: FloatArray | None) -> dict[str, float]:
    """The metrics of the velocities of a part, alone or in company."""
    played = perform(network, case.pair.score, written_flat(case.pair), company=together)
    return velocity_metrics(case.pair.played.velocity, np.round(played.velocity))


if __name__ == "__main__":
    run(main)
