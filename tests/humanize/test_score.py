"""The written side of a part, and the hints: hand-computed."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
from builders import GUITAR, PIANO, part, random_score, riff, score, song

from duvhuman.arrays import neighbours, window_mean
from duvhuman.humanize.perform import hints_of
from duvhuman.humanize.score import (
    UNKNOWN_PROGRAM,
    Hints,
    Score,
    contour,
    gap_to_next_onset,
    is_flat,
    score_of,
    separate_segments,
)
from duvhuman.instruments import INSTRUMENTS
from duvhuman.midi.notes import read_parts
from duvhuman.midi.smf import parse_smf
from duvhuman.models.config import ModelConfig


def table(data: bytes):
    (found,) = read_parts(parse_smf(data))
    return found.notes


def test_a_score_has_no_place_for_what_is_predicted() -> None:
    assert [field.name for field in fields(Score)] == [
        "onset_beats", "nominal_beats", "pitch", "program", "tempo_bpm", "beat_in_bar", "bar_beats", "grid_known",
        "segment",
    ]


def test_a_score_selects_and_replaces_columns() -> None:
    whole = score([0, 1, 2], [60, 62, 64])
    assert whole.select(np.array([True, False, True])).pitch.tolist() == [60, 64]
    assert whole.select(slice(1, 3)).onset_beats.tolist() == [1, 2]
    assert whole.replace(pitch=whole.pitch + 1).pitch.tolist() == [61, 63, 65]
    assert whole.pitch.tolist() == [60, 62, 64]


def test_the_score_of_a_users_part_is_as_written() -> None:
    found = score_of(table(song(part([(0, 60, 80, 240), (480, 64, 90, 0), (1920, 67, 70, 960)]))))
    assert found.onset_beats.tolist() == [0, 1, 4]
    assert found.nominal_beats.tolist() == [0.5, 1e-3, 2]  # a note of no length still has one to take the logarithm of
    assert found.beat_in_bar.tolist() == [0, 1, 0]
    assert found.program.tolist() == [GUITAR] * 3
    assert found.grid_known.all()
    assert not found.segment.any()


def test_a_part_that_is_late_throughout_stands_in_its_bar_as_if_it_were_on_time() -> None:
    late = score_of(table(song(part([(240 * i + 29, 60 + i % 5, 80, 200) for i in range(64)]))))
    assert late.grid_known.all()
    assert late.beat_in_bar == pytest.approx(np.arange(64) / 2 % 4, abs=1e-6)
    assert late.onset_beats == pytest.approx(np.arange(64) / 2, abs=1e-6)


def test_the_score_of_a_part_does_not_know_its_velocities() -> None:
    loud, soft = (score_of(table(song(part(riff(16, velocity=velocity))))) for velocity in (120, 30))
    for field in fields(Score):
        assert np.array_equal(getattr(loud, field.name), getattr(soft, field.name))


def test_a_part_without_a_program_is_taken_for_the_default_one() -> None:
    notes = table(song(part(riff(4), number=None)))
    assert score_of(notes).program.tolist() == [UNKNOWN_PROGRAM] * 4
    assert score_of(notes, INSTRUMENTS["guitar"]).program.tolist() == [25] * 4


def test_a_part_without_a_program_is_taken_for_what_it_is_called() -> None:
    notes = table(song(part(riff(4), number=None)))
    assert score_of(notes, INSTRUMENTS["strings"], name="Violins pizz.").program.tolist() == [45] * 4
    nylon = table(song(part(riff(4), number=24)))
    assert score_of(nylon, INSTRUMENTS["guitar"], name="Muted").program.tolist() == [24] * 4


def test_a_program_of_another_instrument_is_taken_for_the_usual_one() -> None:
    notes = table(song(part(riff(4), number=PIANO)))
    assert score_of(notes).program.tolist() == [PIANO] * 4
    assert score_of(notes, INSTRUMENTS["keys"]).program.tolist() == [PIANO] * 4
    assert score_of(notes, INSTRUMENTS["strings"]).program.tolist() == [48] * 4
    nylon = table(song(part(riff(4), number=24)))
    assert score_of(nylon, INSTRUMENTS["guitar"]).program.tolist() == [24] * 4


# Contour


def swell_and_accent(velocity: list[float] | np.ndarray, step: float = 1.0) -> tuple[list[float], list[float]]:
    values = np.asarray(velocity, dtype=np.float64)
    n = len(values)
    swell, accent = contour(np.arange(n) * step, values, np.zeros(n, dtype=np.int64), np.full(n, values.mean()))
    return swell.tolist(), accent.tolist()


def test_the_contour_of_a_flat_part_is_zero() -> None:
    assert swell_and_accent([80] * 10) == ([0] * 10, [0] * 10)


def test_a_crescendo_swells_in_steps_of_four_without_accents() -> None:
    swell, accent = swell_and_accent(np.linspace(40, 100, 61))
    assert accent == [0] * 61
    assert swell == sorted(swell)
    assert set(np.mod(swell, 4)) == {0}
    assert (swell[0], swell[30], swell[60]) == (-28, 0, 28)  # the mean of the first three notes is 41, of all 70


def test_an_accent_stands_out_of_its_neighbourhood() -> None:
    swell, accent = swell_and_accent([70, 70, 70, 70, 100, 70, 70, 70, 70])
    assert accent == [0, 0, 0, 0, 1, 0, 0, 0, 0]  # 24 above the mean of five notes, 76
    assert swell[4] == pytest.approx(4)  # 76 - 73.33, rounded to fours
    assert swell_and_accent([70, 70, 70, 70, 40, 70, 70, 70, 70])[1] == [0, 0, 0, 0, -1, 0, 0, 0, 0]


def test_the_contour_of_nothing() -> None:
    empty = np.zeros(0)
    swell, accent = contour(empty, empty, empty.astype(np.int64), empty)
    assert (len(swell), len(accent)) == (0, 0)


def test_the_contour_does_not_look_across_segments() -> None:
    velocity = np.array([60.0, 60, 60, 100, 100, 100])
    segment = np.array([0, 0, 0, 1, 1, 1])
    swell, accent = contour(np.arange(6) * 0.5, velocity, segment, velocity)
    assert (swell.tolist(), accent.tolist()) == ([0] * 6, [0] * 6)


# Hints of a user's part


@pytest.mark.parametrize(
    ("velocity", "flat"),
    [([80], True), ([80, 82], True), ([80, 81, 82], True), ([80, 110], False), ([70, 80, 90], False)],
    ids=["one value", "two values close together", "SD under 1.5", "accents of one velocity", "three values"],
)
def test_flat_is_an_sd_under_one_and_a_half(velocity: list[int], flat: bool) -> None:
    assert is_flat(np.array(velocity * 9, dtype=np.float64)) is flat


TYPICAL = ModelConfig(typical_range=12.5, typical_level=90.0)


def test_hints_of_a_flat_part_are_a_typical_level_and_range() -> None:
    hints = hints_of(random_score(8), np.full(8, 77.0), TYPICAL, keep=True)
    assert hints.level.tolist() == [90] * 8
    assert hints.range.tolist() == [12.5] * 8
    assert np.isnan(hints.swell).all()
    assert np.isnan(hints.accent).all()


def test_the_contour_is_a_hint_only_if_it_is_to_be_kept() -> None:
    velocity = np.array([60.0, 70, 80, 110, 60, 70, 80, 90])
    kept = hints_of(random_score(8), velocity, TYPICAL, keep=True)
    assert np.isfinite(kept.swell).all()
    assert np.isfinite(kept.accent).all()
    replaced = hints_of(random_score(8), velocity, TYPICAL, keep=False)
    assert np.isnan(replaced.swell).all()
    assert replaced.level.tolist() == kept.level.tolist() == [90.0] * 8


@pytest.mark.parametrize("written", [1.0, 63.5, 90.0, 127.0])
def test_the_level_told_is_typical_whatever_is_written(written: float) -> None:
    told = hints_of(random_score(3), np.full(3, written), TYPICAL, keep=True).level
    assert told.tolist() == [TYPICAL.typical_level] * 3


def test_a_model_without_a_typical_level_is_told_what_is_written() -> None:
    assert hints_of(random_score(3), np.full(3, 41.0), ModelConfig(), keep=True).level.tolist() == [41.0] * 3


def test_no_hint_is_not_a_number() -> None:
    assert all(np.isnan(getattr(Hints.none(3), field.name)).all() for field in fields(Hints))


# Small tools


def test_segments_are_moved_apart() -> None:
    time = separate_segments(np.array([0.0, 1, 5, 6, 2]), np.array([0, 0, 1, 1, 2]))
    assert np.diff(time).tolist() == [1, 1e4, 1, 1e4]
    assert len(separate_segments(np.zeros(0), np.zeros(0, dtype=np.int64))) == 0


def test_neighbours_and_their_mean() -> None:
    low, high = neighbours(np.array([0.0, 1, 2, 5]), 1.0)
    assert (low.tolist(), high.tolist()) == ([0, 0, 1, 3], [2, 3, 3, 4])
    assert window_mean(np.array([1.0, 2, 6, 9]), low, high).tolist() == [1.5, 3, 4, 9]


def test_the_gap_to_the_next_onset_passes_over_strums() -> None:
    gap = gap_to_next_onset(score([0, 0.05, 0.125, 1, 9, 9.5], segment=[0, 0, 0, 0, 1, 1]))
    assert gap == pytest.approx([0.125, 0.95, 0.875, np.nan, 0.5, np.nan], nan_ok=True)
