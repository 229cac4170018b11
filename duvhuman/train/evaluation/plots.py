"""Pictures of an evaluation: what the players did, what the model does, and whether its probabilities hold.

Conventions
-----------
Needs matplotlib (the extra ``train``). Pictures are PNG files named after the instrument.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from duvhuman.arrays import FloatArray, IntArray
from duvhuman.errors import FileError
from duvhuman.files import write_whole
from duvhuman.humanize.decode import duration_bin, velocity_bin
from duvhuman.models.config import ModelConfig
from duvhuman.train.evaluation.metrics import correlation
from duvhuman.train.evaluation.report import FLAT, Evaluation, shipped_row

if TYPE_CHECKING:
    from matplotlib.axes import Axes

HUMAN, OURS, WRITTEN = "#1f4e79", "#d9662b", "#9a9a9a"
SHOWN_NOTES, SHOWN_PARTS = 160, 6
OCTAVES = 3
"""Lengths are shown up to so many octaves from the written ones: further off are those that `Pair` cuts off at 4, too.
The legend tells the share of those beyond."""
LENGTH_LABEL = "log2(performed / written length)"


def draw_evaluation(report: Evaluation, config: ModelConfig, folder: Path) -> list[Path]:
    """Draw the four pictures of a report into `folder`, and return their paths; FileError if they cannot be written."""
    from matplotlib.figure import Figure

    paths = []
    rows = min(SHOWN_PARTS, len(report.pairs))
    for name, size, grid, draw in (
        ("velocity", (13, 2 * rows + 1), (rows, 1), _draw_parts),
        ("scatter", (11, 5), (1, 2), _draw_scatter),
        ("articulation", (9, 5), (1, 1), _draw_articulation),
        ("calibration", (11, 5), (1, 2), _draw_calibration),
    ):
        figure = Figure(figsize=size, dpi=100, layout="constrained")
        axes = list(np.ravel(figure.subplots(*grid)))
        figure.suptitle(draw(axes, report, config), fontsize=12)
        paths.append(folder / f"{report.instrument}_{name}.png")
        picture = io.BytesIO()
        figure.savefig(picture, format="png")
        try:
            write_whole(paths[-1], picture.getvalue())
        except OSError as error:
            what = f"{paths[-1]}: the picture cannot be written there ({error.strerror})"
            raise FileError(f"{what}; name another --out") from None
    return paths


def calibration(probabilities: FloatArray, happened: IntArray) -> tuple[FloatArray, FloatArray, IntArray]:
    """How often bins came true that were given a certain probability.

    Parameters
    ----------
    probabilities : (N, K), rows sum to 1.
    happened : (N,) the bin that came true.

    Returns
    -------
    Mean probability, share that came true, and count of each tenth of the probabilities that holds any.
    """
    said = probabilities.ravel()
    true = (np.arange(probabilities.shape[1]) == happened[:, None]).ravel()
    tenth = np.minimum((said * 10).astype(np.int64), 9)
    count = np.bincount(tenth, minlength=10)
    some = count > 0
    mean = np.bincount(tenth, said, minlength=10)[some] / count[some]
    share = np.bincount(tenth, true, minlength=10)[some] / count[some]
    return mean, share, count[some]


def _draw_parts(axes: list[Axes], report: Evaluation, _config: ModelConfig) -> str:
    """Velocity over time: parts from the best to the worst played, evenly spaced."""
    ours = report.performances[shipped_row(report.table)]
    r = [correlation(p.played.velocity, o.velocity) for p, o in zip(report.pairs, ours, strict=True)]
    order = np.argsort(-np.array(r))
    shown = order[np.linspace(0, len(order) - 1, len(axes)).round().astype(int)]
    for axis, index in zip(axes, shown, strict=True):
        pair, played = report.pairs[index], ours[index]
        notes = slice(0, SHOWN_NOTES)
        time = pair.score.onset_beats[notes]
        axis.plot(time, report.performances[FLAT][index].velocity[notes], color=WRITTEN, lw=1, label="flat")
        axis.plot(time, pair.played.velocity[notes], ".-", color=HUMAN, lw=0.9, ms=4, label="human")
        axis.plot(time, played.velocity[notes], ".-", color=OURS, lw=0.9, ms=4, label="ours")
        axis.set_ylim(0, 128)
        axis.margins(x=0.01)
        axis.set_ylabel("velocity")
        axis.set_title(f"r = {r[index]:.2f}", fontsize=9, loc="right", pad=2)
    axes[-1].set_xlabel("beats")
    axes[0].legend(ncols=3, loc="upper left", frameon=False, bbox_to_anchor=(0, 1.25))
    return f"{report.instrument}: {len(shown)} of {len(order)} held-out parts, from the best to the worst correlated"


def _draw_scatter(axes: list[Axes], report: Evaluation, _config: ModelConfig) -> str:
    """Played against predicted, all notes, each minus its part's mean."""
    ours = report.performances[shipped_row(report.table)]
    velocity = [(p.played.velocity, o.velocity) for p, o in zip(report.pairs, ours, strict=True)]
    known = [np.isfinite(pair.articulation) for pair in report.pairs]
    lengths = [
        (p.articulation[k], o.articulation[k]) for p, o, k in zip(report.pairs, ours, known, strict=True) if k.any()
    ]
    for axis, sides, label, limit in zip(
        axes, (velocity, lengths), ("velocity minus the part's mean", LENGTH_LABEL), (60, OCTAVES),
        strict=True,
    ):
        middle = limit == 60
        x = np.concatenate([a - a.mean() * middle for a, _ in sides])
        y = np.concatenate([b - b.mean() * middle for _, b in sides])
        axis.hexbin(x, y, gridsize=60, bins="log", cmap="Blues", extent=(-limit, limit, -limit, limit), mincnt=1)
        axis.plot([-limit, limit], [-limit, limit], color=WRITTEN, lw=1)
        axis.set_xlabel(f"human: {label}")
        axis.set_ylabel("ours")
    return f"{report.instrument}: {sum(len(a) for a, _ in velocity):,} notes of {len(report.pairs)} held-out parts"


