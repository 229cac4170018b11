"""What training minimises, and the schedule of its learning rate.

Conventions
-----------
Shapes are those of `duvhuman.train.pairs.encode.Batch` and `duvhuman.models.phrase_transformer.PhraseOutput`. Losses
are means over the notes that count.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from duvhuman.models.config import (
    DURATION_BINS,
    VELOCITY_BIN_CENTRES,
    VELOCITY_BIN_WIDTH,
    VELOCITY_BINS,
    VELOCITY_CENTRE,
    VELOCITY_SCALE,
)
from duvhuman.models.phrase_transformer import PhraseOutput
from duvhuman.train.config import TrainConfig
from duvhuman.train.pairs.encode import Batch

FINAL_LR = 0.05
SHAPE_SD = 2.0
"""Phrases whose velocities vary by less than about this tell little of their shape, and weigh less in ``vel_shape``."""


def loss_terms(
    out: PhraseOutput, batch: Batch, config: TrainConfig, duration_edges: Tensor, *, norm: Tensor | None = None
) -> dict[str, Tensor]:
    """Each of `TERMS`: the terms of the loss and their weighted ``total``.

    Bins and regressions learn what was played and, with teachers, a share of ``config.teacher_share`` of what these
    expect; lengths where the key's release is known. To ``vel_bins`` and ``dur_bins`` a bin is right or wrong; to
    ``vel_order`` and ``dur_order`` a wrong one is the worse, the further off it lies.

    Parameters
    ----------
    duration_edges : (15,) inner edges of the articulation bins.
    norm : what the sums are divided by; by default the number of notes that count in `batch`.
    """
    weight = batch.weight
    divisor = weight.sum().clamp(min=1.0) if norm is None else norm

    def mean(values: Tensor) -> Tensor:
        return (values * weight).sum() / divisor

    velocity_bin = batch.velocity.long() // VELOCITY_BIN_WIDTH
    known = batch.articulation.isfinite()
    articulation = torch.where(known, batch.articulation, 0.0)
    duration_bin = torch.bucketize(articulation, duration_edges, right=True)
    velocity_edges = VELOCITY_BIN_WIDTH * torch.arange(1.0, VELOCITY_BINS, device=weight.device)
    velocity = (batch.velocity - VELOCITY_CENTRE) / VELOCITY_SCALE
    terms = {
        "boundary": mean(F.binary_cross_entropy_with_logits(out.boundary_logits, batch.boundary, reduction="none")),
        "vel_value": mean(F.smooth_l1_loss(out.velocity_value, velocity, reduction="none")),
        "dur_value": mean(F.smooth_l1_loss(out.duration_value, articulation, reduction="none") * known),
        "vel_bins": mean(F.cross_entropy(out.velocity_logits.transpose(1, 2), velocity_bin, reduction="none")),
        "dur_bins": mean(F.cross_entropy(out.duration_logits.transpose(1, 2), duration_bin, reduction="none") * known),
        "vel_order": mean(ranked_probability_score(out.velocity_logits, velocity_bin, velocity_edges / VELOCITY_SCALE)),
        "dur_order": mean(ranked_probability_score(out.duration_logits, duration_bin, duration_edges) * known),
        "vel_shape": mean(1 - phrase_correlation(expected_velocity(out), batch.velocity, weight)[:, None]),
    }
    terms |= {name: mean(value) for name, value in taught_errors(out, batch, known).items()}
    share = config.teacher_share if batch.taught.shape[-1] else 0.0

    def learnt(kind: str) -> Tensor:
        played, taught = (terms[f"{by}vel_{kind}"] + terms[f"{by}dur_{kind}"] for by in ("", "taught_"))
        return (1 - share) * played + share * taught

    terms["total"] = (
        config.boundary_weight * terms["boundary"]
        + config.regression_weight * learnt("value")
        + config.classification_weight * learnt("bins")
        + config.ordinal_weight * (terms["vel_order"] + terms["dur_order"])
        + config.shape_weight * terms["vel_shape"]
    )
    return terms


def taught_errors(out: PhraseOutput, batch: Batch, known: Tensor) -> dict[str, Tensor]:
    """(B, T) each: the errors of bins and regressions beside what teachers expect, 0 without teachers.

    Parameters
    ----------
    known : (B, T) whether the length counts.
    """
    zero = torch.zeros_like(batch.weight)
    if not batch.taught.shape[-1]:
        return {f"taught_{of}_{kind}": zero for of in ("vel", "dur") for kind in ("value", "bins")}
    sizes = [VELOCITY_BINS, DURATION_BINS, 1, 1]
    velocity_bins, duration_bins, velocity, articulation = torch.split(batch.taught, sizes, dim=-1)

    def cross_entropy(logits: Tensor, expected: Tensor) -> Tensor:
        return -(expected * logits.log_softmax(-1)).sum(-1)

    return {
        "taught_vel_value": F.smooth_l1_loss(out.velocity_value, velocity[..., 0], reduction="none"),
        "taught_dur_value": F.smooth_l1_loss(out.duration_value, articulation[..., 0], reduction="none") * known,
        "taught_vel_bins": cross_entropy(out.velocity_logits, velocity_bins),
        "taught_dur_bins": cross_entropy(out.duration_logits, duration_bins) * known,
    }


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
    return ((below - right) ** 2 * width).sum(-1)  # not @, which autocast takes to bf16


def _centred(values: Tensor, weight: Tensor) -> Tensor:
    """(B, T) `values` minus the weighted mean of their phrase."""
    mean: Tensor = (values * weight).sum(1, keepdim=True) / weight.sum(1, keepdim=True).clamp(min=1.0)
    return values - mean


def expected_velocity(out: PhraseOutput) -> Tensor:
    """(B, T) the MIDI velocity that is decoded, but for its stretching: the mean of the bins."""
    # Computed, not a constant: that would be copied to the GPU, which a CUDA graph cannot do.
    bins = torch.arange(VELOCITY_BINS, device=out.velocity_logits.device)
    centres = VELOCITY_BIN_WIDTH * bins + VELOCITY_BIN_CENTRES[0]
    return (out.velocity_logits.softmax(-1) * centres).sum(-1)  # not @, which autocast takes to bf16


def phrase_correlation(predicted: Tensor, played: Tensor, weight: Tensor) -> Tensor:
    """(B,) Pearson's r of predicted and played velocities (B, T) within each phrase, nearly 0 where little is played.

    The regression's error is dominated by players with a wide range; this weighs every player's accents alike.
    """
    total = weight.sum(1).clamp(min=1.0)
    a, b = (_centred(values, weight) * weight for values in (predicted, played))
    variance_a, variance_b = (a * a).sum(1) / total, (b * b).sum(1) / total
    covariance = (a * b).sum(1) / total
    return covariance / torch.sqrt((variance_a + 1e-2) * (variance_b + SHAPE_SD**2))


def learning_rate(config: TrainConfig, step: int, total_steps: int) -> float:
    """Linear warm-up, never more than a tenth of the run, then a cosine down to a twentieth."""
    warmup = max(min(config.warmup_steps, total_steps // 10), 1)
    if step < warmup:
        return config.lr * (step + 1) / warmup
    progress = min((step - warmup) / max(total_steps - warmup, 1), 1.0)
    return config.lr * (FINAL_LR + (1 - FINAL_LR) * 0.5 * (1 + math.cos(math.pi * progress)))
