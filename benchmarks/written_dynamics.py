"""What becomes of parts whose dynamics are written as scores write them: p here, f there, and accents?

Marks are taken from the player: the mean velocity of each passage, as the nearest of ppp to fff. So are accents: they
stand on the chords that the player set apart most from the four beats to either side. The part is played by these, and
set beside what the player did.

    python benchmarks/written_dynamics.py guitar keys

Conventions
-----------
Parts are drawn as `evaluate` draws them, at most so many of each pack, and the middle of each is played; parts whose
passages have fewer than three marks, or whose accents hardly stand out, are left out. "As scores" are recordings shown
as `notate` wrote them down. "Flat" is what is played if nothing is written; "as written" is what is written, unplayed;
"contour hint" is what is played if it is told as all that there is to a note's loudness; "played" is what users get.
Figures are velocity r and SD ratio, means over the parts of a pack.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from common import add_data_options, add_instruments, add_model_option, network_of, print_heading, print_row
from plain_errors import run

from duvhuman.arrays import FloatArray, neighbours, window_mean
from duvhuman.humanize.decode import decode_velocity
from duvhuman.humanize.perform import listen, perform
from duvhuman.humanize.score import chords, separate_segments
from duvhuman.models.phrase_transformer import PhraseTransformer
from duvhuman.train.dataset import PhraseData
from duvhuman.train.evaluation.metrics import mean_over_parts, velocity_metrics
from duvhuman.train.evaluation.predictors import flat_pairs, written_flat
from duvhuman.train.evaluation.report import sample_parts
from duvhuman.train.pairs.deadpan import Pair

MARKS = (16, 33, 49, 64, 80, 96, 112, 126)
"""Velocities of ppp, pp, p, mp, mf, f, ff and fff, as programs for notation play them."""
FEWEST_MARKS = 3
ACCENT, ACCENT_BEATS = 16.0, 4.0
LEAST_ACCENT = 4.0
"""Accents are written if the least of them stands out by so many velocities."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run it; see the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_instruments(parser)
    add_model_option(parser)
    add_data_options(parser, max_parts=60, max_notes=512)
    parser.add_argument("--beats", type=float, nargs="*", default=[8.0, 32.0], help="how long passages are (8 32)")
    parser.add_argument(
        "--accents", type=float, nargs="*", default=[0.1, 0.25], help="shares of chords that have accents (0.1 0.25)"
    )
    parser.add_argument("--as-scores", action="store_true", help="recordings as notate wrote them down")
    options = parser.parse_args(arguments)
    data = PhraseData(options.data)
    print_heading("instrument", "pack", "written", "parts", *PLAYING)
    for instrument in options.instruments:
        network, played = network_of(options.model, instrument), 0
        parts = sample_parts(data.select(split="valid", instrument=instrument), options.max_parts)
        for pack in dict.fromkeys(part.pack for part in parts):
            mine = [part for part in parts if part.pack == pack]
            pairs = flat_pairs(data, mine, max_notes=options.max_notes, as_scores=options.as_scores)
            played += len(pairs)
            for name, write in ways_to_write(options.beats, options.accents).items():
                marked = [(pair, marks) for pair in pairs if (marks := write(pair)) is not None]
                if not marked:
                    continue
                cells = []
                for play in PLAYING.values():
                    metrics = mean_over_parts([
                        velocity_metrics(pair.played.velocity, play(network, pair, marks)) for pair, marks in marked
                    ])
                    cells.append(f"{metrics['vel_r']:.3f}, {metrics['vel_sd_ratio']:.2f}")
                print_row(instrument, pack, name, len(marked), *cells)
        if options.as_scores and not played:
            raise SystemExit(f"{options.data}: no part of {instrument} is written down; run notate first")


def ways_to_write(beats: Sequence[float], shares: Sequence[float]) -> dict[str, Callable[[Pair], FloatArray | None]]:
    """Name -> what gives the velocities (N,) that are written; None of a part that has no such dynamics."""
    ways: dict[str, Callable[[Pair], FloatArray | None]] = {}
    for length in beats:
        ways[f"marks each {length:g} beats"] = partial(marks_of, beats=length)
    for share in shares:
        ways[f"accents on {share:.0%}"] = partial(accents_of, share=share)
    if beats and shares:
        ways[f"marks each {beats[0]:g} beats, accents on {shares[-1]:.0%}"] = partial(
            both_of, beats=beats[0], share=shares[-1]
        )
    return ways


def marks_of(pair: Pair, beats: float) -> FloatArray | None:
    """(N,) the velocities of the marks that stand at each passage of so many beats; None if they are too few."""
    passage = np.unique(np.floor(pair.score.onset_beats / beats), return_inverse=True)[1]
    level = np.bincount(passage, pair.played.velocity) / np.bincount(passage)
    marks = np.array(MARKS, dtype=np.float64)[np.abs(level[:, None] - np.array(MARKS)).argmin(axis=1)]
    return marks[passage] if len(np.unique(marks)) >= FEWEST_MARKS else None


def accents_of(pair: Pair, share: float) -> FloatArray | None:
    """(N,) the player's mean velocity, and accents on this share of the chords; None if these hardly stand out."""
    score, velocity = pair.score, pair.played.velocity
    first, chord = chords(score)
    around = window_mean(velocity, *neighbours(separate_segments(score.onset_beats, score.segment), ACCENT_BEATS))
    louder = (np.bincount(chord, velocity) / np.bincount(chord))[chord] - around
    least = float(np.quantile(louder[first], 1 - share))
    return written_flat(pair) + ACCENT * (louder >= least) if least >= LEAST_ACCENT else None


def both_of(pair: Pair, beats: float, share: float) -> FloatArray | None:
    """(N,) marks and accents."""
    marks, accents = marks_of(pair, beats), accents_of(pair, share)
    return None if marks is None or accents is None else np.clip(marks + accents - written_flat(pair), 1.0, 127.0)


def flat(network: PhraseTransformer, pair: Pair, _marks: FloatArray) -> FloatArray:
    """What is played if nothing is written."""
    return perform(network, pair.score, written_flat(pair)).velocity


def written(_network: PhraseTransformer, _pair: Pair, marks: FloatArray) -> FloatArray:
    """The marks themselves."""
    return marks


def by_contour(network: PhraseTransformer, pair: Pair, marks: FloatArray) -> FloatArray:
    """What is played if the marks are told as a contour."""
    said = listen(network, pair.score, marks, keep=True)
    return np.clip(decode_velocity(said, network.config, contour_given=True)[0], 1, 127)


def played(network: PhraseTransformer, pair: Pair, marks: FloatArray) -> FloatArray:
    """What users get."""
    return perform(network, pair.score, marks).velocity


PLAYING: dict[str, Callable[[PhraseTransformer, Pair, FloatArray], FloatArray]] = {
    "flat": flat, "as written": written, "contour hint": by_contour, "played": played
}
"""Heading -> the velocities (N,) of a part with such marks."""


if __name__ == "__main__":
    run(main)
