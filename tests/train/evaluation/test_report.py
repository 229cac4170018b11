"""The table of an instrument, and what stands beneath it."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from toys import tiny_network, toy_performance, write_data

from duvhuman.errors import DataError, FileError
from duvhuman.models.config import ModelConfig
from duvhuman.train.dataset import PhraseData
from duvhuman.train.evaluation.plots import draw_evaluation
from duvhuman.train.evaluation.report import (
    Evaluation,
    evaluate_instrument,
    format_report,
    format_summary,
    sample_parts,
)
from duvhuman.train.run.curves import can_draw

ROWS = ["flat", "jitter", "ridge floor", "base", "base and adapter", "contour alone", "with contour hint"]


@pytest.fixture(scope="module")
def report(data: PhraseData) -> Evaluation:
    models = {"base": tiny_network(std=0.3), "base and adapter": tiny_network(std=0.3, seed=1)}
    return evaluate_instrument(data, "guitar", models)


def test_the_table_of_an_instrument(report: Evaluation) -> None:
    table = report.table
    assert list(table)[: len(ROWS)] == ROWS
    for name in ROWS:
        row = table[name]
        assert row["parts"] == report.parts == 3
        assert row["vel_r_low"] <= row["vel_r"] <= row["vel_r_high"]
        assert math.isnan(row["auc"])  # three songs are too few for five folds
    assert table["flat"]["vel_r"] == 0.0
    # All notes are played half as written, but for the last, of which nobody knows how long it would be written.
    assert table["flat"]["art_mae"] == pytest.approx(math.log(2))
    assert abs(table["jitter"]["vel_r"]) < 0.2
    assert table["ridge floor"]["vel_r"] > 0.9  # the toys' rule is nearly linear
    assert table["ridge floor"]["vel_mae"] < table["flat"]["vel_mae"] / 3
    assert table["base"] != table["base and adapter"]


def test_what_is_written_to_report_json_has_no_nan(report: Evaluation) -> None:
    text = json.dumps(report.to_dict(), allow_nan=False)
    assert json.loads(text)["table"]["flat"]["auc"] is None


def test_beneath_the_table_stand_packs_and_parts_played_by_hand(report: Evaluation) -> None:
    head, rule, *lines = format_report(report).splitlines()
    assert head.count("|") == rule.count("|") == lines[0].count("|")
    assert lines[0].startswith("| flat | 0.000 (0.000 to 0.000) |")
    notes = "\n".join(lines[len(report.table) :])
    assert "Velocity r by pack: toys" in notes
    assert f"Articulation MAE by pack: toys {report.table['base and adapter']['art_mae']:.3f} (as written" in notes
    assert "On the 3 parts played by hand: base" in notes
    assert "pedal" not in notes
    summary = format_summary([report]).splitlines()
    assert summary[2].startswith("| guitar | 3 | ")
    assert summary[0].count("|") == summary[2].count("|")


def test_it_is_said_how_many_releases_are_known(report: Evaluation) -> None:
    assert report.lengths_known == 1.0
    assert "Lengths are judged by 75% of the notes" in format_report(replace(report, lengths_known=0.75))


def test_at_most_so_many_parts_of_each_pack_are_judged_always_the_same(tmp_path: Path) -> None:
    packs = ["lakh"] * 4 + ["pop"] * 2
    parts = [({"split": "valid", "pack": pack}, toy_performance(seed)) for seed, pack in enumerate(packs)]
    data = write_data(tmp_path, [*parts, ({}, toy_performance(9))])
    models = {"base": tiny_network(std=0.3)}
    once, again = (evaluate_instrument(data, "guitar", models, max_parts=3) for _ in range(2))
    assert once.parts == 5
    assert {pack: rows["flat"]["parts"] for pack, rows in once.packs.items()} == {"lakh": 3.0, "pop": 2.0}
    assert json.dumps(once.to_dict()) == json.dumps(again.to_dict())


def test_other_parts_do_not_change_which_are_drawn(tmp_path: Path) -> None:
    parts = [({"split": "valid", "source": f"{n}.mid"}, toy_performance(n)) for n in range(12)]
    every, some = (
        [part.source for part in sample_parts(write_data(tmp_path / str(len(given)), given).parts, len(given))]
        for given in (parts, parts[8::-1])
    )
    assert [name for name in every if name in some] == some
    assert every != sorted(every)


@pytest.mark.parametrize(
    ("split", "missing"),
    [
        ("train", "no validation parts for guitar.* larger --valid"),
        ("valid", "no training parts for guitar.* smaller --valid"),
    ],
)
def test_without_parts_of_a_split_there_is_nothing_to_compare(split: str, missing: str, tmp_path: Path) -> None:
    data = write_data(tmp_path, [({"split": split}, toy_performance(0))])
    with pytest.raises(DataError, match=missing):
        evaluate_instrument(data, "guitar", {"base": tiny_network()})


@pytest.mark.parametrize("known", [1.0, 0.5])
def test_four_pictures_are_drawn_with_some_releases_unknown_or_none(
    known: float, report: Evaluation, tmp_path: Path
) -> None:
    if not can_draw():
        pytest.skip("needs matplotlib")
    rng = np.random.default_rng(0)
    pairs = [
        replace(pair, articulation=np.where(rng.random(len(pair.score)) < known, pair.articulation, np.nan))
        for pair in report.pairs
    ]
    drawn = draw_evaluation(replace(report, pairs=pairs), ModelConfig(instrument="guitar"), tmp_path)
    assert [path.name for path in drawn] == [
        f"guitar_{name}.png" for name in ("velocity", "scatter", "articulation", "calibration")
    ]
    assert all(path.stat().st_size > 5_000 for path in drawn)


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What matplotlib is asked to save."""
    pytest.importorskip("matplotlib")
    from matplotlib.figure import Figure

    saved: list[Any] = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_, **__: saved.append(figure))
    return saved


