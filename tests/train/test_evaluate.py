"""Scoring models beside floors, through the very code that users' files go through."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from builders import GUITAR, part, random_score, score, song
from toys import columns, performance, tiny_network, toy_performance, write_data

import duvhuman
from duvhuman.errors import DataError
from duvhuman.humanize.decode import velocity_bin
from duvhuman.humanize.score import Hints, Score, score_of
from duvhuman.humanize.windows import Distribution
from duvhuman.midi.notes import read_parts
from duvhuman.midi.smf import parse_smf
from duvhuman.models.phrase_transformer import PhraseTransformer
from duvhuman.train.dataset import PhraseData
from duvhuman.train.deadpan import Pair
from duvhuman.train.evaluate import (
    RidgeFloor,
    evaluate_instrument,
    flat_pairs,
    flat_predictor,
    format_report,
    jitter_predictor,
    model_predictor,
    quick_metrics,
    ridge_features,
    score_pairs,
)


def pair(line: Score, velocity: object, *, duration: object = 0.5) -> Pair:
    """A part written as `line` says and played so."""
    played = performance(line, velocity=velocity, duration=duration)
    return Pair(line, played, np.log2(played.duration_beats / line.nominal_beats))


# The ridge floor.


def test_ridge_features_by_hand() -> None:
    line = score([0, 0, 0, 1.5], [48, 60, 72, 60], length=[1, 1, 2, 0.5])
    raw = np.array([
        # pitch/12, its square, top, bottom, ln chord size, ln length, over the mean pitch of those around, on a beat
        [4, 16, 0, 1, math.log(3), 0, -1, 1],
        [5, 25, 0, 0, math.log(3), 0, 0, 1],
        [6, 36, 1, 0, math.log(3), math.log(2), 1, 1],
        [5, 25, 1, 1, 0, -math.log(2), 0, 0],
    ])  # fmt: skip
    np.testing.assert_allclose(ridge_features(line), raw - raw.mean(axis=0), atol=1e-12)


def test_height_is_over_the_25_notes_around() -> None:
    pitch = np.random.default_rng(0).integers(40, 80, 60)
    height = ridge_features(score(np.arange(60.0), pitch))[:, 6]
    expected = np.array([pitch[i] - pitch[max(i - 12, 0) : i + 13].mean() for i in range(60)]) / 12
    np.testing.assert_allclose(height, expected - expected.mean(), atol=1e-12)


def test_a_chord_is_one_onset_not_a_strum() -> None:
    strum = ridge_features(score([0, 1 / 480, 2 / 480, 1], [40, 47, 52, 40]))
    assert np.ptp(strum[:, 2:5], axis=0).tolist() == [0.0, 0.0, 0.0]  # each the top and the bottom of its own chord


def test_the_ridge_finds_a_linear_rule() -> None:
    weights = np.array([10.0, 0.0, 4.0, -3.0, 5.0, 2.0, 6.0, 8.0])
    lines = [random_score(2000, seed=seed) for seed in range(4)]
    pairs = [pair(line, 64 + ridge_features(line) @ weights) for line in lines]
    floor = RidgeFloor.fit(pairs[:3])
    predicted, articulation = floor(lines[3], np.full(2000, 64.0))
    np.testing.assert_allclose(predicted, pairs[3].played.velocity, atol=1.0)
    assert not articulation.any()


def test_the_ridge_is_damped_by_ten() -> None:
    line = score(np.arange(8.0) + np.array([0, 0.25] * 4), 60)  # of the eight features only "on a beat" varies: +-0.5
    played = pair(line, 64 + 16 * (np.arange(8) % 2 == 0))  # loud on the beat: +-8 about the mean
    expected = np.zeros(8)
    expected[7] = 8 * 0.5 * 8 / (8 * 0.25 + 10)
    np.testing.assert_allclose(RidgeFloor.fit([played]).weights, expected, atol=1e-12)


def test_the_ridge_learns_nothing_from_levels() -> None:
    line = random_score(300)
    quiet = pair(line, 40 + 10 * (line.pitch > 60))
    loud = pair(line, 80 + 10 * (line.pitch > 60))
    np.testing.assert_allclose(RidgeFloor.fit([quiet]).weights, RidgeFloor.fit([loud]).weights, atol=1e-9)


def test_the_ridge_stays_within_midi() -> None:
    line = random_score(300)
    floor = RidgeFloor(np.full(8, 1e3))
    predicted, _ = floor(line, np.full(300, 64.0))
    assert (predicted.min(), predicted.max()) == (1.0, 127.0)


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
    velocity, articulation = jitter_predictor()(line, np.full(20_000, 64.0))
    assert velocity.mean() == pytest.approx(64, abs=0.3)
    assert velocity.std() == pytest.approx(10, abs=0.2)
    assert np.array_equal(velocity, np.round(velocity))
    assert (2**articulation).std() == pytest.approx(0.1, abs=0.005)
    again, _ = jitter_predictor()(line, np.full(20_000, 64.0))
    assert np.array_equal(velocity, again)


def test_parts_are_flattened_in_their_middle_and_written_up_to_the_next_onset(tmp_path: Path) -> None:
    data = write_data(tmp_path, [({"split": "valid"}, toy_performance(0))])
    (one,) = flat_pairs(data, data.parts, max_notes=100)
    assert one.played.velocity.tolist() == data.column("velocity")[70:170].tolist()
    assert one.score.nominal_beats.tolist() == [0.5] * 99 + [4.0]
    assert one.articulation[:-1].tolist() == [-1.0] * 99


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

    def spy(model: PhraseTransformer, line: Score, hints: Hints) -> Distribution:
        asked.append((line, hints))
        return next(answers)

    monkeypatch.setattr("duvhuman.humanize.perform.predict_distribution", spy)
    metrics = quick_metrics(tiny_network(), pairs)
    assert len(asked) == len(pairs) == 4
    assert metrics["vel_r"] > 0.98  # bins and regression agree with the player, but for the bins' width
    assert metrics["failed"] == 0.0
    for one, (line, hints) in zip(pairs, asked, strict=True):
        assert line is one.score
        assert np.isnan(hints.swell).all()  # the input is flat: no contour is given
        assert set(hints.level) == {np.round(one.played.velocity.mean())}


def test_a_model_is_scored_by_what_a_users_file_would_get(tmp_path: Path) -> None:
    network = tiny_network(std=0.3, instrument="guitar")
    network.save_pretrained(tmp_path / "guitar")
    network = PhraseTransformer.from_pretrained(tmp_path / "guitar")
    rng = np.random.default_rng(0)
    file = song(part([(240 * i, int(rng.integers(40, 80)), 70, 240) for i in range(300)], number=GUITAR))
    (notes,) = (one.notes for one in read_parts(parse_smf(file)))

    velocity, articulation = model_predictor(network)(score_of(notes), notes.velocity.astype(np.float64))

    given = duvhuman.predict(file, "guitar", model=tmp_path / "guitar", adapter=None, variation=0, seed=0, device="cpu")
    assert np.array_equal(velocity, given.velocity)
    assert np.ptp(velocity) > 5
    longest = np.append(np.diff(notes.onset_ticks), 240)  # within a pitch lengths are cut at its next onset
    free = given.duration_beats < longest / 480
    assert free.sum() > 20
    np.testing.assert_allclose((notes.duration_beats * 2**articulation)[free], given.duration_beats[free], atol=1 / 480)


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
        network.velocity_head.bias[16] = math.nan
    assert quick_metrics(network, pairs)["failed"] == 1.0


# The table.


def test_the_table_of_an_instrument(data: PhraseData) -> None:
    table = evaluate_instrument(data, "guitar", {"base": tiny_network(std=0.3)})
    assert list(table) == ["flat", "jitter", "ridge floor", "base"]
    for row in table.values():
        assert row["parts"] == 3.0
        assert row["vel_r_low"] <= row["vel_r"] <= row["vel_r_high"]
    assert table["flat"]["vel_r"] == 0.0
    # All notes are played half as written, but for the last, which is written a bar: ln 16.
    assert table["flat"]["art_mae"] == pytest.approx((239 + 4) / 240 * math.log(2))
    assert abs(table["jitter"]["vel_r"]) < 0.2
    assert table["ridge floor"]["vel_r"] > 0.9  # the toys' rule is nearly linear
    assert table["ridge floor"]["vel_mae"] < table["flat"]["vel_mae"] / 3


def test_at_most_so_many_parts_of_each_pack_are_scored_always_the_same(tmp_path: Path) -> None:
    packs = ["lakh"] * 4 + ["pop"] * 2
    parts = [({"split": "valid", "pack": pack}, toy_performance(seed)) for seed, pack in enumerate(packs)]
    data = write_data(tmp_path, [*parts, ({}, toy_performance(9))])
    table = evaluate_instrument(data, "guitar", {}, max_parts=3)
    assert table["flat"]["parts"] == 5.0
    assert evaluate_instrument(data, "guitar", {}, max_parts=3) == table


@pytest.mark.parametrize("split", ["train", "valid"])
def test_without_parts_of_a_split_there_is_nothing_to_compare(split: str, tmp_path: Path) -> None:
    data = write_data(tmp_path, [({"split": split}, toy_performance(0))])
    with pytest.raises(DataError, match="no validation or no training parts for guitar"):
        evaluate_instrument(data, "guitar", {})


def test_the_report_is_a_markdown_table() -> None:
    row = {
        "vel_r": 0.1234, "vel_r_low": 0.1, "vel_r_high": 0.2, "vel_mae": 10.987, "vel_sd_ratio": 0.954, "vel_js": 0.256,
        "art_r": -0.05, "art_mae": 0.4444,
    }  # fmt: skip
    head, rule, line = format_report({"bass": {"base": row}}).splitlines()
    assert line == "| bass | base | 0.123 (0.100 to 0.200) | 10.99 | 0.95 | 0.26 | -0.050 | 0.444 |"
    assert head.count("|") == rule.count("|") == line.count("|")
