"""The loss, worked out by hand, and the learning rate."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from toys import tiny_network

from duvhuman.models.config import DURATION_EDGES
from duvhuman.models.phrase_transformer import PhraseOutput
from duvhuman.train.config import TrainConfig
from duvhuman.train.dataset import PhraseData
from duvhuman.train.pairs.encode import Batch
from duvhuman.train.run.losses import learning_rate, loss_terms

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
    )
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
    for name in ("boundary", "vel_value", "vel_bins"):
        assert hidden[name].item() == known[name].item()
    hidden["total"].backward()
    for values in (out.duration_value, out.duration_logits):
        assert values.grad is not None
        assert values.grad.isfinite().all()
        assert not values.grad[0, 1].any()


def test_terms_are_weighed_as_configured() -> None:
    config = TrainConfig(boundary_weight=2.0, regression_weight=3.0, classification_weight=5.0)
    terms = {name: value.item() for name, value in loss_terms(*two_notes([1.0, 1.0]), config, EDGES).items()}
    regression, bins = terms["vel_value"] + terms["dur_value"], terms["vel_bins"] + terms["dur_bins"]
    assert terms["total"] == pytest.approx(2 * terms["boundary"] + 3 * regression + 5 * bins)


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
