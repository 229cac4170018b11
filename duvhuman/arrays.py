"""What arrays hold, and tables of them."""

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
