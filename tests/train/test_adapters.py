"""Adapters: what PEFT trains, what is saved of it, and that it is heard."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from toys import KilledError, same_weights, tiny_network, weights

from duvhuman.errors import ModelError
from duvhuman.models.lora import merge_adapter
from duvhuman.models.phrase_transformer import PhraseTransformer
from duvhuman.train.adapters import LORA_TARGETS, add_adapter, continue_adapter, save_adapter
from duvhuman.train.config import TrainConfig
from duvhuman.train.dataset import PhraseData
from duvhuman.train.evaluation.predictors import flat_pairs
from duvhuman.train.loop import Surroundings, fit
from duvhuman.train.pairs.encode import Batch
from duvhuman.train.run.tasks import Task

CONFIG = TrainConfig(epochs=2, batch_size=4, lr=1e-2, precision="float32", lora_r=4, lora_alpha=8)


@pytest.fixture(scope="module")
def batch(data: PhraseData) -> Batch:
    return data.batch(np.array([[0, 100, 0, 0], [240, 300, 1, 0]]), data.parts, seed=0, epoch=0, width=128)


def hear(network: torch.nn.Module, batch: Batch) -> torch.Tensor:
    """All that a network says of the batch's notes."""
    with torch.inference_mode():
        out = network(batch.pitch, batch.program, batch.features, batch.mask)
    return torch.cat([value[batch.mask].reshape(-1) for value in out])


def around(folder: Path, log: Callable[[str], None] = lambda line: None) -> Surroundings:
    return Surroundings(folder, torch.device("cpu"), log=log)


class Tuned:
    """A network with an adapter that was trained on it and saved."""

    def __init__(self, data: PhraseData, folder: Path) -> None:
        self.base = tiny_network(std=0.2)
        self.network = tiny_network(std=0.2)
        self.model = add_adapter(self.network, CONFIG)
        self.folder = folder / "adapter"
        valid = data.select(split="valid", instrument="guitar")
        task = Task(data, data.select(split="train", instrument="guitar"), valid, flat_pairs(data, valid))
        fit(
            self.model, self.network, task, CONFIG, around(folder / "lora"), stage="lora",
            save_best=lambda: save_adapter(self.model, self.folder, "duvhuman/guitar"),
        )
        save_adapter(self.model, self.folder, "duvhuman/guitar")
        self.model.eval()


@pytest.fixture(scope="module")
def tuned(data: PhraseData, tmp_path_factory: pytest.TempPathFactory) -> Tuned:
    return Tuned(data, tmp_path_factory.mktemp("tuned"))


def test_only_the_five_linears_of_each_block_are_adapted() -> None:
    model = add_adapter(tiny_network(), CONFIG)
    trained = {name for name, value in model.named_parameters() if value.requires_grad}
    linears = [*(f"attention.{name}" for name in ("q_proj", "v_proj", "out_proj")), "ff_in", "ff_out"]
    assert trained == {
        f"base_model.model.blocks.{block}.{linear}.lora_{side}.default.weight"
        for block in range(2) for linear in linears for side in "AB"
    }
    assert set(LORA_TARGETS) == {"q_proj", "v_proj", "out_proj", "ff_in", "ff_out"}


def test_a_fresh_adapter_changes_nothing_yet(batch: Batch) -> None:
    network = tiny_network(std=0.2)
    before = hear(network, batch)
    model = add_adapter(network, CONFIG).eval()
    assert torch.equal(hear(model, batch), before)


def test_the_tensors_of_the_base_stay_bit_equal(tuned: Tuned) -> None:
    after = {
        name.replace(".base_layer", ""): value
        for name, value in weights(tuned.network).items() if "lora_" not in name
    }
    assert same_weights(after, weights(tuned.base))


def test_the_adapter_is_heard_in_eval_mode_through_the_network_itself(tuned: Tuned, batch: Batch) -> None:
    assert not tuned.network.training
    assert (hear(tuned.network, batch) - hear(tuned.base, batch)).abs().max() > 1e-2
    assert torch.equal(hear(tuned.network, batch), hear(tuned.model, batch))


def test_the_saved_adapter_loads_in_plain_peft(tuned: Tuned, batch: Batch) -> None:
    from peft import PeftModel

    loaded = PeftModel.from_pretrained(tiny_network(std=0.2), str(tuned.folder)).eval()
    assert torch.equal(hear(loaded, batch), hear(tuned.model, batch))


