"""What the ways of decoding are worth: from the same predictions, other velocities and lengths.

Every validation part is predicted once; what follows is arithmetic. The first table tells which of the network's two
answers agrees best with the players, about what mean they are best stretched, how much to keep of what sets a note
apart from those around it, how far swells go, and how far the gain should follow from what the network is unsure of;
the second what `variation` costs and buys; the third which side a classifier tells players from us by.

Conventions
-----------
r and MAE are means over parts; MAE is of ln(performed / written length). AUC: `duvhuman.train.evaluation.two_sample`.

    python benchmarks/decoding.py --data prepared guitar bass keys strings
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from common import add_data_options, add_instruments, add_model_option, network_of
from plain_errors import run

from duvhuman.arrays import FloatArray
from duvhuman.humanize.decode import (
    STRETCH_NOTES,
    decode_articulation,
    decode_velocity,
    inverse_cdf,
    keep_detail,
    keyed_uniform,
    local_mean,
    stretched,
)
from duvhuman.humanize.windows import Distribution
from duvhuman.models.config import ModelConfig
from duvhuman.train.dataset import PhraseData
from duvhuman.train.evaluation.metrics import mean_over_parts
from duvhuman.train.evaluation.predictors import Rendition, flat_pair, metrics_of, model_predictor, written_flat
from duvhuman.train.evaluation.report import sample_parts
from duvhuman.train.evaluation.two_sample import two_sample_auc
from duvhuman.train.pairs.deadpan import Pair

REACHES = (48, 192, 512, 2048)
DETAILS = (1.0, 0.8, 0.6, 0.5, 0.4, 0.2, 0.0)
SWELLS = (1.0, 1.5, 2.0, 2.5, 3.0, 4.0)
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
VARIATIONS = (0.0, 0.25, 0.5, 1.0)
COMPARED_SD_RATIO = 0.95
"""Liveliness is compared at this SD ratio, the same for all."""


@dataclass(frozen=True)
class Said:
    """The parts of an instrument, the songs they are from, and what the network says of each."""

    pairs: list[Pair]
    songs: list[str]
    said: list[Distribution]
    config: ModelConfig

    def scores(self, velocities: Sequence[FloatArray], articulations: Sequence[FloatArray]) -> dict[str, float]:
        """The mean metrics of these performances."""
        played = [Rendition(v.clip(1, 127), a) for v, a in zip(velocities, articulations, strict=True)]
        return mean_over_parts([metrics_of(*both) for both in zip(self.pairs, played, strict=True)])

    def auc(self, velocities: Sequence[FloatArray], articulations: Sequence[FloatArray]) -> float:
        """How well these performances are told from the players'."""
        played = [Rendition(v.clip(1, 127).round(), a) for v, a in zip(velocities, articulations, strict=True)]
        return two_sample_auc(self.pairs, played, self.songs)


def main() -> None:
    """Run it; see the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_instruments(parser)
    add_model_option(parser)
    add_data_options(parser, max_parts=60)
    options = parser.parse_args()
    data = PhraseData(options.data)
    for instrument in options.instruments:
        said = ask(data, instrument, options.model, options.max_parts)
        print(f"\n{instrument}, {len(said.pairs)} parts, gain {said.config.velocity_gain}", flush=True)
        answers(said)
        variations(said)


def ask(data: PhraseData, instrument: str, name: str, max_parts: int) -> Said:
    """What a model says of the flat validation parts of an instrument."""
    model = network_of(name, instrument)
    predict, found = model_predictor(model), Said([], [], [], model.config)
    for part in sample_parts(data.select(split="valid", instrument=instrument), max_parts):
        pair = flat_pair(data, part)
        if pair is not None and (said := predict(pair.score, written_flat(pair)).said) is not None:
            found.pairs.append(pair)
            found.songs.append(part.song)
            found.said.append(said)
    return found


def answers(all_said: Said) -> None:
    """Which of the network's answers agrees best with the players."""
    velocity: dict[str, Callable[[Distribution], FloatArray]] = {
        "bins": lambda s: s.expected_velocity,
        "regression": lambda s: s.velocity,
        "mean of both": lambda s: (s.expected_velocity + s.velocity) / 2,
    }
    edges = np.array(all_said.config.closed_duration_edges)
    centres = (edges[:-1] + edges[1:]) / 2

    def median(s: Distribution) -> FloatArray:
        return inverse_cdf(s.duration_probabilities, edges, np.full(len(s.velocity), 0.5))

    lengths: dict[str, Callable[[Distribution], FloatArray]] = {
        "as written": lambda s: np.zeros(len(s.velocity)),
        "bins' mean": lambda s: s.duration_probabilities @ centres,
        "bins' median": median,
        "regression": lambda s: s.articulation,
        "median and regression": lambda s: (median(s) + s.articulation) / 2,
    }
    said, gain = all_said.said, all_said.config.velocity_gain
    nothing = [np.zeros(len(s.velocity)) for s in said]
    for name, how in velocity.items():
        expected = [how(s) for s in said]
        cells = [f"{all_said.scores(expected, nothing)['vel_r']:.3f}"]
        for reach in REACHES:
            stretched = [stretch(values, gain, reach) for values in expected]
            cells.append(f"{reach}: {all_said.scores(stretched, nothing)['vel_r']:.3f}")
        print(f"  velocity r by {name:14} {cells[0]}; stretched about the mean of notes within {', '.join(cells[1:])}")
    cells = []
    for detail in DETAILS:
        kept = [stretch(keep_detail(velocity["bins"](s), detail), gain, STRETCH_NOTES) for s in said]
        cells.append(f"{detail:.1f}: {all_said.scores(kept, nothing)['vel_r']:.3f}")
    print(f"  velocity r by bins with a share of the detail: {', '.join(cells)}")
    cells = []
    for swell in SWELLS:
        m = all_said.scores([decode_velocity(s, replace(all_said.config, swell_gain=swell))[0] for s in said], nothing)
        cells.append(f"{swell:.1f}: {m['vel_r']:.3f}, {m['vel_sd_ratio']:.2f}")
    print(f"  velocity r and SD ratio with swells that go so many times as far: {'; '.join(cells)}")
    liveliness(all_said, [kept_of(s, all_said.config) for s in said])
    for name, how in lengths.items():
        m = all_said.scores([s.velocity for s in said], [how(s) for s in said])
        print(f"  articulation by {name:22} r {m['art_r']:.3f}, MAE {m['art_mae']:.3f}", flush=True)


