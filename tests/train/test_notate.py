"""Recordings without a beat, written down: what is stored, and how training shows them as scores."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders import score
from test_rhythm import FOUR, performed, tune
from toys import Columns, columns, performance, write_data

from duvhuman.errors import DataError
from duvhuman.train import deadpan as deadpan_module
from duvhuman.train import notate as module
from duvhuman.train.__main__ import main
from duvhuman.train.dataset import PhraseData
from duvhuman.train.deadpan import Performance
from duvhuman.train.draws import Draws
from duvhuman.train.notate import Notated, notate
from duvhuman.train.rhythm import UNITS
from duvhuman.train.storage import TICKS_PER_BEAT

NAN = float("nan")


def silent(_: str) -> None:
    pass


def piece(seed: int, *, grid: bool, **special: Any) -> tuple[dict[str, Any], Columns]:
    """A made-up piece for keys in 4/4: as it is written, or played with rubato by somebody who gives no beat."""
    units, chord, pitch = tune(FOUR, 24, seed)
    beats = units / UNITS if grid else performed(units, 90.0, rubato=0.3, jitter=0.01, seed=seed) * 2.0  # at 120 BPM
    ticks = np.round((beats - beats[0]) * TICKS_PER_BEAT).astype(np.int64)[chord]
    return {"instrument": "keys", "grid": grid} | special, columns(ticks, pitch=pitch, velocity=40 + pitch % 50)


def library(folder: Path, *, unbeaten: int = 3, beaten: int = 20) -> PhraseData:
    with_beats = [piece(seed, grid=True) for seed in range(beaten)]
    return write_data(folder, with_beats + [piece(seed, grid=False, pack="free") for seed in range(90, 90 + unbeaten)])


def test_every_note_is_written_where_it_was_meant(tmp_path: Path) -> None:
    data = library(tmp_path)
    assert notate(data, ["free"], log=silent) == [Notated("free", "keys", 3, 0, 0)]
    again = PhraseData(tmp_path)
    for seed, row in zip(range(90, 93), again.parts[-3:], strict=True):
        units, chord, _ = tune(FOUR, 24, seed)
        played = again.performance(np.array([[row.start, row.stop, 0]]), [row])
        assert (played.written_beats == units[chord] / UNITS).mean() > 0.95
        assert set(played.written_bar_beats) == {4.0}
    assert np.isnan(again.column("written_beats")[: again.parts[-3].start]).all()


def test_two_processes_write_what_one_does(tmp_path: Path) -> None:
    one, two = library(tmp_path / "one"), library(tmp_path / "two")
    notate(one, ["free"], log=silent)
    notate(two, ["free"], jobs=2, log=silent)
    assert np.array_equal(one.column("written_beats"), two.column("written_beats"), equal_nan=True)


def test_velocities_and_lengths_are_not_looked_at(tmp_path: Path) -> None:
    parts = [piece(seed, grid=True) for seed in range(20)] + [piece(90, grid=False)]
    before = write_data(tmp_path / "before", parts)
    notate(before, ["toys"], log=silent)
    changed = [(row, values | {"velocity": 128 - values["velocity"], "duration": values["duration"] * 3})
               for row, values in parts]  # fmt: skip
    after = write_data(tmp_path / "after", changed)
    notate(after, ["toys"], log=silent)
    assert np.isfinite(before.column("written_beats")).any()
    assert np.array_equal(before.column("written_beats"), after.column("written_beats"), equal_nan=True)


def test_a_teacher_and_what_was_written_down_do_not_erase_each_other(tmp_path: Path) -> None:
    data = library(tmp_path)
    data.write_added({"expected_velocity": np.full(data.parts[-1].stop, 64.0)})
    notate(data, ["free"], log=silent)
    assert (data.column("expected_velocity") == 64).all()


def test_without_parts_whose_beats_are_known_nothing_can_be_counted(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="too few parts whose beats are known"):
        notate(library(tmp_path, beaten=19), ["free"], log=silent)


def test_instruments_whose_beats_nobody_knows_are_left_alone(tmp_path: Path) -> None:
    parts = [piece(seed, grid=True) for seed in range(20)]
    parts += [piece(90, grid=False), piece(91, grid=False, instrument="guitar")]
    data = write_data(tmp_path, parts)
    said: list[str] = []
    assert notate(data, ["toys"], log=said.append) == [Notated("toys", "keys", 1, 0, 0)]
    assert "guitar: left alone, for beats are known of 0 parts only, not of 20" in said
    assert np.isnan(data.column("written_beats")[data.parts[-1].start :]).all()


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
    assert np.array_equal(whole.column("written_beats"), pieces.column("written_beats"), equal_nan=True)


# How training shows what was written down.


WRITTEN = np.array([2.0, 2.0, 3.0, 3.5, 4.0, 4.0, 5.0, 6.0])  # beats since a bar of three began
PLAYED = np.array([0.0, 0.02, 1.1, 1.7, 2.4, 2.41, 3.3, 4.5])


def recording() -> Performance:
    """Two equal phrases of six chords, of which each lasts half as long as up to the next."""
    half = np.array([0.55, 0.54, 0.3, 0.35, 0.45, 0.445, 0.6, 0.5])
    pitch = [48, 72, 60, 62, 48, 76, 60, 62]
    line = score(np.tile(PLAYED, 2), np.tile(pitch, 2), grid=False, segment=np.repeat([0, 1], 8))
    told = {"written_beats": np.tile(WRITTEN, 2), "written_bar_beats": np.full(16, 3.0)}
    return replace(performance(line, duration=np.tile(half, 2)), **told)


def shown(monkeypatch: pytest.MonkeyPatch, **chances: float) -> Performance:
    for name, value in ({"STRAIGHTENED": 1.0, "WRITTEN_DOWN": 1.0, "HALVED": 0.0, "DOUBLED": 0.0} | chances).items():
        monkeypatch.setattr(deadpan_module, name, value)
    return deadpan_module._straighten(recording(), Draws.seeded(0, 2))


@pytest.mark.parametrize(("chances", "factor"), [({}, 1.0), ({"HALVED": 1.0}, 0.5), ({"DOUBLED": 1.0}, 2.0)])
def test_a_recording_is_shown_as_the_score_that_was_written_down(
    monkeypatch: pytest.MonkeyPatch, chances: dict[str, float], factor: float
) -> None:
    after = shown(monkeypatch, **chances)
    line = after.score
    assert line.grid_known.all()
    np.testing.assert_allclose(line.onset_beats[:8] - line.onset_beats[0], factor * (WRITTEN - 2.0))
    np.testing.assert_allclose(line.beat_in_bar[8:], factor * (WRITTEN % 3))
    np.testing.assert_allclose(line.bar_beats, factor * 3.0)
    # It lasts as long as it was played: 4.5 beats at 120 BPM.
    np.testing.assert_allclose(4.0 * factor * 60 / line.tempo_bpm, 4.5 * 60 / 120)
    # The second of two equal phrases became the same as the first.
    np.testing.assert_allclose(np.diff(line.onset_beats[:8]), np.diff(line.onset_beats[8:]))


def test_lengths_keep_their_share_of_the_way_to_the_next_chord(monkeypatch: pytest.MonkeyPatch) -> None:
    after = shown(monkeypatch)
    written_gap = np.array([1.0, 1.0, 0.5, 0.5, 1.0, 1.0, 1.0])
    share = after.duration_beats[:7] / written_gap
    np.testing.assert_allclose(share, 0.5, atol=0.02)  # the upper notes of the chords began a little later


def test_without_a_metre_gaps_are_as_written_and_time_is_as_played(monkeypatch: pytest.MonkeyPatch) -> None:
    before, after = recording(), shown(monkeypatch, WRITTEN_DOWN=0.0)
    line = after.score
    assert not line.grid_known.any()
    assert np.array_equal(line.tempo_bpm, before.score.tempo_bpm)
    np.testing.assert_allclose(line.onset_beats[:8] - line.onset_beats[0], (WRITTEN - 2.0) / 4.0 * 4.5)


def test_what_was_not_written_down_is_straightened_as_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deadpan_module, "STRAIGHTENED", 1.0)
    known = recording()
    unknown = replace(known, written_beats=np.full(16, NAN), written_bar_beats=np.full(16, NAN))
    mixed = replace(known, written_beats=np.where(known.score.segment == 1, NAN, known.written_beats))
    alone, beside = (deadpan_module._straighten(one, Draws.seeded(3, 2)) for one in (unknown, mixed))
    for name in ("onset_beats", "tempo_bpm", "beat_in_bar", "bar_beats"):
        np.testing.assert_allclose(getattr(beside.score, name)[8:], getattr(alone.score, name)[8:])
    np.testing.assert_allclose(beside.duration_beats[8:], alone.duration_beats[8:])
