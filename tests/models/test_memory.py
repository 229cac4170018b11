"""A personal adapter's memory: what alike notes are corrected by, and what it does to a network's answer."""

from __future__ import annotations

import json
import math
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "train"))  # toys.py

from toys import tiny_network, weights

from duvhuman.errors import ModelError
from duvhuman.models.config import ModelConfig
from duvhuman.models.files import MEMORY_FILE, PERSONAL_FILE
from duvhuman.models.memory import BELIEVED, RIDGE, Memory, alike, attach, moved
from duvhuman.models.personal import make_personal, read_personal
from duvhuman.models.phrase_transformer import PhraseTransformer

CONFIG = ModelConfig(feature_names=("a", "b", "c"))
NOTHING = torch.zeros(2)


def remembered(features: torch.Tensor, residual: torch.Tensor, offset: torch.Tensor = NOTHING) -> Memory:
    return Memory.fit(features, residual, torch.arange(features.shape[1]), CONFIG, offset=offset)


def inputs(network: PhraseTransformer, notes: int = 6) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(1)
    features = torch.randn(1, notes, len(network.config.feature_names), generator=generator)
    return torch.full((1, notes), 60), torch.full((1, notes), 25), features


def test_likeness_falls_with_the_root_mean_square_distance() -> None:
    one, other = torch.tensor([[0.0, 0.0]]), torch.tensor([[0.0, 0.0], [1.0, 1.0], [0.0, 2.0]])
    expected = torch.tensor([[1.0, math.exp(-1.0), math.exp(-math.sqrt(2.0))]])
    torch.testing.assert_close(alike(one, other, torch.full((2,), 1 / 2)), expected)


def test_likeness_can_be_learnt_by_its_slopes_even_of_a_note_to_itself() -> None:
    importance = torch.tensor([0.5, 0.5], requires_grad=True)
    notes = torch.tensor([[0.0, 0.0], [1.0, 0.0]])
    alike(notes, notes, importance).sum().backward()
    assert importance.grad is not None
    assert importance.grad[0] < 0 == importance.grad[1]  # the more the first counts, the less alike they are


def test_a_lone_note_is_corrected_by_what_was_done_there_less_its_share_of_noise() -> None:
    features = torch.tensor([[0.0, 0.0, 0.0], [1000.0, 0.0, 0.0]])
    memory = remembered(features, torch.tensor([[12.0, 0.6], [-12.0, -0.6]]))
    likeness = math.exp(-2.0 / math.sqrt(3))  # standardised, the two stand at -1 and 1 in one of three columns
    kept = torch.tensor(BELIEVED) * (1 - likeness) / (1 - likeness + RIDGE)
    expected = torch.tensor([[12.0, 0.6], [-12.0, -0.6]]) * kept
    torch.testing.assert_close(memory.corrections(features), expected, rtol=1e-4, atol=1e-4)


def test_notes_played_alike_are_trusted_more_than_one_note() -> None:
    alone = torch.tensor([[0.0, 0.0, 0.0], [9.0, 0.0, 0.0]])
    twice = alone.repeat(10, 1)
    one = remembered(alone, torch.tensor([[12.0, 0.0], [-12.0, 0.0]])).corrections(alone)[0, 0]
    many = remembered(twice, torch.tensor([[12.0, 0.0], [-12.0, 0.0]]).repeat(10, 1)).corrections(alone)[0, 0]
    assert one < many < 12.0 * BELIEVED[0] + 1e-4


def test_what_is_not_known_of_a_note_is_not_learnt_from_it() -> None:
    features = torch.tensor([[0.0, 0.0, 0.0], [9.0, 0.0, 0.0], [9.0, 1.0, 0.0]])
    known = torch.tensor([[12.0, 0.6], [-12.0, -0.6]])
    memory = remembered(features, torch.cat([known, torch.tensor([[-6.0, math.nan]])]))
    assert memory.weights[2, 1] == 0 != memory.weights[2, 0]
    assert memory.corrections(features).isfinite().all()
    without = remembered(features[:2], known, torch.tensor([0.0, 0.0])).corrections(features[:1])[0]
    assert memory.corrections(features[:1])[0, 1] == pytest.approx(float(without[1]), rel=0.05)


