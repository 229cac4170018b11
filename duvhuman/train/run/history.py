"""What a run leaves to be looked at: ``metrics.csv``, ``curves.png`` and TensorBoard events.

Conventions
-----------
``metrics.csv`` has one row per stage and epoch (from 1), in the order of training, and the columns `METRICS`. A metric
that was not measured is an empty cell. Velocities are MIDI steps, articulation is the natural log of performed over
written length. Curves and events need the extra ``train``; ``metrics.csv``, from which both are made, does not.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from duvhuman.errors import DataError, FileError
from duvhuman.files import written_whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes

METRICS_FILE, CURVES_FILE = "metrics.csv", "curves.png"
METRICS = (
    "stage", "epoch", "train_loss", "val_loss", "vel_r", "vel_mae", "vel_mae_centred", "vel_sd_ratio", "vel_js",
    "art_r", "art_mae", "failed", "lr", "notes_seen", "notes_per_s", "seconds", "train_boundary", "train_vel_value",
    "train_dur_value", "train_vel_bins", "train_dur_bins", "train_vel_order", "train_dur_order", "train_vel_shape",
    "train_taught_vel_value", "train_taught_dur_value", "train_taught_vel_bins",
    "train_taught_dur_bins",
    "flat_vel_mae", "flat_art_mae", "ridge_vel_r", "ridge_vel_sd_ratio",
)  # fmt: skip
"""The columns of ``metrics.csv``; all but ``stage`` are numbers."""
Row = Mapping[str, "float | str"]

_SIZE_INCHES, _DPI = (14.0, 9.0), 100
_EPOCH_LABELS = 10


class History:
    """The ``metrics.csv`` of a run; whenever the run is killed, the file is whole.

    Parameters
    ----------
    folder : of the run.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / METRICS_FILE

    def append(self, row: Row) -> None:
        """Add an epoch, in place of the row that it has already, if it has one.

        Parameters
        ----------
        row : column -> value; what it lacks becomes an empty cell.

        Raises
        ------
        ValueError
            If `row` has a key that is no column, or lacks ``stage`` or ``epoch``.
        DataError
            If the file that is there is damaged.
        FileError
            If the file cannot be written.
        """
        if wrong := sorted({"stage", "epoch"} - row.keys() | row.keys() - set(METRICS)):
            raise ValueError(f"a row needs stage and epoch, and may have no other keys than METRICS: {wrong}")
        others = [other for other in self.rows() if _place(other) != _place(row)]
        self._write([*others, row])

    def drop_after(self, stage: str, epoch: int) -> None:
        """Remove a stage's rows after this epoch: a resumed run trains these epochs again."""
        rows = self.rows()
        kept = [row for row in rows if row["stage"] != stage or float(row["epoch"]) <= epoch]
        if len(kept) < len(rows):
            self._write(kept)

    def forget(self, stage: str) -> None:
        """Remove all rows of a stage."""
        self.drop_after(stage, 0)

    def rows(self) -> list[dict[str, float | str]]:
        """All rows, without their empty cells; ``stage`` is text, everything else a number.

        Raises
        ------
        DataError
            If the file is damaged, or no ``metrics.csv`` of a run.
        """
        try:
            with self._path.open(encoding="utf-8", newline="") as file:
                lines = list(csv.reader(file, strict=True))
        except (FileNotFoundError, NotADirectoryError):
            return []
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise self._damaged(str(error)) from None
        header = lines[0] if lines else []
        if not {"stage", "epoch"} <= set(header) <= set(METRICS) or len(set(header)) != len(header):
            raise self._damaged("its first line does not name the columns")
        rows = []
        for number, cells in enumerate(lines[1:], start=2):
            try:
                named = {name: cell for name, cell in zip(header, cells, strict=True) if cell}
                rows.append({name: cell if name == "stage" else float(cell) for name, cell in named.items()})
                _place(rows[-1])
            except (ValueError, KeyError) as error:
                raise self._damaged(f"line {number}: {error}") from None
        return rows

    def _write(self, rows: Sequence[Row]) -> None:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(METRICS)
        writer.writerows([_cell(row.get(name, "")) for name in METRICS] for row in rows)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with written_whole(self._path) as unfinished:
                unfinished.write_text(text.getvalue(), encoding="utf-8")
        except OSError as error:
            advice = "free the disk or choose another --out"
            raise FileError(f"{self._path}: cannot be written ({error}); {advice}") from None

    def _damaged(self, reason: str) -> DataError:
        return DataError(f"{self._path}: damaged, or of something else ({reason}); move it away, then go on")


