"""config.json: what it may hold."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from duvhuman.errors import ModelError
from duvhuman.models.config import DURATION_BINS, DURATION_EDGES, ModelConfig

BUILT = ModelConfig("guitar", d_model=64, n_heads=4, feature_names=("a", "b"), velocity_gain=1.5, typical_range=12.0)


def test_a_config_survives_json() -> None:
    assert ModelConfig.from_dict(json.loads(json.dumps(BUILT.to_dict()))) == BUILT


def test_what_is_not_said_is_the_default() -> None:
    assert ModelConfig.from_dict({"instrument": "bass"}) == ModelConfig("bass")


def test_the_defaults_are_those_of_v3() -> None:
    config = ModelConfig()
    assert (config.d_model, config.n_heads, config.n_layers, config.d_ff) == (512, 8, 4, 1024)
    assert (config.max_len, config.dropout) == (128, 0.1)


def test_the_duration_edges_rise_and_as_written_is_a_bin_of_its_own() -> None:
    assert list(DURATION_EDGES) == sorted(DURATION_EDGES)
    assert len(DURATION_EDGES) == DURATION_BINS - 1
    assert {-0.05, 0.05} <= set(DURATION_EDGES)


def test_a_whole_number_may_stand_for_a_real_one() -> None:
    config = ModelConfig.from_dict({"velocity_gain": 2})
    assert (config.velocity_gain, type(config.velocity_gain)) == (2.0, float)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"flavour": 1, "colour": 2}, r"unknown keys \['colour', 'flavour'\]"),
        ({"d_model": "512"}, "d_model in the model's config must be int, not '512'"),
        ({"d_model": 512.0}, "d_model in the model's config must be int"),
        ({"dropout": "none"}, "dropout in the model's config must be float"),
        ({"n_layers": True}, "n_layers in the model's config must be int"),
        ({"velocity_gain": True}, "velocity_gain in the model's config must be float"),
        ({"feature_names": "abc"}, "feature_names in the model's config must be tuple"),
        ({"feature_names": [1, 2]}, "feature_names must hold names"),
        ({"instrument": None}, "instrument in the model's config must be str"),
        ({"d_model": 100, "n_heads": 8}, r"d_model \(100\) must be a multiple of n_heads \(8\)"),
        ({"n_heads": 0}, "n_heads must be 1 or more, not 0"),
        ({"max_len": -1}, "max_len must be 1 or more, not -1"),
        ({"dropout": 1.0}, "dropout must be from 0 to below 1"),
        ({"velocity_gain": math.nan}, "velocity_gain must be a number from 0, not nan"),
        ({"median_share": 1.5}, "median_share must be from 0 to 1, not 1.5"),
        ({"velocity_detail": -0.5}, "velocity_detail must be from 0 to 1, not -0.5"),
        ({"spread_share": 1.5}, "spread_share must be from 0 to 1, not 1.5"),
        ({"swell_gain": -0.1}, "swell_gain must be a number from 0, not -0.1"),
        ({"register_tilt": math.inf}, "register_tilt must be a number, not inf"),
        ({"typical_level": 128.0}, "typical_level must be a MIDI velocity, 0 or -1, not 128.0"),
        ({"typical_level": -2.0}, "typical_level must be a MIDI velocity, 0 or -1, not -2.0"),
        ({"typical_range": -1.0}, "typical_range must be a number from 0"),
        ({"duration_edges": [0.0, 1.0]}, "duration_edges needs 15 values, not 2"),
        ({"duration_edges": ["0"] * 15}, "duration_edges must be numbers that rise"),
        ({"duration_edges": list(DURATION_EDGES)[::-1]}, "duration_edges must be numbers that rise"),
    ],
)
def test_anything_else_is_an_error_that_names_it(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        ModelConfig.from_dict(values)
