"""Notes on their way from the files to the shards: on disk, sorted roughly, so that memory holds a little of them.

Conventions
-----------
The notes of a part are bytes: its columns in the order of `COLUMNS`, one behind the other. Each part has a key, a
uint64 that follows from where it is from; the order of the keys is the order of the data set.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from duvhuman.arrays import BoolArray, IntArray
from duvhuman.humanize.keyed import KeyArray
from duvhuman.train.data.storage import COLUMNS, Columns

NOTE_BYTES = sum(np.dtype(kind).itemsize for kind in COLUMNS.values())
BUCKET_BITS = 8
"""Parts are kept in 256 files by the first bits of their keys: a file of them is read at a time."""
HELD_BYTES = 1 << 18
"""So many bytes of a file are held back until they are written."""


def to_bytes(columns: Columns) -> bytes:
    """The notes of a part as bytes."""
    return b"".join(np.asarray(columns[name]).astype(kind, copy=False).tobytes() for name, kind in COLUMNS.items())


def from_bytes(notes: bytes, *, at: int, size: int) -> Columns:
    """The columns of a part of `size` notes whose bytes begin at `at`."""
    columns: dict[str, NDArray[np.generic]] = {}
    for name, kind in COLUMNS.items():
        columns[name] = np.frombuffer(notes, kind, size, at)
        at += columns[name].nbytes
    return columns


class Spool:
    """The notes of many parts in a folder.

    Parameters
    ----------
    folder : an empty folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._held: dict[int, bytearray] = {}

    def add(self, notes: bytes, *, keys: KeyArray, sizes: IntArray) -> None:
        """Keep P parts, whose bytes stand one behind the other.

        Parameters
        ----------
        keys, sizes : (P,) key and number of notes of each part.
        """
        ends = (np.cumsum(sizes) * NOTE_BYTES).tolist()
        start = 0
        for bucket, end in zip(_buckets(keys).tolist(), ends, strict=True):
            held = self._held.setdefault(bucket, bytearray())
            held += notes[start:end]
            start = end
            if len(held) >= HELD_BYTES:
                self._write(bucket)

    def read(self, *, keys: KeyArray, sizes: IntArray, wanted: BoolArray) -> Iterator[tuple[int, Columns]]:
        """The number and the columns of each wanted part, by rising key.

        Parameters
        ----------
        keys, sizes, wanted : (P,) of all parts, in the order in which they were added.
        """
        bucket_of = _buckets(keys)
        for bucket in sorted(self._held):
            self._write(bucket)
            notes = self._path(bucket).read_bytes()
            parts = np.flatnonzero(bucket_of == bucket)
            ends = np.cumsum(sizes[parts]) * NOTE_BYTES
            for place in np.argsort(keys[parts], kind="stable").tolist():
                part = int(parts[place])
                if wanted[part]:
                    size = int(sizes[part])
                    yield part, from_bytes(notes, at=int(ends[place]) - size * NOTE_BYTES, size=size)

    def _path(self, bucket: int) -> Path:
        return self._folder / f"{bucket:03}"

    def _write(self, bucket: int) -> None:
        with self._path(bucket).open("ab") as file:
            file.write(self._held[bucket])
        self._held[bucket].clear()


def _buckets(keys: KeyArray) -> IntArray:
    return (keys >> np.uint64(64 - BUCKET_BITS)).astype(np.int64)
