"""Growing trees: what they are grown on, whether they learn it, and whether they say what LightGBM's own would."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from toys import columns, tiny_network, toy_data, toy_performance, write_data

from duvhuman.errors import DataError, FileError, OptionError
from duvhuman.humanize.features import compute_features, feature_names
from duvhuman.humanize.perform import perform
from duvhuman.humanize.score import Hints
from duvhuman.models.trees import Trees, _Louder, instrument_number, read_growth
from duvhuman.train import trees as module
from duvhuman.train.__main__ import main
from duvhuman.train.config import Growth
from duvhuman.train.dataset import PhraseData
from duvhuman.train.evaluation.metrics import correlation
from duvhuman.train.evaluation.predictors import flat_pair, written_flat
from duvhuman.train.record import read_record, write_record
from duvhuman.train.trees import check_lightgbm, features_when_played, fitted, gather, grow, stored_nodes

COLUMNS = len(feature_names()) + 1
HINTS = ("level_given", "level", "range_given", "range", "swell_given", "swell", "accent_given", "accent")
SMALL = Growth(sets=2, trees=30, leaves=8, rate=0.2, fewest=20)


def lightgbm_is_usable() -> bool:
    try:
        check_lightgbm()
    except OptionError:
        return False
    return True


grows = pytest.mark.skipif(not lightgbm_is_usable(), reason="LightGBM, or a library that it needs, is not installed")


@pytest.fixture(scope="module")
def toys(tmp_path_factory: pytest.TempPathFactory) -> PhraseData:
    counts = {("guitar", "train"): 8, ("bass", "train"): 2, ("guitar", "valid"): 3}
    return toy_data(tmp_path_factory.mktemp("trees"), counts)


def tensors(nodes: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(values) for name, values in nodes.items()}


def quiet(_: str) -> None:
    """Say nothing."""


def test_a_part_counts_by_the_root_of_its_notes_and_how_lively_it_is(tmp_path: Path) -> None:
    long, short, flat = toy_performance(0), toy_performance(1, 60), columns(240 * np.arange(90), velocity=64)
    tame = toy_performance(2, 60)
    tame["velocity"] = 64 + 5 * (np.arange(60) % 5)  # their SD is the root of 50
    specials = [{}, {"instrument": "bass"}, {}, {"extra": True}]
    data = write_data(tmp_path, list(zip(specials, [long, short, flat, tame], strict=True)))
    notes = gather(data, data.parts)
    assert (len(notes.louder), notes.parts) == (240 + 60 + 60, 3)  # what is played flat tells nothing
    each = np.split(np.arange(360), [240, 300])
    for rows in each:
        assert abs(notes.louder[rows].mean()) < 1e-5
        assert abs(notes.louder[rows].std() - 1) < 1e-5
    weights = [notes.weight[rows].sum() for rows in each]
    assert weights[0] == pytest.approx(2 * weights[1], rel=1e-5)  # both vary by more than what counts
    assert weights[1] / weights[2] == pytest.approx(np.sqrt(12 / np.sqrt(50)), rel=1e-5)
    assert notes.columns.shape == (360, COLUMNS)
    assert [set(notes.columns[rows, -1]) for rows in each] == [
        {instrument_number("guitar")}, {instrument_number("bass")}, {instrument_number("guitar")},
    ]


def test_notes_that_are_not_wanted_are_not_learnt_from(tmp_path: Path) -> None:
    values = toy_performance(0) | {"wanted": np.arange(240) < 100}
    data = write_data(tmp_path, [({}, values)])
    assert len(gather(data, data.parts).louder) == 100


@grows
def test_they_learn_and_say_what_lightgbm_says(toys: PhraseData, monkeypatch: pytest.MonkeyPatch) -> None:
    import lightgbm

    notes, boosters = gather(toys, toys.select(split="train")), []
    train = lightgbm.train

    def spy(*args: object, **options: object) -> object:
        boosters.append(train(*args, **options))
        return boosters[-1]

    monkeypatch.setattr(lightgbm, "train", spy)
    trees = Trees(tensors(fitted(notes, SMALL, quiet)))
    others = gather(toys, toys.select(split="valid"))
    said = trees(others.columns[:, :-1], "guitar")
    one, other = (booster.predict(others.columns) for booster in boosters)
    assert not np.array_equal(one, other)
    np.testing.assert_allclose(said, (one + other) / 2, atol=1e-5)
    assert correlation(said.astype(np.float64), others.louder.astype(np.float64)) > 0.9


@grows
def test_the_same_seed_grows_the_same_trees(toys: PhraseData) -> None:
    notes = gather(toys, toys.select(split="train"))
    one, again = (fitted(notes, SMALL, quiet) for _ in range(2))
    assert all(np.array_equal(one[name], again[name]) for name in one)
    other = fitted(notes, Growth(**vars(SMALL) | {"seed": 1}), quiet)
    assert not np.array_equal(one["value"], other["value"])


@grows
def test_neighbouring_seeds_share_no_set(toys: PhraseData) -> None:
    notes = gather(toys, toys.select(split="train"))
    sets = [
        values.tobytes()
        for seed in (0, 1)
        for values in np.split(fitted(notes, replace(SMALL, seed=seed), quiet)["threshold"], SMALL.sets)
    ]
    assert len(set(sets)) == 2 * SMALL.sets


@grows
def test_they_tell_themselves_of_what_they_are_grown(toys: PhraseData, tmp_path: Path) -> None:
    lines: list[str] = []
    path = grow(toys, {"toys": 1.0}, SMALL, tmp_path / "new", lines.append)
    assert path == tmp_path / "new" / "trees.safetensors"
    entry = read_growth(path)
    assert (entry["notes"], entry["parts"], entry["packs"]) == (2400, 10, ["toys"])
    assert entry["config"]["trees"] == 30
    assert lines[0] == "2,400 notes of 10 parts to grow 2 x 30 trees on"


def test_too_few_notes_are_refused(toys: PhraseData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "check_lightgbm", lambda: None)
    with pytest.raises(DataError, match="0 training notes with dynamics, 160 are needed"):
        grow(toys, {"toys": 0.0}, SMALL, tmp_path / "new", quiet)


@grows
def test_a_models_own_trees_leave_its_record_as_it_is(toys: PhraseData, tmp_path: Path) -> None:
    write_record(tmp_path, {"base": {"best_epoch": 3, "packs": ["mine"]}})
    grow(toys, {}, SMALL, tmp_path, quiet)
    assert read_record(tmp_path) == {"base": {"best_epoch": 3, "packs": ["mine"]}}


def test_they_are_shown_what_they_are_shown_when_they_play(tmp_path: Path) -> None:
    data = write_data(tmp_path, [({}, toy_performance(0))])
    pair = flat_pair(data, data.parts[0], max_notes=2048)
    assert pair is not None
    seen: list[np.ndarray] = []

    class Spy:
        """Trees that say nothing and remember what they are asked of."""

        def __call__(self, features: np.ndarray, instrument: str) -> np.ndarray:
            seen.append(features.reshape(-1, features.shape[-1]))
            return np.zeros(features.shape[:-1], np.float32)

    network = tiny_network(instrument="guitar", trees_share=0.3)
    network.register_forward_hook(_Louder(Spy()))  # type: ignore[arg-type]
    perform(network, pair.score, written_flat(pair))
    hints = [feature_names().index(name) for name in HINTS]
    asked = {np.delete(row, hints).tobytes() for row in np.concatenate(seen)}
    grown_on = features_when_played(pair.score)
    assert all(np.delete(row, hints).tobytes() in asked for row in grown_on)
    whole = compute_features(pair.score, Hints.none(len(pair.score)))
    assert not np.array_equal(grown_on, whole)  # windows end, whole parts do not


def test_packs_that_are_not_there_are_named(
    toys: PhraseData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "check_lightgbm", lambda: None)
    with pytest.raises(OptionError, match="no pack called giantmdi"):
        grow(toys, {"toys": 1.0, "giantmdi": 0.1}, SMALL, tmp_path, quiet)


@grows
def test_a_folder_that_cannot_be_written_is_named(toys: PhraseData, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FileError, match="file.*cannot be written"):
        grow(toys, {}, SMALL, tmp_path / "file", quiet)


def test_thresholds_are_rounded_so_that_no_note_changes_sides() -> None:
    near = float(np.float32(0.1))  # above 0.1
    tree = {
        "split_feature": 0, "threshold": 0.1, "left_child": {"leaf_value": -1.0},
        "right_child": {
            "split_feature": 1, "threshold": near,
            "left_child": {"leaf_value": 1.0}, "right_child": {"leaf_value": 2.0},
        },
    }
    nodes = stored_nodes([tree, {"leaf_value": 10.0}])
    trees = Trees(tensors(nodes))
    features = np.array([[near, near], [np.nextafter(np.float32(near), np.float32(0)), 9], [1, 1]], dtype=np.float32)
    assert trees(features, "keys").tolist() == [11.0, 9.0, 12.0]


@grows
def test_the_command(toys: PhraseData, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, out = toys.name, str(tmp_path / "trees")
    assert main(["trees", "--data", data, "--out", out, "--sets", "2", "--trees", "3", "--passes", "toys=1"]) == 0
    assert "trees.safetensors holds the trees" in capsys.readouterr().out
    assert read_growth(tmp_path / "trees" / "trees.safetensors")["config"]["trees"] == 3


@pytest.mark.parametrize(
    ("options", "code", "reason"),
    [
        (["--passes", "toys=2"], 2, "shares from 0 to 1"),
        (["--passes", "toys"], 2, "--passes must look like"),
        (["--trees", "0"], 2, "--trees must be 1 or more"),
        (["--sets", "0"], 2, "--sets must be 1 or more"),
        (["--seed", "-1"], 2, "--seed must be 0 or more"),
        (["--data", "nowhere"], 1, "nowhere"),
    ],
)
def test_the_command_refuses_what_cannot_be(
    options: list[str], code: int, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    try:
        result = main(["trees", *options])
    except SystemExit as usage:
        result = int(str(usage.code))
    assert result == code
    assert reason in capsys.readouterr().err
