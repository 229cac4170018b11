"""What becomes of parts whose dynamics are written as scores write them: p here, f there, and nothing of single notes?

The dynamics of each passage are taken from its player: its mean velocity, as the nearest of the marks ppp to fff. The
part is played by these, and set beside what the player did.

    python benchmarks/written_dynamics.py guitar keys

Conventions
-----------
Parts are drawn as `evaluate` draws them, at most so many of each pack, and the middle of each is played; parts whose
passages have fewer than three marks are left out. "As scores" are recordings shown as `notate` wrote them down.
"Flat" is what is played if nothing is written; "written" is what is written, unplayed; "contour hint" is what is played
if the marks are told as all that there is to a note's loudness, as they are where single notes are accented; "played"
is what users get. Figures are velocity r and SD ratio, means over the parts of a pack.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence

import numpy as np
from compare_models import SHIPPED, network_of
from plain_errors import run

from duvhuman.humanize.decode import decode_velocity
from duvhuman.humanize.perform import listen, perform
from duvhuman.humanize.score import FloatArray
from duvhuman.instruments import INSTRUMENTS
from duvhuman.models.phrase_transformer import PhraseTransformer
from duvhuman.train.dataset import PhraseData
from duvhuman.train.deadpan import Pair
from duvhuman.train.evaluation.metrics import mean_over_parts, velocity_metrics
from duvhuman.train.evaluation.predictors import flat_pairs, written_flat
from duvhuman.train.evaluation.report import sample_parts

MARKS = (16, 33, 49, 64, 80, 96, 112, 126)
"""Velocities of ppp, pp, p, mp, mf, f, ff and fff, as programs for notation play them."""
FEWEST_MARKS = 3


def main(arguments: Sequence[str] | None = None) -> None:
    """Run it; see the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("instruments", nargs="*", default=list(INSTRUMENTS))
    parser.add_argument("--model", default=SHIPPED, help="a folder, or shipped (the default); with :base, no adapter")
    parser.add_argument("--data", default="prepared", metavar="DIR", help="what prepare wrote (prepared)")
    parser.add_argument("--beats", type=float, nargs="+", default=[8.0, 32.0], help="how long passages are (8 32)")
    parser.add_argument("--max-parts", type=int, default=60, help="at most so many parts of each pack (60)")
    parser.add_argument("--max-notes", type=int, default=512, help="of a part at most so many, from its middle (512)")
    parser.add_argument("--as-scores", action="store_true", help="recordings as notate wrote them down")
    options = parser.parse_args(arguments)
    data = PhraseData(options.data)
    columns = ("instrument", "pack", "beats", "parts", "flat", "written", "contour hint", "played")
    print("| " + " | ".join(columns) + " |", "|" + "---|" * len(columns), sep="\n", flush=True)
    for instrument in options.instruments:
        network = network_of(options.model, instrument)
        parts = sample_parts(data.select(split="valid", instrument=instrument), options.max_parts)
        for pack in dict.fromkeys(part.pack for part in parts):
            mine = [part for part in parts if part.pack == pack]
            pairs = flat_pairs(data, mine, max_notes=options.max_notes, as_scores=options.as_scores)
            for beats in options.beats:
                marked = [(pair, marks) for pair in pairs if (marks := marks_of(pair, beats)) is not None]
                if not marked:
                    continue
                cells = [instrument, pack, f"{beats:g}", str(len(marked))]
                for play in PLAYING:
                    metrics = mean_over_parts([
                        velocity_metrics(pair.played.velocity, play(network, pair, marks)) for pair, marks in marked
                    ])  # fmt: skip
                    cells.append(f"{metrics['vel_r']:.3f}, {metrics['vel_sd_ratio']:.2f}")
                print(f"| {' | '.join(cells)} |", flush=True)


def marks_of(pair: Pair, beats: float) -> FloatArray | None:
    """(N,) the velocities of the marks that stand at each passage of so many beats; None if they are too few."""
    passage = np.unique(np.floor(pair.score.onset_beats / beats), return_inverse=True)[1]
    level = np.bincount(passage, pair.played.velocity) / np.bincount(passage)
    marks = np.array(MARKS, dtype=np.float64)[np.abs(level[:, None] - np.array(MARKS)).argmin(axis=1)]
    return marks[passage] if len(np.unique(marks)) >= FEWEST_MARKS else None


def flat(network: PhraseTransformer, pair: Pair, _marks: FloatArray) -> FloatArray:
    """What is played if nothing is written."""
    return perform(network, pair.score, written_flat(pair)).velocity


def written(_network: PhraseTransformer, _pair: Pair, marks: FloatArray) -> FloatArray:
    """The marks themselves."""
    return marks


def by_contour(network: PhraseTransformer, pair: Pair, marks: FloatArray) -> FloatArray:
    """What is played if the marks are told as a contour."""
    said = listen(network, pair.score, marks, keep=True)
    return decode_velocity(said, network.config, contour_given=True)[0]


def played(network: PhraseTransformer, pair: Pair, marks: FloatArray) -> FloatArray:
    """What users get."""
    return perform(network, pair.score, marks).velocity


PLAYING: Sequence[Callable[[PhraseTransformer, Pair, FloatArray], FloatArray]] = (flat, written, by_contour, played)


if __name__ == "__main__":
    run(main)
