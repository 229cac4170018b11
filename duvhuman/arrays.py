"""What arrays hold, tables of them, and means over groups and windows of their rows."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Table:
    """A dataclass whose fields are columns of N rows each: arrays (N, ...), or tables themselves."""

    def __len__(self) -> int:
        return len(getattr(self, fields(self)[0].name))

    def select(self, rows: IntArray | BoolArray | slice) -> Self:
        """The table of these rows only (a mask, indices or a slice), in the order given."""
        columns: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(self)}
        return replace(self, **{
            name: column.select(rows) if isinstance(column, Table) else column[rows] for name, column in columns.items()
        })


def group_means(values: FloatArray, group: IntArray) -> FloatArray:
    """(N,) the mean of `values` (N,) over all that are in the same `group` (N,)."""
    index = np.unique(group, return_inverse=True)[1]
    return (np.bincount(index, values) / np.bincount(index))[index]


def concatenated_ranges(low: IntArray, high: IntArray) -> tuple[IntArray, IntArray]:
    """``low[k] .. high[k] - 1`` for every k, one range after another, and the k that each index is from."""
    lengths = high - low
    index = np.arange(lengths.sum()) + np.repeat(low - np.cumsum(lengths) + lengths, lengths)
    return index, np.repeat(np.arange(len(low)), lengths)


def neighbours(time: FloatArray, width: float) -> tuple[IntArray, IntArray]:
    """Index range (stop exclusive) of the notes within `width` of every note, in the unit of `time` (sorted)."""
    return np.searchsorted(time, time - width - 1e-9), np.searchsorted(time, time + width + 1e-9, "right")


def window_mean(
    values: NDArray[np.generic], low: IntArray, high: IntArray, among: BoolArray | None = None
) -> FloatArray:
    """The mean of ``values[low:high]`` for every note, or of those `among` them alone; NaN where there are none."""
    some = np.ones(len(values), dtype=np.bool_) if among is None else among
    total, count = (np.append(0.0, np.cumsum(np.where(some, one, 0.0))) for one in (values, 1.0))
    found = count[high] - count[low]
    return np.where(found > 0, (total[high] - total[low]) / np.maximum(found, 1.0), np.nan)
