"""Recordings without a beat, written down: what is stored, and how training shows them as scores."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from toys import Columns, column_of, columns, write_data
from tunes import performed, tune

from duvhuman.errors import DataError
from duvhuman.rhythm.metre import UNITS
from duvhuman.train import notate as module
from duvhuman.train.__main__ import main
from duvhuman.train.data.rhythm import COUNTED
from duvhuman.train.data.storage import TICKS_PER_BEAT
from duvhuman.train.dataset import PhraseData
from duvhuman.train.notate import Notated, notate

NAN = float("nan")


def silent(_: str) -> None:
    pass


def piece(seed: int, *, grid: bool, **special: Any) -> tuple[dict[str, Any], Columns]:
    """A made-up piece for keys in 4/4: as it is written, or played with rubato by somebody who gives no beat."""
    units, chord, pitch = tune(COUNTED, 24, seed)
    beats = units / UNITS if grid else performed(units, 90.0, rubato=0.3, jitter=0.01, seed=seed) * 2.0  # at 120 BPM
    ticks = np.round((beats - beats[0]) * TICKS_PER_BEAT).astype(np.int64)[chord]
    return {"instrument": "keys", "grid": grid} | special, columns(ticks, pitch=pitch, velocity=40 + pitch % 50)


def library(folder: Path, *, unbeaten: int = 3, beaten: int = 20) -> PhraseData:
    with_beats = [piece(seed, grid=True) for seed in range(beaten)]
    return write_data(folder, with_beats + [piece(seed, grid=False, pack="free") for seed in range(90, 90 + unbeaten)])


def test_every_note_is_written_where_it_was_meant(tmp_path: Path) -> None:
    data = library(tmp_path)
    assert notate(data, ["free"], log=silent) == [Notated("free", "keys", {"4/4": 3, "3/4": 0, "6/8": 0})]
    again = PhraseData(tmp_path)
    for seed, row in zip(range(90, 93), again.parts[-3:], strict=True):
        units, chord, _ = tune(COUNTED, 24, seed)
        played = again.performance(np.array([[row.start, row.stop, 0]]), [row])
        assert (played.written_beats == units[chord] / UNITS).mean() > 0.95
        assert set(played.written_bar_beats) == {4.0}
    assert np.isnan(column_of(again, "written_beats")[: again.parts[-3].start]).all()


def test_two_processes_write_what_one_does(tmp_path: Path) -> None:
    one, two = library(tmp_path / "one"), library(tmp_path / "two")
    notate(one, ["free"], log=silent)
    notate(two, ["free"], jobs=2, log=silent)
    assert np.array_equal(column_of(one, "written_beats"), column_of(two, "written_beats"), equal_nan=True)


def test_velocities_and_lengths_are_not_looked_at(tmp_path: Path) -> None:
    parts = [piece(seed, grid=True) for seed in range(20)] + [piece(90, grid=False)]
    before = write_data(tmp_path / "before", parts)
    notate(before, ["toys"], log=silent)
    changed = [(row, values | {"velocity": 128 - values["velocity"], "duration": values["duration"] * 3})
               for row, values in parts]
    after = write_data(tmp_path / "after", changed)
    notate(after, ["toys"], log=silent)
    assert np.isfinite(column_of(before, "written_beats")).any()
    assert np.array_equal(column_of(before, "written_beats"), column_of(after, "written_beats"), equal_nan=True)


def test_without_parts_whose_beats_are_known_nothing_can_be_counted(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="too few parts whose beats are known"):
        notate(library(tmp_path, beaten=19), ["free"], log=silent)


def test_instruments_whose_beats_nobody_knows_are_left_alone(tmp_path: Path) -> None:
    parts = [piece(seed, grid=True) for seed in range(20)]
    parts += [piece(90, grid=False), piece(91, grid=False, instrument="guitar")]
    data = write_data(tmp_path, parts)
    said: list[str] = []
    assert notate(data, ["toys"], log=said.append) == [Notated("toys", "keys", {"4/4": 1, "3/4": 0, "6/8": 0})]
    assert "guitar: left alone, for beats are known of 0 parts only, not of 20" in said
    assert np.isnan(column_of(data, "written_beats")[data.parts[-1].start :]).all()


def test_packs_with_beats_everywhere_have_nothing_to_write_down(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no part without a beat in toys; packs that have some: free"):
        notate(library(tmp_path), ["toys"], log=silent)


def test_the_command_says_what_it_wrote(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    library(tmp_path)
    assert main(["notate", "--data", str(tmp_path), "--jobs", "1"]) == 0
    assert "free keys             3    0    0" in capsys.readouterr().out
    assert main(["notate", "--data", str(tmp_path), "--packs", "jazz"]) == 1
    assert "no part without a beat in jazz" in capsys.readouterr().err
    assert main(["notate", "--data", str(tmp_path), "--jobs", "0"]) == 2
    assert main(["notate", "--data", str(tmp_path / "nowhere")]) == 1


def test_chords_go_to_their_parts_in_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = library(tmp_path / "whole")
    notate(whole, ["free"], log=silent)
    monkeypatch.setattr(module, "CHUNK_NOTES", 1)
    pieces = library(tmp_path / "pieces")
    notate(pieces, ["free"], log=silent)
    assert np.array_equal(column_of(whole, "written_beats"), column_of(pieces, "written_beats"), equal_nan=True)


def test_what_was_written_down_of_other_packs_stays(tmp_path: Path) -> None:
    parts = [piece(seed, grid=True) for seed in range(20)]
    parts += [piece(seed, grid=False, pack=pack) for seed, pack in ((90, "free"), (91, "more"))]
    data = write_data(tmp_path, parts)
    notate(data, ["free"], log=silent)
    first = column_of(data, "written_beats").copy()
    notate(PhraseData(tmp_path), ["more"], log=silent)
    both = column_of(PhraseData(tmp_path), "written_beats")
    known = np.isfinite(first)
    assert known.any()
    assert np.array_equal(both[known], first[known])
    assert np.isfinite(both).sum() == known.sum() + data.parts[-1].stop - data.parts[-1].start
