"""The teacher: what trees expect of notes, who they may learn it from, and how it reaches the network's loss."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from toys import columns, toy_data, toy_performance, write_data

from duvhuman.errors import DataError
from duvhuman.models.phrase_transformer import VELOCITY_SCALE, PhraseOutput
from duvhuman.train import teacher
from duvhuman.train.__main__ import main
from duvhuman.train.config import TrainConfig
from duvhuman.train.dataset import PhraseData
from duvhuman.train.draws import Draws
from duvhuman.train.encode import Batch, encode
from duvhuman.train.losses import loss_terms
from duvhuman.train.performance import Performance
from duvhuman.train.teacher import FOLDS, fold_of, teach


@pytest.fixture(autouse=True)
def few_notes_suffice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(teacher, "TREES", dict(teacher.TREES) | {"min_child_samples": 20, "n_jobs": 1})


def played(number: int, **special: Any) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    return special, toy_performance(number)


def silent(_: str) -> None:
    pass


def test_what_is_expected_is_what_players_of_other_songs_do(tmp_path: Path) -> None:
    data = toy_data(tmp_path, {("guitar", "train"): 12, ("guitar", "valid"): 1})
    (result,) = teach(data, ["toys"], log=silent)
    assert (result.pack, result.instrument, result.parts) == ("toys", "guitar", 12)
    assert result.velocity_r > 0.8
    again = PhraseData(tmp_path)
    row = again.select(split="train")[0]
    played = again.performance(np.array([[row.start, row.stop, 0]]), [row])
    assert np.corrcoef(played.expected_velocity, played.velocity)[0, 1] > 0.8
    held_out = again.select(split="valid")[0]
    assert np.isnan(again.column("expected_velocity")[held_out.start : held_out.stop]).all()


def test_what_is_expected_of_a_song_does_not_follow_from_how_it_was_played(tmp_path: Path) -> None:
    parts = [played(number) for number in range(10)]
    before = write_data(tmp_path / "before", parts)
    teach(before, ["toys"], log=silent)
    row = before.parts[3]
    assert {fold_of(part) for part in before.parts} == set(range(FOLDS))
    backwards = parts[3][1] | {"velocity": parts[3][1]["velocity"][::-1], "duration": parts[3][1]["duration"] + 60}
    after = write_data(tmp_path / "after", [*parts[:3], ({}, backwards), *parts[4:]])
    teach(after, ["toys"], log=silent)
    own = slice(row.start, row.stop)
    expected, other = (data.column("expected_velocity") for data in (before, after))
    assert np.array_equal(expected[own], other[own])
    others = [part for part in before.parts if fold_of(part) != fold_of(row)]
    assert any(not np.array_equal(expected[part.start : part.stop], other[part.start : part.stop]) for part in others)


def test_other_packs_have_no_teacher(tmp_path: Path) -> None:
    parts = [played(number) for number in range(8)] + [played(8, pack="solo")]
    data = write_data(tmp_path, parts)
    teach(data, ["toys"], log=silent)
    solo = data.parts[-1]
    assert np.isnan(data.column("expected_velocity")[solo.start :]).all()
    assert np.isfinite(data.column("expected_velocity")[: solo.start]).all()
    with pytest.raises(DataError, match="no training part in jazz; there are solo, toys"):
        teach(data, ["jazz"], log=silent)


def test_one_song_cannot_teach_itself(tmp_path: Path) -> None:
    data = write_data(tmp_path, [played(number, song="toys/one") for number in range(3)])
    with pytest.raises(DataError, match="too few songs to teach one from others"):
        teach(data, ["toys"], log=silent)


def test_the_command_teaches_all_packs_and_says_how_well(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    toy_data(tmp_path, {("guitar", "train"): 8})
    assert main(["teach", "--data", str(tmp_path)]) == 0
    assert "toys guitar            8       0." in capsys.readouterr().out
    assert main(["teach", "--data", str(tmp_path), "--packs", "jazz"]) == 1
    assert "no training part in jazz" in capsys.readouterr().err


def expecting(data: PhraseData, **changes: Any) -> Performance:
    """The notes of all parts, of which a teacher expects what was played."""
    phrases = np.array([[part.start, part.stop, number] for number, part in enumerate(data.parts)])
    notes = data.performance(phrases, data.parts)
    return replace(notes, **({"expected_velocity": notes.velocity.copy()} | changes))


@pytest.mark.parametrize("grid", [True, False])
def test_what_is_expected_goes_with_its_note_as_what_is_played_does(tmp_path: Path, grid: bool) -> None:
    rng = np.random.default_rng(0)
    values = [
        columns(
            np.cumsum(rng.integers(100, 400, 128)), duration=rng.integers(60, 500, 128),
            velocity=rng.integers(50, 80, 128), pitch=rng.integers(40, 80, 128),
        ) for _ in range(24)
    ]  # fmt: skip
    data = write_data(tmp_path, [({"grid": grid}, each) for each in values])
    chances = {"level": 1.0, "range": 1.0, "contour": 0.0}
    batch = encode(expecting(data), Draws.seeded(3, 24), width=128, hint_chances=chances, rescale=True)
    torch.testing.assert_close(batch.expected_velocity, batch.velocity, atol=0.5001, rtol=0)


def test_where_the_players_dynamics_are_given_the_teacher_is_silent(tmp_path: Path) -> None:
    data = toy_data(tmp_path, {("guitar", "train"): 2})
    given = {"level": 1.0, "range": 1.0, "contour": 1.0}
    batch = encode(expecting(data), Draws.seeded(0, 2), width=240, hint_chances=given)
    assert batch.expected_velocity[batch.mask].isnan().all()


def test_nothing_that_is_expected_reaches_an_input(tmp_path: Path) -> None:
    data = toy_data(tmp_path, {("guitar", "train"): 4})
    n = 4 * 240
    one, other = (
        encode(expecting(data, expected_velocity=np.full(n, v)), Draws.seeded(1, 4), width=240, rescale=True)
        for v in (30.0, 110.0)
    )
    inputs = ("pitch", "program", "features", "mask")
    assert all(torch.equal(getattr(one, name), getattr(other, name)) for name in inputs)
    assert not torch.equal(one.expected_velocity, other.expected_velocity)


def said_and_played(said: list[int], expected: list[float]) -> tuple[PhraseOutput, Batch]:
    """A network that is sure of the bins `said`, and the velocities that the teacher expects; 64 was played."""
    one = torch.ones(1, len(said))
    logits = torch.full((1, len(said), 16), -1e4).scatter(2, torch.tensor([said])[:, :, None], 0.0)
    out = PhraseOutput(logits.requires_grad_(), one, torch.zeros(1, len(said), 16), one, 0 * one)
    batch = Batch(
        pitch=one.long(), program=one.long(), features=one[:, :, None], mask=one.bool(), velocity=64 * one,
        articulation=0 * one, expected_velocity=torch.tensor([expected]), boundary=one, weight=one,
    )  # fmt: skip
    return out, batch


EDGES = torch.linspace(-3, 1, 15)
LISTENING = TrainConfig(teacher_weight=8.0)


def test_the_mean_of_the_bins_learns_the_shape_that_the_teacher_expects() -> None:
    out, batch = said_and_played([6, 8], [50.0, 84.0])  # 51.5 and 67.5: 16 apart instead of 34
    terms = loss_terms(out, batch, LISTENING, EDGES)
    assert terms["vel_taught"].item() == pytest.approx(0.5 * (9 / VELOCITY_SCALE) ** 2)
    deaf = loss_terms(out, batch, TrainConfig(), EDGES)
    assert (terms["total"] - deaf["total"]).item() == pytest.approx(8 * terms["vel_taught"].item(), rel=1e-4)
    others = [name for name in terms if name != "total"]
    assert [terms[name].item() for name in others] == [deaf[name].item() for name in others]


def test_the_level_of_a_phrase_is_not_the_teachers_affair() -> None:
    out, batch = said_and_played([6, 8], [90.0, 106.0])
    assert loss_terms(out, batch, LISTENING, EDGES)["vel_taught"].item() == pytest.approx(0.0)


def test_notes_without_a_teacher_do_not_shift_the_shape_of_the_others() -> None:
    out, batch = said_and_played([6, 8, 15], [50.0, 84.0, math.nan])
    terms = loss_terms(out, batch, LISTENING, EDGES)
    assert terms["vel_taught"].item() == pytest.approx(2 / 3 * 0.5 * (9 / VELOCITY_SCALE) ** 2)


def test_without_a_teacher_nothing_is_taught_and_gradients_are_numbers() -> None:
    out, batch = said_and_played([6, 8], [math.nan, math.nan])
    terms = loss_terms(out, batch, LISTENING, EDGES)
    assert terms["vel_taught"].item() == 0.0
    terms["total"].backward()
    assert out.velocity_logits.grad is not None
    assert out.velocity_logits.grad.isfinite().all()
