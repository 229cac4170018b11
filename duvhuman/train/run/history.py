"""What a run leaves to be looked at: ``metrics.csv``, which `duvhuman.train.run.curves` draws, and TensorBoard events.

Conventions
-----------
``metrics.csv`` has one row per stage and epoch (from 1), in the order of training, and the columns `METRICS`. A metric
that was not measured is an empty cell. Velocities are MIDI steps, articulation is the natural log of performed over
written length. Events need the extra ``train``; ``metrics.csv`` does not.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from duvhuman.errors import DataError, FileError
from duvhuman.files import write_whole
from duvhuman.train.config import TERMS

METRICS_FILE = "metrics.csv"
METRICS = (
    "stage", "epoch", "train_loss", "val_loss", "vel_r", "vel_mae", "vel_mae_centred", "vel_sd_ratio", "vel_js",
    "art_r", "art_mae", "failed", "lr", "notes_seen", "notes_per_s", "seconds",
    *(f"train_{name}" for name in TERMS if name != "total"),
    "flat_vel_mae", "flat_art_mae", "ridge_vel_r", "ridge_vel_sd_ratio",
)
"""The columns of ``metrics.csv``; all but ``stage`` are numbers."""
Row = Mapping[str, "float | str"]


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
            write_whole(self._path, text.getvalue())
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
