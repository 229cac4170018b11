"""The network: its shape, what it looks at, and its files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from duvhuman.errors import ModelError
from duvhuman.models.config import ModelConfig
from duvhuman.models.phrase_transformer import ChannelDropout, PhraseOutput, PhraseTransformer, read_config

TINY = ModelConfig("guitar", d_model=32, n_heads=4, n_layers=2, d_ff=64, max_len=16, feature_names=("a", "b", "c"))


@pytest.fixture
def network() -> PhraseTransformer:
    torch.manual_seed(1)
    return PhraseTransformer(TINY).eval()


def phrase(batch: int = 2, length: int = 10) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    pitch = torch.randint(0, 128, (batch, length), generator=generator)
    program = torch.randint(0, 129, (batch, length), generator=generator)
    return pitch, program, torch.randn(batch, length, 3, generator=generator)


def hear(network: PhraseTransformer, *inputs: torch.Tensor) -> torch.Tensor:
    """All outputs side by side, (B, T, 35)."""
    with torch.inference_mode():
        out = network(*inputs)
    return torch.cat([value if value.ndim == 3 else value[..., None] for value in out], dim=-1)


def test_v3_has_eight_and_a_half_million_parameters() -> None:
    with torch.device("meta"):
        network = PhraseTransformer(ModelConfig(feature_names=tuple(map(str, range(80)))))
    assert 8_500_000 <= sum(weight.numel() for weight in network.parameters()) <= 9_000_000


def test_the_linears_have_the_names_that_adapters_use() -> None:
    linears = {name for name, module in PhraseTransformer(TINY).named_modules() if isinstance(module, torch.nn.Linear)}
    block = {f"attention.{name}" for name in ("q_proj", "k_proj", "v_proj", "out_proj")} | {"ff_in", "ff_out"}
    assert linears == {f"blocks.{i}.{name}" for i in range(2) for name in block} | {
        "feature_proj", "velocity_head", "duration_head", "boundary_head",
    }


def test_nothing_in_it_has_a_fast_path_that_ignores_adapters(network: PhraseTransformer) -> None:
    avoided = (torch.nn.MultiheadAttention, torch.nn.TransformerEncoderLayer)
    assert not any(isinstance(module, avoided) for module in network.modules())


@pytest.mark.parametrize("name", ["q_proj", "k_proj", "v_proj", "out_proj"])
def test_each_attention_linear_is_called(name: str, network: PhraseTransformer) -> None:
    """An adapter wraps a Linear; it works only if the network calls the module rather than reads its weight."""
    calls = []
    getattr(network.blocks[0].attention, name).register_forward_hook(lambda *_: calls.append(name))
    hear(network, *phrase())
    assert calls == [name]


def test_outputs_have_one_row_per_note(network: PhraseTransformer) -> None:
    with torch.inference_mode():
        out = network(*phrase())
    assert isinstance(out, PhraseOutput)
    shapes = [tuple(value.shape) for value in out]
    assert shapes == [(2, 10, 16), (2, 10), (2, 10, 16), (2, 10), (2, 10)]


@pytest.mark.parametrize("length", [1, 16])
def test_a_phrase_may_have_one_note_or_max_len(network: PhraseTransformer, length: int) -> None:
    assert hear(network, *phrase(length=length)).shape == (2, length, 35)


def test_it_sees_in_both_directions(network: PhraseTransformer) -> None:
    pitch, program, features = phrase(1)
    before = hear(network, pitch, program, features)
    for changed in (0, 9):
        other = pitch.clone()
        other[0, changed] = (other[0, changed] + 1) % 128
        after = hear(network, other, program, features)
        assert (before != after).any(dim=-1).all()


@pytest.mark.parametrize("column", range(3))
def test_every_input_matters(network: PhraseTransformer, column: int) -> None:
    inputs = list(phrase())
    before = hear(network, *inputs)
    changed = inputs[column].clone()
    changed[0, 4] = (changed[0, 4] + 1) % 128
    inputs[column] = changed
    after = hear(network, *inputs)
    assert not torch.equal(before[0], after[0])
    assert torch.equal(before[1], after[1])


def test_padding_is_not_looked_at(network: PhraseTransformer) -> None:
    pitch, program, features = phrase()
    mask = torch.ones(2, 10, dtype=torch.bool)
    mask[0, 7:] = False
    before = hear(network, pitch, program, features, mask)
    pitch[0, 7:], features[0, 7:] = 99, 50.0
    after = hear(network, pitch, program, features, mask)
    assert torch.equal(before[0, :7], after[0, :7])
    alone = hear(network, pitch[:1, :7], program[:1, :7], features[:1, :7])
    assert torch.allclose(alone[0], after[0, :7], atol=1e-5)


def test_without_padding_a_mask_changes_nothing(network: PhraseTransformer) -> None:
    full = torch.ones(2, 10, dtype=torch.bool)
    assert torch.allclose(hear(network, *phrase(), full), hear(network, *phrase()), atol=1e-5)


def test_dropout_is_for_training_alone(network: PhraseTransformer) -> None:
    assert torch.equal(hear(network, *phrase()), hear(network, *phrase()))
    network.train()
    assert not torch.equal(hear(network, *phrase()), hear(network, *phrase()))


def test_channel_dropout_silences_channels_for_whole_phrases() -> None:
    drop = ChannelDropout().train()
    drop.p = 0.25
    torch.manual_seed(0)
    out = drop(torch.full((200, 7, 32), 3.0))
    assert torch.equal(out, out[:, :1].expand_as(out))  # every note of a phrase alike
    assert set(out.unique().tolist()) == {0.0, 4.0}  # 3 / (1 - 0.25)
    assert (out[:, 0] == 0).float().mean().item() == pytest.approx(0.25, abs=0.02)
    assert not torch.equal(out[0], out[1])


def test_channel_dropout_is_set_by_its_own_argument_and_for_training_alone(network: PhraseTransformer) -> None:
    inputs = phrase()
    usual = hear(network, *inputs)
    network.set_dropout(0.0, channels=0.5)
    assert torch.equal(hear(network, *inputs), usual)
    network.train()
    assert not torch.equal(hear(network, *inputs), hear(network, *inputs))
    network.set_dropout(0.0)
    torch.testing.assert_close(hear(network, *inputs), usual)


def test_every_weight_learns(network: PhraseTransformer) -> None:
    out = network(*phrase())
    sum(value.square().sum() for value in out).backward()
    learning = [name for name, weight in network.named_parameters() if weight.grad is not None and weight.grad.any()]
    cancelled = {f"blocks.{i}.attention.k_proj.bias" for i in range(2)}  # softmax takes out what all keys share
    assert set(learning) | cancelled == {name for name, _ in network.named_parameters()}


def test_a_network_without_features_is_an_error() -> None:
    with pytest.raises(ModelError, match="at least one feature"):
        PhraseTransformer(ModelConfig())


# Files


def test_a_saved_network_comes_back_as_it_was_to_float16(network: PhraseTransformer, tmp_path: Path) -> None:
    network.train().save_pretrained(tmp_path / "deep" / "model")
    assert sorted(path.name for path in (tmp_path / "deep" / "model").iterdir()) == ["config.json", "model.safetensors"]
    stored = load_file(tmp_path / "deep" / "model" / "model.safetensors")
    assert {value.dtype for value in stored.values()} == {torch.float16}

    again = PhraseTransformer.from_pretrained(tmp_path / "deep" / "model")
    assert again.config == TINY
    assert not again.training
    for name, value in again.state_dict().items():
        assert value.dtype == torch.float32
        assert torch.equal(value, network.state_dict()[name].half().float())
    assert torch.allclose(hear(again, *phrase()), hear(network.eval(), *phrase()), atol=0.02)


def test_saving_and_reading_again_changes_nothing_more(network: PhraseTransformer, tmp_path: Path) -> None:
    network.save_pretrained(tmp_path / "a")
    PhraseTransformer.from_pretrained(tmp_path / "a").save_pretrained(tmp_path / "b")
    for name in ("config.json", "model.safetensors"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_a_read_network_can_be_trained_on(network: PhraseTransformer, tmp_path: Path) -> None:
    network.save_pretrained(tmp_path)
    again = PhraseTransformer.from_pretrained(tmp_path)
    assert all(weight.requires_grad for weight in again.parameters())


def test_random_numbers_that_others_draw_while_it_is_read_are_not_drawn_again(
    network: PhraseTransformer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network.save_pretrained(tmp_path)
    first_weights, drawn = PhraseTransformer._init_weights, []

    def meanwhile(made: PhraseTransformer, module: torch.nn.Module) -> None:
        drawn.append(torch.rand(()))
        first_weights(made, module)

    monkeypatch.setattr(PhraseTransformer, "_init_weights", meanwhile)
    torch.manual_seed(1)
    PhraseTransformer.from_pretrained(tmp_path)
    drawn.append(torch.rand(()))
    generator = torch.Generator().manual_seed(1)
    assert drawn == [torch.rand((), generator=generator) for _ in drawn]


def test_the_config_alone_can_be_read(network: PhraseTransformer, tmp_path: Path) -> None:
    network.save_pretrained(tmp_path)
    assert read_config(tmp_path) == TINY


@pytest.mark.parametrize("text", ["", "{", "[1, 2]", "\xff"])
def test_a_damaged_config_is_an_error_that_names_it(text: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(ModelError, match="config.json"):
        read_config(tmp_path)


def test_a_missing_folder_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="nowhere.*name a folder that holds a duvhuman model"):
        PhraseTransformer.from_pretrained(tmp_path / "nowhere")


def test_a_config_without_features_is_an_error(network: PhraseTransformer, tmp_path: Path) -> None:
    network.save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(TINY.to_dict() | {"feature_names": []}))
    with pytest.raises(ModelError, match="config.json: feature_names is empty"):
        PhraseTransformer.from_pretrained(tmp_path)


def test_weights_that_do_not_fit_are_named_with_both_shapes(network: PhraseTransformer, tmp_path: Path) -> None:
    network.save_pretrained(tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    tensors["norm.bias"] = torch.zeros(31)
    del tensors["norm.weight"]
    tensors["extra"] = torch.zeros(2)
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(ModelError, match="3 tensors do not fit") as caught:
        PhraseTransformer.from_pretrained(tmp_path)
    message = str(caught.value)
    assert str(tmp_path / "model.safetensors") in message
    for detail in (
        "extra: (2,) instead of None", "norm.bias: (31,) instead of (32,)", "norm.weight: None instead of (32,)"
    ):
        assert detail in message
