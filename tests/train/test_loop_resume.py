"""The training loop goes on where it stopped: killed, asked to stop, or at the end of a schedule."""

from __future__ import annotations

import shutil
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fits import CONFIG, Trained, train
from toys import KilledError, column_of, same_weights, toy_data, weights

from duvhuman.errors import DataError, OptionError
from duvhuman.train import loop
from duvhuman.train.checkpoint import load_state, stage_in_progress
from duvhuman.train.dataset import PhraseData
from duvhuman.train.run import validate


@pytest.mark.parametrize(
    "killed_at",
    [
        pytest.param({"kill_at_step": 1}, id="in the first step"),
        pytest.param({"kill_at_step": 2}, id="in the first epoch"),
        pytest.param({"kill_at_step": 8}, id="amid an epoch"),
        pytest.param({"kill_at_line": "epoch 2/3"}, id="between the row of an epoch and its checkpoint"),
        pytest.param({"kill_at_line": "best epoch"}, id="at the very end"),
        pytest.param({"stop_at_step": 7}, id="asked to stop"),
    ],
)
def test_a_resumed_run_ends_in_the_same_weights(
    killed_at: dict[str, Any], whole: Trained, data: PhraseData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", -1.0)  # after every batch
    killed = train(data, tmp_path, **killed_at)
    assert killed.result is None
    resumed = train(data, tmp_path, resume=True, seed=2)  # begins with other weights, which the state replaces
    assert same_weights(weights(resumed.network), weights(whole.network))
    assert resumed.result is not None
    assert whole.result is not None
    assert replace(resumed.result, seconds=0.0) == replace(whole.result, seconds=0.0)
    timed = ("seconds", "notes_per_s")
    assert [{k: v for k, v in row.items() if k not in timed} for row in resumed.rows] == [
        {k: v for k, v in row.items() if k not in timed} for row in whole.rows
    ]
    assert same_weights((killed.best + resumed.best)[-1], whole.best[-1])


def test_a_run_that_is_asked_to_stop_saves_its_state_first(data: PhraseData, tmp_path: Path) -> None:
    assert train(data, tmp_path, stop_at_step=2).result is None
    assert load_state(tmp_path)["progress"]["step"] == 2
    assert stage_in_progress(tmp_path) == "base"


def test_a_run_killed_while_its_state_is_written_goes_on_from_the_state_before(
    whole: Trained, data: PhraseData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = torch.save, []

    def torn(state: object, file: Any) -> None:
        calls.append(file)
        if len(calls) == 2:
            file.write(b"half a state")
            raise KilledError
        real(state, file)

    monkeypatch.setattr(torch, "save", torn)
    assert train(data, tmp_path).result is None
    monkeypatch.setattr(torch, "save", real)
    assert load_state(tmp_path)["progress"]["epoch"] == 1
    assert same_weights(weights(train(data, tmp_path, resume=True).network), weights(whole.network))


def test_resuming_a_finished_run_trains_nothing(whole: Trained, data: PhraseData) -> None:
    rows = whole.rows
    again = train(data, whole.folder, resume=True, seed=3)
    assert same_weights(weights(again.network), weights(whole.network))
    assert again.best == []
    assert again.result is not None
    assert whole.result is not None
    assert (again.result.best_epoch, again.result.metrics) == (whole.result.best_epoch, whole.result.metrics)
    assert again.result.seconds >= load_state(whole.folder)["progress"]["seconds"] > 0
    assert again.rows == rows


def test_a_fresh_run_begins_its_rows_anew(data: PhraseData, tmp_path: Path) -> None:
    short = replace(CONFIG, epochs=1, max_phrases=4)
    train(data, tmp_path, short)
    assert [row["epoch"] for row in train(data, tmp_path, short).rows] == [1]


def test_resuming_says_where_and_refuses_fewer_epochs_than_are_done(data: PhraseData, tmp_path: Path) -> None:
    short = replace(CONFIG, epochs=3, max_phrases=4, stop_after=2)
    train(data, tmp_path, short)
    with pytest.raises(OptionError, match="is through 2 epochs and cannot end after 1; give more"):
        train(data, tmp_path, replace(short, epochs=1), resume=True)
    assert "goes on in epoch 3, behind step 2" in train(data, tmp_path, replace(short, stop_after=0), resume=True).lines


def test_a_stage_may_stop_before_its_schedule_does(data: PhraseData, whole: Trained, tmp_path: Path) -> None:
    run = train(data, tmp_path, replace(CONFIG, stop_after=2))
    assert [row["val_loss"] for row in run.rows] == [row["val_loss"] for row in whole.rows[:2]]
    assert " 2 epochs, batch " in run.lines[0]  # one number, the live line's
    assert [line.partition(":")[0] for line in run.lines if line.startswith("epoch ")] == ["epoch 1/2", "epoch 2/2"]
    assert len(train(data, tmp_path, replace(CONFIG, stop_after=9), resume=True).rows) == 3


def test_a_stage_that_stops_before_its_schedule_saves_its_last_weights_not_the_best(
    data: PhraseData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = iter([2.0, 3.0])
    monkeypatch.setattr(validate.Validator, "loss", lambda *_: next(losses))
    run = train(data, tmp_path, replace(CONFIG, max_phrases=4, stop_after=2))
    assert run.result is not None
    assert run.result.best_epoch == 1
    assert not same_weights(run.best[0], run.best[-1])
    assert same_weights(run.best[-1], weights(run.network))


def test_resuming_without_a_state_is_refused(data: PhraseData, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"state\.pt: no run to resume there"):
        train(data, tmp_path, resume=True)


@pytest.mark.parametrize("content", [b"", b"half a state"])
def test_resuming_from_a_damaged_state_is_refused(content: bytes, data: PhraseData, tmp_path: Path) -> None:
    (tmp_path / "state.pt").write_bytes(content)
    with pytest.raises(DataError, match=r"state\.pt: damaged; start anew without --resume, with --force"):
        train(data, tmp_path, resume=True)


def test_a_run_goes_on_only_with_the_configuration_it_began_with(whole: Trained, data: PhraseData) -> None:
    with pytest.raises(OptionError, match="began with batch_size=4 and cannot go on with batch_size=8"):
        train(data, whole.folder, replace(CONFIG, batch_size=8), resume=True)


def test_a_run_goes_on_only_with_the_data_it_began_with(tmp_path: Path) -> None:
    counts = {("guitar", "train"): 6, ("guitar", "valid"): 3}
    data = toy_data(tmp_path / "data", counts)
    run = train(data, tmp_path / "run", stop_at_step=4)
    copy = tmp_path / "copy"
    shutil.copytree(tmp_path / "data", copy)
    assert PhraseData(copy).digest() == data.digest()
    numbers = np.arange(len(column_of(data, "pitch")))
    PhraseData(copy).write_added({"written_beats": numbers, "written_bar_beats": numbers})
    assert PhraseData(copy).digest() != data.digest()
    with pytest.raises(DataError, match=r"copy is not what .*run was trained on so far: prepared or written down anew"):
        train(PhraseData(copy), run.folder, resume=True)
    assert train(data, run.folder, resume=True).result is not None


def test_the_configuration_is_kept_with_the_state(whole: Trained) -> None:
    assert load_state(whole.folder)["config"] == asdict(CONFIG)