def _draw_articulation(axes: list[Axes], report: Evaluation, _config: ModelConfig) -> str:
    ours = report.performances[shipped_row(report.table)]
    edges, width = np.linspace(-OCTAVES, OCTAVES, 91, retstep=True)
    played = np.concatenate([pair.articulation for pair in report.pairs])
    said = np.concatenate([one.articulation for one in ours])
    for values, colour, who in ((played, HUMAN, "human"), (said, OURS, "ours")):
        known = values[np.isfinite(played)]
        share = np.full(len(known), 1 / max(len(known), 1))
        beyond = float(share[np.abs(known) > OCTAVES].sum())
        label = f"{who} ({beyond:.1%} lie beyond)"
        axes[0].hist(known, list(edges), color=colour, alpha=0.55, weights=share / width, label=label)
    axes[0].axvline(0, color=WRITTEN, lw=1)
    axes[0].set_xlabel(f"{LENGTH_LABEL}; 0: exactly as written")
    axes[0].set_ylabel("density of notes")
    axes[0].legend(frameon=False)
    return f"{report.instrument}: articulation"


def _draw_calibration(axes: list[Axes], report: Evaluation, config: ModelConfig) -> str:
    said = [one.said for one in report.performances[shipped_row(report.table)]]
    known = [(pair, one) for pair, one in zip(report.pairs, said, strict=True) if one is not None]
    released = np.isfinite(np.concatenate([pair.articulation for pair, _ in known]))
    panels = (
        ("velocity bins", [one.moved_velocity_probabilities() for _, one in known],
         [velocity_bin(pair.played.velocity) for pair, _ in known], slice(None)),
        ("articulation bins", [one.duration_probabilities for _, one in known],
         [duration_bin(pair.articulation, config) for pair, _ in known], released),
    )
    for axis, (label, probabilities, happened, rows) in zip(axes, panels, strict=True):
        mean, share, count = calibration(np.concatenate(probabilities)[rows], np.concatenate(happened)[rows])
        axis.plot([0, 1], [0, 1], color=WRITTEN, lw=1)
        axis.plot(mean, share, "o-", color=OURS)
        for x, y, n in zip(mean, share, count, strict=True):
            axis.annotate(f"{n:,}", (x, y), textcoords="offset points", xytext=(6, -10), fontsize=7, color="#555555")
        axis.set(xlim=(-0.06, 1.06), ylim=(-0.06, 1.06))  # the counts beside the points at 0 and 1 are within, too
        axis.set(xlabel=f"probability given to {label}", ylabel="share that came true")
    return f"{report.instrument}: do the bins' probabilities hold?"
