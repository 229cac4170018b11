"""A prepared data set on disk: notes in columns, memory-mapped, in shards that are trained on one after another.

Conventions
-----------
A prepared folder holds ``dataset.json`` and a folder per shard (``0000``, ``0001``, ...). A shard has one ``.npy`` file
per column of `COLUMNS`, all its parts one after another, and ``parts.json`` with one object per part. Times on disk are
in 1/480 beat. A part lies whole in one shard; notes are numbered through all shards.
"""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from duvhuman.errors import DataError, FileError
from duvhuman.files import is_unfinished, written_whole

TICKS_PER_BEAT = 480
TEMPO_UNIT = 1 / 32
COLUMNS: dict[str, type] = {
    "onset": np.int32, "duration": np.uint16, "pitch": np.uint8, "velocity": np.uint8, "program": np.uint8,
    "tempo": np.uint16, "beat_in_bar": np.uint16, "bar_beats": np.uint16, "wanted": np.bool_, "released": np.bool_,
}
"""Column -> type on disk. Times are in 1/480 beat, tempo in 1/32 BPM; ``wanted`` is False in repeated bars,
``released`` where the pedal and not the key ends a note."""
ADDED_COLUMNS: dict[str, type] = {"written_beats": np.float32, "written_bar_beats": np.float32}
"""What `duvhuman.train.notate` adds, NaN where it was not asked: beats since the bar of the part's first note began,
and beats of a bar."""
SHARD_NOTES = 4_000_000
"""A shard is closed once it holds this many notes: some 70 MB."""
DATASET_FILE, PARTS_FILE = "dataset.json", "parts.json"
SHARDS = "[0-9][0-9][0-9][0-9]"
FORMAT = 3
OPEN_SHARDS = 2
Columns = Mapping[str, NDArray[np.generic]]


@dataclass(frozen=True, slots=True)
class PartRow:
    """One part of the data set.

    Attributes
    ----------
    pack, song, source : where it is from; parts of one song never stand in two splits.
    instrument, split : "train" or "valid".
    start, stop : its notes, numbered through all shards; stop exclusive.
    grid : whether its beats mean something.
    played : whether it was played by hand rather than programmed.
    level, range : mean and SD of its velocities.
    extra : whether it only helps to learn what all players have in common: it has few dynamics, or is played on another
        instrument. Extra parts are never held out.
    """

    pack: str
    song: str
    source: str
    instrument: str
    split: str
    start: int
    stop: int
    grid: bool
    played: bool
    level: float
    range: float
    extra: bool = False


@dataclass(frozen=True)
class StoredPart:
    """A part to be stored: its row, whose ``start`` and ``stop`` are set on storing, and its columns (N,)."""

    row: PartRow
    columns: Columns

    def __len__(self) -> int:
        return len(self.columns["pitch"])


def number_notes(parts: Iterable[StoredPart]) -> Iterator[StoredPart]:
    """The parts with ``start`` and ``stop`` set, one after another."""
    position = 0
    for part in parts:
        row = replace(part.row, start=position, stop=position + len(part))
        position = row.stop
        yield StoredPart(row, part.columns)


class Shards(Protocol):
    """Where the columns of a data set are."""

    bounds: NDArray[np.int64]
    """(K + 1,) the number of the first note of each of K shards, and the number of all notes."""

    def columns(self, shard: int) -> Columns:
        """The columns of one shard."""


class MemoryShards:
    """Columns that are in memory, as one shard."""

    def __init__(self, columns: Columns) -> None:
        self.bounds = np.array([0, len(columns["pitch"])])
        self._columns = columns

    def columns(self, shard: int) -> Columns:  # noqa: ARG002 - there is only one
        """All columns."""
        return self._columns


class DiskShards:
    """Columns that are memory-mapped; the `OPEN_SHARDS` last used stay open, so that memory does not fill up."""

    def __init__(self, folder: Path, notes: Iterable[int]) -> None:
        self.bounds = np.concatenate([[0], np.cumsum(np.array(list(notes), dtype=np.int64))])
        self._folder = folder
        self._open: dict[int, Columns] = {}

    def columns(self, shard: int) -> Columns:
        """The columns of one shard; DataError if a file is missing or damaged."""
        if shard not in self._open:
            while len(self._open) >= OPEN_SHARDS:
                self._open.pop(next(iter(self._open)))
            notes = int(self.bounds[shard + 1] - self.bounds[shard])
            try:
                opened = {
                    name: _open_column(path, notes, kind) for name, kind in (COLUMNS | ADDED_COLUMNS).items()
                    if (path := _column_path(self._folder, shard, name)).exists() or name in COLUMNS
                }
                if not opened.keys() >= ADDED_COLUMNS.keys():  # some were written, and then the process was killed
                    opened = {name: opened[name] for name in COLUMNS}
            except ValueError as error:
                raise _no_data(self._folder, error) from None
            self._open[shard] = opened
        self._open[shard] = self._open.pop(shard)  # the last used stand last
        return self._open[shard]

    def write_added(self, columns: Columns) -> None:
        """Add `ADDED_COLUMNS`, (N,) over all notes; where they are NaN, what stands there stays.

        Raises
        ------
        DataError
            If a file is missing or damaged.
        FileError
            If the folder cannot be written.
        """
        for shard, (start, stop) in enumerate(itertools.pairwise(self.bounds.tolist())):
            before, whole = self.columns(shard), dict[str, NDArray[np.generic]]()
            for name, values in columns.items():
                new: NDArray[np.generic] = values[start:stop].astype(ADDED_COLUMNS[name])
                whole[name] = np.where(np.isnan(new), before[name], new) if name in before else new
            del before
            self._open.clear()  # Windows replaces no file that is open
            for name, values in whole.items():
                path = _column_path(self._folder, shard, name)
                try:
                    with written_whole(path) as unfinished, unfinished.open("wb") as file:
                        np.save(file, values)
                except OSError as error:
                    raise FileError(f"{path}: cannot be written ({error.strerror})") from None

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_open": {}}


