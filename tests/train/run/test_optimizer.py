"""The optimizers that a configuration can name."""

from __future__ import annotations

import copy

import pytest
import torch
from toys import tiny_network

from duvhuman.errors import OptionError
from duvhuman.train.config import TrainConfig
from duvhuman.train.run import optimizer as optimizer_module
from duvhuman.train.run.optimizer import Muon, MuonAndAdamW, make_optimizer

MUON = TrainConfig(optimizer="muon")


def take_step(network: torch.nn.Module, optimizer: object, seed: int) -> None:
    torch.manual_seed(seed)
    for parameter in network.parameters():
        parameter.grad = torch.randn_like(parameter)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


def test_adamw_spares_vectors_the_decay() -> None:
    groups = make_optimizer(tiny_network(), TrainConfig(weight_decay=0.5), precision="float32").param_groups
    assert [group["weight_decay"] for group in groups] == [0.5, 0.0]
    assert all(p.ndim < 2 for p in groups[1]["params"])


def test_muon_takes_the_matrices_of_the_blocks_and_adamw_all_else() -> None:
    network = tiny_network()
    optimizer = make_optimizer(network, MUON, precision="float32")
    assert isinstance(optimizer, MuonAndAdamW)
    counted = sum(p.numel() for group in optimizer.param_groups for p in group["params"])
    assert counted == sum(p.numel() for p in network.parameters())
    by_muon = {id(p) for p in optimizer.param_groups[0]["params"]}
    assert by_muon == {id(p) for name, p in network.named_parameters() if name.startswith("blocks.") and p.ndim == 2}


def test_a_restored_muon_goes_on_with_the_same_steps() -> None:
    networks = tiny_network(), tiny_network()
    optimizers = [make_optimizer(network, MUON, precision="float32") for network in networks]
    take_step(networks[0], optimizers[0], 0)
    networks[1].load_state_dict(networks[0].state_dict())
    optimizers[1].load_state_dict(copy.deepcopy(optimizers[0].state_dict()))
    for network, optimizer in zip(networks, optimizers, strict=True):
        take_step(network, optimizer, 1)
    for one, other in zip(networks[0].parameters(), networks[1].parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="this PyTorch has no Muon to compare with")
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.bfloat16, 1e-6), (torch.float32, 0.05)])
@pytest.mark.parametrize("shape", [(24, 24), (16, 40), (40, 16)])
def test_muon_takes_the_steps_of_pytorchs(dtype: torch.dtype, tolerance: float, shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    start, gradients = torch.randn(shape), torch.randn(3, *shape)
    ends = []
    for kind, options in ((torch.optim.Muon, {"adjust_lr_fn": "match_rms_adamw"}), (Muon, {"dtype": dtype})):
        matrix = torch.nn.Parameter(start.clone())
        optimizer = kind([matrix], lr=0.1, weight_decay=0.2, **options)
        for gradient in gradients:
            matrix.grad = gradient.clone()
            optimizer.step()
        ends.append(matrix.detach() - start)
    assert (ends[0] - ends[1]).norm() < tolerance * ends[0].norm()


def test_products_are_made_in_the_precision_of_the_training(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    monkeypatch.setattr(optimizer_module, "_orthogonal", lambda matrix: made.append(matrix.dtype) or matrix)
    for precision in ("bf16", "float32"):
        network = tiny_network()
        take_step(network, make_optimizer(network, MUON, precision=precision), 0)
    assert set(made[: len(made) // 2]) == {torch.bfloat16}
    assert set(made[len(made) // 2 :]) == {torch.float32}


def test_an_unknown_optimizer_is_refused() -> None:
    with pytest.raises(OptionError, match="optimizer must be one of adamw, muon, not 'sgd'"):
        TrainConfig(optimizer="sgd")
