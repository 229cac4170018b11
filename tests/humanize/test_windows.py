"""Windows over a part of any length: all covered, no seam, no look at what is far away."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from builders import random_score, score

from duvhuman.humanize import windows
from duvhuman.humanize.features import feature_names
from duvhuman.humanize.score import Hints, Score
from duvhuman.humanize.windows import Distribution, predict_distribution, window_starts
from duvhuman.models.config import ModelConfig
from duvhuman.models.phrase_transformer import PhraseTransformer

LENGTHS = [1, 2, 63, 64, 65, 127, 128, 129, 192, 193, 1000]


@pytest.fixture(scope="module")
def network() -> PhraseTransformer:
    torch.manual_seed(5)
    shape = ModelConfig(d_model=32, n_heads=4, n_layers=2, d_ff=64, feature_names=feature_names())
    model = PhraseTransformer(shape).eval()
    for weight in model.parameters():
        if weight.ndim == 2:
            torch.nn.init.normal_(weight, std=0.1)
    return model


def say(model: PhraseTransformer, part: Score) -> Distribution:
    return predict_distribution(model, part, Hints.none(len(part)))


@pytest.mark.parametrize("max_len", [1, 2, 3, 128])
@pytest.mark.parametrize("n", LENGTHS)
def test_every_note_is_covered_and_every_window_holds_notes(n: int, max_len: int) -> None:
    starts = window_starts(n, max_len)
    covered = np.unique(starts[:, None] + np.arange(max_len))
    assert set(range(n)) <= set(covered.tolist())
    assert starts.max() < n
    assert starts[0] == 0


def test_louder_by_whole_bins_moves_velocities_and_nothing_else(network: PhraseTransformer) -> None:
    said = say(network, random_score(5))
    up, down = said.louder(2), said.louder(-15)
    assert np.array_equal(up.velocity_probabilities[:, 2:15], said.velocity_probabilities[:, :13])
    assert up.velocity_probabilities[:, 15] == pytest.approx(said.velocity_probabilities[:, 13:].sum(axis=1))
    assert not up.velocity_probabilities[:, :2].any()
    assert down.velocity_probabilities[:, 0] == pytest.approx(np.ones(5))
    assert np.array_equal(up.velocity, said.velocity + 16)
    for name in ("duration_probabilities", "articulation"):
        assert np.array_equal(getattr(up, name), getattr(said, name))


@pytest.mark.parametrize("bins", [0.25, -1.5, np.array([0.5, -0.75, 2.0, 0.0, 1.25])])
def test_louder_by_parts_of_a_bin_moves_the_mean_by_as_much(bins: float | np.ndarray) -> None:
    probabilities = np.zeros((5, 16))
    probabilities[:, 6:9] = 0.2, 0.5, 0.3  # nothing near an end
    said = Distribution(probabilities, np.full(5, 60.0), probabilities, np.zeros(5))
    moved = said.louder(bins)
    assert moved.velocity_probabilities.sum(axis=1) == pytest.approx(np.ones(5))
    assert (moved.velocity_probabilities - probabilities) @ np.arange(16) == pytest.approx(bins * np.ones(5))
    assert moved.velocity == pytest.approx(60 + 8 * bins * np.ones(5))
    assert moved.duration_probabilities is said.duration_probabilities


def test_windows_begin_every_half_window() -> None:
    assert window_starts(128, 128).tolist() == [0]
    assert window_starts(129, 128).tolist() == [0, 64]
    assert window_starts(192, 128).tolist() == [0, 64]
    assert window_starts(193, 128).tolist() == [0, 64, 128]


@pytest.mark.parametrize("n", LENGTHS)
def test_weights_are_never_zero_and_least_at_the_ends(n: int) -> None:
    real = window_starts(n, 128)[:, None] + np.arange(128) < n
    weight = windows._window_weight(real)
    assert weight[real].min() >= 1
    for row, mask in zip(weight, real, strict=True):
        assert row[mask].tolist() == row[mask][::-1].tolist()
        assert row[0] == 1


@pytest.mark.parametrize("n", LENGTHS)
def test_a_part_of_any_length_gets_sound_predictions(network: PhraseTransformer, n: int) -> None:
    said = say(network, random_score(n))
    assert said.velocity.shape == said.articulation.shape == (n,)
    for probabilities in (said.velocity_probabilities, said.duration_probabilities):
        assert probabilities.shape == (n, 16)
        assert probabilities.sum(axis=1) == pytest.approx(np.ones(n))
        assert probabilities.min() >= 0
    assert np.isfinite(said.velocity).all()
    assert np.isfinite(said.articulation).all()


def test_a_part_that_fits_one_window_is_what_the_network_says_of_it(network: PhraseTransformer) -> None:
    part = random_score(100)
    features = torch.from_numpy(windows.compute_features(part, Hints.none(100)))
    with torch.inference_mode():
        out = network(torch.from_numpy(part.pitch)[None], torch.from_numpy(part.program)[None], features[None])
    said = say(network, part)
    assert said.velocity == pytest.approx(72 + 18 * out.velocity_value[0].numpy(), abs=1e-3)
    assert said.articulation == pytest.approx(out.duration_value[0].numpy(), abs=1e-5)


def test_an_edit_far_away_changes_no_bit(network: PhraseTransformer) -> None:
    part = score(np.arange(400) / 4, 40 + np.arange(400) * 7 % 31)
    pitch = part.pitch.copy()
    pitch[300] += 5
    before, after = say(network, part), say(network, part.replace(pitch=pitch))
    changed = np.flatnonzero(before.velocity != after.velocity)
    assert 300 in changed
    assert changed.min() >= 128  # the windows that hold note 300 begin at 192 and 256; features reach 32 notes further
    assert np.array_equal(before.velocity_probabilities[:128], after.velocity_probabilities[:128])
    assert np.array_equal(before.articulation[:128], after.articulation[:128])


def steps_between_equal_notes(model: PhraseTransformer) -> tuple[np.ndarray, np.ndarray]:
    """Velocity steps (638,) between equal notes that only their place in the window tells apart: at seams, elsewhere.

    The network is given a sense of place that rises evenly through the window, so that windows disagree about notes
    as much as they can: one calls the last what the next calls the middle.
    """
    slope = torch.linspace(-1, 1, model.config.max_len)[:, None] * torch.linspace(-1, 1, model.config.d_model)
    sloping = copy.deepcopy(model)
    with torch.no_grad():
        sloping.position_embedding.weight.copy_(slope)
    part = score(np.arange(640) / 4, grid=False)
    step = np.abs(np.diff(say(sloping, part).velocity))
    inner = np.arange(160, 480)  # at either end of the part features change, too
    at_seam = inner % 64 == 63  # windows begin at every 64th note
    return step[inner[at_seam]], step[inner[~at_seam]]


def test_there_is_no_seam_where_windows_begin_or_end(network: PhraseTransformer) -> None:
    at_seam, elsewhere = steps_between_equal_notes(network)
    assert elsewhere.max() > 0
    assert at_seam.max() <= 1.5 * elsewhere.max()


def test_without_blending_there_would_be_one(network: PhraseTransformer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(windows, "_window_weight", lambda real: np.ones(real.shape))
    at_seam, elsewhere = steps_between_equal_notes(network)
    assert at_seam.max() > 5 * elsewhere.max()


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_how_windows_are_batched_does_not_matter(
    size: int, network: PhraseTransformer, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = random_score(1100)
    usual = say(network, part)
    monkeypatch.setattr(windows, "WINDOWS_PER_BATCH", size)
    other = say(network, part)
    assert other.velocity == pytest.approx(usual.velocity, abs=1e-4)
    assert other.velocity_probabilities == pytest.approx(usual.velocity_probabilities, abs=1e-5)
    assert other.articulation == pytest.approx(usual.articulation, abs=1e-5)
