"""Scoring through the very code that users' files go through."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from builders import GUITAR, part, random_score, score, song
from toys import column_of, columns, pair, performance, tiny_network, toy_performance, write_data

import duvhuman
from duvhuman.humanize.decode import velocity_bin
from duvhuman.humanize.perform import perform
from duvhuman.humanize.score import Score, score_of
from duvhuman.humanize.windows import Distribution
from duvhuman.midi.notes import read_parts
from duvhuman.midi.smf import parse_smf
from duvhuman.models.phrase_transformer import PhraseTransformer
from duvhuman.train.dataset import PhraseData
from duvhuman.train.evaluation import predictors
from duvhuman.train.evaluation.predictors import (
    Rendition,
    flat_pairs,
    flat_predictor,
    jitter_predictor,
    metrics_of,
    model_predictor,
    quick_metrics,
    score_pairs,
)
from duvhuman.train.pairs.deadpan import Pair, pair_as_written

# The rows that take no model.


def test_the_flat_row_by_hand() -> None:
    line = score([0, 1, 2, 3], 60, length=1.0)
    (row,) = score_pairs([pair(line, [50, 60, 70, 81], duration=[1.0, 0.5, 0.5, 2.0])], flat_predictor)
    assert row["vel_r"] == row["vel_sd_ratio"] == row["art_r"] == 0.0
    assert row["vel_mae"] == pytest.approx((15 + 5 + 5 + 16) / 4)  # flat is the mean, 65.25, rounded
    assert row["art_mae"] == pytest.approx(3 * math.log(2) / 4)
    assert row["vel_js"] == pytest.approx(1.0)


def test_the_jitter_row_is_noise_of_sd_10() -> None:
    line = random_score(20_000)
    said = jitter_predictor()(line, np.full(20_000, 64.0))
    velocity = said.velocity
    assert velocity.mean() == pytest.approx(64, abs=0.3)
    assert velocity.std() == pytest.approx(10, abs=0.2)
    assert np.array_equal(velocity, np.round(velocity))
    assert (2**said.articulation).std() == pytest.approx(0.1, abs=0.005)
    assert np.array_equal(velocity, jitter_predictor()(line, np.full(20_000, 64.0)).velocity)


def test_parts_are_flattened_in_their_middle_and_written_up_to_the_next_onset(tmp_path: Path) -> None:
    data = write_data(tmp_path, [({"split": "valid"}, toy_performance(0))])
    (one,) = flat_pairs(data, data.parts, max_notes=100)
    assert one.played.velocity.tolist() == column_of(data, "velocity")[70:170].tolist()
    assert one.score.nominal_beats.tolist() == [0.5] * 100
    assert one.articulation[:-1].tolist() == [-1.0] * 99


def test_recordings_that_were_written_down_are_shown_as_scores(tmp_path: Path) -> None:
    bent = toy_performance(0) | {"onset": np.round(240 * np.arange(240) ** 1.02)}
    free = {"split": "valid", "grid": False}
    data = write_data(tmp_path, [(free, bent), (free, toy_performance(1)), ({"split": "valid"}, toy_performance(2))])
    beats = np.full(720, np.nan)
    beats[:240] = 1.5 + np.arange(240) / 2
    data.write_added({"written_beats": beats, "written_bar_beats": np.where(np.isfinite(beats), 3.0, np.nan)})
    (one,) = flat_pairs(data, data.parts, max_notes=100, as_scores=True)  # nobody wrote the others down
    assert one.played.velocity.tolist() == column_of(data, "velocity")[70:170].tolist()
    np.testing.assert_allclose(np.diff(one.score.onset_beats), 0.5)
    np.testing.assert_allclose(one.score.beat_in_bar, beats[70:170] % 3.0)
    assert one.score.grid_known.all()


def test_parts_whose_middle_is_flat_are_left_out(tmp_path: Path) -> None:
    velocity = np.where(np.abs(np.arange(240) - 120) <= 50, 64, 20 + np.arange(240) % 80)
    data = write_data(tmp_path, [({}, columns(240 * np.arange(240), velocity=velocity))])
    assert len(flat_pairs(data, data.parts, max_notes=240)) == 1
    assert flat_pairs(data, data.parts, max_notes=100) == []


# Models, through the inference path.


def told(velocity: np.ndarray, articulation: float = -1.0) -> Distribution:
    """A network that says these velocities, and half as long as written."""
    n = len(velocity)
    return Distribution(
        velocity_probabilities=np.eye(16)[velocity_bin(velocity)],
        velocity=velocity.astype(np.float64),
        duration_probabilities=np.eye(16)[np.full(n, 4)],
        articulation=np.full(n, articulation),
    )


def test_validation_goes_through_the_inference_path(data: PhraseData, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = flat_pairs(data, data.select(split="valid"))
    answers = iter([told(one.played.velocity) for one in pairs])
    asked = []

    def spy(model: PhraseTransformer, line: Score, velocity: np.ndarray, *, keep: bool) -> Distribution:
        asked.append((line, velocity, keep))
        return next(answers)

    monkeypatch.setattr("duvhuman.humanize.perform.listen", spy)
    metrics = quick_metrics(tiny_network(), pairs)
    assert len(asked) == len(pairs) == 4
    assert metrics["vel_r"] > 0.98  # bins and regression agree with the player, but for the bins' width
    assert metrics["failed"] == 0.0
    for one, (line, velocity, keep) in zip(pairs, asked, strict=True):
        assert line.pitch is one.score.pitch
        assert np.array_equal(line.nominal_beats, one.score.nominal_beats)  # none is longer than a bar
        assert not keep  # the input is flat: no contour is given
        assert set(velocity) == {np.round(one.played.velocity.mean())}


def test_a_model_is_scored_by_what_a_users_file_would_get(tmp_path: Path) -> None:
    network = tiny_network(std=0.3, instrument="guitar")
    network.save_pretrained(tmp_path / "guitar")
    network = PhraseTransformer.from_pretrained(tmp_path / "guitar")
    rng = np.random.default_rng(0)
    file = song(part([(240 * i, int(rng.integers(40, 80)), 70, 240) for i in range(300)], number=GUITAR))
    (notes,) = (one.notes for one in read_parts(parse_smf(file)))

    said = model_predictor(network)(score_of(notes), notes.velocity.astype(np.float64))

    given = duvhuman.predict(file, "guitar", model=tmp_path / "guitar", adapter=None, variation=0, seed=0, device="cpu")
    assert np.array_equal(said.velocity, given.velocity)
    assert np.ptp(said.velocity) > 5
    longest = np.append(np.diff(notes.onset_ticks), 240)  # within a pitch lengths are cut at its next onset
    free = given.duration_beats < longest / 480
    assert free.sum() > 20
    played = (notes.duration_beats * 2**said.articulation)[free]
    np.testing.assert_allclose(played, given.duration_beats[free], atol=1 / 480)


def test_constant_predictions_are_a_failure_not_a_metric(data: PhraseData) -> None:
    pairs = flat_pairs(data, data.select(split="valid"))
    network = tiny_network(std=0.3)
    assert quick_metrics(network, pairs)["failed"] == 0.0
    with torch.no_grad():
        network.velocity_head.weight.zero_()
    metrics = quick_metrics(network, pairs)
    assert metrics["failed"] == 1.0
    assert metrics["vel_r"] == 0.0


def test_predictions_that_are_no_numbers_are_a_failure(data: PhraseData) -> None:
    pairs = flat_pairs(data, data.select(split="valid"))
    network = tiny_network(std=0.3)
    with torch.no_grad():
        network.velocity_head.bias[0] = math.nan
    assert quick_metrics(network, pairs)["failed"] == 1.0


# Where the pedal hides when a key was released.


def pedalled(*, released: bool | np.ndarray = True) -> Pair:
    notes = random_score(64)
    rng = np.random.default_rng(0)
    played = performance(notes, velocity=rng.integers(30, 100, 64), duration=rng.uniform(0.1, 1, 64))
    played = replace(played, released=np.broadcast_to(released, 64).copy())
    return pair_as_written(played, notes.nominal_beats)


def test_lengths_are_judged_where_the_release_is_known() -> None:
    some = np.arange(64) < 40
    pair, whole = pedalled(released=some), pedalled()
    said = Rendition(np.arange(64.0), np.where(some, 0.1, 50.0))
    metrics = metrics_of(pair, said)
    expected = np.log(2) * np.abs(whole.articulation[some] - 0.1).mean()
    assert metrics["art_mae"] == pytest.approx(expected)
    assert metrics["vel_r"] == metrics_of(whole, said)["vel_r"]


@pytest.mark.parametrize("released", [True, False])
def test_a_network_that_works_has_not_failed(released: bool) -> None:
    assert quick_metrics(tiny_network(), [pedalled(released=released)])["failed"] == 0.0


@pytest.mark.parametrize(
    ("velocity", "articulation"),
    [(64.0, np.arange(64.0)), (np.arange(64.0), np.full(64, np.nan)), (np.full(64, np.nan), np.zeros(64))],
)
def test_constant_velocities_and_what_is_no_number_are_failures(
    velocity: float | np.ndarray, articulation: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = Rendition(np.broadcast_to(velocity, 64), articulation)
    monkeypatch.setattr(predictors, "model_predictor", lambda model: lambda score, written: said)
    assert quick_metrics(tiny_network(), [pedalled()])["failed"] == 1.0


def test_of_velocities_that_it_is_judged_by_a_model_is_told_the_contour_alone() -> None:
    line, network, velocity = random_score(192), tiny_network(std=0.3), np.repeat([50.0, 91.0, 70.0], 64)
    said = model_predictor(network)(line, velocity).velocity
    assert np.array_equal(said, np.round(perform(network, line, velocity, by_contour=True).velocity))
    assert not np.array_equal(said, np.round(perform(network, line, velocity).velocity))
