"""The curves of a run: ``metrics.csv`` as a picture (extra ``train``).

Conventions
-----------
Rows are those of `duvhuman.train.run.history`: one per stage and epoch, in the order of training.
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from duvhuman.errors import FileError
from duvhuman.files import write_whole
from duvhuman.train.run.history import History, Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CURVES_FILE = "curves.png"
_SIZE_INCHES, _DPI = (14.0, 9.0), 100
_EPOCH_LABELS = 10


@dataclass(frozen=True)
class _Curve:
    """A line of a panel: a column, how it is named there, and whether it is something to be compared with."""

    column: str
    name: str
    is_floor: bool = False


_PANELS: Mapping[str, Sequence[_Curve]] = {
    "loss per note": (_Curve("train_loss", "train"), _Curve("val_loss", "valid")),
    "velocity r": (_Curve("vel_r", "model"), _Curve("ridge_vel_r", "ridge floor", is_floor=True)),
    "velocity SD, model / player": (
        _Curve("vel_sd_ratio", "model"), _Curve("ridge_vel_sd_ratio", "ridge floor", is_floor=True),
    ),
    "terms of the training loss, per note": (
        _Curve("train_vel_value", "velocity"), _Curve("train_dur_value", "duration"),
        _Curve("train_vel_bins", "velocity bins"), _Curve("train_dur_bins", "duration bins"),
        _Curve("train_boundary", "boundary"),
    ),
    "velocity MAE (MIDI steps)": (_Curve("vel_mae", "model"), _Curve("flat_vel_mae", "flat", is_floor=True)),
    "articulation MAE (ln of length ratio)": (
        _Curve("art_mae", "model"), _Curve("flat_art_mae", "as written", is_floor=True),
    ),
}
_PERFECT = {"velocity SD, model / player": 1.0}


def can_draw() -> bool:
    """Whether matplotlib is there."""
    return find_spec("matplotlib") is not None


def draw_curves(folder: Path) -> None:
    """Draw ``metrics.csv`` as ``curves.png`` beside it, stages one after another; failed epochs are shaded. Nothing is
    drawn where there are no epochs, or no matplotlib.

    Raises
    ------
    DataError
        If ``metrics.csv`` is damaged.
    FileError
        If the picture cannot be written.
    """
    rows = History(folder).rows()
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        return
    if not rows:
        return
    figure = Figure(figsize=_SIZE_INCHES, dpi=_DPI, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots(2, 3)
    for panel, (label, curves) in zip(axes.flat, _PANELS.items(), strict=True):
        _draw_panel(panel, label, curves, rows)
        _draw_epochs(panel, rows)
    picture = io.BytesIO()
    canvas.print_png(picture)  # type: ignore[no-untyped-call]
    try:
        write_whole(folder / CURVES_FILE, picture.getvalue())
    except OSError as error:
        raise FileError(f"{folder / CURVES_FILE}: cannot be written ({error}); free the disk") from None


def _draw_panel(panel: Axes, label: str, curves: Sequence[_Curve], rows: Sequence[Row]) -> None:
    """The lines of one panel; a line ends where its stage ends."""
    if label in _PERFECT:
        panel.axhline(_PERFECT[label], color="black", linewidth=1.0, label="as the player")
    colours = iter(("tab:blue", "tab:orange", "tab:green", "tab:purple", "tab:brown"))
    for curve in curves:
        colour, name = next(colours), curve.name
        for first, stop in _stages(rows):
            values = [float(row.get(curve.column, math.nan)) for row in rows[first:stop]]
            if not any(map(math.isfinite, values)):
                continue
            if curve.is_floor:  # as wide as the stage, so that it shows beside a single epoch, too
                places = [first + 0.5, *range(first + 1, stop + 1), stop + 0.5]
                values = [values[0], *values, values[-1]]
                panel.plot(places, values, color="tab:gray", linewidth=1.4, linestyle="--", label=name)
            else:
                places = list(range(first + 1, stop + 1))
                panel.plot(places, values, color=colour, linewidth=1.6, marker="o", markersize=4.0, label=name)
            name = "_"  # once in the legend
    panel.set_ylabel(label)
    panel.grid(axis="y", alpha=0.3)
    if panel.get_legend_handles_labels()[0]:
        panel.legend(fontsize=9, framealpha=0.7)


def _draw_epochs(panel: Axes, rows: Sequence[Row]) -> None:
    """The x axis: each stage counts its own epochs, has its name at the top, and a line where it begins."""
    stages = _stages(rows)
    step = max(math.ceil(len(rows) / _EPOCH_LABELS), 1)
    ticks = [place for first, stop in stages for place in range(first, stop) if (place - first + 1) % step == 0]
    ticks += [first for first, _ in stages if first not in ticks and first + 1 not in ticks]
    panel.set_xlim(0.5, len(rows) + 0.5)
    panel.set_xticks([place + 1 for place in ticks], [f"{float(rows[place]['epoch']):.0f}" for place in ticks])
    panel.set_xlabel("epoch of the stage")
    for first, stop in stages:
        if first:
            panel.axvline(first + 0.5, color="black", linewidth=0.8, linestyle=":")
        middle = (first + stop + 1) / 2
        name = str(rows[first]["stage"])
        panel.text(middle, 1.01, name, transform=panel.get_xaxis_transform(), ha="center", va="bottom", fontsize=9)
    for place, row in enumerate(rows, start=1):
        if row.get("failed"):
            panel.axvspan(place - 0.5, place + 0.5, color="tab:red", alpha=0.15, linewidth=0)
            panel.text(
                place, 0.02, "failed", transform=panel.get_xaxis_transform(), ha="center", va="bottom", rotation=90,
                fontsize=8, color="tab:red",
            )


def _stages(rows: Sequence[Row]) -> list[tuple[int, int]]:
    """First row and row after the last of each run of rows of one stage."""
    edges = [i for i in range(1, len(rows)) if rows[i]["stage"] != rows[i - 1]["stage"]]
    return list(zip([0, *edges], [*edges, len(rows)], strict=True))
