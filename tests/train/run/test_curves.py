"""The curves of a run are drawn from its metrics.csv."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import pytest
from toys import epoch_row

from duvhuman.errors import FileError
from duvhuman.train.run.curves import draw_curves
from duvhuman.train.run.history import History


def png_size(path: Path) -> tuple[int, int]:
    head = path.read_bytes()[:24]
    assert head[:8] == b"\x89PNG\r\n\x1a\n"
    return int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")


@pytest.mark.parametrize(
    "stages",
    [{"base": 1}, {"base": 20, "lora": 6}, {"shallow": 3, "trunk": 4, "base": 2, "lora": 200}],
    ids=["one epoch", "two stages", "many epochs"],
)
def test_curves_are_drawn(tmp_path: Path, stages: dict[str, int]) -> None:
    pytest.importorskip("matplotlib")
    for stage, count in stages.items():
        for epoch in (*range(1, min(count, 6)), count):
            History(tmp_path).append(epoch_row(stage, epoch, failed=float(epoch == 2), ridge_vel_r=0.1))
    draw_curves(tmp_path)
    assert png_size(tmp_path / "curves.png") == (1400, 900)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["curves.png", "metrics.csv"]


def test_curves_can_be_drawn_of_epochs_without_a_single_number(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    History(tmp_path).append({"stage": "base", "epoch": 1, "val_loss": math.nan, "ridge_vel_r": math.inf})
    draw_curves(tmp_path)
    assert (tmp_path / "curves.png").exists()


def test_failed_epochs_and_stages_are_told_apart_in_the_picture(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    pictures = []
    for stage, failed in (("base", 0.0), ("base", 1.0), ("lora", 0.0)):
        History(tmp_path).append(epoch_row(epoch=1))
        History(tmp_path).append(epoch_row(stage, 2, failed=failed))
        draw_curves(tmp_path)
        pictures.append((tmp_path / "curves.png").read_bytes())
        (tmp_path / "metrics.csv").unlink()
    assert len(set(pictures)) == 3


def test_drawing_does_not_load_pyplot(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    History(tmp_path).append(epoch_row())
    before = "matplotlib.pyplot" in sys.modules
    draw_curves(tmp_path)
    assert (tmp_path / "curves.png").exists()
    assert ("matplotlib.pyplot" in sys.modules) == before


def test_nothing_is_drawn_where_there_are_no_rows_or_no_matplotlib(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw_curves(tmp_path)
    History(tmp_path).append(epoch_row())
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    draw_curves(tmp_path)
    assert not (tmp_path / "curves.png").exists()


def test_a_picture_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    History(tmp_path).append(epoch_row())
    (tmp_path / "curves.png").mkdir()
    with pytest.raises(FileError, match="curves.png: cannot be written"):
        draw_curves(tmp_path)
