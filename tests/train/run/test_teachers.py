"""Networks that teach another one what they expect of songs that they do not know."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from toys import numbered, tiny_network, write_data

from duvhuman.errors import ModelError, OptionError
from duvhuman.humanize.features import feature_names
from duvhuman.models.config import DURATION_EDGES
from duvhuman.models.phrase_transformer import PhraseTransformer
from duvhuman.train.config import TrainConfig, fold_in, fold_of
from duvhuman.train.dataset import PhraseData
from duvhuman.train.pairs.encode import Batch
from duvhuman.train.record import fold_left_out, write_record
from duvhuman.train.run import feed as feed_module
from duvhuman.train.run.feed import Feed
from duvhuman.train.run.losses import loss_terms
from duvhuman.train.run.teachers import TAUGHT, Teachers, as_taught

CPU = torch.device("cpu")
EDGES = torch.tensor(DURATION_EDGES)
CONFIG = TrainConfig(batch_size=4, seed=5)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> PhraseData:
    """Twelve songs of one part each."""
    return write_data(tmp_path_factory.mktemp("songs"), [({}, numbered(300)) for _ in range(12)])


def teacher(folder: Path, seed: int, fold: str = "", **changes: Any) -> Path:
    """A model of random weights that was trained with a fold left out."""
    tiny_network(seed, std=0.5, **changes).save_pretrained(folder)
    write_record(folder, {"trunk": {"config": {"fold": fold}}})
    return folder


def batch_of(data: PhraseData, **given: Any) -> tuple[Batch, list[str]]:
    """A batch of phrases and the songs they are from."""
    feed = Feed(data, data.parts, CONFIG, max_len=128, device=CPU, **given)
    plan = feed.plan(0)
    rows = plan.phrases[plan.batches[0]]
    return next(feed.batches(plan, 0, 0)), [data.parts[int(part)].song for part in rows[:, 2]]


def said(folder: Path, batch: Batch) -> torch.Tensor:
    """What the model in a folder says of a batch, as it would be taught."""
    with torch.no_grad():
        return as_taught(
            PhraseTransformer.from_pretrained(folder)(batch.pitch, batch.program, batch.features, batch.mask)
        )


# Folds.


def test_a_fold_is_read() -> None:
    assert fold_in("") is None
    assert fold_in("2/5") == (1, 5)


@pytest.mark.parametrize("text", ["0/5", "6/5", "1/1", "2", "a/b", "-1/5", "1/5/2"])
def test_what_is_no_fold_is_refused(text: str) -> None:
    with pytest.raises(OptionError, match=f"fold must look like '2/5', the second of five folds .* not '{text}'"):
        TrainConfig(fold=text)


def test_songs_are_dealt_evenly_and_always_alike() -> None:
    folds = [fold_of(f"pack/song {number}", 5) for number in range(5000)]
    assert np.bincount(folds).tolist() == pytest.approx([1000] * 5, abs=100)
    assert folds[:100] == [fold_of(f"pack/song {number}", 5) for number in range(100)]


def test_all_stages_of_a_model_must_have_left_out_the_same_fold(tmp_path: Path) -> None:
    write_record(tmp_path, {"trunk": {"config": {"fold": "2/5"}}, "base": {"config": {"fold": "2/5"}}})
    assert fold_left_out(tmp_path) == (1, 5)
    write_record(tmp_path, {"trunk": {"config": {"fold": "2/5"}}, "base": {"config": {}}})
    assert fold_left_out(tmp_path) is None


@pytest.mark.parametrize("versions", [0, 2])
def test_songs_of_the_fold_that_is_left_out_are_not_trained_on(versions: int, data: PhraseData) -> None:
    config = replace(CONFIG, versions=versions, fold="1/2")
    plan = Feed(data, data.parts, config, max_len=128, device=CPU).plan(0)
    trained = {data.parts[int(plan.phrases[row, 2])].song for rows in plan.batches for row in rows}
    assert trained == {part.song for part in data.parts if fold_of(part.song, 2) == 1}
    assert 0 < len(trained) < len(data.parts)


# What is taught.


def test_each_song_is_taught_by_those_who_do_not_know_it(data: PhraseData, tmp_path: Path) -> None:
    folders = [teacher(tmp_path / str(number), number, f"{number}/2") for number in (1, 2)]
    batch, songs = batch_of(data)
    taught = Teachers(folders, CPU).teach(batch, songs).taught
    assert taught.shape == (*batch.pitch.shape, TAUGHT)
    for row, song in enumerate(songs):
        torch.testing.assert_close(taught[row], said(folders[fold_of(song, 2)], batch)[row], atol=1e-5, rtol=1e-4)


def test_those_who_left_nothing_out_teach_all_and_of_several_the_mean_is_taught(
    data: PhraseData, tmp_path: Path
) -> None:
    folders = [teacher(tmp_path / str(number), number) for number in (1, 2)]
    batch, songs = batch_of(data)
    taught = Teachers(folders, CPU).teach(batch, songs).taught
    mean = (said(folders[0], batch) + said(folders[1], batch)) / 2
    torch.testing.assert_close(taught, mean, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("versions", [0, 1])
def test_a_feed_hands_on_what_is_taught(
    versions: int, data: PhraseData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_module, "ENCODED_AT_ONCE", 8)
    teachers = Teachers([teacher(tmp_path / str(number), number, f"{number}/2") for number in (1, 2)], CPU)
    feed = Feed(data, data.parts, replace(CONFIG, versions=versions), max_len=128, device=CPU, teachers=teachers)
    plan = feed.plan(0)
    for rows, batch in zip(plan.batches, feed.batches(plan, 0, 0), strict=True):
        songs = [data.parts[int(part)].song for part in plan.phrases[rows, 2]]
        again = teachers.teach(batch, songs)
        torch.testing.assert_close(batch.taught, again.taught, atol=2e-2, rtol=2e-2)  # kept in half precision
        assert batch.taught.shape[-1] == TAUGHT


def test_teachers_in_bf16_say_nearly_the_same(data: PhraseData, tmp_path: Path) -> None:
    folder = teacher(tmp_path, 1)
    batch, songs = batch_of(data)
    teachers, said = Teachers([folder], CPU), []
    for precision in ("float32", "bf16"):
        teachers.compute_in(precision)
        said.append(teachers.teach(batch, songs).taught)
    exact, rough = said
    torch.testing.assert_close(rough, exact, atol=0.15, rtol=0.0)
    assert not torch.equal(rough, exact)


def test_without_teachers_nothing_is_taught(data: PhraseData) -> None:
    batch, _ = batch_of(data)
    assert batch.taught.shape == (*batch.pitch.shape, 0)
    out = tiny_network()(batch.pitch, batch.program, batch.features, batch.mask)
    alone = loss_terms(out, batch, CONFIG, EDGES)
    listening = loss_terms(out, batch, replace(CONFIG, teacher_share=0.5), EDGES)
    assert listening["total"].item() == alone["total"].item()
    assert listening["taught_vel_bins"].item() == 0.0


# What is learnt.


def learnt(share: float, data: PhraseData, folder: Path) -> dict[str, float]:
    """The loss of a network that knows what its teacher knows, listening to it so much."""
    teachers = Teachers([folder], CPU)
    batch, _ = batch_of(data, teachers=teachers)
    out = PhraseTransformer.from_pretrained(folder)(batch.pitch, batch.program, batch.features, batch.mask)
    terms = loss_terms(out, batch, replace(CONFIG, teacher_share=share), EDGES)
    return {name: value.item() for name, value in terms.items()}


def test_the_share_of_the_teachers_takes_the_place_of_what_was_played(data: PhraseData, tmp_path: Path) -> None:
    folder = teacher(tmp_path, 1)
    terms = learnt(0.25, data, folder)
    played = terms["vel_value"] + terms["dur_value"] + 0.5 * (terms["vel_bins"] + terms["dur_bins"])
    taught = terms["taught_vel_value"] + terms["taught_dur_value"]
    taught += 0.5 * (terms["taught_vel_bins"] + terms["taught_dur_bins"])
    assert terms["total"] == pytest.approx(terms["boundary"] + 0.75 * played + 0.25 * taught)
    assert learnt(0.0, data, folder)["total"] == pytest.approx(terms["boundary"] + played)


def test_who_says_what_the_teacher_says_has_nothing_left_to_learn_of_it(data: PhraseData, tmp_path: Path) -> None:
    folder = teacher(tmp_path, 1)
    batch, _ = batch_of(data, teachers=Teachers([folder], CPU))
    network = PhraseTransformer.from_pretrained(folder)
    out = network(batch.pitch, batch.program, batch.features, batch.mask)
    terms = loss_terms(out, batch, replace(CONFIG, teacher_share=0.5), EDGES)
    assert terms["taught_vel_value"].item() == pytest.approx(0.0, abs=1e-6)
    taught = terms["taught_vel_bins"] + terms["taught_dur_bins"] + terms["taught_dur_value"]
    taught.backward()
    slopes = [p.grad.abs().max().item() for p in network.parameters() if p.grad is not None]
    assert max(slopes) < 1e-3  # its own expectation is where the cross-entropy is least


def test_what_is_not_known_of_lengths_is_not_taught(data: PhraseData, tmp_path: Path) -> None:
    batch, _ = batch_of(data, teachers=Teachers([teacher(tmp_path, 1)], CPU))
    unknown = batch._replace(articulation=torch.full_like(batch.articulation, float("nan")))
    out = tiny_network(2)(batch.pitch, batch.program, batch.features, batch.mask)
    terms = loss_terms(out, unknown, replace(CONFIG, teacher_share=0.5), EDGES)
    assert terms["taught_dur_bins"].item() == terms["taught_dur_value"].item() == 0.0
    assert terms["taught_vel_bins"].item() > 0


# Who cannot teach.


def test_every_fold_needs_a_teacher(tmp_path: Path) -> None:
    folders = [teacher(tmp_path / str(number), number, f"{number}/3") for number in (1, 3)]
    with pytest.raises(ModelError, match="no teacher left out fold 2/3 of the songs; train one with --set fold=2/3"):
        Teachers(folders, CPU)
    assert Teachers([*folders, teacher(tmp_path / "all", 4)], CPU).folds == 3


def test_teachers_must_speak_of_the_same_folds(tmp_path: Path) -> None:
    folders = [teacher(tmp_path / "a", 1, "1/2"), teacher(tmp_path / "b", 2, "1/3")]
    with pytest.raises(ModelError, match="teachers left out one of 2 and one of 3 folds of songs"):
        Teachers(folders, CPU)


def test_teachers_must_know_the_same_features_and_bins(tmp_path: Path) -> None:
    usual = teacher(tmp_path / "usual", 1)
    other = teacher(tmp_path / "edges", 2, duration_edges=(-4.0, *DURATION_EDGES[1:]))
    with pytest.raises(ModelError, match="edges: has other articulation bins than .*usual"):
        Teachers([usual, other], CPU)
    old = teacher(tmp_path / "old", 3, feature_names=feature_names()[:-1])
    with pytest.raises(ModelError, match="old: made for other features than this version of duvhuman computes"):
        Teachers([old], CPU)


def test_a_folder_without_a_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="nowhere"):
        Teachers([tmp_path / "nowhere"], CPU)
