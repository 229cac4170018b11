"""How far a model stretches what is expected, and what else decoding does: measured and chosen for its instrument.

Conventions
-----------
Gains go with the network, the adapter and the trees that are heard with them: where one of these is another, they are
measured anew.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from duvhuman.arrays import FloatArray
from duvhuman.humanize.score import Score
from duvhuman.models.config import EXPECTED_LEVEL, LARGEST_GAIN, ModelConfig
from duvhuman.models.files import ADAPTER_FOLDER, CONFIG_FILE
from duvhuman.models.personal import write_personal
from duvhuman.models.phrase_transformer import PhraseTransformer, write_config
from duvhuman.models.player import read_player
from duvhuman.train.dataset import PhraseData
from duvhuman.train.evaluation.predictors import (
    PAIR_NOTES,
    Rendition,
    flat_pairs,
    model_predictor,
    score_pairs,
    written_as_played,
    written_flat,
)
from duvhuman.train.pairs.deadpan import Pair

CALIBRATION_PARTS = 160
DECODING: Mapping[str, Mapping[str, Any]] = {
    "guitar": {"typical_level": 94.0, "swell_gain": 2.0},
    "bass": {"typical_level": 90.0, "swell_gain": 3.0},
    "keys": {
        "typical_level": EXPECTED_LEVEL, "median_share": 0.0, "swell_gain": 2.0, "register_tilt": 0.15,
        "passage_detail": 0.8,
    },
    "strings": {"typical_level": 78.0, "velocity_detail": 0.5, "swell_gain": 3.0, "passage_detail": 0.3},
}
"""What an instrument's `ModelConfig` says of decoding where it is not the default. Told these levels, networks that
know their players by the level play best (`benchmarks/flat_levels.py`); no one level suits both recitals and bands. On
scores, which users give and the packs lack, the regression of the keys' lengths errs less than the median
(`benchmarks/piano_scores.py`). Strings mostly play blocks of one loudness, and what is expected of single notes agrees
with few of the players. All of them swell further than networks expect, which take every passage for one of the level
that they are told (`benchmarks/decoding.py` tells of the last two). Recordings tell basses of recitals too softly."""
SPREAD_SHARE = 0.5
"""`ModelConfig.spread_share` of all instruments: one gain for all parts makes some too lively and others too tame, and
half of the way to what the bins say evens them out (`benchmarks/decoding.py`)."""
TREES_SHARE: Mapping[str, float] = {"guitar": 0.5, "bass": 0.5, "keys": 0.3, "strings": 0.5}
"""`ModelConfig.trees_share`: on held-out songs 0.3 to 0.5 are as good, on songs from elsewhere 0.5 is better; recitals
lose by it, and pop (docs/research/trees.md)."""
WANTED_SD_RATIO: Mapping[str, float] = {"guitar": 0.95}
"""For gains, on training parts, which networks know; 1 where nothing is said. Other parts are played a little tamer
than these, but guitars a little livelier."""
GAINS: Mapping[str, Callable[[Pair], FloatArray]] = {
    "velocity_gain": written_flat, "contour_gain": written_as_played
}
"""The gains of a model's config, and the velocities that are written where each is used."""


def calibrate_base(
    folder: Path, data: PhraseData, instrument: str, device: torch.device, *, stop: Callable[[], bool] = lambda: False
) -> ModelConfig:
    """Write into the config of the model in `folder` how it is decoded; that config. Errors as `read_player`.

    Parameters
    ----------
    stop : whether somebody wants this to end; it then raises KeyboardInterrupt, and nothing is written.
    """
    config = calibrated(read_player(folder).to(device), data, instrument, stop).config
    write_config(config, folder / CONFIG_FILE)
    return config


def calibrate_adapter(
    folder: Path, data: PhraseData, instrument: str, device: torch.device, *, stop: Callable[[], bool] = lambda: False
) -> ModelConfig:
    """Write beside the adapter of the model in `folder` with which gains it is decoded; the config with it.

    With it velocities may vary more than without, or less. Parameters and errors as `calibrate_base`.
    """
    adapter = folder / ADAPTER_FOLDER
    config = calibrated(read_player(folder, adapter).to(device), data, instrument, stop).config
    write_personal(adapter, {"config": {name: getattr(config, name) for name in (*GAINS, "spread_share")}})
    return config


def calibrated(
    network: PhraseTransformer, data: PhraseData, instrument: str, stop: Callable[[], bool] = lambda: False
) -> PhraseTransformer:
    """`network` with the range and the velocity gains of its instrument's players, measured on training parts, and with
    what `DECODING` says of it.

    The gains are chosen so that the velocity SD of parts played through the inference path, once flat and once with the
    player's own dynamics written, is on average `WANTED_SD_RATIO` of the players'; they stay 1 if the middle of no part
    has dynamics. `stop` is asked before each part is played.
    """
    parts = data.select(split="train", instrument=instrument)
    rng = np.random.default_rng(7)
    sample = [parts[i] for i in rng.permutation(len(parts))[:CALIBRATION_PARTS]]
    pairs = flat_pairs(data, sample, max_notes=PAIR_NOTES)
    network.config = replace(
        network.config, typical_range=float(np.median([part.range for part in parts])), spread_share=SPREAD_SHARE,
        **DECODING.get(instrument, {}),
    )
    predict = model_predictor(network)

    def play(score: Score, velocity: FloatArray) -> Rendition:
        if stop():
            raise KeyboardInterrupt
        return predict(score, velocity)

    wanted = WANTED_SD_RATIO.get(instrument, 1.0)
    for name, written in GAINS.items():
        gain = 1.0
        for _ in range(3 if pairs else 0):  # clipping at 1 and 127 makes the ratio a little less than proportional
            network.config = _with_gain(network.config, name, gain)
            rows = score_pairs(pairs, play, written)
            ratio = float(np.mean([row["vel_sd_ratio"] for row in rows]))
            gain = round(min(gain * wanted / max(ratio, 1e-3), LARGEST_GAIN), 3)
        network.config = _with_gain(network.config, name, gain)
    return network


def _with_gain(config: ModelConfig, name: str, gain: float) -> ModelConfig:
    return ModelConfig.from_dict(config.to_dict() | {name: gain})
