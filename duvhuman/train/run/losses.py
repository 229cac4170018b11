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

from duvhuman.models.config import DURATION_BINS, VELOCITY_BIN_WIDTH, VELOCITY_BINS, VELOCITY_CENTRE, VELOCITY_SCALE
from duvhuman.models.phrase_transformer import PhraseOutput
from duvhuman.train.config import TrainConfig
from duvhuman.train.pairs.encode import Batch

FINAL_LR = 0.05


def loss_terms(
    out: PhraseOutput, batch: Batch, config: TrainConfig, duration_edges: Tensor, *, norm: Tensor | None = None
) -> dict[str, Tensor]:
    """Each of `TERMS`: the terms of the loss and their weighted ``total``.

    Bins and regressions learn what was played and, with teachers, a share of ``config.teacher_share`` of what these
    expect; lengths where the key's release is known.

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
    velocity = (batch.velocity - VELOCITY_CENTRE) / VELOCITY_SCALE
    terms = {
        "boundary": mean(F.binary_cross_entropy_with_logits(out.boundary_logits, batch.boundary, reduction="none")),
        "vel_value": mean(F.smooth_l1_loss(out.velocity_value, velocity, reduction="none")),
        "dur_value": mean(F.smooth_l1_loss(out.duration_value, articulation, reduction="none") * known),
        "vel_bins": mean(F.cross_entropy(out.velocity_logits.transpose(1, 2), velocity_bin, reduction="none")),
        "dur_bins": mean(F.cross_entropy(out.duration_logits.transpose(1, 2), duration_bin, reduction="none") * known),
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


def learning_rate(config: TrainConfig, step: int, total_steps: int) -> float:
    """Linear warm-up, never more than a tenth of the run, then a cosine down to a twentieth."""
    warmup = max(min(config.warmup_steps, total_steps // 10), 1)
    if step < warmup:
        return config.lr * (step + 1) / warmup
    progress = min((step - warmup) / max(total_steps - warmup, 1), 1.0)
    return config.lr * (FINAL_LR + (1 - FINAL_LR) * 0.5 * (1 + math.cos(math.pi * progress)))
