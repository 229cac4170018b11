"""What is predicted is never an input: every target of a phrase is perturbed, and no undeclared input may move."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from builders import PIANO, part, random_score, song

from duvhuman.humanize.features import compute_features, feature_names
from duvhuman.humanize.perform import hints_of
from duvhuman.humanize.score import Hints, score_of
from duvhuman.midi.notes import read_parts
from duvhuman.midi.smf import parse_smf
from duvhuman.models.config import ModelConfig
from duvhuman.train.data.storage import TEMPO_UNIT, TICKS_PER_BEAT, PartRow, StoredPart, write_dataset
from duvhuman.train.dataset import PhraseData
from duvhuman.train.evaluation.predictors import flat_pairs, written_flat
from duvhuman.train.pairs.deadpan import deadpan, pair_as_written
from duvhuman.train.pairs.draws import Draws, phrase_keys
from duvhuman.train.pairs.encode import HINT_CHANCES, Batch
from duvhuman.train.pairs.performance import Performance

N, MAX_LEN = 600, 128
HINTS = [i for i, name in enumerate(feature_names()) if name.split("_")[0] in ("level", "range", "swell", "accent")]
OTHERS = [i for i in range(len(feature_names())) if i not in HINTS]


def prepared(folder: Path, velocity: np.ndarray, duration: np.ndarray) -> PhraseData:
    """A data set of two parts of the same notes, one with a grid and one without."""
    notes = random_score(N)
    once = {
        "onset": np.round(notes.onset_beats * TICKS_PER_BEAT), "duration": duration, "pitch": notes.pitch,
        "velocity": velocity, "program": notes.program, "tempo": notes.tempo_bpm / TEMPO_UNIT,
        "beat_in_bar": np.round(notes.beat_in_bar * TICKS_PER_BEAT), "bar_beats": notes.bar_beats * TICKS_PER_BEAT,
        "wanted": np.ones(N), "released": np.ones(N),
    }
    row = PartRow(
        pack="tests", song="", source="tests", instrument="guitar", split="train", start=0, stop=0, grid=True,
        played=True, level=float(velocity.mean()), range=float(velocity.std()),
    )
    write_dataset(folder, [StoredPart(replace(row, song=str(number), grid=number == 0), once) for number in range(2)])
    return PhraseData(folder)


def targets(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Velocities 1..127 and durations of a sixty-fourth to eight beats, drawn anew for every seed."""
    rng = np.random.default_rng(seed)
    return rng.integers(1, 128, N), rng.integers(30, 3840, N)


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> tuple[PhraseData, PhraseData]:
    """Two data sets that differ in their targets alone."""
    folder = tmp_path_factory.mktemp("data")
    return prepared(folder / "a", *targets(1)), prepared(folder / "b", *targets(2))


def batch_of(data: PhraseData, seed: int) -> Batch:
    parts = data.select(split="train")
    rng = np.random.default_rng(seed)
    phrases = data.cut_phrases(parts, rng, max_len=MAX_LEN, passes={})
    return data.batch(phrases, parts, seed=seed, epoch=0, width=MAX_LEN)


def give_hints(monkeypatch: pytest.MonkeyPatch, *, chance: float) -> None:
    """Give every hint with this chance."""
    for name in HINT_CHANCES:
        monkeypatch.setitem(HINT_CHANCES, name, chance)


def test_the_hint_columns_are_these_and_no_others() -> None:
    assert [feature_names()[i] for i in HINTS] == [
        "level_given", "level", "range_given", "range", "swell_given", "swell", "accent_given", "accent",
    ]


@pytest.mark.parametrize("seed", range(6))
def test_with_hints_withheld_every_input_of_training_is_bit_identical(
    seed: int, two: tuple[PhraseData, PhraseData], monkeypatch: pytest.MonkeyPatch
) -> None:
    give_hints(monkeypatch, chance=0.0)
    a, b = (batch_of(data, seed) for data in two)
    assert not torch.equal(a.velocity, b.velocity)
    assert not torch.equal(a.articulation, b.articulation)
    for name in ("pitch", "program", "features", "mask"):
        assert torch.equal(getattr(a, name), getattr(b, name)), name