def _place(row: Row) -> tuple[str | float, float]:
    return row["stage"], float(row["epoch"])


def _cell(value: float | str) -> str:
    """Text that reads back as the same whole number, or as the same float32."""
    if isinstance(value, str):
        return value
    return str(int(value)) if math.isfinite(value) and value == int(value) else f"{value:.9g}"


class EventWriter:
    """TensorBoard events of a run: a scalar ``stage/metric`` per epoch.

    The first epoch that is added brings the earlier ones of ``metrics.csv`` with it and takes back what older event
    files say; so a resumed run shows no epoch twice and none that it has forgotten.

    Parameters
    ----------
    folder : of the run; the events file is written beside its ``metrics.csv``.

    Attributes
    ----------
    available : whether TensorBoard is there; without it nothing is written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writer: Any = None
        self.available = find_spec("tensorboard") is not None

    def add(self, stage: str, epoch: int, row: Row) -> None:
        """Write the numbers of an epoch that `History` has, and make sure that they are on the disk."""
        if not self.available:
            return
        if self._writer is None:
            from torch.utils.tensorboard import SummaryWriter

            try:
                # A session that starts at step 0 makes TensorBoard drop everything written before.
                self._writer = SummaryWriter(str(self._folder), purge_step=0)
            except OSError as error:
                raise _no_events(self._folder, error) from None
            for earlier in History(self._folder).rows():
                if _place(earlier) != (stage, epoch):
                    self._add(str(earlier["stage"]), int(float(earlier["epoch"])), earlier)
        self._add(stage, epoch, row)
        try:
            self._writer.flush()
        except OSError as error:
            raise _no_events(self._folder, error) from None

    def _add(self, stage: str, epoch: int, row: Row) -> None:
        for name, value in row.items():
            if name not in ("stage", "epoch") and not isinstance(value, str):
                self._writer.add_scalar(f"{stage}/{name}", value, epoch)

    def close(self) -> None:
        """Close the file."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None


def _no_events(folder: Path, error: OSError) -> FileError:
    return FileError(f"{folder}: TensorBoard events cannot be written ({error}); free the disk or choose another --out")


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
}  # fmt: skip
_PERFECT = {"velocity SD, model / player": 1.0}


def can_draw() -> bool:
    """Whether matplotlib is there."""
    return find_spec("matplotlib") is not None


def draw_curves(folder: Path) -> bool:
    """Draw ``metrics.csv`` as ``curves.png`` beside it, stages one after another; failed epochs are shaded.

    Returns
    -------
    Whether there was something to draw, and matplotlib to draw it with.

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
        return False
    if not rows:
        return False
    figure = Figure(figsize=_SIZE_INCHES, dpi=_DPI, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots(2, 3)
    for panel, (label, curves) in zip(axes.flat, _PANELS.items(), strict=True):
        _draw_panel(panel, label, curves, rows)
        _draw_epochs(panel, rows)
    picture = io.BytesIO()
    canvas.print_png(picture)  # type: ignore[no-untyped-call]
    try:
        with written_whole(folder / CURVES_FILE) as unfinished:
            unfinished.write_bytes(picture.getvalue())
    except OSError as error:
        raise FileError(f"{folder / CURVES_FILE}: cannot be written ({error}); free the disk") from None
    return True


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
            )  # fmt: skip


def _stages(rows: Sequence[Row]) -> list[tuple[int, int]]:
    """First row and row after the last of each run of rows of one stage."""
    edges = [i for i in range(1, len(rows)) if rows[i]["stage"] != rows[i - 1]["stage"]]
    return list(zip([0, *edges], [*edges, len(rows)], strict=True))
