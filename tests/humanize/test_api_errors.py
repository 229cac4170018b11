"""What users did wrong, and what they are told.

A tiny network of random weights plays; that it plays badly does not matter here.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import midi_bytes
import pytest
import torch
from builders import flat_song, part, riff, song
from playing import played
from safetensors.torch import load_file, save_file

import duvhuman
from duvhuman.errors import DuvhumanWarning, FileError, MidiError, ModelError, OptionError
from duvhuman.humanize.api import humanize, load, predict
from duvhuman.models.config import ModelConfig
from duvhuman.models.phrase_transformer import PhraseTransformer

TAKE = song(part(riff(160, velocity=[50 + (7 * n) % 45 for n in range(160)]), number=None))
pytestmark = pytest.mark.usefixtures("tiny")


def test_what_is_not_midi_is_an_error_that_names_it(tmp_path: Path) -> None:
    path = tmp_path / "text.mid"
    path.write_bytes(b"not MIDI at all")
    with pytest.raises(MidiError, match="text.mid"):
        humanize(path, "guitar")
    with pytest.raises(FileError, match="gone.mid"):
        humanize(tmp_path / "gone.mid", "guitar")
    with pytest.raises(OptionError, match="cannot read MIDI from an object of type int"):
        humanize(3, "guitar")


def test_an_unknown_instrument_is_an_error_with_the_near_match() -> None:
    for function in (humanize, predict):
        with pytest.raises(OptionError, match="unknown instrument 'gutiar'. Did you mean 'guitar'"):
            function(flat_song(), "gutiar")
    with pytest.raises(OptionError, match="There are: guitar, bass, keys, strings, auto"):
        load("kazoo")


@pytest.mark.parametrize(
    ("name", "value"),
    [("intensity", 1.5), ("variation", -1), ("seed", -1), ("dynamics", "loud"), ("tracks", "0"), ("protect", [200])],
)
def test_an_option_out_of_range_is_an_error_that_names_it(name: str, value: object) -> None:
    for function in (humanize, predict):
        with pytest.raises(OptionError, match=name):
            function(flat_song(), "guitar", **{name: value})


@pytest.mark.parametrize("device", ["abacus", "cpu:x", "", None, 1.5])
def test_an_unknown_device_is_an_error(device: Any) -> None:
    with pytest.raises(OptionError, match="unknown device"):
        load("guitar", device=device)


@pytest.mark.parametrize("device", ["meta", "cuda:99"])
def test_a_device_that_is_not_here_is_an_error(device: str) -> None:
    with pytest.raises(OptionError, match=f"device '{device}' was asked for, but cannot be used here"):
        load("guitar", device=device)


def test_the_cpu_is_a_device() -> None:
    assert played(flat_song(), device="cpu") == played(flat_song(), device=torch.device("cpu"))


def damage_cut(model: Path) -> str:
    weights = model / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    return "model.safetensors: cannot be read"


def damage_empty(model: Path) -> str:
    (model / "model.safetensors").write_bytes(b"")
    return "model.safetensors: cannot be read"


def damage_pickle(model: Path) -> str:
    torch.save({"a": torch.zeros(1)}, model / "model.safetensors")
    return "model.safetensors: cannot be read"


def damage_gone(model: Path) -> str:
    (model / "model.safetensors").unlink()
    return "no model.safetensors there"


def damage_no_config(model: Path) -> str:
    (model / "config.json").unlink()
    return "no config.json there"


def damage_config(model: Path) -> str:
    (model / "config.json").write_text("{ not JSON")
    return "config.json: cannot be read"


def rewrite(model: Path, **values: object) -> None:
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps(config | values))


def damage_shape(model: Path) -> str:
    rewrite(model, d_ff=128)
    return "do not fit config.json"


def damage_key(model: Path) -> str:
    rewrite(model, flavour="mint")
    return r"config.json: unknown keys \['flavour'\]"


def damage_nan(model: Path) -> str:
    tensors = load_file(model / "model.safetensors")
    tensors["norm.weight"][3] = torch.nan
    save_file(tensors, model / "model.safetensors")
    return "model.safetensors: norm.weight holds NaN"


def damage_features(model: Path) -> str:
    names = json.loads((model / "config.json").read_text())["feature_names"]
    rewrite(model, feature_names=[*names[1:], names[0]])
    return "made for other features"


@pytest.mark.parametrize(
    "damage",
    [damage_cut, damage_empty, damage_pickle, damage_gone, damage_no_config, damage_config, damage_shape, damage_key,
     damage_nan, damage_features],
)
def test_damaged_weights_are_an_error_that_names_the_file(damage: Any, tiny: Path, tmp_path: Path) -> None:
    model = shutil.copytree(tiny / "guitar", tmp_path / "damaged")
    message = damage(model)
    with pytest.raises(ModelError, match=f"damaged.*{message}"):
        humanize(flat_song(), "guitar", model=model)


def test_a_model_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such folder"):
        load("guitar", model=tmp_path / "nowhere")


def test_a_model_of_another_instrument_is_refused(tiny: Path) -> None:
    for _ in range(2):  # the second time it is in memory
        with pytest.raises(ModelError, match="is a model for guitar, not for bass; name one for bass"):
            load("bass", model=tiny / "guitar")


@pytest.mark.parametrize("share", [0.0, 0.3])
def test_a_model_of_another_version_is_refused_before_a_take_is_learnt(share: float, tmp_path: Path) -> None:
    PhraseTransformer(
        ModelConfig("guitar", d_model=16, n_heads=2, n_layers=1, d_ff=8, feature_names=("a", "b"), trees_share=share)
    ).save_pretrained(tmp_path / "old")
    for like in (None, TAKE):
        with pytest.raises(ModelError, match="old: made for other features than this version"):
            load("guitar", model=tmp_path / "old", like=like)


def test_a_take_is_not_learnt_with_an_adapter_of_another_instrument(tiny: Path) -> None:
    other = Path(duvhuman.__file__).parent / "models" / "weights" / "bass" / "adapter"
    with pytest.raises(ModelError, match="is an adapter for bass, not for guitar; name one for guitar"):
        load("guitar", adapter=other, like=TAKE)
    with pytest.raises(ModelError, match="is a model for guitar, not for bass; name one for bass"):
        load("bass", model=tiny / "guitar", like=TAKE)


def test_an_adapter_of_another_instrument_is_refused(tmp_path: Path) -> None:
    weights = Path(duvhuman.__file__).parent / "models" / "weights" / "guitar"
    with pytest.raises(ModelError, match="is an adapter for guitar, not for keys; name one for keys"):
        load("keys", adapter=weights / "adapter")
    shutil.copytree(weights / "adapter", tmp_path / "anybody")
    path = tmp_path / "anybody" / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"base_model_name_or_path": "org/any"}))
    load("guitar", model=weights, adapter=tmp_path / "anybody")


@pytest.mark.parametrize("way", [humanize, lambda *given: load("bass").humanize(given[0])], ids=["function", "method"])
def test_warnings_name_the_line_of_the_caller(way: Any) -> None:
    drums = midi_bytes.smf(midi_bytes.track(midi_bytes.on(0, 40, channel=9) + midi_bytes.off(96, 40, channel=9)))
    with pytest.warns(DuvhumanWarning, match="nothing to play") as caught:
        way(drums, "bass")
    assert caught[0].filename == __file__
