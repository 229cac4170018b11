"""The training loop: it learns, it goes on where it stopped, and it says so when something is wrong."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from toys import same_weights, tiny_network, toy_performance, weights, write_data

from duvhuman.errors import DataError, OptionError
from duvhuman.models.config import DURATION_EDGES
from duvhuman.models.phrase_transformer import PhraseOutput, PhraseTransformer
from duvhuman.train import loop
from duvhuman.train.checkpoint import load_state, save_state
from duvhuman.train.config import TrainConfig
from duvhuman.train.dataset import Batch, PhraseData
from duvhuman.train.evaluate import flat_pairs
from duvhuman.train.loop import Result, Task, choose_precision, fit, learning_rate, loss_terms

CPU = torch.device("cpu")
CONFIG = TrainConfig(epochs=3, batch_size=4, lr=3e-3, warmup_steps=2, precision="float32", seed=11)
EDGES = torch.tensor(DURATION_EDGES)


class KilledError(Exception):
    """Stands for whatever ends a process."""


@dataclass
class Trained:
    """A run: what it has said, and the weights that it called the best."""

    folder: Path
    network: PhraseTransformer
    lines: list[str] = field(default_factory=list)
    best: list[dict[str, torch.Tensor]] = field(default_factory=list)
    result: Result | None = None

    @property
    def rows(self) -> list[dict[str, float]]:
        return [json.loads(line) for line in (self.folder / "log.jsonl").read_text(encoding="utf-8").splitlines()]


def task(data: PhraseData) -> Task:
    valid = data.select(split="valid", instrument="guitar")
    return Task(data, data.select(split="train", instrument="guitar"), valid, flat_pairs(data, valid))


def train(
    data: PhraseData, folder: Path, config: TrainConfig = CONFIG, *, resume: bool = False, seed: int = 1,
    kill: Callable[[str], bool] = lambda line: False,
) -> Trained:  # fmt: skip
    """Train a tiny network; `kill` ends the run at the first line of its log for which it is true."""
    run = Trained(folder, tiny_network(seed))

    def log(line: str) -> None:
        run.lines.append(line)
        if kill(line):
            raise KilledError(line)

    with suppress(KilledError):
        run.result = fit(
            run.network, run.network, task(data), config, folder, device=CPU, resume=resume, log=log,
            save_best=lambda: run.best.append(weights(run.network)),
        )  # fmt: skip
    return run


@pytest.fixture(scope="module")
def whole(data: PhraseData, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A run that nothing disturbed."""
    return train(data, tmp_path_factory.mktemp("whole"))


# It learns.


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
                "notes_per_s", "train_boundary", "train_vel_bins", "train_dur_value"} <= row.keys()  # fmt: skip
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
    assert whole.result.metrics["val_loss"] == best["val_loss"]
    assert whole.result.metrics["vel_r"] == best["vel_r"]
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
    assert run.rows[0]["notes_seen"] <= 5 * 128


# It goes on where it stopped.


