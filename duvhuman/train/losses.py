"""What training minimises, and the schedule of its learning rate.

Conventions
-----------
Shapes are those of `duvhuman.train.encode.Batch` and `duvhuman.models.phrase_transformer.PhraseOutput`. Losses are
means over the notes that count.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from duvhuman.models.phrase_transformer import VELOCITY_CENTRE, VELOCITY_SCALE, PhraseOutput
from duvhuman.train.config import TrainConfig
from duvhuman.train.encode import Batch

TERMS = (
    "boundary", "vel_value", "dur_value", "vel_bins", "dur_bins", "vel_order", "dur_order", "vel_taught", "vel_shape",
    "total",
)  # fmt: skip
FINAL_LR = 0.05
FLAT_SD = 2.0
"""Phrases whose velocities vary by less than about this tell little of their shape, and weigh less in ``vel_shape``."""


def loss_terms(
    out: PhraseOutput, batch: Batch, config: TrainConfig, duration_edges: Tensor, *, norm: Tensor | None = None
) -> dict[str, Tensor]:
    """Each of `TERMS`: the terms of the loss and their weighted ``total``.

    Bins and regressions learn what was played, lengths where the key's release is known. The mean of the velocity bins,
    which is what is decoded, also learns what the teacher expects, where there is one (``vel_taught``): the shape of a
    phrase alone, for its level is the player's, and known only where it is given. To ``vel_bins`` and ``dur_bins`` a
    bin is right or wrong; to ``vel_order`` and ``dur_order`` a wrong one is the worse, the further off it lies.

    Parameters
    ----------
    duration_edges : (15,) inner edges of the articulation bins.
    norm : what the sums are divided by; by default the number of notes that count in `batch`.
    """
    weight = batch.weight
    divisor = weight.sum().clamp(min=1.0) if norm is None else norm

    def mean(values: Tensor) -> Tensor:
        return (values * weight).sum() / divisor

    velocity_bin = (batch.velocity.long() * 16) // 128
    known = batch.articulation.isfinite()
    articulation = torch.where(known, batch.articulation, 0.0)
    duration_bin = torch.bucketize(articulation, duration_edges, right=True)
    velocity_edges = 8.0 * torch.arange(1, 16, device=weight.device)
    velocity = (batch.velocity - VELOCITY_CENTRE) / VELOCITY_SCALE
    decoded = expected_velocity(out)
    taught = batch.expected_velocity.isfinite()
    expected = torch.where(taught, batch.expected_velocity, 0.0)
    shape, expected_shape = (_centred(v, taught * weight) / VELOCITY_SCALE for v in (decoded, expected))
    taught_error = F.smooth_l1_loss(shape, expected_shape, reduction="none") * taught
    terms = {
        "boundary": mean(F.binary_cross_entropy_with_logits(out.boundary_logits, batch.boundary, reduction="none")),
        "vel_value": mean(F.smooth_l1_loss(out.velocity_value, velocity, reduction="none")),
        "dur_value": mean(F.smooth_l1_loss(out.duration_value, articulation, reduction="none") * known),
        "vel_bins": mean(F.cross_entropy(out.velocity_logits.transpose(1, 2), velocity_bin, reduction="none")),
        "dur_bins": mean(F.cross_entropy(out.duration_logits.transpose(1, 2), duration_bin, reduction="none") * known),
        "vel_order": mean(ranked_probability_score(out.velocity_logits, velocity_bin, velocity_edges / VELOCITY_SCALE)),
        "dur_order": mean(ranked_probability_score(out.duration_logits, duration_bin, duration_edges) * known),
        "vel_taught": mean(taught_error),
        "vel_shape": mean(1 - phrase_correlation(decoded, batch.velocity, weight)[:, None]),
    }
    terms["total"] = (
        config.boundary_weight * terms["boundary"]
        + config.regression_weight * (terms["vel_value"] + terms["dur_value"])
        + config.classification_weight * (terms["vel_bins"] + terms["dur_bins"])
        + config.ordinal_weight * (terms["vel_order"] + terms["dur_order"])
        + config.teacher_weight * terms["vel_taught"]
        + config.shape_weight * terms["vel_shape"]
    )
    return terms


def ranked_probability_score(logits: Tensor, bins: Tensor, edges: Tensor) -> Tensor:
    """(B, T) the squared error of the distribution function at the edges of the bins (Epstein 1969), times the width
    around each: with narrow bins the continuous ranked probability score, an error in the unit of `edges`.

    Parameters
    ----------
    logits : (B, T, K) of bins in their order.
    bins : (B, T) those that were right, 0..K-1.
    edges : (K - 1,) the inner edges, rising.
    """
    step = edges.diff()
    width = (torch.cat([step[:1], step]) + torch.cat([step, step[-1:]])) / 2
    below = logits.softmax(-1).cumsum(-1)[..., :-1]
    right = (bins[..., None] <= torch.arange(len(edges), device=bins.device)).to(below.dtype)
    return (below - right) ** 2 @ width


def _centred(values: Tensor, weight: Tensor) -> Tensor:
    """(B, T) `values` minus the weighted mean of their phrase."""
    mean: Tensor = (values * weight).sum(1, keepdim=True) / weight.sum(1, keepdim=True).clamp(min=1.0)
    return values - mean


def expected_velocity(out: PhraseOutput) -> Tensor:
    """(B, T) the MIDI velocity that is decoded, but for its stretching: the mean of the bins."""
    centres = 8.0 * torch.arange(out.velocity_logits.shape[-1], device=out.velocity_logits.device) + 3.5
    return out.velocity_logits.softmax(-1) @ centres


def phrase_correlation(predicted: Tensor, played: Tensor, weight: Tensor) -> Tensor:
    """(B,) Pearson's r of predicted and played velocities (B, T) within each phrase, nearly 0 where little is played.

    The regression's error is dominated by players with a wide range; this weighs every player's accents alike.
    """
    total = weight.sum(1).clamp(min=1.0)
    a, b = (_centred(values, weight) * weight for values in (predicted, played))
    variance_a, variance_b = (a * a).sum(1) / total, (b * b).sum(1) / total
    covariance = (a * b).sum(1) / total
    return covariance / torch.sqrt((variance_a + 1e-2) * (variance_b + FLAT_SD**2))


def learning_rate(config: TrainConfig, step: int, total_steps: int) -> float:
    """Linear warm-up, never more than a tenth of the run, then a cosine down to a twentieth."""
    warmup = max(min(config.warmup_steps, total_steps // 10), 1)
    if step < warmup:
        return config.lr * (step + 1) / warmup
    progress = min((step - warmup) / max(total_steps - warmup, 1), 1.0)
    return config.lr * (FINAL_LR + (1 - FINAL_LR) * 0.5 * (1 + math.cos(math.pi * progress)))
