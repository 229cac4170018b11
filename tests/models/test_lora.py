"""Merging an adapter: the same sums as PEFT's own merge, and nothing at all where an adapter does not fit."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from duvhuman.errors import ModelError
from duvhuman.models.config import ModelConfig
from duvhuman.models.lora import merge_adapter
from duvhuman.models.phrase_transformer import PhraseTransformer

TARGETS = ["q_proj", "v_proj", "out_proj", "ff_in", "ff_out"]
FF_IN = "blocks.0.ff_in"
LORA_A, LORA_B = f"base_model.model.{FF_IN}.lora_A.weight", f"base_model.model.{FF_IN}.lora_B.weight"


def tiny_model() -> PhraseTransformer:
    torch.manual_seed(3)
    shape = ModelConfig(d_model=16, n_heads=2, n_layers=2, d_ff=24, max_len=8, feature_names=("a", "b"))
    return PhraseTransformer(shape).eval()


def hear(model: torch.nn.Module) -> torch.Tensor:
    """All outputs of a phrase of five notes, as one tensor."""
    generator = torch.Generator().manual_seed(5)
    features = torch.randn(1, 5, 2, generator=generator)
    with torch.no_grad():
        out = model(torch.tensor([[60, 64, 67, 72, 60]]), torch.full((1, 5), 24), features)
    return torch.cat([value.reshape(-1) for value in out])


def weights(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def same(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def write_adapter(folder: Path, tensors: dict[str, torch.Tensor], **settings: Any) -> Path:
    folder.mkdir(exist_ok=True)
    config = {"peft_type": "LORA", "r": 2, "lora_alpha": 6, **settings}
    (folder / "adapter_config.json").write_text(json.dumps(config), encoding="utf-8")
    save_file(tensors, folder / "adapter_model.safetensors")
    return folder


def plain_tensors() -> dict[str, torch.Tensor]:
    """B is all ones and A all quarters, so that B @ A is 0.5 everywhere at rank 2."""
    return {LORA_A: torch.full((2, 16), 0.25), LORA_B: torch.ones(24, 2)}


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    return write_adapter(tmp_path / "plain", plain_tensors())


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"modules_to_save": ["velocity_head", "duration_head"]},
        {"use_rslora": True},
        {"rank_pattern": {"q_proj": 2, "blocks.1.ff_in": 3}, "alpha_pattern": {"ff_out": 1}},
    ],
    ids=["plain", "modules_to_save", "rslora", "patterns"],
)
def test_merging_equals_pefts_own_merge(settings: dict[str, Any], tmp_path: Path) -> None:
    from peft import LoraConfig, get_peft_model

    base = tiny_model()
    trained = get_peft_model(copy.deepcopy(base), LoraConfig(r=4, lora_alpha=8, target_modules=TARGETS, **settings))
    torch.manual_seed(7)
    with torch.no_grad():
        for parameter in trained.parameters():
            if parameter.requires_grad:
                parameter.normal_(std=0.3)
    trained.save_pretrained(tmp_path)

    ours = copy.deepcopy(base)
    merge_adapter(ours, tmp_path)

    theirs = trained.eval().merge_and_unload().state_dict()
    assert ours.state_dict().keys() == theirs.keys()
    for name, value in ours.state_dict().items():
        torch.testing.assert_close(value, theirs[name], rtol=0, atol=1e-5, msg=name)
    changed = {name for name, value in ours.state_dict().items() if not torch.equal(value, base.state_dict()[name])}
    assert sum(name.split(".")[-2] in TARGETS for name in changed) == len(TARGETS) * 2
    heads = {f"{head}.{kind}" for head in settings.get("modules_to_save", []) for kind in ("weight", "bias")}
    assert {name for name in changed if "head" in name} == heads


@pytest.mark.parametrize(
    ("settings", "scale"),
    [
        pytest.param({}, 6 / 2, id="alpha / r"),
        pytest.param({"use_rslora": True}, 6 / 2**0.5, id="alpha / sqrt(r)"),
        pytest.param({"alpha_pattern": {"ff_in": 1}}, 1 / 2, id="a pattern matches"),
        pytest.param({"alpha_pattern": {"in": 1}}, 6 / 2, id="a pattern matches whole names only"),
    ],
)
def test_the_weight_grows_by_scale_times_b_times_a(settings: dict[str, Any], scale: float, tmp_path: Path) -> None:
    model = tiny_model()
    before = weights(model)
    merge_adapter(model, write_adapter(tmp_path, plain_tensors(), **settings))
    expected = before[f"{FF_IN}.weight"] + scale * 0.5
    torch.testing.assert_close(model.state_dict()[f"{FF_IN}.weight"], expected, rtol=0, atol=1e-6)
    others = {name: value for name, value in weights(model).items() if name != f"{FF_IN}.weight"}
    assert same(others, {name: before[name] for name in others})


def test_a_merged_adapter_is_heard_in_eval_mode(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(11)
    tensors = {key: torch.randn(value.shape, generator=generator) for key, value in plain_tensors().items()}
    model = tiny_model()
    before = hear(model)
    merge_adapter(model, write_adapter(tmp_path, tensors))
    assert not model.training
    assert (hear(model) - before).abs().max() > 1e-3


def test_half_precision_networks_stay_half_precision(plain: Path) -> None:
    model = tiny_model().half()
    merge_adapter(model, plain)
    assert {value.dtype for value in model.state_dict().values()} == {torch.float16}


@pytest.mark.parametrize("infix", ["", ".modules_to_save", ".modules_to_save.default"])
def test_modules_trained_whole_are_replaced(infix: str, tmp_path: Path) -> None:
    model = tiny_model()
    head = {f"base_model.model.velocity_head{infix}.bias": torch.arange(17.0)}
    merge_adapter(model, write_adapter(tmp_path, head))
    assert torch.equal(model.velocity_head.bias.detach(), torch.arange(17.0))


NINTH = "base_model.model.blocks.9.ff_in"
WRONG_TENSORS = {
    "unknown module": (
        {f"{NINTH}.lora_A.weight": torch.ones(2, 16), f"{NINTH}.lora_B.weight": torch.ones(24, 2)},
        "no counterpart",
    ),
    "unknown kind of tensor": (
        {**plain_tensors(), f"base_model.model.{FF_IN}.lora_magnitude_vector": torch.ones(24)},
        "no counterpart",
    ),
    "other width": ({LORA_A: torch.ones(2, 32), LORA_B: torch.ones(24, 2)}, r"\(24, 32\)"),
    "other rank than the config": ({LORA_A: torch.ones(3, 16), LORA_B: torch.ones(24, 3)}, "rank 2"),
    "lora_B missing": ({LORA_A: torch.ones(2, 16)}, "only one of"),
    "not a number": ({LORA_A: torch.full((2, 16), torch.nan), LORA_B: torch.ones(24, 2)}, "NaN"),
    "head of another shape": ({"base_model.model.velocity_head.weight": torch.ones(5, 16)}, r"\(17, 16\)"),
    "empty": ({}, "no tensors"),
}


@pytest.mark.parametrize(("wrong", "reason"), WRONG_TENSORS.values(), ids=WRONG_TENSORS.keys())
def test_an_adapter_that_does_not_fit_changes_nothing(
    wrong: dict[str, torch.Tensor], reason: str, tmp_path: Path
) -> None:
    good = {key.replace("blocks.0", "blocks.1"): value for key, value in plain_tensors().items()} if wrong else {}
    folder = write_adapter(tmp_path, {**good, **wrong})
    model = tiny_model()
    before = weights(model)
    with pytest.raises(ModelError, match=reason) as raised:
        merge_adapter(model, folder)
    assert str(folder / "adapter_model.safetensors") in str(raised.value)
    assert same(weights(model), before)


@pytest.mark.parametrize(
    "settings",
    [
        {"use_dora": True}, {"fan_in_fan_out": True}, {"bias": "all"}, {"init_lora_weights": "pissa"},
        {"peft_type": "IA3"}, {"r": 0}, {"r": "8"}, {"lora_alpha": None}, {"alpha_pattern": {"ff_in": "loud"}},
        {"rank_pattern": {"(": 4}},
    ],
    ids=str,
)
def test_settings_that_are_not_merged_are_refused_by_name(settings: dict[str, Any], tmp_path: Path) -> None:
    folder = write_adapter(tmp_path, plain_tensors(), **settings)
    model = tiny_model()
    before = weights(model)
    name = next(iter(settings))
    expected = {"bias": "trained biases", "init_lora_weights": "initialised by 'pissa'"}.get(name, name)
    with pytest.raises(ModelError, match=expected) as raised:
        merge_adapter(model, folder)
    assert str(folder / "adapter_config.json") in str(raised.value)
    assert same(weights(model), before)


@pytest.mark.parametrize("file", ["adapter_config.json", "adapter_model.safetensors"])
def test_a_missing_file_is_named(file: str, plain: Path) -> None:
    (plain / file).unlink()
    with pytest.raises(ModelError, match=f"{file}.*(get or train|name a folder)"):
        merge_adapter(tiny_model(), plain)


@pytest.mark.parametrize("content", [b"", b"\x00\x01\xff", b"{", b"[1, 2]"], ids=["empty", "bytes", "cut", "list"])
@pytest.mark.parametrize("file", ["adapter_config.json", "adapter_model.safetensors"])
def test_a_corrupt_file_is_named(file: str, content: bytes, plain: Path) -> None:
    (plain / file).write_bytes(content)
    with pytest.raises(ModelError, match=file):
        merge_adapter(tiny_model(), plain)


def test_weights_cut_short_are_refused(plain: Path) -> None:
    file = plain / "adapter_model.safetensors"
    assert set(load_file(file)) == {LORA_A, LORA_B}
    file.write_bytes(file.read_bytes()[:-10])
    with pytest.raises(ModelError, match="cannot be read"):
        merge_adapter(tiny_model(), plain)