@pytest.mark.parametrize(
    "line",
    [
        pytest.param("  epoch 1 batch 2/", id="in the first epoch"),
        pytest.param("  epoch 2 batch 3/", id="amid an epoch"),
        pytest.param("epoch 2/3", id="between the row of an epoch and its checkpoint"),
    ],
)
def test_a_resumed_run_ends_in_the_same_weights(
    line: str, whole: Trained, data: PhraseData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", -1.0)  # after every batch
    killed = train(data, tmp_path, kill=lambda said: said.startswith(line))
    assert killed.result is None
    assert killed.lines[-1].startswith(line)
    resumed = train(data, tmp_path, resume=True, seed=2)  # begins with other weights, which the state replaces
    assert same_weights(weights(resumed.network), weights(whole.network))
    assert resumed.result is not None
    assert whole.result is not None
    assert replace(resumed.result, seconds=0.0) == replace(whole.result, seconds=0.0)
    assert [(row["epoch"], row["val_loss"]) for row in resumed.rows] == [
        (row["epoch"], row["val_loss"]) for row in whole.rows
    ]
    saved = (killed.best + resumed.best)[-1]
    assert same_weights(saved, whole.best[-1])


def test_a_run_killed_while_its_state_is_written_goes_on_from_the_state_before(
    whole: Trained, data: PhraseData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = torch.save, []

    def torn(state: object, path: Path) -> None:
        calls.append(path)
        if len(calls) == 2:
            Path(path).write_bytes(b"half a state")
            raise KilledError
        real(state, path)

    monkeypatch.setattr(torch, "save", torn)
    assert train(data, tmp_path).result is None
    monkeypatch.setattr(torch, "save", real)
    assert load_state(tmp_path)["epoch"] == 1
    assert same_weights(weights(train(data, tmp_path, resume=True).network), weights(whole.network))


def test_resuming_a_finished_run_trains_nothing(whole: Trained, data: PhraseData) -> None:
    rows = whole.rows
    again = train(data, whole.folder, resume=True, seed=3)
    assert same_weights(weights(again.network), weights(whole.network))
    assert again.best == []
    assert again.result is not None
    assert whole.result is not None
    assert (again.result.best_epoch, again.result.metrics) == (whole.result.best_epoch, whole.result.metrics)
    assert again.result.seconds >= load_state(whole.folder)["seconds"] > 0
    assert again.rows == rows


def test_a_fresh_run_begins_its_log_anew(data: PhraseData, tmp_path: Path) -> None:
    short = replace(CONFIG, epochs=1, max_phrases=4)
    train(data, tmp_path, short)
    assert [row["epoch"] for row in train(data, tmp_path, short).rows] == [1]


def test_a_stage_may_stop_before_its_schedule_does(data: PhraseData, whole: Trained, tmp_path: Path) -> None:
    run = train(data, tmp_path, replace(CONFIG, stop_after=2))
    assert [row["val_loss"] for row in run.rows] == [row["val_loss"] for row in whole.rows[:2]]
    assert len(train(data, tmp_path, replace(CONFIG, stop_after=9), resume=True).rows) == 3


def test_resuming_without_a_state_is_refused(data: PhraseData, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"state\.pt: no run to resume there"):
        train(data, tmp_path, resume=True)


@pytest.mark.parametrize("content", [b"", b"half a state"])
def test_resuming_from_a_damaged_state_is_refused(content: bytes, data: PhraseData, tmp_path: Path) -> None:
    (tmp_path / "state.pt").write_bytes(content)
    with pytest.raises(DataError, match=r"state\.pt: no run to resume there"):
        train(data, tmp_path, resume=True)


class Malice:
    """What a pickle may hold and a state may not."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return print, ("run by a pickle",)


def test_a_state_runs_no_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"model": Malice()}, tmp_path / "state.pt")
    with pytest.raises(DataError):
        load_state(tmp_path)
    assert capsys.readouterr().out == ""


def test_a_state_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    save_state(tmp_path / "new", {"step": 3, "model": {"a": torch.arange(3.0)}, "best": {"val_loss": math.inf}})
    state = load_state(tmp_path / "new")
    assert state["step"] == 3
    assert state["best"] == {"val_loss": math.inf}
    assert state["model"]["a"].tolist() == [0.0, 1.0, 2.0]
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["state.pt"]


def test_a_run_goes_on_only_with_the_configuration_it_began_with(whole: Trained, data: PhraseData) -> None:
    with pytest.raises(OptionError, match="began with batch_size=4 and cannot go on with batch_size=8"):
        train(data, whole.folder, replace(CONFIG, batch_size=8), resume=True)


# Something is wrong.


def nan_from(step: int) -> Callable[..., dict[str, torch.Tensor]]:
    """`loss_terms` that are no numbers from this training step on."""
    steps: Iterator[int] = iter(range(1, 1000))

    def terms(out: PhraseOutput, batch: Batch, *rest: Any) -> dict[str, torch.Tensor]:
        values = loss_terms(out, batch, *rest)
        if torch.is_grad_enabled() and next(steps) >= step:
            values["total"] = values["total"] * math.nan
        return values

    return terms


@pytest.mark.parametrize("every_batch", [False, True], ids=["checkpoints per epoch", "checkpoints per batch"])
def test_a_loss_that_is_no_number_ends_the_run_and_keeps_the_last_state(
    every_batch: bool, data: PhraseData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", -1.0 if every_batch else 300.0)
    monkeypatch.setattr(loop, "loss_terms", nan_from(6))  # an epoch has four or five steps
    with pytest.raises(DataError, match="the loss is not a number in epoch 2; .* keeps the state before; lower lr"):
        train(data, tmp_path)
    state = load_state(tmp_path)
    assert state["epoch"] == 1
    assert state["step"] == (5 if every_batch else state["step"])
    assert all(value.isfinite().all() for value in state["model"].values())
    assert len((tmp_path / "log.jsonl").read_text(encoding="utf-8").splitlines()) == 1


def test_weights_that_are_no_numbers_do_not_replace_the_last_state(
    data: PhraseData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = iter([3.0, math.nan])
    monkeypatch.setattr(loop, "_validation_loss", lambda *_: next(losses))
    with pytest.raises(DataError, match="not a number in epoch 2"):
        train(data, tmp_path)
    assert load_state(tmp_path)["epoch"] == 1


def test_training_ends_early_when_validation_gets_no_better(
    data: PhraseData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = iter([3.0, 2.0, 2.5, 2.0, 2.1, 1.0])
    monkeypatch.setattr(loop, "_validation_loss", lambda *_: next(losses))
    run = train(data, tmp_path, replace(CONFIG, epochs=6, max_phrases=4, early_stopping=3))
    assert [row["val_loss"] for row in run.rows] == [3.0, 2.0, 2.5, 2.0, 2.1]
    assert run.lines[-1] == "stopped early: no better validation loss for 3 epochs"
    assert run.result is not None
    assert run.result.best_epoch == 2
    assert len(run.best) == 2


def test_constant_predictions_are_never_the_best(
    data: PhraseData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = loop.quick_metrics
    monkeypatch.setattr(loop, "quick_metrics", lambda *given: real(*given) | {"failed": 1.0})
    saved: list[int] = []
    lines: list[str] = []
    network = tiny_network()
    with pytest.raises(DataError, match="every epoch's predictions were constant"):
        fit(
            network, network, task(data), replace(CONFIG, max_phrases=4), tmp_path, device=CPU,
            save_best=lambda: saved.append(1), log=lines.append,
        )  # fmt: skip
    assert saved == []
    assert sum(line.endswith(" FAILED: constant predictions") for line in lines) == 3


@pytest.mark.parametrize("split", ["train", "valid"])
def test_parts_without_a_usable_phrase_are_an_error(split: str, tmp_path: Path) -> None:
    fine, useless = toy_performance(0), toy_performance(1) | {"wanted": np.zeros(240)}
    other = "valid" if split == "train" else "train"
    data = write_data(tmp_path / "data", [({"split": split}, useless), ({"split": other}, fine)])
    kind = "training" if split == "train" else "validation"
    with pytest.raises(DataError, match=f"no usable phrase in 1 {kind} parts"):
        train(data, tmp_path / "run")


# The loss, by hand.


def two_notes(weight: list[float]) -> tuple[PhraseOutput, Batch]:
    """Two notes of velocity 90 (bin 11) and 54 (bin 6), played as written (bin 9) and half as written (bin 6)."""
    out = PhraseOutput(
        velocity_logits=torch.zeros(1, 2, 16),
        velocity_value=torch.tensor([[1.5, -1.0]]),  # 99 and 54
        duration_logits=torch.zeros(1, 2, 16),
        duration_value=torch.tensor([[0.0, 2.0]]),
        boundary_logits=torch.zeros(1, 2),
    )
    out.velocity_logits[0, 0, 11] = math.log(15)  # a probability of one half
    out.duration_logits[0, 1, 5] = math.log(15)
    one = torch.zeros(1, 2)
    batch = Batch(
        pitch=one.long(), program=one.long(), features=torch.zeros(1, 2, 1), mask=one.bool(),
        velocity=torch.tensor([[90.0, 54.0]]), articulation=torch.tensor([[0.0, -1.0]]),
        boundary=torch.tensor([[1.0, 0.0]]), weight=torch.tensor([weight]),
    )  # fmt: skip
    return out, batch


def test_each_term_is_a_mean_over_the_notes_that_count() -> None:
    terms = loss_terms(*two_notes([1.0, 1.0]), CONFIG, EDGES)
    ln2, ln16, ln30 = math.log(2), math.log(16), math.log(30)
    assert terms["boundary"].item() == pytest.approx(ln2)
    assert terms["vel_value"].item() == pytest.approx((0.5 * 0.5**2 + 0) / 2)
    assert terms["dur_value"].item() == pytest.approx((0 + 3 - 0.5) / 2)
    assert terms["vel_bins"].item() == pytest.approx((ln2 + ln16) / 2)
    assert terms["dur_bins"].item() == pytest.approx((ln16 + ln30) / 2)  # -1 is in bin 4, not in bin 5
    total = ln2 + 0.0625 + 1.25 + 0.5 * (ln2 + ln16 + ln16 + ln30) / 2
    assert terms["total"].item() == pytest.approx(total)


def test_notes_that_do_not_count_change_nothing() -> None:
    terms = loss_terms(*two_notes([1.0, 0.0]), CONFIG, EDGES)
    assert terms["vel_value"].item() == pytest.approx(0.5 * 0.5**2)
    assert terms["dur_value"].item() == 0.0
    assert terms["vel_bins"].item() == pytest.approx(math.log(2))
    assert terms["dur_bins"].item() == pytest.approx(math.log(16))
    assert all(value.item() == 0.0 for value in loss_terms(*two_notes([0.0, 0.0]), CONFIG, EDGES).values())


def test_terms_are_weighed_as_configured() -> None:
    config = TrainConfig(boundary_weight=2.0, regression_weight=3.0, classification_weight=5.0)
    terms = {name: value.item() for name, value in loss_terms(*two_notes([1.0, 1.0]), config, EDGES).items()}
    regression, bins = terms["vel_value"] + terms["dur_value"], terms["vel_bins"] + terms["dur_bins"]
    assert terms["total"] == pytest.approx(2 * terms["boundary"] + 3 * regression + 5 * bins)


@pytest.mark.parametrize("velocity", range(1, 128, 3))
def test_velocity_bins_are_those_of_decoding(velocity: int) -> None:
    out, batch = two_notes([1.0, 0.0])
    sure = torch.full((1, 2, 16), -1e4)
    sure[0, 0, velocity * 16 // 128] = 0.0
    batch = batch._replace(velocity=torch.tensor([[float(velocity), 54.0]]))
    assert loss_terms(out._replace(velocity_logits=sure), batch, CONFIG, EDGES)["vel_bins"].item() == 0.0


@pytest.mark.parametrize(
    ("articulation", "expected"), [(-6.0, 0), (-3.0, 1), (-0.05, 9), (0.0, 9), (0.0499, 9), (4.0, 15)]
)
def test_duration_bins_are_those_of_decoding(articulation: float, expected: int) -> None:
    out, batch = two_notes([1.0, 0.0])
    sure = torch.full((1, 2, 16), -1e4)
    sure[0, 0, expected] = 0.0
    batch = batch._replace(articulation=torch.tensor([[articulation, 0.0]]))
    assert loss_terms(out._replace(duration_logits=sure), batch, CONFIG, EDGES)["dur_bins"].item() == 0.0


# The schedule.


def test_the_learning_rate_warms_up_and_falls_as_a_cosine_to_a_twentieth() -> None:
    config = TrainConfig(lr=1.0, warmup_steps=100)
    rates = [learning_rate(config, step, 2100) for step in range(2101)]
    assert rates[0] == pytest.approx(0.01)
    assert rates[49] == pytest.approx(0.5)
    assert rates[99] == rates[100] == 1.0
    assert rates[1100] == pytest.approx(0.05 + 0.95 / 2)
    assert rates[2100] == pytest.approx(0.05)
    assert all(later <= earlier for earlier, later in pairwise(rates[100:]))


@pytest.mark.parametrize(("total", "warmup"), [(100, 10), (5000, 500), (20_000, 500), (9, 1), (1, 1)])
def test_the_warm_up_is_never_more_than_a_tenth_of_the_run(total: int, warmup: int) -> None:
    config = TrainConfig(lr=1.0, warmup_steps=500)
    assert learning_rate(config, warmup - 1, total) == 1.0
    if warmup > 1:
        assert learning_rate(config, warmup - 2, total) < 1.0


def test_beyond_the_schedule_the_rate_stays_at_its_end() -> None:
    assert learning_rate(TrainConfig(lr=1.0), 5000, 1000) == pytest.approx(0.05)


# Precision.


def test_precision_is_what_was_asked_for() -> None:
    assert choose_precision("bf16", CPU) == "bf16"
    assert choose_precision("float32", torch.device("cuda")) == "float32"
    assert choose_precision("auto", torch.device("cuda")) == "bf16"
    assert choose_precision("auto", CPU) in ("bf16", "float32")


@pytest.mark.parametrize("name", ["fp16", "", "BF16"])
def test_an_unknown_precision_is_refused(name: str) -> None:
    with pytest.raises(OptionError, match=f"precision must be one of auto, bf16, float32, not '{name}'"):
        choose_precision(name, CPU)


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


def test_the_configuration_is_kept_with_the_state(whole: Trained) -> None:
    assert load_state(whole.folder)["config"] == asdict(CONFIG)


def test_padding_does_not_reach_the_loss(data: PhraseData) -> None:
    """A phrase has the same loss however far it is padded."""
    network = tiny_network(std=0.2)
    losses = []
    for max_len in (40, 128):
        batch = data.batch(np.array([[0, 40, 0]]), data.parts, np.random.default_rng(0), max_len=max_len)
        with torch.inference_mode():
            out = network(batch.pitch, batch.program, batch.features, batch.mask)
        losses.append(loss_terms(out, batch, CONFIG, EDGES)["total"].item())
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
