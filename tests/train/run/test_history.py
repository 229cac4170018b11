"""What a run leaves to look at: metrics.csv and TensorBoard events."""

from __future__ import annotations

import math
import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from toys import epoch_row

from duvhuman.errors import DataError, FileError
from duvhuman.train.run.history import METRICS, EventWriter, History

HEADER = ",".join(METRICS)


@pytest.fixture(autouse=True)
def first_events_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """TensorBoard orders files of one second by name, in which number 10 stands before 9: count from 0 in each test."""
    if find_spec("tensorboard") is not None:
        from tensorboard.summary.writer import event_file_writer

        monkeypatch.setattr(event_file_writer, "_global_uid", event_file_writer.AtomicCounter(0))


def epochs(folder: Path) -> list[tuple[Any, Any]]:
    return [(each["stage"], each["epoch"]) for each in History(folder).rows()]


# --- metrics.csv --------------------------------------------------------------------------------------------------


def test_a_run_that_has_written_nothing_has_no_rows(tmp_path: Path) -> None:
    assert History(tmp_path / "not" / "there").rows() == []


def test_the_columns_stand_in_a_fixed_order_and_what_was_not_measured_is_an_empty_cell(tmp_path: Path) -> None:
    History(tmp_path).append({"vel_r": 0.25, "epoch": 1, "stage": "base", "notes_seen": 8_099_849})
    header, line = (tmp_path / "metrics.csv").read_text().splitlines()
    assert header == HEADER
    assert line == "base,1,,,0.25,,,,,,,,,8099849" + "," * 15


def test_rows_come_back_as_they_were_without_their_empty_cells(tmp_path: Path) -> None:
    given = {"stage": "lora", "epoch": 3, "lr": 3e-4 / 7, "vel_js": 1.0, "notes_seen": 2**40, "vel_mae": -1e-12}
    History(tmp_path).append(given)
    (read,) = History(tmp_path).rows()
    assert read.keys() == given.keys()
    assert read["stage"] == "lora"
    for name in ("epoch", "lr", "vel_js", "vel_mae"):
        assert float(read[name]) == pytest.approx(float(given[name]), rel=1e-8)
    assert read["notes_seen"] == 2**40


def test_nan_and_infinity_survive(tmp_path: Path) -> None:
    History(tmp_path).append(epoch_row(vel_mae=math.nan, train_loss=math.inf))
    (read,) = History(tmp_path).rows()
    assert math.isnan(float(read["vel_mae"]))
    assert read["train_loss"] == math.inf


def test_every_epoch_adds_a_row_and_one_that_is_there_is_replaced(tmp_path: Path) -> None:
    history = History(tmp_path)
    for epoch in (1, 2, 3):
        history.append(epoch_row(epoch=epoch))
    history.append(epoch_row("lora", 1))
    history.append(epoch_row(epoch=3, vel_r=0.9))
    assert sorted(epochs(tmp_path)) == [("base", 1), ("base", 2), ("base", 3), ("lora", 1)]
    assert [each["vel_r"] for each in history.rows() if each["epoch"] == 3] == [0.9]


def test_a_resumed_run_drops_the_epochs_that_it_trains_again_and_no_other_stage(tmp_path: Path) -> None:
    history = History(tmp_path)
    for stage, epoch in (("trunk", 5), ("base", 1), ("base", 2), ("base", 3)):
        history.append(epoch_row(stage, epoch))
    history.drop_after("base", 1)
    assert epochs(tmp_path) == [("trunk", 5), ("base", 1)]


def test_forgetting_a_stage_removes_all_of_it(tmp_path: Path) -> None:
    history = History(tmp_path)
    for stage, epoch in (("trunk", 1), ("base", 1), ("base", 2)):
        history.append(epoch_row(stage, epoch))
    history.forget("base")
    history.forget("lora")
    assert epochs(tmp_path) == [("trunk", 1)]


def test_forgetting_where_nothing_is_writes_nothing(tmp_path: Path) -> None:
    History(tmp_path).forget("base")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("wrong", [{"vel_rr": 1.0}, {"loss": 0.0}])