def kept_of(said: Distribution, config: ModelConfig) -> FloatArray:
    """Expected velocities as they are before the stretch."""
    return keep_detail(said.expected_velocity, config.velocity_detail)


def liveliness(all_said: Said, expected: Sequence[FloatArray]) -> None:
    """How alike parts are in liveliness with several `ModelConfig.spread_share`, at the same SD ratio on average."""
    nothing = [np.zeros(len(values)) for values in expected]
    played = [pair.played.velocity for pair in all_said.pairs]
    spreads = [decode_velocity(said, all_said.config)[1] for said in all_said.said]
    swell_gain = all_said.config.swell_gain
    for share in SHARES:
        gain, ratios, ours = 1.0, np.ones(len(expected)), list(expected)
        for _ in range(4):  # clipping at 1 and 127 makes the ratio a little less than proportional
            ours = [
                np.clip(stretched(values, spread, gain=gain, spread_share=share, swell_gain=swell_gain), 1, 127)
                for values, spread in zip(expected, spreads, strict=True)
            ]
            ratios = np.array([one.std() / other.std() for one, other in zip(ours, played, strict=True)])
            gain *= COMPARED_SD_RATIO / ratios.mean()
        m = all_said.scores(ours, nothing)
        print(
            f"  {share:.2f} of the gain by what the network is unsure of: velocity r {m['vel_r']:.3f}, MAE about the "
            f"mean {m['vel_mae_centred']:.2f}, mean |ln SD ratio| {np.mean(np.abs(np.log(ratios))):.3f}", flush=True,
        )


def stretch(values: FloatArray, gain: float, reach: int) -> FloatArray:
    """Velocities stretched about the mean of the notes within `reach`."""
    middle = local_mean(values, reach)
    return np.clip(middle + gain * (values - middle), 1, 127)


def variations(all_said: Said) -> None:
    """What `variation` costs and buys, and which side tells us from the players."""
    ours: tuple[list[FloatArray], list[FloatArray]] = ([], [])
    for variation in reversed(VARIATIONS):
        ours = ([], [])
        for pair, said in zip(all_said.pairs, all_said.said, strict=True):
            draws = [keyed_uniform(pair.score, 0, salt) for salt in (1, 2)]
            velocity, _ = decode_velocity(said, all_said.config, variation=variation, uniform=draws[0])
            ours[0].append(velocity)
            ours[1].append(decode_articulation(said, all_said.config, variation=variation, uniform=draws[1]))
        m = all_said.scores(*ours)
        print(
            f"  variation {variation:.2f}: velocity r {m['vel_r']:.3f}, SD ratio {m['vel_sd_ratio']:.2f}, "
            f"articulation MAE {m['art_mae']:.3f}, AUC {all_said.auc(*ours):.3f}", flush=True,
        )
    played = [pair.played.velocity for pair in all_said.pairs], [pair.articulation for pair in all_said.pairs]
    print(f"  AUC with our velocities and the players' lengths {all_said.auc(ours[0], played[1]):.3f}")
    print(f"  AUC with the players' velocities and our lengths {all_said.auc(played[0], ours[1]):.3f}", flush=True)


if __name__ == "__main__":
    run(main)
