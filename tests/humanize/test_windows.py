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
from duvhuman.humanize.windows import Distribution, blocks, predict_distribution, window_starts
from duvhuman.models.config import VELOCITY_BIN_CENTRES, ModelConfig
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
@pytest.mark.parametrize("step", [0.0, 1 / 64, 0.25, 7.0])
@pytest.mark.parametrize("most", [1, 2], ids=["half a window", "a window"])
def test_windows_cover_every_note_and_lie_within_the_part(n: int, max_len: int, step: float, most: int) -> None:
    width = min(max_len, n)
    starts = window_starts(score(np.arange(n) * step), width, most * width // 2 or 1)
    assert np.array_equal(np.unique(starts[:, None] + np.arange(width)), np.arange(n))
    assert starts.max() <= n - width
    assert (np.diff(starts) > 0).all()


def test_louder_moves_velocities_and_nothing_else(network: PhraseTransformer) -> None:
    said = say(network, random_score(5))
    moved = said.louder(16.0).louder(np.arange(5.0))
    assert moved.expected_velocity == pytest.approx(said.expected_velocity + 16 + np.arange(5))
    assert moved.velocity == pytest.approx(said.velocity + 16 + np.arange(5))
    for name in ("spread", "velocity_probabilities", "duration_probabilities", "articulation"):
        assert np.array_equal(getattr(moved, name), getattr(said, name))


def test_what_is_louder_by_whole_bins_stands_in_other_bins_up_to_the_last(network: PhraseTransformer) -> None:
    said = say(network, random_score(5))
    up, down = said.louder(16.0).moved_velocity_probabilities(), said.louder(-120.0).moved_velocity_probabilities()
    assert np.array_equal(said.moved_velocity_probabilities(), said.velocity_probabilities)
    assert np.array_equal(up[:, 2:15], said.velocity_probabilities[:, :13])
    assert up[:, 15] == pytest.approx(said.velocity_probabilities[:, 13:].sum(axis=1))
    assert not up[:, :2].any()
    assert down[:, 0] == pytest.approx(np.ones(5))


@pytest.mark.parametrize("velocities", [2.0, -12.0, np.array([4.0, -6.0, 16.0, 0.0, 10.0])])
def test_what_is_louder_by_parts_of_a_bin_lies_between_two(velocities: float | np.ndarray) -> None:
    probabilities = np.zeros((5, 16))
    probabilities[:, 6:9] = 0.2, 0.5, 0.3  # nothing near an end
    moved = Distribution(probabilities, np.full(5, 60.0), probabilities, np.zeros(5)).louder(velocities)
    bins = moved.moved_velocity_probabilities()
    assert bins.sum(axis=1) == pytest.approx(np.ones(5))
    assert bins @ np.array(VELOCITY_BIN_CENTRES) == pytest.approx(moved.expected_velocity)


def test_blocks_begin_at_the_bars_whose_number_holds_the_highest_power_of_two() -> None:
    part = score(np.arange(0, 160, 0.5))  # 40 bars of 8 notes
    assert (blocks(part, 64) / 8).tolist() == [0, 8, 16, 24, 32, 40]
    assert (blocks(part, 63) / 8).tolist() == [*range(0, 41, 4)]
    assert (blocks(part.select(slice(24, None)), 64) / 8).tolist() == [0, 5, 13, 21, 29, 37]
    waltz = score(np.arange(0, 60, 0.5), bar=3.0)  # 20 bars of 6 notes
    assert (blocks(waltz, 64) / 6).tolist() == [0, 8, 16, 20]


def test_bars_that_are_empty_count() -> None:
    every_other = np.concatenate([8 * bar + 4 + np.arange(0, 4, 0.5) for bar in range(20)])  # bars 1, 3, 5, ...
    part = score(every_other)
    assert part.onset_beats[blocks(part, 64)[:-1]].tolist() == [4.0, 68.0, 132.0]
    assert part.onset_beats[blocks(part, 32)[:-1]].tolist() == [4.0, 36.0, 68.0, 100.0, 132.0]
    fewer = part.select(np.delete(np.arange(160), np.arange(40, 48)))
    assert fewer.onset_beats[blocks(fewer, 32)[:-1]].tolist() == [4.0, 36.0, 68.0, 100.0, 132.0]


@pytest.mark.parametrize("bar", [4.0, 3.0, 1 / 32, 64.0])
def test_any_number_of_sparse_bars_and_any_metres_are_divided(bar: float) -> None:
    sparse = score(np.arange(5000) * 2 * bar + bar, bar=bar)
    bounds = blocks(sparse, 64)
    assert np.diff(bounds).min() >= 1
    assert np.diff(bounds).max() <= 64
    assert len(bounds) < 5000 / 64 * 3
    length = np.repeat([4.0, 3.0, 8.0, 0.5, 5.0], 100)
    begin = np.cumsum(length) - length
    changing = score(np.repeat(begin, 4)).replace(beat_in_bar=np.zeros(2000), bar_beats=np.repeat(length, 4))
    assert 2000 / 64 < len(blocks(changing, 64)) < 2000 / 64 * 3


def test_a_bar_of_too_many_notes_is_divided_by_their_number() -> None:
    dense = np.append(np.linspace(0, 3.9, 100), np.arange(4, 8, 0.5))
    assert blocks(score(dense), 64).tolist() == [0, 50, 100, 108]
    assert blocks(score(dense), 30).tolist() == [0, 25, 50, 75, 100, 108]


@pytest.mark.parametrize("at", [0, 70, 201, 500, 999])
def test_a_note_more_or_less_moves_the_blocks_around_it_alone(at: int) -> None:
    part = random_score(1000)
    more = part.select(np.sort(np.append(np.arange(1000), at)))
    onsets = [
        set(one.onset_beats[blocks(one, 64)[:-1]].tolist()) for one in (part, more, part.select(np.arange(1000) != at))
    ]
    for edited in onsets[1:]:
        assert all(abs(onset - part.onset_beats[at]) < 64 for onset in onsets[0] ^ edited)
        assert len(onsets[0] & edited) > 10


def test_windows_side_by_side_are_half_as_many_and_say_nearly_the_same(
    network: PhraseTransformer, monkeypatch: pytest.MonkeyPatch
) -> None:
    part, asked = random_score(2000), []
    forward = network.forward
    monkeypatch.setattr(network, "forward", lambda pitch, *rest: asked.append(pitch.shape[0]) or forward(pitch, *rest))
    windows, said = [], []
    for overlapping in (True, False):
        asked.clear()
        said.append(predict_distribution(network, part, Hints.none(2000), overlapping=overlapping).velocity)
        windows.append(sum(asked))
    assert 2000 / 128 < windows[1] < 0.6 * windows[0]
    assert np.corrcoef(said)[0, 1] > 0.9


def test_a_note_more_changes_nothing_far_away(network: PhraseTransformer) -> None:
    part = score(np.arange(800) / 2, 40 + np.arange(800) * 7 % 31)
    more = part.select(np.sort(np.append(np.arange(800), 100)))
    before, after = say(network, part).velocity, np.delete(say(network, more).velocity, 100)
    changed = np.flatnonzero(np.abs(before - after) > 1e-3)
    assert 100 in changed
    assert changed.max() < 100 + 300
    assert np.abs(before - after)[400:] == pytest.approx(np.zeros(400), abs=1e-4)


@pytest.mark.parametrize("asked", [slice(0, 1), slice(200, 450), slice(999, 1000), slice(0, 1000)])
def test_what_is_not_asked_for_costs_no_window_and_changes_nothing(
    asked: slice, network: PhraseTransformer, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = random_score(1000)
    whole = say(network, part)
    seen: list[int] = []
    features = windows.window_features
    monkeypatch.setattr(
        windows, "window_features", lambda *given: (seen.extend(given[2].tolist()), features(*given))[1]
    )
    said = predict_distribution(network, part, Hints.none(1000), asked)
    assert all(start + 128 > asked.start and start < asked.stop for start in seen)
    assert said.velocity == pytest.approx(whole.velocity[asked], abs=1e-3)
    assert said.duration_probabilities == pytest.approx(whole.duration_probabilities[asked], abs=1e-5)


def test_passages_that_repeat_are_seen_alike(network: PhraseTransformer) -> None:
    pitch = np.tile(40 + np.arange(32) * 7 % 31, 32)  # 32 notes, 4 bars, 32 times over
    velocity = say(network, score(np.arange(1024) / 2, pitch)).velocity.reshape(32, 32)
    middle = velocity[4:-4]
    assert np.ptp(middle[::2], axis=0).max() < 1e-3  # two of them to a window's block
    assert np.ptp(middle, axis=1).min() > 0.1


@pytest.mark.parametrize("width", [1, 2, 5, 128])
def test_a_window_counts_least_at_its_ends_and_never_nothing(width: int) -> None:
    weight = windows._window_weight(width)
    assert weight[0] == weight[-1] == weight.min() == 1
    assert np.array_equal(weight, weight[::-1])
    assert weight.max() == (width + 1) // 2


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
    assert changed.min() >= 160  # the first window that holds note 300 or sees it begins at 160
    assert np.array_equal(before.velocity_probabilities[:160], after.velocity_probabilities[:160])
    assert np.array_equal(before.articulation[:160], after.articulation[:160])


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
    at_seam = inner % 64 == 31  # blocks have 64 notes, and windows begin and end in the middle of others
    return step[inner[at_seam]], step[inner[~at_seam]]


def test_there_is_no_seam_where_windows_begin_or_end(network: PhraseTransformer) -> None:
    at_seam, elsewhere = steps_between_equal_notes(network)
    assert elsewhere.max() > 0
    assert at_seam.max() <= 1.5 * elsewhere.max()


def test_without_blending_there_would_be_one(network: PhraseTransformer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(windows, "_window_weight", np.ones)
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