def test_an_unknown_key_is_refused_by_name(tmp_path: Path, wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        History(tmp_path).append(epoch_row() | wrong)


@pytest.mark.parametrize("lacking", ["stage", "epoch"])
def test_a_row_without_its_place_is_refused(tmp_path: Path, lacking: str) -> None:
    with pytest.raises(ValueError, match=lacking):
        History(tmp_path).append({name: value for name, value in epoch_row().items() if name != lacking})


def test_a_run_killed_while_writing_keeps_the_file_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    history = History(tmp_path)
    history.append(epoch_row())
    before = (tmp_path / "metrics.csv").read_bytes()

    def killed(*args: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            history.append(epoch_row(epoch=2))
    assert (tmp_path / "metrics.csv").read_bytes() == before
    history.append(epoch_row(epoch=2))
    assert epochs(tmp_path) == [("base", 1), ("base", 2)]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "first line"),
        (b"a,b\n1,2\n", "first line"),
        (b"epoch,val_loss\n1,2\n", "first line"),
        (b"stage,epoch,epoch\nbase,1,1\n", "first line"),
        (HEADER.encode() + b"\nbase,1,0.5\n", "line 2"),
        (b"stage,epoch\nbase,1\nbase,two\n", "line 3: .*two"),
        (b"stage,epoch\nbase,\n", "line 2"),
        (b"stage,epoch\n\xff,1\n", "utf-8"),
        (b'stage,epoch\n"base,1\n', "end of data"),
    ],
    ids=["empty", "other columns", "no stage", "a column twice", "cut off", "no number", "no epoch", "bytes", "quote"],
)
def test_a_damaged_file_is_named_with_what_to_do(tmp_path: Path, content: bytes, told: str) -> None:
    (tmp_path / "metrics.csv").write_bytes(content)
    with pytest.raises(DataError, match=f"metrics.csv: damaged.*{told}.*move it away"):
        History(tmp_path).append(epoch_row())
    assert (tmp_path / "metrics.csv").read_bytes() == content


def test_a_file_of_a_version_with_fewer_columns_goes_on(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text("stage,epoch,val_loss\nbase,1,2.5\n")
    History(tmp_path).append(epoch_row(epoch=2))
    assert History(tmp_path).rows()[0] == {"stage": "base", "epoch": 1.0, "val_loss": 2.5}
    assert epochs(tmp_path) == [("base", 1), ("base", 2)]


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(FileError, match="file/metrics.csv: cannot be written.*--out"):
        History(tmp_path / "file").append(epoch_row())


# --- TensorBoard --------------------------------------------------------------------------------------------------


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    events = accumulator.EventAccumulator(os.fspath(folder))
    events.Reload()
    return {tag: [(each.step, each.value) for each in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def write(folder: Path, rows: list[dict[str, float | str]]) -> None:
    """As the loop does."""
    history, events = History(folder), EventWriter(folder)
    for each in rows:
        history.append(each)
        events.add(str(each["stage"]), int(float(each["epoch"])), each)
    events.close()


def test_every_number_of_every_epoch_is_a_scalar_of_its_stage(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    write(tmp_path, [epoch_row(epoch=1), epoch_row(epoch=2)])
    assert scalars(tmp_path) == {
        "base/val_loss": [(1, pytest.approx(2.9)), (2, pytest.approx(2.8))],
        "base/vel_r": [(1, pytest.approx(0.2)), (2, pytest.approx(0.2))],
        "base/failed": [(1, 0.0), (2, 0.0)],
    }


def test_a_stage_that_follows_keeps_the_epochs_of_the_one_before(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    write(tmp_path, [epoch_row(epoch=1), epoch_row(epoch=2)])
    write(tmp_path, [epoch_row("lora", 1)])
    read = scalars(tmp_path)
    assert [step for step, _ in read["base/vel_r"]] == [1, 2]
    assert [step for step, _ in read["lora/vel_r"]] == [1]


def test_a_resumed_run_shows_no_epoch_twice_and_the_later_value(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    write(tmp_path, [epoch_row("trunk", 1), epoch_row(epoch=1), epoch_row(epoch=2), epoch_row(epoch=3)])
    History(tmp_path).drop_after("base", 1)
    write(tmp_path, [epoch_row(epoch=2, vel_r=0.5)])
    read = scalars(tmp_path)
    assert read["base/vel_r"] == [(1, pytest.approx(0.2)), (2, 0.5)]
    assert [step for step, _ in read["trunk/vel_r"]] == [1]


def test_a_run_in_the_place_of_another_shows_nothing_of_it(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    write(tmp_path, [epoch_row(epoch=epoch) for epoch in (1, 2, 3)])
    History(tmp_path).forget("base")
    write(tmp_path, [epoch_row(epoch=1, vel_r=0.75)])
    assert scalars(tmp_path)["base/vel_r"] == [(1, 0.75)]


def test_events_are_on_the_disk_after_every_epoch(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    events = EventWriter(tmp_path)
    events.add("base", 1, epoch_row())
    assert scalars(tmp_path)["base/vel_r"] == [(1, pytest.approx(0.2))]
    events.close()
    events.close()


def test_without_tensorboard_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("duvhuman.train.run.history.find_spec", lambda name: None)
    events = EventWriter(tmp_path)
    assert not events.available
    events.add("base", 1, epoch_row())
    events.close()
    assert list(tmp_path.iterdir()) == []


def test_a_writer_that_is_told_nothing_leaves_nothing(tmp_path: Path) -> None:
    EventWriter(tmp_path).close()
    assert list(tmp_path.iterdir()) == []
