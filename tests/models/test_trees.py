"""Trees beside a network: what they say, how far it is heeded, and when they are silent or refused."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from builders import flat_song, random_score
from safetensors.torch import load_file

import duvhuman
from duvhuman.errors import ModelError
from duvhuman.humanize.features import compute_features, feature_names
from duvhuman.humanize.networks import load_network
from duvhuman.humanize.score import Hints
from duvhuman.humanize.windows import Distribution, predict_distribution
from duvhuman.instruments import INSTRUMENTS
from duvhuman.models import files
from duvhuman.models.config import ModelConfig
from duvhuman.models.files import TREES_FILE, trees_file
from duvhuman.models.phrase_transformer import PhraseTransformer
from duvhuman.models.player import read_player
from duvhuman.models.store import list_models
from duvhuman.models.trees import NODES, NOTES_AT_ONCE, Trees, hear_trees, instrument_number, save_trees

NAMES = feature_names()
PITCH = NAMES.index("pitch")
SCORE = random_score(60)
HIGH = SCORE.pitch > 64
"""Where the first of `NODES_OF_TWO` says 1; `PITCH` is 0 at 60 and 1 two octaves above."""


def nodes_of_two(**changes: object) -> dict[str, torch.Tensor]:
    """A tree that says -1 of notes up to E4 and 1 of others, and one of a single leaf that says a quarter."""
    nodes = {
        "feature": np.array([[PITCH, 0, 0], [0, 0, 0]]), "threshold": np.array([[4.5 / 24, 0, 0], [0, 0, 0]]),
        "left": np.array([[1, 1, 2], [0, 1, 2]]), "right": np.array([[2, 1, 2], [0, 1, 2]]),
        "value": np.array([[0, -1.0, 1.0], [0.25, 9, 9]]),
    }
    return {name: torch.from_numpy(np.asarray(value)).to(NODES[name]) for name, value in (nodes | changes).items()}


def network_of(share: float, **changes: object) -> PhraseTransformer:
    """A network of random weights, the same each time."""
    torch.manual_seed(0)
    config = ModelConfig(
        "guitar", d_model=16, n_heads=2, n_layers=1, d_ff=32, feature_names=NAMES, trees_share=share, **changes
    )  # type: ignore[arg-type]
    return PhraseTransformer(config).eval()


def hints(**given: float) -> Hints:
    return replace(Hints.none(len(SCORE)), **{name: np.full(len(SCORE), value) for name, value in given.items()})


def said(folder: Path, share: float, told: Hints, **changes: object) -> Distribution:
    save_trees(nodes_of_two(), NAMES, folder, {})
    network = network_of(share, **changes)
    hear_trees(network, folder)
    return predict_distribution(network, SCORE, told)


def test_notes_go_left_up_to_the_threshold_and_leaves_add_up() -> None:
    features = compute_features(SCORE, Hints.none(len(SCORE)))
    trees = Trees(nodes_of_two())
    wanted = np.where(HIGH, 1.25, -0.75)
    np.testing.assert_array_equal(trees(features, "bass"), wanted)
    np.testing.assert_array_equal(trees(features.reshape(4, 15, -1), "bass"), wanted.reshape(4, 15))


def test_many_notes_some_of_them_the_same_are_told_apart() -> None:
    features = compute_features(SCORE, Hints.none(len(SCORE)))
    number = np.random.default_rng(0).integers(0, len(SCORE), (7, 3 * NOTES_AT_ONCE))
    wanted = np.where(HIGH, 1.25, -0.75)
    np.testing.assert_array_equal(Trees(nodes_of_two())(features[number], "bass"), wanted[number])
    apart = np.stack([np.linspace(-1, 1, 3 * NOTES_AT_ONCE, dtype=np.float32)] * len(NAMES), axis=1)
    wanted = np.where(apart[:, PITCH] > 4.5 / 24, 1.25, -0.75)
    np.testing.assert_array_equal(Trees(nodes_of_two())(apart, "bass"), wanted)
    assert Trees(nodes_of_two())(features[:0], "bass").shape == (0,)


def test_they_know_the_instrument() -> None:
    nodes = nodes_of_two()
    nodes["feature"][0, 0], nodes["threshold"][0, 0] = len(NAMES), 1.5
    features = compute_features(SCORE, Hints.none(len(SCORE)))
    trees = Trees(nodes)
    assert [float(trees(features, name)[0]) for name in INSTRUMENTS] == [-0.75, -0.75, 1.25, 1.25]
    assert instrument_number("all") == instrument_number("harp") == len(INSTRUMENTS)


def test_the_expected_velocity_is_a_mean_of_both_and_all_else_stays(tmp_path: Path) -> None:
    told = hints(level=70.0, range=12.0)
    alone = predict_distribution(network_of(0.0), SCORE, told)
    both = said(tmp_path, 0.3, told, typical_range=10.0)
    wanted = 0.7 * alone.expected_velocity + 0.3 * (70 + 10 * np.where(HIGH, 1.25, -0.75))
    np.testing.assert_allclose(both.expected_velocity, wanted, atol=1.0)  # bins are moved by parts of their width
    np.testing.assert_array_equal(both.duration_probabilities, alone.duration_probabilities)
    np.testing.assert_array_equal(both.articulation, alone.articulation)
    by = wanted - alone.expected_velocity
    np.testing.assert_allclose(both.velocity, alone.velocity + by, atol=1e-3)  # so is the regression, and exactly


def test_without_a_level_they_lie_about_what_the_network_expects(tmp_path: Path) -> None:
    alone = predict_distribution(network_of(0.0), SCORE, hints(range=12.0)).expected_velocity
    both = said(tmp_path, 0.3, hints(range=12.0), typical_range=10.0).expected_velocity
    wanted = 0.7 * alone + 0.3 * (alone.mean() + 10 * np.where(HIGH, 1.25, -0.75))
    np.testing.assert_allclose(both, wanted, atol=1.0)


def test_a_network_that_hears_them_may_go_to_another_process(tmp_path: Path) -> None:
    save_trees(nodes_of_two(), NAMES, tmp_path, {})
    network = network_of(0.3)
    hear_trees(network, tmp_path)
    here, there = (
        predict_distribution(one, SCORE, hints()).expected_velocity
        for one in (network, pickle.loads(pickle.dumps(network)))
    )
    np.testing.assert_array_equal(there, here)
    assert (np.abs(here - predict_distribution(network_of(0.0), SCORE, hints()).expected_velocity) > 0.5).any()


def test_padding_has_no_say(tmp_path: Path) -> None:
    save_trees(nodes_of_two(), NAMES, tmp_path, {})
    network = network_of(0.3)
    hear_trees(network, tmp_path)
    features = torch.from_numpy(compute_features(SCORE, Hints.none(len(SCORE))))[None]
    notes = [torch.from_numpy(values)[None] for values in (SCORE.pitch, SCORE.program)] + [features]
    padded = [torch.cat([values, values.new_zeros(1, 30, *values.shape[2:])], dim=1) for values in notes]
    mask = torch.arange(90)[None] < 60
    with torch.inference_mode():
        alone, within = network(*notes).velocity_logits, network(*padded, mask).velocity_logits[:, :60]
    torch.testing.assert_close(alone.softmax(-1), within.softmax(-1), atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", ["swell", "accent"])
def test_they_are_silent_where_dynamics_are_told(tmp_path: Path, name: str) -> None:
    told = hints(level=70.0, **{name: 1.0})
    alone = predict_distribution(network_of(0.0), SCORE, told)
    np.testing.assert_allclose(said(tmp_path, 0.5, told).expected_velocity, alone.expected_velocity, atol=1e-3)


def test_a_model_with_trees_of_its_own_hears_these_and_is_read_anew_when_they_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "TREES_FOLDER", tmp_path / "shipped")
    model = tmp_path / "models" / "guitar"
    network_of(0.5).save_pretrained(model)

    def expected() -> np.ndarray:
        played = load_network(model, None, "cpu", "guitar")
        return predict_distribution(played, SCORE, hints(level=70.0)).expected_velocity

    save_trees(nodes_of_two(), NAMES, tmp_path / "shipped", {})
    assert trees_file(model) == tmp_path / "shipped" / TREES_FILE
    before = expected()
    save_trees(nodes_of_two(value=np.array([[0, 1.0, -1.0], [0.25, 9, 9]])), NAMES, model, {})
    assert trees_file(model) == model / TREES_FILE
    assert np.abs(expected() - before).max() > 5

    monkeypatch.setenv("DUVHUMAN_MODELS", str(model.parent))
    (row,) = [row for row in list_models() if row.folder == model]
    assert row.size_bytes == sum(file.stat().st_size for file in model.iterdir())


@pytest.mark.filterwarnings("ignore:the take of guitar tells little")  # its velocities are drawn at random
def test_a_take_is_learnt_beside_them_and_anew_beside_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tmp_path / "models" / "guitar"
    network_of(0.5).save_pretrained(model)
    save_trees(nodes_of_two(), NAMES, model, {})
    monkeypatch.setenv("DUVHUMAN_MODELS", str(model.parent))
    monkeypatch.setenv("DUVHUMAN_CACHE", str(tmp_path / "cache"))
    velocities = np.random.default_rng(0).integers(50, 110, 128).tolist()
    take = duvhuman.MidiFile(flat_song(128, velocity=velocities))

    def memory() -> tuple[Path, torch.Tensor]:
        liked = duvhuman.load("guitar", like=take)._liked["guitar"].folder
        return liked, load_file(liked / "memory.safetensors")["weights"]

    first, weights = memory()
    assert memory()[0] == first
    save_trees(nodes_of_two(value=np.array([[0, 1.0, -1.0], [0.25, 9, 9]])), NAMES, model, {})
    other, others = memory()
    assert other != first
    assert not torch.allclose(weights[:, 0], others[:, 0])  # what a note was played louder than expected


def test_they_are_no_part_of_the_networks_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "TREES_FOLDER", tmp_path)
    save_trees(nodes_of_two(), NAMES, tmp_path, {})
    network_of(0.3).save_pretrained(tmp_path / "before")
    network = read_player(tmp_path / "before")
    network.save_pretrained(tmp_path / "after")
    one, other = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("before", "after"))
    assert one == other


def damaged(name: str, value: float) -> dict[str, torch.Tensor]:
    nodes = nodes_of_two()
    nodes[name][0, 0] = value
    return nodes


@pytest.mark.parametrize(
    ("nodes", "reason"),
    [
        ({name: values for name, values in nodes_of_two().items() if name != "left"}, "none of this version"),
        (nodes_of_two() | {"more": torch.zeros(2, 3)}, "none of this version"),
        (nodes_of_two(left=np.zeros((2, 4))), "none of this version"),
        (nodes_of_two(**{name: np.zeros(4) for name in NODES}), "none of this version"),
        (nodes_of_two(**{name: np.zeros((0, 4)) for name in NODES}), "none of this version"),
        (nodes_of_two() | {"value": torch.zeros(2, 3, dtype=torch.bfloat16)}, "none of this version"),
        (damaged("right", 3), "damaged"),
        (damaged("left", -1), "damaged"),
        (nodes_of_two(left=[[1, 0, 2], [0, 1, 2]]), "damaged"),  # they would go round for ever
        (damaged("value", np.nan), "damaged"),
        (damaged("threshold", np.nan), "damaged"),
        (damaged("feature", -1), "damaged"),
        (damaged("feature", len(NAMES) + 1), "other features"),
    ],
)
def test_what_are_no_trees_is_refused(tmp_path: Path, nodes: dict[str, torch.Tensor], reason: str) -> None:
    save_trees(nodes, NAMES, tmp_path, {})
    with pytest.raises(ModelError, match=rf"{TREES_FILE}: the trees .*{reason}.*anew"):
        hear_trees(network_of(0.3), tmp_path)
    hear_trees(network_of(0.0), tmp_path)  # who does not hear them need not read them


@pytest.mark.parametrize("names", [NAMES[::-1], (*NAMES, "new"), ("new", *NAMES[1:]), ("pitch",)])
def test_trees_that_were_grown_on_other_features_are_refused(tmp_path: Path, names: tuple[str, ...]) -> None:
    save_trees(nodes_of_two(), NAMES, tmp_path, {})
    network = network_of(0.3)
    network.config = replace(network.config, feature_names=names)
    with pytest.raises(ModelError, match="grown on other features than the network sees"):
        hear_trees(network, tmp_path)


@pytest.mark.parametrize("content", [None, b"no trees"])
def test_trees_that_cannot_be_read_are_named(
    tmp_path: Path, content: bytes | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "TREES_FOLDER", tmp_path)
    if content is not None:
        (tmp_path / TREES_FILE).write_bytes(content)
    with pytest.raises(ModelError, match=f"{TREES_FILE}.*anew"):
        hear_trees(network_of(0.3), tmp_path / "guitar")