def test_a_note_unlike_all_of_them_is_given_the_offset_alone() -> None:
    features = torch.tensor([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    memory = remembered(features, torch.tensor([[12.0, 0.0], [-5.0, 0.0]]), torch.tensor([0.0, -0.5]))
    far = memory.corrections(torch.tensor([[[1e4, 0.0, 0.0]]]))
    torch.testing.assert_close(far, torch.tensor([[[0.0, -0.5]]]))


def test_a_column_that_does_not_vary_over_the_takes_is_not_compared() -> None:
    features = torch.tensor([[0.0, 5.0, 0.0], [1.0, 5.0, 0.0]])
    memory = remembered(features, torch.tensor([[12.0, 0.0], [-5.0, 0.0]]))
    assert memory.columns.tolist() == [0]
    other = features + torch.tensor([0.0, 100.0, 3.0])
    assert torch.equal(memory.corrections(other), memory.corrections(features))


def test_what_weighs_more_parts_notes_further() -> None:
    features = torch.tensor([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [1.0, 1.0, 0.0]])
    residual = torch.tensor([[9.0, 9.0], [-9.0, -9.0], [9.0, 9.0], [-9.0, -9.0]])

    def corrected(importance: torch.Tensor | None) -> torch.Tensor:
        memory = Memory.fit(features, residual, torch.arange(3), CONFIG, offset=NOTHING, importance=importance)
        return memory.corrections(features)[0] / torch.tensor(BELIEVED)

    plain, same = corrected(None), corrected(torch.ones(2, 3))
    torch.testing.assert_close(plain, same)
    torch.testing.assert_close(plain[0], plain[1])
    by_the_first = torch.tensor([[8.0, 1.0, 1.0], [1.0, 1.0, 1.0]])  # for velocity: what sets apart loud and soft
    assert corrected(by_the_first)[0] > plain[0]
    torch.testing.assert_close(corrected(by_the_first)[1], plain[1])


@pytest.mark.parametrize(("by", "mean"), [(0.0, 2.0), (1.0, 3.0), (0.25, 2.25), (-0.5, 1.5)])
def test_moved_bins_have_a_moved_mean_and_still_sum_to_one(by: float, mean: float) -> None:
    edges = torch.tensor([0.0, 1.0, 2.0, 3.0, 4.0])
    probabilities = torch.tensor([1e-6, 0.5, 0.5, 1e-6])
    after = moved(probabilities.log(), edges, torch.tensor(by)).exp()
    assert float(after.sum()) == pytest.approx(1.0, abs=1e-4)
    assert float(after @ torch.tensor([0.5, 1.5, 2.5, 3.5])) == pytest.approx(mean, abs=1e-3)


def test_what_would_leave_the_range_stays_in_the_last_bin() -> None:
    edges = torch.tensor([0.0, 1.0, 2.0])
    after = moved(torch.tensor([0.0, 0.0]), edges, torch.tensor(50.0)).exp()
    torch.testing.assert_close(after, torch.tensor([0.0, 1.0]), rtol=0, atol=1e-5)


def personal_memory(network: PhraseTransformer) -> Memory:
    features = inputs(network)[2][0]
    residual = torch.tensor([[18.0, 0.5]]).repeat(len(features), 1)
    columns = torch.arange(features.shape[1])
    return Memory.fit(features, residual, columns, network.config, offset=torch.tensor([18.0, 0.5]))


def test_a_network_with_a_memory_answers_louder_and_longer_by_the_correction() -> None:
    network = tiny_network(std=0.2)
    with torch.inference_mode():
        before = network(*inputs(network))
        attach(network, personal_memory(network))
        after = network(*inputs(network))
    torch.testing.assert_close(after.velocity_value, before.velocity_value + 1.0)  # 18 velocities
    torch.testing.assert_close(after.duration_value, before.duration_value + 0.5)
    means = [out.velocity_logits.softmax(-1) @ torch.arange(16.0) for out in (before, after)]
    assert (means[1] > means[0]).all()
    assert torch.equal(after.boundary_logits, before.boundary_logits)


def test_a_second_memory_takes_the_place_of_the_first() -> None:
    network = tiny_network(std=0.2)
    with torch.inference_mode():
        attach(network, personal_memory(network))
        once = network(*inputs(network))
        attach(network, personal_memory(network))
        assert torch.equal(network(*inputs(network)).velocity_value, once.velocity_value)


def test_the_memory_is_no_part_of_the_networks_weights() -> None:
    network = tiny_network()
    before = list(weights(network))
    attach(network, personal_memory(network))
    assert list(weights(network)) == before


def test_a_saved_memory_says_the_same(tmp_path: Path) -> None:
    network = tiny_network()
    memory = personal_memory(network)
    memory.save(tmp_path)
    loaded = Memory.load(tmp_path, network.config)
    features = inputs(network)[2]
    assert torch.equal(loaded.corrections(features), memory.corrections(features))


def test_a_damaged_memory_is_refused(tmp_path: Path) -> None:
    (tmp_path / MEMORY_FILE).write_bytes(b"half a file")
    with pytest.raises(ModelError, match="cannot be read"):
        Memory.load(tmp_path, CONFIG)


def test_a_memory_for_other_features_is_refused(tmp_path: Path) -> None:
    personal_memory(tiny_network()).save(tmp_path)
    with pytest.raises(ModelError, match="does not fit"):
        Memory.load(tmp_path, CONFIG)


def test_the_players_own_spread_replaces_the_models(tmp_path: Path) -> None:
    network = tiny_network()
    (tmp_path / PERSONAL_FILE).write_text(json.dumps({"config": {"typical_range": 21, "velocity_gain": 1.5}}))
    make_personal(network, tmp_path)
    assert (network.config.typical_range, network.config.velocity_gain) == (21.0, 1.5)


@pytest.mark.parametrize(
    ("told", "share"),
    [({"velocity_gain": 3.0}, 0.0), ({"velocity_gain": 3.0, "spread_share": 0.25}, 0.25), ({"typical_range": 9}, 0.5)],
)
def test_a_gain_that_names_no_share_of_the_spread_is_all_of_the_gain(
    told: dict[str, float], share: float, tmp_path: Path
) -> None:
    network = tiny_network()
    network.config = replace(network.config, spread_share=0.5)
    (tmp_path / PERSONAL_FILE).write_text(json.dumps({"config": told}))
    make_personal(network, tmp_path)
    assert network.config.spread_share == share


def test_an_adapter_without_personal_files_changes_nothing_else(tmp_path: Path) -> None:
    network = tiny_network()
    before = network.config
    make_personal(network, tmp_path)
    assert network.config == before
    assert not hasattr(network, "memory")


@pytest.mark.parametrize("text", ["{", "[]", '{"config": {"d_model": 8}}', '{"config": {"velocity_gain": "loud"}}',
                                  '{"config": {"velocity_gain": -1}}', '{"config": 3}'])
def test_a_damaged_personal_file_is_refused_and_changes_nothing(tmp_path: Path, text: str) -> None:
    network = tiny_network()
    before = network.config
    (tmp_path / PERSONAL_FILE).write_text(text)
    with pytest.raises(ModelError):
        make_personal(network, tmp_path)
    assert network.config == before


def test_read_personal_of_a_plain_adapter_is_empty(tmp_path: Path) -> None:
    assert read_personal(tmp_path) == {}
