"""A second network beside a model's own: what it changes, when it is heard, what is recorded and refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from builders import flat_song, random_score
from safetensors.torch import load_file
from toys import tiny_network

import duvhuman
from duvhuman.errors import ModelError, OptionError
from duvhuman.humanize.networks import load_network
from duvhuman.humanize.score import Hints
from duvhuman.humanize.windows import predict_distribution
from duvhuman.models.phrase_transformer import read_config
from duvhuman.models.player import read_player
from duvhuman.models.store import list_models
from duvhuman.train import personal
from duvhuman.train.__main__ import main
from duvhuman.train.record import packs_heard, read_record
from duvhuman.train.second import add_second


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A guitar that hears a second network for a quarter."""
    tiny_network(1, std=0.2, instrument="guitar").save_pretrained(tmp_path / "guitar")
    tiny_network(2, std=0.2, instrument="trunk", d_model=16).save_pretrained(tmp_path / "other")
    record = {"trunk": {"packs": ["lakh"], "notes_seen": 5}}
    (tmp_path / "other" / "training.json").write_text(json.dumps(record))
    (tmp_path / "guitar" / "training.json").write_text(json.dumps({"base": {"packs": ["mine"]}}))
    add_second(tmp_path / "guitar", tmp_path / "other", 0.25)
    return tmp_path / "guitar"


def bins(network: torch.nn.Module) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Velocity bins, duration bins and regressions of 40 notes."""
    score = random_score(40)
    said = predict_distribution(network, score, Hints.none(40))  # type: ignore[arg-type]
    return said.velocity_probabilities, said.duration_probabilities, np.stack([said.velocity, said.articulation])


def test_velocity_bins_are_averaged_and_all_else_is_the_first_networks(folder: Path) -> None:
    both, first, second = (
        bins(network) for network in (read_player(folder), tiny_network(1, std=0.2, instrument="guitar"),
                                      tiny_network(2, std=0.2, instrument="trunk", d_model=16))
    )  # fmt: skip
    assert np.abs(first[0] - second[0]).max() > 0.05
    np.testing.assert_allclose(both[0], 0.75 * first[0] + 0.25 * second[0], atol=2e-3)  # weights are in float16
    np.testing.assert_allclose(both[1], first[1], atol=2e-3)
    np.testing.assert_allclose(both[2], first[2], atol=2e-2)


def test_files_and_gains_of_the_base_stay_and_the_record_tells_of_both(folder: Path) -> None:
    assert read_config(folder).second_share == 0.25
    assert read_config(folder / "second").d_model == 16
    assert read_record(folder)["second"] == [{"stage": "trunk", "packs": ["lakh"], "notes_seen": 5}]
    assert packs_heard(read_record(folder), ["judged"]) == {"lakh", "mine"}


def test_it_is_heard_where_users_play_and_kept_in_memory_until_it_changes(folder: Path) -> None:
    heard = load_network(folder, None, "cpu", "guitar")
    assert load_network(folder, None, "cpu", "guitar") is heard
    np.testing.assert_array_equal(bins(heard)[0], bins(read_player(folder))[0])
    tiny_network(3, std=0.2, instrument="trunk", d_model=16).save_pretrained(folder / "second")
    changed = load_network(folder, None, "cpu", "guitar")
    assert np.abs(bins(changed)[0] - bins(heard)[0]).max() > 0.01


def test_what_a_take_teaches_corrects_both(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DUVHUMAN_MODELS", str(folder.parent))
    monkeypatch.setenv("DUVHUMAN_CACHE", str(folder.parent / "cache"))
    rng = np.random.default_rng(0)
    take = duvhuman.MidiFile(flat_song(128, velocity=rng.integers(50, 110, 128).tolist()))
    player = duvhuman.load("guitar", like=take)
    (network,) = player._networks.values()
    said, memory = bins(network)[0], network.get_submodule("memory")
    heard = []
    network.get_submodule("second").register_forward_hook(lambda *_: heard.append("second"))
    memory.register_forward_hook(lambda *_: heard.append("memory"))
    np.testing.assert_array_equal(bins(network)[0], said)
    assert heard == ["second", "memory"]
    tensors = load_file(player._liked["guitar"].folder / "adapter_model.safetensors")
    assert not [name for name in tensors if "second" in name]


def test_a_take_is_learnt_without_dropout_and_anew_beside_another_second_network(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DUVHUMAN_MODELS", str(folder.parent))
    monkeypatch.setenv("DUVHUMAN_CACHE", str(folder.parent / "cache"))
    dropped = []
    take = duvhuman.MidiFile(flat_song(128, velocity=np.random.default_rng(0).integers(50, 110, 128).tolist()))
    output = personal._output

    def spy(model: torch.nn.Module, batch: object) -> object:
        second = [module for name, module in model.named_modules() if "second" in name and hasattr(module, "p")]
        dropped.append([module.p for module in second if module.training])
        return output(model, batch)

    monkeypatch.setattr(personal, "_output", spy)
    first = duvhuman.load("guitar", like=take)._liked["guitar"].folder
    assert any(dropped)
    assert not any(any(one) for one in dropped)
    assert duvhuman.load("guitar", like=take)._liked["guitar"].folder == first
    tiny_network(3, std=0.2, instrument="trunk", d_model=16).save_pretrained(folder / "second")
    assert duvhuman.load("guitar", like=take)._liked["guitar"].folder != first


def test_another_share_keeps_the_history(folder: Path) -> None:
    before = read_record(folder)
    add_second(folder, folder / "second", 0.5)
    assert read_config(folder).second_share == 0.5
    assert read_record(folder) == before


def test_it_counts_among_what_is_installed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DUVHUMAN_MODELS", str(folder.parent))
    (row,) = [row for row in list_models() if row.instrument == "guitar" and row.used]
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.name in ("config.json", "model.safetensors")]
    assert (row.size_bytes, len(sizes), row.adapters) == (sum(sizes), 4, ())


@pytest.mark.parametrize("share", [0.0, -0.1, 1.5])
def test_a_share_that_is_none_is_refused(folder: Path, share: float) -> None:
    with pytest.raises(OptionError, match="share must be above 0"):
        add_second(folder, folder.parent / "other", share)
    assert read_config(folder).second_share == 0.25


def test_networks_that_do_not_fit_are_refused_and_nothing_is_written(tmp_path: Path) -> None:
    for name, changes, reason in (
        ("bass", {"instrument": "bass"}, "a model for bass, not for guitar"),
        ("short", {"instrument": "trunk", "max_len": 16}, "other features or shorter phrases"),
    ):
        base = tmp_path / name / "guitar"
        tiny_network(1, instrument="guitar").save_pretrained(base)
        tiny_network(2, **changes).save_pretrained(tmp_path / name / "other")
        with pytest.raises(ModelError, match=reason):
            add_second(base, tmp_path / name / "other", 0.5)
        assert not (base / "second").exists()
        assert read_config(base).second_share == 0


def test_a_model_whose_second_network_is_gone_says_so(folder: Path) -> None:
    shutil.rmtree(folder / "second")
    with pytest.raises(ModelError, match="second"):
        read_player(folder)


def test_the_command(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = folder.parent / "other"
    assert main(["second", str(folder), "--network", str(other), "--share", "0.5"]) == 0
    assert read_config(folder).second_share == 0.5
    assert "hears a second network for 0.5" in capsys.readouterr().out
    assert main(["second", str(folder), "--network", str(other / "nothing")]) == 1
    assert main(["second", str(folder), "--network", str(other), "--share", "2"]) == 2
    assert "Traceback" not in capsys.readouterr().err
