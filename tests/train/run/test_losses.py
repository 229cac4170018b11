"""The loss, worked out by hand, and the learning rate."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from toys import tiny_network

from duvhuman.models.config import DURATION_EDGES, VELOCITY_SCALE
from duvhuman.models.phrase_transformer import PhraseOutput
from duvhuman.train.config import TrainConfig
from duvhuman.train.dataset import PhraseData
from duvhuman.train.pairs.encode import Batch
from duvhuman.train.run.losses import learning_rate, loss_terms, phrase_correlation, ranked_probability_score

CONFIG = TrainConfig()
EDGES = torch.tensor(DURATION_EDGES)


def two_notes(weight: list[float]) -> tuple[PhraseOutput, Batch]:
    """Two notes of velocity 90 (bin 11) and 54 (bin 6), played as written (bin 9) and half as written (bin 6)."""
    out = PhraseOutput(
        velocity_logits=torch.zeros(1, 2, 16),
        velocity_value=torch.tensor([[1.5, -1.0]]),  # 99 and 54
        duration_logits=torch.zeros(1, 2, 16),
        duration_value=torch.tensor([[0.0, 2.0]]),
        boundary_logits=torch.zeros(1, 2),
    )
    out.velocity_logits[0, 0, 11] = math.log(15)  # a probability of one half
    out.duration_logits[0, 1, 5] = math.log(15)
    one = torch.zeros(1, 2)
    batch = Batch(
        pitch=one.long(), program=one.long(), features=torch.zeros(1, 2, 1), mask=one.bool(),
        velocity=torch.tensor([[90.0, 54.0]]), articulation=torch.tensor([[0.0, -1.0]]),
        boundary=torch.tensor([[1.0, 0.0]]), weight=torch.tensor([weight]), taught=torch.zeros(1, 2, 0),
    )  # fmt: skip
    return out, batch


def test_each_term_is_a_mean_over_the_notes_that_count() -> None:
    terms = loss_terms(*two_notes([1.0, 1.0]), CONFIG, EDGES)
    ln2, ln16, ln30 = math.log(2), math.log(16), math.log(30)
    assert terms["boundary"].item() == pytest.approx(ln2)
    assert terms["vel_value"].item() == pytest.approx((0.5 * 0.5**2 + 0) / 2)
    assert terms["dur_value"].item() == pytest.approx((0 + 3 - 0.5) / 2)
    assert terms["vel_bins"].item() == pytest.approx((ln2 + ln16) / 2)
    assert terms["dur_bins"].item() == pytest.approx((ln16 + ln30) / 2)  # -1 is in bin 4, not in bin 5
    total = ln2 + 0.0625 + 1.25 + 0.5 * (ln2 + ln16 + ln16 + ln30) / 2
    assert terms["total"].item() == pytest.approx(total)


def test_notes_that_do_not_count_change_nothing() -> None:
    terms = loss_terms(*two_notes([1.0, 0.0]), CONFIG, EDGES)
    assert terms["vel_value"].item() == pytest.approx(0.5 * 0.5**2)
    assert terms["dur_value"].item() == 0.0
    assert terms["vel_bins"].item() == pytest.approx(math.log(2))
    assert terms["dur_bins"].item() == pytest.approx(math.log(16))
    assert all(value.item() == 0.0 for value in loss_terms(*two_notes([0.0, 0.0]), CONFIG, EDGES).values())


def test_a_length_that_is_not_known_counts_as_no_length_but_its_velocity_counts() -> None:
    out, batch = two_notes([1.0, 1.0])
    out.duration_value.requires_grad_(True)
    out.duration_logits.requires_grad_(True)
    known = loss_terms(out, batch, CONFIG, EDGES)
    hidden = loss_terms(out, batch._replace(articulation=torch.tensor([[0.0, math.nan]])), CONFIG, EDGES)
    assert hidden["dur_value"].item() == 0.0
    assert hidden["dur_bins"].item() == pytest.approx(math.log(16) / 2)
    for name in ("boundary", "vel_value", "vel_bins", "vel_shape"):
        assert hidden[name].item() == known[name].item()
    hidden["total"].backward()
    for values in (out.duration_value, out.duration_logits):
        assert values.grad is not None
        assert values.grad.isfinite().all()
        assert not values.grad[0, 1].any()


def test_the_shape_is_pearsons_r_within_each_phrase_whatever_its_range() -> None:
    rng = np.random.default_rng(0)
    played = torch.from_numpy(rng.normal(64, 30, (3, 50)))
    predicted = played * torch.tensor([[1.0], [0.1], [-2.0]]) + torch.from_numpy(rng.normal(0, 3, (3, 50)))
    weight = torch.ones(3, 50, dtype=torch.float64)
    r = phrase_correlation(predicted, played, weight)
    assert r.tolist() == pytest.approx([np.corrcoef(predicted[i], played[i])[0, 1] for i in range(3)], rel=0.01)
    weight[:, 20:] = 0  # notes that do not count change nothing
    assert phrase_correlation(predicted, played, weight).tolist() == pytest.approx(
        phrase_correlation(predicted[:, :20], played[:, :20], weight[:, :20]).tolist()
    )
    flat = phrase_correlation(predicted, torch.full((3, 50), 64.0, dtype=torch.float64), weight)
    assert flat.tolist() == [0.0] * 3


def test_the_shape_counts_as_much_as_it_is_told() -> None:
    terms = loss_terms(*two_notes([1.0, 1.0]), CONFIG, EDGES)
    weighed = loss_terms(*two_notes([1.0, 1.0]), TrainConfig(shape_weight=2.0), EDGES)
    assert 0 < terms["vel_shape"].item() < 1  # the louder note is predicted louder
    assert weighed["total"].item() == pytest.approx(terms["total"].item() + 2 * terms["vel_shape"].item())


def test_terms_are_weighed_as_configured() -> None:
    config = TrainConfig(boundary_weight=2.0, regression_weight=3.0, classification_weight=5.0, ordinal_weight=7.0)
    terms = {name: value.item() for name, value in loss_terms(*two_notes([1.0, 1.0]), config, EDGES).items()}
    regression, bins = terms["vel_value"] + terms["dur_value"], terms["vel_bins"] + terms["dur_bins"]
    order = terms["vel_order"] + terms["dur_order"]
    assert terms["total"] == pytest.approx(2 * terms["boundary"] + 3 * regression + 5 * bins + 7 * order)


def test_a_bin_that_is_further_off_is_a_worse_one() -> None:
    edges = torch.tensor([0.0, 1.0, 3.0])  # edges lie 1, 1.5 and 2 apart, the outer ones as their neighbours
    sure = torch.full((1, 4, 4), -1e4)
    for note, said in enumerate((0, 1, 2, 3)):
        sure[0, note, said] = 0.0
    score = ranked_probability_score(sure, torch.zeros(1, 4, dtype=torch.long), edges)
    assert score.tolist() == [[0.0, 1.0, 2.5, 4.5]]
    torn = torch.tensor([[[0.0, -1e4, -1e4, 0.0]]])  # between the first and the last: a quarter at each edge
    assert ranked_probability_score(torn, torch.tensor([[3]]), edges).item() == pytest.approx(4.5 / 4)


def test_it_is_the_error_of_velocities_and_articulations() -> None:
    out, batch = two_notes([1.0, 0.0])
    sure = torch.full((1, 2, 16), -1e4)
    sure[..., 7] = 0.0  # four bins too soft, and two bins too short, by 0.15 and 0.1 to the bin from -0.05
    terms = loss_terms(out._replace(velocity_logits=sure, duration_logits=sure), batch, CONFIG, EDGES)
    assert terms["vel_order"].item() == pytest.approx(4 * 8 / VELOCITY_SCALE)
    assert terms["dur_order"].item() == pytest.approx((0.1 + 0.15) / 2 + 0.1)


def test_the_score_is_least_for_what_comes_true_as_often_as_it_is_said() -> None:
    said = torch.tensor([0.1, 0.2, 0.3, 0.4])
    edges = torch.tensor([0.0, 1.0, 3.0])

    def expected(probabilities: torch.Tensor) -> float:
        scores = ranked_probability_score(probabilities.log().expand(1, 4, 4), torch.arange(4)[None], edges)
        return (scores[0] @ said).item()

    for other in ([0.25, 0.25, 0.25, 0.25], [0.1, 0.3, 0.2, 0.4], [0.2, 0.1, 0.3, 0.4], [0.05, 0.2, 0.3, 0.45]):
        assert expected(said) < expected(torch.tensor(other))


@pytest.mark.parametrize("velocity", range(1, 128, 3))
def test_velocity_bins_are_those_of_decoding(velocity: int) -> None:
    out, batch = two_notes([1.0, 0.0])
    sure = torch.full((1, 2, 16), -1e4)
    sure[0, 0, velocity * 16 // 128] = 0.0
    batch = batch._replace(velocity=torch.tensor([[float(velocity), 54.0]]))
    assert loss_terms(out._replace(velocity_logits=sure), batch, CONFIG, EDGES)["vel_bins"].item() == 0.0


@pytest.mark.parametrize(
    ("articulation", "expected"), [(-6.0, 0), (-3.0, 1), (-0.05, 9), (0.0, 9), (0.0499, 9), (4.0, 15)]
)
def test_duration_bins_are_those_of_decoding(articulation: float, expected: int) -> None:
    out, batch = two_notes([1.0, 0.0])
    sure = torch.full((1, 2, 16), -1e4)
    sure[0, 0, expected] = 0.0
    batch = batch._replace(articulation=torch.tensor([[articulation, 0.0]]))
    assert loss_terms(out._replace(duration_logits=sure), batch, CONFIG, EDGES)["dur_bins"].item() == 0.0


# The schedule.


def test_the_learning_rate_warms_up_and_falls_as_a_cosine_to_a_twentieth() -> None:
    config = TrainConfig(lr=1.0, warmup_steps=100)
    rates = [learning_rate(config, step, 2100) for step in range(2101)]
    assert rates[0] == pytest.approx(0.01)
    assert rates[49] == pytest.approx(0.5)
    assert rates[99] == rates[100] == 1.0
    assert rates[1100] == pytest.approx(0.05 + 0.95 / 2)
    assert rates[2100] == pytest.approx(0.05)
    assert all(later <= earlier for earlier, later in pairwise(rates[100:]))


@pytest.mark.parametrize(("total", "warmup"), [(100, 10), (5000, 500), (20_000, 500), (9, 1), (1, 1)])
def test_the_warm_up_is_never_more_than_a_tenth_of_the_run(total: int, warmup: int) -> None:
    config = TrainConfig(lr=1.0, warmup_steps=500)
    assert learning_rate(config, warmup - 1, total) == 1.0
    if warmup > 1:
        assert learning_rate(config, warmup - 2, total) < 1.0


def test_beyond_the_schedule_the_rate_stays_at_its_end() -> None:
    assert learning_rate(TrainConfig(lr=1.0), 5000, 1000) == pytest.approx(0.05)


def test_padding_does_not_reach_the_loss(data: PhraseData) -> None:
    """A phrase has the same loss however far it is padded."""
    network = tiny_network(std=0.2)
    losses = []
    for max_len in (40, 128):
        batch = data.batch(np.array([[0, 40, 0, 0]]), data.parts, seed=0, epoch=0, width=max_len)
        with torch.inference_mode():
            out = network(batch.pitch, batch.program, batch.features, batch.mask)
        losses.append(loss_terms(out, batch, CONFIG, EDGES)["total"].item())
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