def test_as_many_parts_are_shown_as_there_are_and_six_at_most(
    report: Evaluation, figures: list[Any], tmp_path: Path
) -> None:
    for times, rows in ((1, 3), (4, 6)):
        many = replace(
            report, pairs=report.pairs * times, performances={k: v * times for k, v in report.performances.items()}
        )
        figures.clear()
        draw_evaluation(many, ModelConfig(instrument="guitar"), tmp_path)
        assert [bool(axis.lines) for axis in figures[0].axes] == [True] * rows
        expected = f"guitar: {rows} of {3 * times} held-out parts, from the best to the worst correlated"
        assert figures[0].get_suptitle() == expected


def test_lengths_beyond_the_axis_are_told_and_not_heaped_up_at_its_end(
    report: Evaluation, figures: list[Any], tmp_path: Path
) -> None:
    pairs = [replace(pair, articulation=np.where(np.arange(240) % 4, -0.5, 4.0)) for pair in report.pairs]
    draw_evaluation(replace(report, pairs=pairs), ModelConfig(instrument="guitar"), tmp_path)
    (axis,) = figures[2].axes
    human = axis.containers[0]
    assert "human (25.0% lie beyond)" in [text.get_text() for text in axis.get_legend().get_texts()]
    assert sum(bar.get_height() * bar.get_width() for bar in human) == pytest.approx(0.75)
    assert human[-1].get_height() == human[0].get_height() == 0
    assert -axis.dataLim.x0 == axis.dataLim.x1


def test_the_counts_of_the_calibration_stand_above_the_axis(
    report: Evaluation, figures: list[Any], tmp_path: Path
) -> None:
    draw_evaluation(report, ModelConfig(instrument="guitar"), tmp_path)
    figures[3].draw_without_rendering()
    for axis in figures[3].axes:
        assert min(text.get_window_extent().y0 for text in axis.texts) > axis.get_window_extent().y0


def test_a_picture_that_cannot_be_written_is_named(report: Evaluation, tmp_path: Path) -> None:
    if not can_draw():
        pytest.skip("needs matplotlib")
    with pytest.raises(FileError, match=r"guitar_velocity\.png: the picture cannot be written there"):
        draw_evaluation(report, ModelConfig(), tmp_path / "gone")