def write_dataset(
    folder: Path, parts: Iterable[StoredPart], *, shard_notes: int = SHARD_NOTES, about: Mapping[str, Any] | None = None
) -> tuple[int, int]:
    """Write a prepared data set; ``dataset.json`` comes last, so that half a folder is never taken for a whole one.

    Parameters
    ----------
    parts : in the order in which they are stored; only a shard of them is held in memory.
    about : what ``dataset.json`` tells beside the shards.

    Returns
    -------
    The number of parts and of notes.

    Raises
    ------
    FileError
        If `folder` cannot be made or written.
    """
    counts: list[dict[str, int]] = []
    shard: list[StoredPart] = []

    def close_shard() -> None:
        _write_shard(folder / f"{len(counts):04}", shard)
        counts.append({"parts": len(shard), "notes": sum(map(len, shard))})
        shard.clear()

    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / DATASET_FILE).unlink(missing_ok=True)
        for old in folder.glob(SHARDS):
            if is_shard(old):
                shutil.rmtree(old)
        held = 0
        for part in number_notes(parts):
            shard.append(part)
            held += len(part)
            if held >= shard_notes:
                close_shard()
                held = 0
        if shard or not counts:
            close_shard()
        text = json.dumps({"format": FORMAT, "shards": counts} | dict(about or {}), indent=1)
        (folder / DATASET_FILE).write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise FileError(f"{folder}: the data cannot be written there ({error}); choose another --out") from None
    return sum(count["parts"] for count in counts), sum(count["notes"] for count in counts)


def read_dataset(folder: Path) -> tuple[list[PartRow], DiskShards]:
    """The parts and the shards of a prepared data set; DataError if there is none."""
    try:
        index = _read_json(folder / DATASET_FILE)
        if index["format"] != FORMAT:
            raise ValueError(f"format {index['format']} instead of {FORMAT}")
        notes = [int(shard["notes"]) for shard in index["shards"]]
    except (ValueError, TypeError, KeyError) as error:
        raise _no_data(folder, error) from None
    shards = DiskShards(folder, notes)
    rows: list[PartRow] = []
    for number, (first, stop) in enumerate(itertools.pairwise(shards.bounds.tolist())):
        path = folder / f"{number:04}" / PARTS_FILE
        try:
            parts = [PartRow(**row) for row in _read_json(path)]
            edges = [first, *(part.stop for part in parts)]
            if [part.start for part in parts] != edges[:-1] or edges != sorted(edges) or edges[-1] != stop:
                raise ValueError("the parts do not follow one another")
        except (ValueError, TypeError) as error:
            raise _no_data(folder, ValueError(f"{number:04}/{PARTS_FILE}: {error}")) from None
        rows += parts
        shards.columns(number)
    return rows, shards


def is_shard(folder: Path) -> bool:
    """Whether a folder holds a shard, or what a killed process left of one, and nothing that is not ours to remove."""
    ours = {PARTS_FILE, *(f"{name}.npy" for name in COLUMNS | ADDED_COLUMNS)}
    return folder.is_dir() and all(path.name in ours or is_unfinished(path) for path in folder.iterdir())


def _read_json(path: Path) -> Any:
    """What a file holds; ValueError, which names the file, if there is none or it is no JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(str(error)) from None
    except ValueError as error:
        raise ValueError(f"{path.name} is damaged: {error}") from None


def _column_path(folder: Path, shard: int, name: str) -> Path:
    return folder / f"{shard:04}" / f"{name}.npy"


def _open_column(path: Path, notes: int, kind: type) -> NDArray[np.generic]:
    """A column, mapped; ValueError, which names the file, unless it has so many notes in the type of the column."""
    try:
        values: NDArray[np.generic] = np.load(path, mmap_mode="r")
    except (OSError, ValueError, EOFError) as error:
        raise ValueError(f"{path.parent.name}/{path.name}: {error}") from None
    if values.shape != (notes,) or values.dtype != kind:
        raise ValueError(f"{path.parent.name}/{path.name}: {values.dtype}{list(values.shape)} instead of {notes} notes")
    return values


def _write_shard(folder: Path, parts: list[StoredPart]) -> None:
    folder.mkdir()
    for name, dtype in COLUMNS.items():
        values: list[NDArray[np.generic]] = [np.asarray(part.columns[name]).astype(dtype) for part in parts]
        np.save(folder / f"{name}.npy", np.concatenate([np.zeros(0, dtype), *values]))
    rows = [asdict(part.row) for part in parts]
    (folder / PARTS_FILE).write_text(json.dumps(rows, indent=0), encoding="utf-8")


def _no_data(folder: Path, error: Exception) -> DataError:
    return DataError(
        f"{folder}: no prepared data there ({error}); "
        "make it with: python -m duvhuman.train prepare FOLDER... --out DIR"
    )