@pytest.mark.parametrize("seed", range(6))
def test_with_hints_given_only_the_hint_columns_move(
    seed: int, two: tuple[PhraseData, PhraseData], monkeypatch: pytest.MonkeyPatch
) -> None:
    give_hints(monkeypatch, chance=1.0)
    a, b = (batch_of(data, seed) for data in two)
    moved = {
        name for i, name in enumerate(feature_names()) if not torch.equal(a.features[..., i], b.features[..., i])
    }
    assert moved == {"level", "swell", "accent"}  # the range is drawn, and the velocities are rescaled to it
    assert torch.equal(a.pitch, b.pitch)
    assert torch.equal(a.program, b.program)


def test_hints_do_not_tell_durations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    give_hints(monkeypatch, chance=1.0)
    velocity, duration = targets(1)
    a = batch_of(prepared(tmp_path / "a", velocity, duration), 0)
    b = batch_of(prepared(tmp_path / "b", velocity, targets(2)[1]), 0)
    assert not torch.equal(a.articulation, b.articulation)
    assert torch.equal(a.features, b.features)


@pytest.mark.parametrize("seed", range(10))
def test_the_flat_version_of_a_performance_does_not_depend_on_what_was_played(
    seed: int, two: tuple[PhraseData, PhraseData]
) -> None:
    def flat_version(data: PhraseData) -> Performance:
        parts = data.select(split="train")
        phrases = np.array([[0, 400, 0], [N, N + 300, 1]])
        return deadpan(data.performance(phrases, parts), Draws(phrase_keys(seed, 0, np.arange(2)[:, None])))

    a, b = map(flat_version, two)
    for name in vars(a.score):
        assert np.array_equal(getattr(a.score, name), getattr(b.score, name), equal_nan=name == "nominal_beats"), name
    assert not np.array_equal(a.played.velocity, b.played.velocity)


def test_the_input_of_validation_does_not_depend_on_what_was_played(two: tuple[PhraseData, PhraseData]) -> None:
    pairs = []
    for data in two:
        played = data.performance(np.array([[0, N, 0]]), data.select(split="train"))
        pairs.append(pair_as_written(played, np.full(N, 1.0)))
    a, b = (compute_features(pair.score, Hints.none(N)) for pair in pairs)
    assert np.array_equal(a, b)
    assert not np.array_equal(pairs[0].articulation, pairs[1].articulation)


@pytest.mark.parametrize("as_score", [False, True])
def test_the_input_of_evaluation_does_not_depend_on_what_was_played(tmp_path: Path, *, as_score: bool) -> None:
    """Two players of one mean, with a beat and, as it was written down, without one."""
    velocity, duration = targets(1)
    written = {
        "written_beats": np.tile(random_score(N).onset_beats, 2), "written_bar_beats": np.full(2 * N, 4.0)
    }
    pairs = []
    for name, played in (("a", (velocity, duration)), ("b", (velocity[::-1], targets(2)[1]))):
        data = prepared(tmp_path / name, *played)
        data.write_added(written)
        pairs.append(flat_pairs(PhraseData(tmp_path / name), data.parts, as_scores=as_score))
    for one, other in zip(*pairs, strict=True):
        for name, values in vars(one.score).items():
            assert np.array_equal(values, getattr(other.score, name)), name
        assert np.array_equal(written_flat(one), written_flat(other))
        assert not np.array_equal(one.played.velocity, other.played.velocity)
        assert not np.array_equal(one.articulation, other.articulation)
    assert [pair.score.grid_known.all() for pair in pairs[0]] == [True, as_score]


def test_velocities_in_a_users_file_reach_nothing_but_the_hints() -> None:
    notes = [(120 * i, 40 + 7 * i % 31, 80, 100) for i in range(100)]
    other = [(onset, pitch, 20 + i, duration) for i, (onset, pitch, _, duration) in enumerate(notes)]
    flat, accented = (read_parts(parse_smf(song(part(n, number=PIANO))))[0].notes for n in (notes, other))
    assert not np.array_equal(flat.velocity, accented.velocity)
    a, b = (
        compute_features(score_of(table), hints_of(
            score_of(table), table.velocity.astype(np.float64), ModelConfig(), keep=True
        ))
        for table in (flat, accented)
    )
    assert np.array_equal(a[:, OTHERS], b[:, OTHERS])
    assert not np.array_equal(a[:, HINTS], b[:, HINTS])
