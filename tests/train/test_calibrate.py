"""Gains: whether they make networks as lively as players, and whether other trees want others."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from toys import columns, save_a_tree, tiny_network, write_data

from duvhuman.models.config import LARGEST_GAIN
from duvhuman.models.personal import read_personal
from duvhuman.models.phrase_transformer import read_config
from duvhuman.models.player import read_player
from duvhuman.train.__main__ import main
from duvhuman.train.adapters import add_adapter, save_adapter
from duvhuman.train.calibrate import TREES_SHARE, calibrated
from duvhuman.train.config import TrainConfig
from duvhuman.train.dataset import PhraseData
from duvhuman.train.evaluation.predictors import flat_pairs, model_predictor, score_pairs, written_as_played


@pytest.mark.parametrize("std", [0.15, 0.4])
def test_the_gain_brings_the_spread_near_the_players(std: float, data: PhraseData) -> None:
    network = tiny_network(std=std)
    before = score_pairs(flat_pairs(data, data.select(split="train", instrument="guitar")), model_predictor(network))
    assert np.mean([row["vel_sd_ratio"] for row in before]) != pytest.approx(0.95, abs=0.1)
    calibrated(network, data, "guitar")
    after = score_pairs(flat_pairs(data, data.select(split="train", instrument="guitar")), model_predictor(network))
    assert np.mean([row["vel_sd_ratio"] for row in after]) == pytest.approx(0.95, abs=0.05)


def test_the_gain_for_written_dynamics_is_measured_with_them(data: PhraseData) -> None:
    network = calibrated(tiny_network(std=0.3), data, "guitar")
    assert network.config.contour_gain != network.config.velocity_gain
    pairs = flat_pairs(data, data.select(split="train", instrument="guitar"))
    rows = score_pairs(pairs, model_predictor(network), written_as_played)
    assert np.mean([row["vel_sd_ratio"] for row in rows]) == pytest.approx(0.95, abs=0.05)


def test_a_network_that_says_next_to_nothing_is_not_blown_up(data: PhraseData) -> None:
    network = tiny_network(std=1e-4)
    assert calibrated(network, data, "guitar").config.velocity_gain == LARGEST_GAIN


def test_parts_with_flat_middles_leave_the_gain_alone(tmp_path: Path) -> None:
    velocity = np.where(np.abs(np.arange(900) - 450) <= 300, 64, 20 + np.arange(900) % 80)
    data = write_data(tmp_path, [({"range": 11.5}, columns(240 * np.arange(900), velocity=velocity))])
    config = calibrated(tiny_network(), data, "guitar").config
    assert (config.velocity_gain, config.typical_range) == (1.0, 11.5)


def test_the_command_measures_a_model_and_its_adapter_beside_the_trees_that_they_hear(
    data: PhraseData, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tmp_path / "guitar"
    network = tiny_network(instrument="guitar", std=0.3, trees_share=TREES_SHARE["guitar"])
    network.save_pretrained(model)
    save_adapter(add_adapter(network, TrainConfig()), model / "adapter", "duvhuman/guitar")
    order = ["calibrate", "guitar", "--model", str(model), "--data", data.name]
    gains = []
    for high in (None, 40.0):
        if high is not None:  # trees of its own, which tell high notes from low ones more than any player
            save_a_tree(model, high)
        weights = (model / "model.safetensors").read_bytes()
        assert main(order) == 0
        assert (model / "model.safetensors").read_bytes() == weights
        config = read_config(model)
        assert config.trees_share == TREES_SHARE["guitar"]  # as it was
        told = read_personal(model / "adapter")["config"]
        gains.append((config.velocity_gain, told["velocity_gain"]))
        lines = capsys.readouterr().out.splitlines()
        assert lines[-2:] == [
            f"{model}: velocity_gain {config.velocity_gain}, contour_gain {config.contour_gain}",
            f"{model / 'adapter'}: velocity_gain {told['velocity_gain']}, contour_gain {told['contour_gain']}",
        ]
        pairs = flat_pairs(data, data.select(split="train", instrument="guitar"))
        rows = score_pairs(pairs, model_predictor(read_player(model)))
        assert np.mean([row["vel_sd_ratio"] for row in rows]) == pytest.approx(0.95, abs=0.05)
    assert gains[1][0] < gains[0][0] / 2
    assert gains[1][1] < gains[0][1] / 2


@pytest.mark.parametrize(
    ("instrument", "told", "reason"),
    [
        ("bass", {}, "is a model for guitar, not for bass"),
        ("strings", {"instrument": "strings"}, "no training parts for strings"),
        ("guitar", {"feature_names": ["a"]}, "made for other features"),
        ("guitar", {"instrument": "trunk"}, "says 'trunk', not 'guitar'; only bases are calibrated"),
    ],
)
def test_what_cannot_be_measured_is_left_as_it_is(
    instrument: str, told: dict[str, object], reason: str, data: PhraseData, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    tiny_network(instrument="guitar").save_pretrained(tmp_path)
    config = tmp_path / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | told), encoding="utf-8")
    before = config.read_bytes()
    assert main(["calibrate", instrument, "--model", str(tmp_path), "--data", data.name]) == 1
    assert reason in capsys.readouterr().err
    assert config.read_bytes() == before


def test_a_players_own_adapter_is_left_as_it_is(
    data: PhraseData, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network = tiny_network(instrument="guitar")
    network.save_pretrained(tmp_path)
    save_adapter(add_adapter(network, TrainConfig()), tmp_path / "adapter", "duvhuman/guitar")
    (tmp_path / "adapter" / "memory.safetensors").touch()
    assert main(["calibrate", "guitar", "--model", str(tmp_path), "--data", data.name]) == 1
    assert "is a personal adapter" in capsys.readouterr().err
