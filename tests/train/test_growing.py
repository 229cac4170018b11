"""A deeper network that begins with a shallower one's layers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from toys import tiny_network, weights

from duvhuman.train.dataset import PhraseData
from duvhuman.train.stages import grown


@pytest.mark.parametrize(
    ("layers", "wanted", "order"),
    [(1, 3, [0, 0, 0]), (2, 4, [0, 1, 0, 1]), (2, 3, [0, 1, 0]), (2, 2, [0, 1]), (3, 2, [0, 1])],
)
def test_layers_are_grown_by_repeating_them(layers: int, wanted: int, order: list[int]) -> None:
    shallow = weights(tiny_network(std=0.1, n_layers=layers))
    deep = tiny_network(1, n_layers=wanted)
    deep.load_state_dict(grown(shallow, wanted))
    for layer, source in enumerate(order):
        for name, value in deep.blocks[layer].state_dict().items():
            assert torch.equal(value, shallow[f"blocks.{source}.{name}"])
    assert torch.equal(deep.velocity_head.weight, shallow["velocity_head.weight"])


def test_a_grown_network_says_finite_things_of_its_own(data: PhraseData) -> None:
    shallow = tiny_network(std=0.2, n_layers=2)
    deep = tiny_network(1, n_layers=4)
    deep.load_state_dict(grown(shallow.state_dict(), 4))
    batch = data.batch(np.array([[0, 128, 0, 0]]), data.parts, seed=0, epoch=0, width=128)
    with torch.inference_mode():
        outs = [net(batch.pitch, batch.program, batch.features, batch.mask) for net in (shallow, deep)]
    assert all(value.isfinite().all() for value in outs[1])
    assert not torch.allclose(outs[0].velocity_value, outs[1].velocity_value)


def test_more_than_ten_layers_keep_their_names() -> None:
    deep = grown(weights(tiny_network(n_layers=2)), 12)
    tiny_network(n_layers=12).load_state_dict(deep)
    assert torch.equal(deep["blocks.11.ff_in.weight"], deep["blocks.1.ff_in.weight"])
