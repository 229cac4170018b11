"""The mean of several models: its weights, its history, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from toys import tiny_network

from duvhuman.errors import FileError, ModelError, OptionError
from duvhuman.models.phrase_transformer import PhraseTransformer
from duvhuman.train.__main__ import main
from duvhuman.train.average import average
from duvhuman.train.record import EARLIER, read_record


def model(folder: Path, seed: int, record: Any = None, **changes: Any) -> Path:
    tiny_network(seed, std=0.2, **changes).save_pretrained(folder)
    if record is not None:
        (folder / "training.json").write_text(json.dumps(record))
    return folder


def test_every_weight_is_the_mean(tmp_path: Path) -> None:
    folders = [model(tmp_path / str(seed), seed) for seed in (1, 2, 3)]
    average(folders, tmp_path / "mean")
    states = [PhraseTransformer.from_pretrained(folder).state_dict() for folder in folders]
    mean = PhraseTransformer.from_pretrained(tmp_path / "mean").state_dict()
    assert not torch.equal(states[0]["velocity_head.weight"], states[1]["velocity_head.weight"])
    for name, value in mean.items():
        torch.testing.assert_close(value, torch.stack([state[name] for state in states]).mean(0), rtol=1e-3, atol=1e-4)


def test_the_mean_is_a_trunk_without_gains(tmp_path: Path) -> None:
    one = model(tmp_path / "one", 1, instrument="guitar", velocity_gain=3.0, contour_gain=1.5, typical_range=9.0)
    other = model(tmp_path / "other", 2, instrument="bass", velocity_gain=2.0)
    average([one, other], tmp_path / "mean")
    config = PhraseTransformer.from_pretrained(tmp_path / "mean").config
    assert (config.instrument, config.velocity_gain, config.contour_gain) == ("trunk", 1.0, 1.0)
    assert config.typical_range == type(config)().typical_range


def test_the_history_tells_once_what_the_models_have_in_common(tmp_path: Path) -> None:
    common = {"stage": "trunk", "notes_seen": 1}
    one = model(tmp_path / "one", 1, {EARLIER: [common], "trunk": {"notes_seen": 2}})
    other = model(
        tmp_path / "other", 2, {EARLIER: [common], "trunk": {"notes_seen": 3}, "base": {"notes_seen": 4}, "lora": {}}
    )
    average([one, other], tmp_path / "mean")
    assert read_record(tmp_path / "mean") == {
        EARLIER: [
            common, {"stage": "trunk", "notes_seen": 2}, {"stage": "trunk", "notes_seen": 3},
            {"stage": "base", "notes_seen": 4}, {"stage": "average", "models": 2},
        ]
    }


def test_means_one_after_the_other_are_both_told(tmp_path: Path) -> None:
    mean, bases = {"stage": "average", "models": 2}, [{"stage": "base", "notes_seen": n} for n in (1, 2, 3)]
    shorter, longer = [mean, bases[0]], [mean, bases[0], bases[1], mean]
    one = model(tmp_path / "one", 1, {EARLIER: shorter})
    other = model(tmp_path / "other", 2, {EARLIER: longer, "base": {"notes_seen": 3}})
    average([one, other], tmp_path / "mean")
    assert read_record(tmp_path / "mean") == {EARLIER: [*longer, bases[2], mean]}


def test_a_model_of_another_shape_is_named(tmp_path: Path) -> None:
    one, other = model(tmp_path / "one", 1), model(tmp_path / "other", 1, n_layers=1)
    with pytest.raises(ModelError, match="other: another shape.*one"):
        average([one, other], tmp_path / "mean")
    assert not (tmp_path / "mean").exists()


def test_one_model_has_no_mean(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="two models or more"):
        average([model(tmp_path / "one", 1)], tmp_path / "mean")


def test_no_model_is_written_over(tmp_path: Path) -> None:
    one, other = model(tmp_path / "one", 1), model(tmp_path / "other", 2)
    before = (one / "model.safetensors").read_bytes()
    with pytest.raises(OptionError, match="holds a model already"):
        average([one, other], one)
    assert (one / "model.safetensors").read_bytes() == before


def test_the_command_says_how_to_go_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = [str(model(tmp_path / str(seed), seed)) for seed in (1, 2)]
    assert main(["average", *folders, "--out", str(tmp_path / "the mean")]) == 0
    assert f"train from it with --init-from '{tmp_path / 'the mean'}'\n" in capsys.readouterr().out


def test_the_command_refuses_what_is_no_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = str(model(tmp_path / "one", 1))
    assert main(["average", one, str(tmp_path / "nothing"), "--out", str(tmp_path / "mean")]) == 1
    assert "nothing" in capsys.readouterr().err


def test_a_file_where_the_folder_should_be_is_told_without_a_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = [str(model(tmp_path / str(seed), seed)) for seed in (1, 2)]
    (tmp_path / "notes.txt").write_text("mine")
    assert main(["average", *folders, "--out", str(tmp_path / "notes.txt")]) == 1
    assert "notes.txt: cannot be written" in capsys.readouterr().err
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    folders = [model(tmp_path / str(seed), seed) for seed in (1, 2)]
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError, match="file.*: cannot be written .*; choose another --out"):
        average(folders, tmp_path / "file" / "mean")