def test_merged_without_peft_it_says_the_same(tuned: Tuned, batch: Batch) -> None:
    merged: PhraseTransformer = tiny_network(std=0.2)
    merge_adapter(merged, tuned.folder)
    torch.testing.assert_close(hear(merged, batch), hear(tuned.model, batch), rtol=0, atol=1e-5)


def test_what_is_saved_names_its_base_and_no_path(tuned: Tuned) -> None:
    assert sorted(file.name for file in tuned.folder.iterdir()) == ["adapter_config.json", "adapter_model.safetensors"]
    text = (tuned.folder / "adapter_config.json").read_text(encoding="utf-8")
    config = json.loads(text)
    assert config["base_model_name_or_path"] == "duvhuman/guitar"
    assert (config["peft_type"], config["r"], config["lora_alpha"]) == ("LORA", 4, 8)
    assert config["lora_dropout"] == 0.05
    assert set(config["target_modules"]) == set(LORA_TARGETS)
    assert str(tuned.folder.parent) not in text


def test_a_resumed_adapter_run_ends_in_the_same_weights(data: PhraseData, tmp_path: Path) -> None:
    def train(folder: Path, *, resume: bool, kill: bool) -> dict[str, torch.Tensor]:
        network = tiny_network(std=0.2)
        torch.manual_seed(3)
        model = add_adapter(network, CONFIG)
        valid = data.select(split="valid", instrument="guitar")
        task = Task(data, data.select(split="train", instrument="guitar"), valid, flat_pairs(data, valid))

        def log(line: str) -> None:
            if kill and line.startswith("epoch 2/2"):
                raise KilledError

        fit(
            model, network, task, CONFIG, around(folder, log), stage="lora", resume=resume,
            save_best=lambda: None,
        )
        return weights(model)

    whole = train(tmp_path / "whole", resume=False, kill=False)
    with pytest.raises(KilledError):
        train(tmp_path / "killed", resume=False, kill=True)
    assert same_weights(train(tmp_path / "killed", resume=True, kill=False), whole)
    assert not math.isclose(sum(value.abs().sum().item() for value in whole.values()), 0.0)


def test_a_personal_adapter_begins_by_playing_as_the_one_it_continues(tuned: Tuned, batch: Batch) -> None:
    network = tiny_network(std=0.2)
    model = continue_adapter(network, tuned.folder, CONFIG).eval()
    assert torch.equal(hear(model, batch), hear(tuned.model, batch))


def test_a_personal_adapter_lists_the_linears_of_the_two_heads_too(tuned: Tuned, tmp_path: Path) -> None:
    model = continue_adapter(tiny_network(std=0.2), tuned.folder, CONFIG)
    save_adapter(model, tmp_path, "duvhuman/guitar")
    config = json.loads((tmp_path / "adapter_config.json").read_text(encoding="utf-8"))
    assert set(config["target_modules"]) == {*LORA_TARGETS, "velocity_head", "duration_head"}
    assert (config["r"], config["lora_alpha"]) == (4, 8)


def test_without_an_adapter_to_continue_it_begins_as_the_bare_network(batch: Batch) -> None:
    network = tiny_network(std=0.2)
    before = hear(network, batch)
    assert torch.equal(hear(continue_adapter(network, None, CONFIG).eval(), batch), before)


def test_an_adapter_of_another_network_cannot_be_continued(tuned: Tuned) -> None:
    with pytest.raises(ModelError, match="cannot be continued"):
        continue_adapter(tiny_network(d_model=24), tuned.folder, CONFIG)


def test_an_adapter_with_a_memory_is_not_continued_without_it(tuned: Tuned, tmp_path: Path) -> None:
    shutil.copytree(tuned.folder, tmp_path / "fitted")
    (tmp_path / "fitted" / "memory.safetensors").write_bytes(b"")
    with pytest.raises(ModelError, match="fitted to takes already"):
        continue_adapter(tiny_network(std=0.2), tmp_path / "fitted", CONFIG)


def test_ranks_and_scales_of_single_layers_are_continued(tuned: Tuned, tmp_path: Path, batch: Batch) -> None:
    folder = shutil.copytree(tuned.folder, tmp_path / "scaled")
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"alpha_pattern": {"ff_in": 80}}))
    merged = tiny_network(std=0.2)
    merge_adapter(merged, folder)
    model = continue_adapter(tiny_network(std=0.2), folder, CONFIG).eval()
    assert torch.allclose(hear(model, batch), hear(merged, batch), atol=1e-5)
    assert not torch.allclose(hear(model, batch), hear(tuned.model, batch), atol=1e-3)
