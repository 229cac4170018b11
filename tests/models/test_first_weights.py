"""New layers take nothing from torch's global random numbers, and depend on nothing that is set for all of torch."""

from __future__ import annotations

import torch
from torch import nn

from duvhuman.models.first_weights import FirstWeights


def layers() -> nn.Module:
    return nn.Sequential(nn.Linear(5, 4), nn.Embedding(3, 4), nn.LayerNorm(4))


def test_layers_without_a_generator_draw_nothing() -> None:
    before = torch.get_rng_state()
    with FirstWeights():
        made = layers()
    assert torch.equal(torch.get_rng_state(), before)
    assert {name: value.shape for name, value in made.state_dict().items()} == {
        name: value.shape for name, value in layers().state_dict().items()
    }


def test_layers_draw_from_a_generator_what_they_would_from_torchs_own() -> None:
    torch.manual_seed(3)
    wanted, after = layers().state_dict(), torch.get_rng_state()
    with FirstWeights(torch.Generator().manual_seed(3)):
        made = layers().state_dict()
    assert all(torch.equal(made[name], value) for name, value in wanted.items())
    assert torch.equal(torch.get_rng_state(), after)


def test_layers_are_float32() -> None:
    torch.set_default_dtype(torch.float64)
    try:
        with FirstWeights(torch.Generator().manual_seed(3)):
            made = layers()
    finally:
        torch.set_default_dtype(torch.float32)
    assert {value.dtype for value in made.parameters()} == {torch.float32}
