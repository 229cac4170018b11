"""Trunk, base and adapter: each begins where the last one ended, and the folder they leave can be played."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from builders import GUITAR, part, riff, song
from toys import KilledError, columns, same_weights, tiny_network, toy_data, toy_performance, weights, write_data

import duvhuman
from duvhuman.errors import DataError, ModelError, OptionError
from duvhuman.models.config import DURATION_EDGES, ModelConfig
from duvhuman.models.files import has_model
from duvhuman.models.personal import read_personal, write_personal
from duvhuman.models.phrase_transformer import PhraseTransformer, read_config
from duvhuman.models.player import read_player
from duvhuman.train import calibrate
from duvhuman.train.checkpoint import stage_in_progress
from duvhuman.train.config import TrainConfig
from duvhuman.train.dataset import PhraseData
from duvhuman.train.evaluation.predictors import (
    flat_pairs,
    model_predictor,
    score_pairs,
    written_as_played,
    written_flat,
)
from duvhuman.train.loop import Surroundings
from duvhuman.train.record import earlier_stages, read_record
from duvhuman.train.run.history import History
from duvhuman.train.stages import Run, train_base, train_lora, train_trunk

CPU = torch.device("cpu")
TINY = TrainConfig(d_model=16, n_heads=2, d_ff=32, precision="float32", dropout=0.0)
SHALLOW = replace(TINY, epochs=1, batch_size=4, lr=5e-3, n_layers=1)
TRUNK = replace(SHALLOW, n_layers=2, lr=4e-3)
BASE = replace(TRUNK, epochs=3, lr=8e-3, dropout=0.1)
LORA = replace(TRUNK, epochs=2, lr=1e-2, played_only=True)


def run_in(
    data: PhraseData, folder: Path, *, resume: bool = False, log: Callable[[str], None] = lambda line: None
) -> Run:
    return Run(data, Surroundings(folder, CPU, log=log), resume)


def killed_at(beginning: str) -> Callable[[str], None]:
    """A log that ends the run at the line that begins so."""

    def log(line: str) -> None:
        if line.startswith(beginning):
            raise KilledError

    return log


class Trained:
    """All stages in a row, and what each of them said."""

    def __init__(self, data: PhraseData, root: Path) -> None:
        self.data, self.root = data, root
        self.trunk, self.guitar = root / "trunk", root / "guitar"
        self.said: list[str] = []
        self.go()

    def run(self, folder: Path, *, resume: bool = False) -> Run:
        return run_in(self.data, folder, resume=resume, log=self.said.append)

    def go(self, *, resume: bool = False) -> None:
        train_trunk(self.run(self.trunk, resume=resume), SHALLOW, TRUNK)
        guitar = self.run(self.guitar, resume=resume)
        train_base(guitar, "guitar", BASE, self.trunk)
        train_lora(guitar, "guitar", LORA)

    def files(self) -> dict[str, bytes]:
        return {str(file.relative_to(self.root)): file.read_bytes() for file in self.root.rglob("*") if file.is_file()}


@pytest.fixture(scope="module")
def trained(data: PhraseData, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return Trained(data, tmp_path_factory.mktemp("runs"))


def test_the_stages_leave_models_and_an_adapter(trained: Trained) -> None:
    assert has_model(trained.trunk)
    assert read_config(trained.trunk).instrument == "trunk"
    assert read_config(trained.trunk / "shallow").n_layers == 1
    assert read_config(trained.guitar).instrument == "guitar"
    assert read_config(trained.guitar).n_layers == 2
    assert read_config(trained.guitar).d_model == 16
    assert (trained.guitar / "adapter" / "adapter_model.safetensors").is_file()
    assert [(row["stage"], row["epoch"]) for row in History(trained.guitar).rows()] == [
        ("base", 1), ("base", 2), ("base", 3), ("lora", 1), ("lora", 2),
    ]
    assert stage_in_progress(trained.guitar) == "lora"
    assert (trained.guitar / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_a_stage_that_was_taught_tells_by_whom(trained: Trained, data: PhraseData, tmp_path: Path) -> None:
    taught = replace(SHALLOW, teacher_share=0.5, epochs=1)
    run = replace(run_in(data, tmp_path / "taught"), teachers=[trained.trunk, trained.guitar])
    train_trunk(run, None, taught)
    record = read_record(run.folder)["trunk"]
    assert record["teachers"] == [earlier_stages(trained.trunk), earlier_stages(trained.guitar)]
    with pytest.raises(OptionError, match="teacher_share is for runs with --teachers"):
        train_trunk(run_in(data, tmp_path / "alone"), None, taught)
    other = tmp_path / "other"
    tiny_network(duration_edges=(-4.0, *DURATION_EDGES[1:])).save_pretrained(other)
    with pytest.raises(ModelError, match="other: has other articulation bins than the network that is to be taught"):
        train_trunk(replace(run, teachers=[other]), None, taught)


def test_the_folder_can_be_played_with_and_without_its_adapter(trained: Trained) -> None:
    file = song(part(riff(80), number=GUITAR))
    given = {"variation": 0, "seed": 0}
    with_adapter = duvhuman.load("guitar", model=trained.guitar, device="cpu").predict(file, **given)
    bare = duvhuman.load("guitar", model=trained.guitar, adapter=None, device="cpu").predict(file, **given)
    assert np.ptp(with_adapter.velocity) > 3
    assert not np.array_equal(with_adapter.velocity, bare.velocity)
    assert duvhuman.humanize(file, "guitar", model=trained.guitar, device="cpu", seed=1).to_bytes() != file
    on_the_beat, off_it = with_adapter.velocity[::2].mean(), with_adapter.velocity[1::2].mean()
    assert on_the_beat > off_it  # what the toys teach


def test_the_record_tells_the_history_of_the_weights(trained: Trained) -> None:
    record = read_record(trained.guitar)
    assert list(record) == ["shallow", "trunk", "base", "lora"]
    assert list(read_record(trained.trunk)) == ["shallow", "trunk"]
    assert {stage: entry["config"]["lr"] for stage, entry in record.items()} == {
        "shallow": SHALLOW.lr, "trunk": TRUNK.lr, "base": BASE.lr, "lora": LORA.lr,
    }
    for stage, entry in record.items():
        assert 1 <= entry["best_epoch"] <= entry["config"]["epochs"], stage
        assert entry["notes_seen"] > 1000
        assert "vel_r" in entry["metrics"]
        assert "CPU threads" in entry["device"]
        assert entry["minutes"] >= 0
        assert entry["packs"] == sorted({part.pack for part in trained.data.parts})
    text = (trained.guitar / "training.json").read_text(encoding="utf-8")
    assert str(trained.root) not in text
    json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


def test_a_trunk_that_goes_on_from_another_keeps_its_history(trained: Trained, tmp_path: Path) -> None:
    once, twice = tmp_path / "once", tmp_path / "twice"
    train_trunk(run_in(trained.data, once), None, replace(TRUNK, seed=1), trained.trunk)
    train_trunk(run_in(trained.data, twice), None, replace(TRUNK, seed=2), once)
    record = read_record(twice)
    assert [entry["stage"] for entry in record["earlier"]] == ["shallow", "trunk", "trunk"]
    assert [entry["config"]["seed"] for entry in record["earlier"]] == [0, 0, 1]
    assert record["trunk"]["config"]["seed"] == 2
    bass = run_in(trained.data, tmp_path / "bass")
    train_base(bass, "bass", replace(BASE, epochs=1), twice)
    assert list(read_record(bass.folder)) == ["earlier", "trunk", "base"]


def test_a_base_that_goes_on_from_another_keeps_its_history_but_for_its_adapter(
    trained: Trained, tmp_path: Path
) -> None:
    run = run_in(trained.data, tmp_path)
    train_base(run, "guitar", replace(BASE, epochs=1, seed=7), trained.guitar)
    record = read_record(tmp_path)
    assert list(record) == ["earlier", "base"]
    assert [entry["stage"] for entry in record["earlier"]] == ["shallow", "trunk", "base"]
    assert record["base"]["config"]["seed"] == 7


def test_the_trunk_is_of_all_instruments_and_the_base_of_one(trained: Trained) -> None:
    starts = [line for line in trained.said if " parts, " in line]
    assert [line.split(",")[0] for line in starts[:4]] == ["8 parts", "8 parts", "6 parts", "6 parts"]


def test_the_base_is_calibrated_to_its_players(trained: Trained) -> None:
    config = read_config(trained.guitar)
    parts = trained.data.select(split="train", instrument="guitar")
    assert config.typical_range == pytest.approx(np.median([row.range for row in parts]))
    pairs = flat_pairs(trained.data, parts)
    ratios = [row["vel_sd_ratio"] for row in score_pairs(pairs, model_predictor(read_player(trained.guitar)))]
    assert np.mean(ratios) == pytest.approx(0.95, abs=0.04)
    assert config.velocity_gain > 1.0
    assert config.trees_share == calibrate.TREES_SHARE["guitar"]


def test_how_predictions_are_decoded_is_the_instruments(trained: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    network = read_player(trained.guitar)
    assert (network.config.median_share, network.config.velocity_detail) == (0.5, 1.0)
    gain = network.config.velocity_gain
    told = {"median_share": 0.25, "velocity_detail": 0.75, "swell_gain": 1.5}
    monkeypatch.setattr(calibrate, "DECODING", {"guitar": told})
    config = calibrate.calibrated(network, trained.data, "guitar").config
    assert (config.median_share, config.velocity_detail, config.swell_gain) == (0.25, 0.75, 1.5)
    assert config.velocity_gain > gain  # which is measured with it


def test_the_adapter_has_gains_of_its_own(trained: Trained) -> None:
    base = read_config(trained.guitar)
    network = read_player(trained.guitar, trained.guitar / "adapter")
    assert network.config.velocity_gain != base.velocity_gain
    assert network.config.contour_gain != base.contour_gain
    assert read_personal(trained.guitar / "adapter")["config"]["spread_share"] == base.spread_share
    pairs = flat_pairs(trained.data, trained.data.select(split="train", instrument="guitar"))
    for written in (written_flat, written_as_played):
        rows = score_pairs(pairs, model_predictor(network), written)
        assert np.mean([row["vel_sd_ratio"] for row in rows]) == pytest.approx(0.95, abs=0.04)


def test_an_adapters_epochs_are_played_with_the_trees_that_are_heard(trained: Trained, tmp_path: Path) -> None:
    played = []
    for share in (0.0, 1.0):
        folder = tmp_path / str(share)
        base = tiny_network(instrument="guitar", trees_share=share)
        base.save_pretrained(folder)
        train_lora(run_in(trained.data, folder), "guitar", replace(LORA, epochs=1))
        played.append(History(folder).rows()[0])
    without, with_them = played
    assert with_them["val_loss"] == without["val_loss"]  # what is learnt is the network's own
    assert with_them["vel_r"] != without["vel_r"]


def test_resuming_skips_what_is_finished(trained: Trained) -> None:
    before = trained.files()
    trained.said.clear()
    trained.go(resume=True)
    assert trained.said == [f"{stage}: already finished" for stage in ("shallow", "trunk", "base", "lora")]
    assert trained.files() == before


def test_resuming_goes_on_with_a_stage_that_was_interrupted(data: PhraseData, tmp_path: Path) -> None:
    start = tmp_path / "start"
    tiny_network(std=0.1).save_pretrained(start)
    with pytest.raises(KilledError):
        train_base(run_in(data, tmp_path / "a", log=killed_at("epoch 3/3")), "guitar", BASE, start)
    assert "base" not in read_record(tmp_path / "a")
    train_base(run_in(data, tmp_path / "a", resume=True), "guitar", BASE, start)
    train_base(run_in(data, tmp_path / "b"), "guitar", BASE, start)
    one, other = (PhraseTransformer.from_pretrained(tmp_path / name) for name in "ab")
    assert same_weights(weights(one), weights(other))
    assert one.config == other.config
    assert [row["epoch"] for row in History(tmp_path / "a").rows()] == [1, 2, 3]


@pytest.mark.parametrize("asked", [1, 8])
def test_a_run_that_is_ended_while_gains_are_measured_goes_on_with_that(
    asked: int, trained: Trained, tmp_path: Path
) -> None:
    """Whether it is asked for at once, or between the passes: nothing is lost."""
    said: list[str] = []
    guitar = tmp_path / "guitar"

    def stop() -> bool:
        said.append("asked")
        return said[-asked - 1 :] == [f"{stage}: measuring its gains", *["asked"] * asked]

    run = Run(trained.data, Surroundings(guitar, CPU, log=said.append, stop=stop))
    for stage, go in (
        ("base", lambda run: train_base(run, "guitar", BASE, trained.trunk)),
        ("lora", lambda run: train_lora(run, "guitar", LORA)),
    ):
        with pytest.raises(KeyboardInterrupt):
            go(run)
        assert stage not in read_record(guitar)
        go(run_in(trained.data, guitar, resume=True))
        assert stage in read_record(guitar)
    for name in ("model.safetensors", "config.json", "adapter/adapter_model.safetensors", "adapter/duvhuman.json"):
        assert (guitar / name).read_bytes() == (trained.guitar / name).read_bytes()


def test_a_taught_stage_goes_on_with_its_own_teachers_only(data: PhraseData, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for seed, folder in enumerate((first, second)):
        tiny_network(seed, std=0.5).save_pretrained(folder)
    config = replace(SHALLOW, epochs=2, n_layers=2, teacher_share=0.5)
    with pytest.raises(KilledError):
        train_trunk(replace(run_in(data, tmp_path / "run", log=killed_at("epoch 2/2")), teachers=[first]), None, config)
    again = run_in(data, tmp_path / "run", resume=True)
    with pytest.raises(DataError, match="the teachers are not those that .*run was taught by so far"):
        train_trunk(replace(again, teachers=[second]), None, config)
    moved = first.rename(tmp_path / "moved")
    train_trunk(replace(again, teachers=[moved]), None, config)
    assert read_record(again.folder)["trunk"]["notes_seen"] > 0


def test_a_new_base_forgets_the_adapter_of_the_one_before(data: PhraseData, tmp_path: Path) -> None:
    """Else --resume would take the old adapter for finished, and it would be played on weights it does not fit."""
    folder = tmp_path / "guitar"
    (folder / "adapter").mkdir(parents=True)
    (folder / "adapter" / "adapter_config.json").write_text("{}", encoding="utf-8")
    old = {"shallow": {"old": 1}, "trunk": {"old": 1}, "base": {"old": 1}, "lora": {"old": 1}}
    (folder / "training.json").write_text(json.dumps(old), encoding="utf-8")
    train_base(run_in(data, folder), "guitar", replace(BASE, epochs=1), None)
    assert list(read_record(folder)) == ["base"]
    assert "old" not in read_record(folder)["base"]
    assert not (folder / "adapter").exists()
    duvhuman.load("guitar", model=folder, device="cpu")


def test_a_new_adapter_is_not_finished_before_it_is(trained: Trained, data: PhraseData, tmp_path: Path) -> None:
    folder = tmp_path / "guitar"
    tiny_network(std=0.1).save_pretrained(folder)
    (folder / "training.json").write_text(json.dumps({"base": {}, "lora": {}}), encoding="utf-8")
    (folder / "adapter").mkdir()
    write_personal(folder / "adapter", {"config": {"velocity_gain": 5.0}})

    with pytest.raises(KilledError):
        train_lora(run_in(data, folder, log=killed_at("")), "guitar", LORA)
    assert list(read_record(folder)) == ["base"]
    assert read_personal(folder / "adapter") == {}  # gains of the adapter before


# Something is missing.


def test_an_instrument_without_parts_is_named(data: PhraseData, tmp_path: Path) -> None:
    run = run_in(data, tmp_path)
    with pytest.raises(DataError, match="0 training and 0 validation parts for strings; prepare more data"):
        train_base(run, "strings", BASE, None)


def test_where_none_is_held_out_the_share_to_hold_out_is_named(tmp_path: Path) -> None:
    run = run_in(toy_data(tmp_path / "data", {("guitar", "train"): 2}), tmp_path / "run")
    with pytest.raises(DataError, match="0 validation parts for guitar; prepare more data, or with a larger --valid"):
        train_base(run, "guitar", BASE, None)


def test_an_adapter_needs_parts_played_by_hand(tmp_path: Path) -> None:
    programmed: list[tuple[dict[str, Any], dict[str, np.ndarray]]] = [
        ({"played": False, "split": split}, toy_performance(seed)) for seed, split in enumerate(("train", "valid"))
    ]
    data = write_data(tmp_path / "data", programmed)
    tiny_network().save_pretrained(tmp_path / "guitar")
    with pytest.raises(DataError, match="0 training and 0 validation parts played by hand for guitar"):
        train_lora(run_in(data, tmp_path / "guitar"), "guitar", LORA)


def test_validation_parts_need_dynamics(tmp_path: Path) -> None:
    flat = columns(240 * np.arange(240), velocity=64)
    data = write_data(tmp_path / "data", [({}, toy_performance(0)), ({"split": "valid"}, flat)])
    with pytest.raises(DataError, match="no validation part of guitar has dynamics in its middle"):
        train_base(run_in(data, tmp_path / "guitar"), "guitar", BASE, None)


def test_an_adapter_needs_a_base(data: PhraseData, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="config.json: cannot be read"):
        train_lora(run_in(data, tmp_path), "guitar", LORA)


def test_weights_to_begin_with_must_know_the_same_features(data: PhraseData, tmp_path: Path) -> None:
    PhraseTransformer(ModelConfig(d_model=16, n_heads=2, n_layers=1, d_ff=8, feature_names=("a", "b"))).save_pretrained(
        tmp_path / "old"
    )
    with pytest.raises(ModelError, match="old: made for other features"):
        train_base(run_in(data, tmp_path / "new"), "guitar", BASE, tmp_path / "old")


def test_every_stage_trains_with_the_dropouts_of_its_configuration(
    data: PhraseData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_to: list[tuple[float, float]] = []
    usual = PhraseTransformer.set_dropout

    def spy(network: PhraseTransformer, probability: float, channels: float = 0.0) -> None:
        set_to.append((probability, channels))
        usual(network, probability, channels)

    monkeypatch.setattr(PhraseTransformer, "set_dropout", spy)
    run = run_in(data, tmp_path)
    train_base(run, "guitar", replace(BASE, epochs=1, channel_dropout=0.25), None)
    train_lora(run, "guitar", replace(LORA, epochs=1, channel_dropout=0.5))
    assert set_to == [(0.1, 0.25), (0.0, 0.5)]


def test_a_deeper_network_is_not_cut(trained: Trained, tmp_path: Path) -> None:
    run = run_in(trained.data, tmp_path)
    with pytest.raises(OptionError, match=r"has 2 layers, and n_layers=1 would cut it; --set base\.n_layers=2"):
        train_base(run, "guitar", replace(BASE, n_layers=1), trained.trunk)


def test_a_schedule_that_ends_before_it_is_to_stop_keeps_its_best_weights(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved: dict[str, list[int]] = {}
    save = PhraseTransformer.save_pretrained
    for name, stop_after in (("ends", 5), ("stops", 1)):
        run, saved[name] = run_in(trained.data, tmp_path / name), []

        def count(network: PhraseTransformer, folder: Path, times: list[int] = saved[name]) -> None:
            times.append(1)
            save(network, folder)

        monkeypatch.setattr(PhraseTransformer, "save_pretrained", count)
        train_trunk(run, None, replace(SHALLOW, epochs=2 if name == "stops" else 1, stop_after=stop_after), None)
    assert len(saved["stops"]) == len(saved["ends"]) + 1  # the last once more, whether it is the best or not
