"""The training loop: it learns, and it says so when something is wrong."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fits import CONFIG, Trained, train
from toys import same_weights, toy_data, toy_performance, weights, write_data

from duvhuman.errors import DataError, OptionError
from duvhuman.train import loop
from duvhuman.train.checkpoint import load_state
from duvhuman.train.config import fold_of
from duvhuman.train.dataset import PhraseData
from duvhuman.train.run import validate
from duvhuman.train.run.history import History
from duvhuman.train.run.step import Stepper


def test_the_loss_falls_on_a_rule_that_can_be_learnt(data: PhraseData, tmp_path: Path) -> None:
    run = train(data, tmp_path, replace(CONFIG, epochs=12, lr=1e-2, dropout=0.0))
    losses = [row["train_loss"] for row in run.rows]
    assert losses[-1] < 0.75 * losses[0]
    assert run.rows[-1]["vel_r"] > 0.6
    assert run.rows[-1]["val_loss"] < run.rows[0]["val_loss"]
    # Written up to the next onset, played half as long: nearly all is gained by saying so.
    assert run.rows[-1]["art_mae"] < 0.5 * math.log(2)


def test_every_epoch_writes_a_row(whole: Trained) -> None:
    assert [row["epoch"] for row in whole.rows] == [1, 2, 3]
    for row in whole.rows:
        assert {"train_loss", "val_loss", "vel_r", "vel_mae", "vel_sd_ratio", "art_mae", "failed", "lr", "notes_seen",
                "notes_per_s", "train_boundary", "train_vel_bins", "train_dur_value"} <= row.keys()
        assert row["failed"] == 0.0
        parts = (row[f"train_{name}"] for name in ("boundary", "vel_value", "dur_value"))
        bins = row["train_vel_bins"] + row["train_dur_bins"]
        assert row["train_loss"] == pytest.approx(sum(parts) + 0.5 * bins, rel=1e-4)
    assert whole.rows[0]["lr"] > whole.rows[1]["lr"] > whole.rows[2]["lr"]
    assert whole.rows[2]["lr"] < 0.1 * CONFIG.lr  # it ends at a twentieth
    assert sum(line.startswith("epoch ") for line in whole.lines) == 3


def test_the_result_is_the_best_epoch(whole: Trained) -> None:
    assert whole.result is not None
    best = min(whole.rows, key=lambda row: row["val_loss"])
    assert whole.result.best_epoch == best["epoch"]
    assert whole.result.metrics["val_loss"] == pytest.approx(best["val_loss"], rel=1e-6)
    assert whole.result.metrics["vel_r"] == pytest.approx(best["vel_r"], rel=1e-6)
    assert whole.result.notes_seen == whole.rows[-1]["notes_seen"]
    # Six parts of 240 notes, three times, but for scraps at the ends.
    assert 0.8 * 3 * 6 * 240 < whole.result.notes_seen <= 3 * 6 * 240


def test_the_best_weights_are_saved_whenever_validation_gets_better(whole: Trained) -> None:
    best, times = math.inf, 0
    for row in whole.rows:
        times += row["val_loss"] < best
        best = min(best, row["val_loss"])
    assert len(whole.best) == times
    if whole.rows[-1]["val_loss"] == best:
        assert same_weights(whole.best[-1], weights(whole.network))


def test_the_same_seed_trains_the_same_weights_and_another_others(
    whole: Trained, data: PhraseData, tmp_path: Path
) -> None:
    assert same_weights(weights(train(data, tmp_path / "a").network), weights(whole.network))
    other = train(data, tmp_path / "b", replace(CONFIG, seed=12))
    assert not same_weights(weights(other.network), weights(whole.network))


def test_only_so_many_phrases_an_epoch(data: PhraseData, tmp_path: Path) -> None:
    run = train(data, tmp_path, replace(CONFIG, epochs=1, max_phrases=5))
    assert run.lines[0].startswith("6 parts, 2 steps an epoch, 1 epochs, batch 4, float32, ")
    assert run.lines[1].startswith("floors: flat velocity MAE ")
    assert run.rows[0]["notes_seen"] <= 5 * 128


# Something is wrong.


class BadStepper(Stepper):
    """Its losses are no numbers from the sixth step on."""

    steps = 0

    def __call__(self, *given: Any) -> None:
        super().__call__(*given)
        BadStepper.steps += 1
        if BadStepper.steps >= 6:
            self.totals += math.nan


@pytest.mark.parametrize("every_batch", [False, True], ids=["checkpoints per epoch", "checkpoints per batch"])
def test_a_loss_that_is_no_number_ends_the_run_and_keeps_the_last_state(
    every_batch: bool, data: PhraseData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", -1.0 if every_batch else 300.0)
    monkeypatch.setattr(loop, "Stepper", BadStepper)  # an epoch has four or five steps
    monkeypatch.setattr(BadStepper, "steps", 0)
    expected = "the loss is not a number in epoch 2; .* keeps the state before; start anew with a lower lr than 0.003"
    with pytest.raises(DataError, match=expected):
        train(data, tmp_path)
    state = load_state(tmp_path)
    assert state["progress"]["epoch"] == 1
    assert state["progress"]["step"] == (5 if every_batch else state["progress"]["step"])
    assert all(value.isfinite().all() for value in state["model"].values())
    assert len(History(tmp_path).rows()) == 1


def test_weights_that_are_no_numbers_do_not_replace_the_last_state(
    data: PhraseData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = iter([3.0, math.nan])
    monkeypatch.setattr(validate.Validator, "loss", lambda *_: next(losses))
    with pytest.raises(DataError, match="not a number in epoch 2"):
        train(data, tmp_path)
    assert load_state(tmp_path)["progress"]["epoch"] == 1


def test_training_ends_early_when_validation_gets_no_better(
    data: PhraseData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = iter([3.0, 2.0, 2.5, 2.0, 2.1, 1.0])
    monkeypatch.setattr(validate.Validator, "loss", lambda *_: next(losses))
    run = train(data, tmp_path, replace(CONFIG, epochs=6, max_phrases=4, early_stopping=3))
    assert [row["val_loss"] for row in run.rows] == [3.0, 2.0, 2.5, 2.0, 2.1]
    assert run.lines[-2:] == ["stopped early: no better validation loss for 3 epochs", "best epoch 2"]
    assert run.result is not None
    assert run.result.best_epoch == 2
    assert len(run.best) == 2


def test_constant_predictions_are_never_the_best(
    data: PhraseData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = validate.quick_metrics
    monkeypatch.setattr(validate, "quick_metrics", lambda *given: real(*given) | {"failed": 1.0})
    with pytest.raises(DataError, match="every epoch's predictions were constant"):
        train(data, tmp_path, replace(CONFIG, max_phrases=4))
    assert [row["failed"] for row in History(tmp_path).rows()] == [1.0, 1.0, 1.0]


def test_a_constant_epoch_is_marked_and_training_goes_on(
    data: PhraseData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = iter([1.0, 0.0, 1.0])
    real = validate.quick_metrics
    monkeypatch.setattr(validate, "quick_metrics", lambda *given: real(*given) | {"failed": next(failed)})
    run = train(data, tmp_path, replace(CONFIG, max_phrases=4))
    assert [row["failed"] for row in run.rows] == [1.0, 0.0, 1.0]
    assert [line.endswith(" FAILED: constant predictions") for line in run.lines if line.startswith("epoch")] == [
        True, False, True,
    ]
    assert run.result is not None
    assert run.result.best_epoch == 2
    assert len(run.best) == 1


@pytest.mark.parametrize("split", ["train", "valid"])
def test_parts_without_a_usable_phrase_are_an_error(split: str, tmp_path: Path) -> None:
    fine, useless = toy_performance(0), toy_performance(1) | {"wanted": np.zeros(240)}
    other = "valid" if split == "train" else "train"
    data = write_data(tmp_path / "data", [({"split": split}, useless), ({"split": other}, fine)])
    kind = "training" if split == "train" else "validation"
    expected = f"no usable phrase in 1 {kind} parts: 0 have fewer than 32 notes, in the other 1 no phrase has 16 notes"
    with pytest.raises(DataError, match=expected):
        train(data, tmp_path / "run")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"passes": "toys=0"}, "passes='toys=0' .* draws no phrase from the 6 training parts .* --set passes=toys=1"),
        ({"passes": "toys=1e-9"}, "passes='toys=1e-9' .* draws no phrase"),
    ],
)
def test_a_configuration_that_leaves_nothing_to_train_on_is_blamed_for_it(
    changes: dict[str, Any], message: str, data: PhraseData, tmp_path: Path
) -> None:
    with pytest.raises(OptionError, match=message):
        train(data, tmp_path, replace(CONFIG, **changes))


def test_a_fold_that_holds_every_song_is_blamed_for_it(tmp_path: Path) -> None:
    data = toy_data(tmp_path / "data", {("guitar", "train"): 1, ("guitar", "valid"): 1})
    left_out = 1 + fold_of(data.parts[0].song, 2)
    with pytest.raises(OptionError, match=f"fold={left_out}/2 leaves out all of the 1 training parts"):
        train(data, tmp_path / "run", replace(CONFIG, fold=f"{left_out}/2"))
    assert train(data, tmp_path / "run", replace(CONFIG, fold=f"{3 - left_out}/2")).result is not None


def test_a_step_that_fails_once_the_run_is_asked_to_end_ends_it_like_any_other(
    data: PhraseData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A signal to the whole process group ends the processes that compile, too."""

    def broken(*_: object) -> None:
        raise RuntimeError("the compiler's processes are gone")

    monkeypatch.setattr(Stepper, "__call__", broken)
    assert train(data, tmp_path / "a", stop_at_step=1).result is None
    with pytest.raises(RuntimeError, match="the compiler's processes are gone"):
        train(data, tmp_path / "b")


def test_it_trains_in_bf16(data: PhraseData, tmp_path: Path) -> None:
    run = train(data, tmp_path, replace(CONFIG, epochs=1, max_phrases=4, precision="bf16"))
    assert math.isfinite(run.rows[0]["train_loss"])
    assert {value.dtype for value in weights(run.network).values()} == {torch.float32}


def test_without_a_compiler_training_goes_on_uncompiled(
    data: PhraseData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    run = train(data, tmp_path, replace(CONFIG, epochs=1, max_phrases=4, compile=True))
    assert any("no C++ compiler found: training goes on without torch.compile" in line for line in run.lines)
    assert run.result is not None
