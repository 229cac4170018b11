"""The optimizers that a configuration can name."""

from __future__ import annotations

import copy

import pytest
import torch
from toys import tiny_network

from duvhuman.errors import OptionError
from duvhuman.train.config import TrainConfig
from duvhuman.train.optimizer import MuonAndAdamW, make_optimizer

needs_muon = pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="this PyTorch has no Muon")
MUON = TrainConfig(optimizer="muon")


def take_step(network: torch.nn.Module, optimizer: object, seed: int) -> None:
    torch.manual_seed(seed)
    for parameter in network.parameters():
        parameter.grad = torch.randn_like(parameter)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


def test_adamw_spares_vectors_the_decay() -> None:
    groups = make_optimizer(tiny_network(), TrainConfig(weight_decay=0.5)).param_groups
    assert [group["weight_decay"] for group in groups] == [0.5, 0.0]
    assert all(p.ndim < 2 for p in groups[1]["params"])


@needs_muon
def test_muon_takes_the_matrices_of_the_blocks_and_adamw_all_else() -> None:
    network = tiny_network()
    optimizer = make_optimizer(network, MUON)
    assert isinstance(optimizer, MuonAndAdamW)
    counted = sum(p.numel() for group in optimizer.param_groups for p in group["params"])
    assert counted == sum(p.numel() for p in network.parameters())
    by_muon = {id(p) for p in optimizer.param_groups[0]["params"]}
    assert by_muon == {id(p) for name, p in network.named_parameters() if name.startswith("blocks.") and p.ndim == 2}


@needs_muon
def test_a_restored_muon_goes_on_with_the_same_steps() -> None:
    networks = tiny_network(), tiny_network()
    optimizers = [make_optimizer(network, MUON) for network in networks]
    take_step(networks[0], optimizers[0], 0)
    networks[1].load_state_dict(networks[0].state_dict())
    optimizers[1].load_state_dict(copy.deepcopy(optimizers[0].state_dict()))
    for network, optimizer in zip(networks, optimizers, strict=True):
        take_step(network, optimizer, 1)
    for one, other in zip(networks[0].parameters(), networks[1].parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_pytorch_without_muon_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.optim, "Muon", raising=False)
    with pytest.raises(OptionError, match="no Muon; 2.9 has it. Or: --set optimizer=adamw"):
        make_optimizer(tiny_network(), MUON)


def test_an_unknown_optimizer_is_refused() -> None:
    with pytest.raises(OptionError, match="optimizer must be one of adamw, muon, not 'sgd'"):
        TrainConfig(optimizer="sgd")
